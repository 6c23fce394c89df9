"""Puts back what a job may change in its process."""

from __future__ import annotations

import faulthandler
import signal
from collections.abc import Mapping, Sequence
from functools import cache
from itertools import compress
from typing import Any

from checkmaite.jobs._shared.signals import IGNORE, set_handler
from checkmaite.jobs._workers.hygiene import interpreter, libraries, system
from checkmaite.jobs._workers.hygiene.setting import Setting

_TRIES = 6
_NEVER = (0, 0, 0)
OF_WRITES = frozenset(
    {
        "interval timers",
        "blocked signals",
        "signal handlers",
        "working directory",
        "umask",
        "limits of writing",
        "recursion limit",
        "limit of digits",
        "standard streams",
        "warnings filters",
        "built-in names",
        "locale",
        "default socket timeout",
        "temporary folder",
        "decimal arithmetic",
        "NumPy's treatment of errors",
    }
)
"""What the outcome of a write depends on, by the settings' names."""


@cache
def _settings() -> tuple[Setting, ...]:
    """Everything that can be put back, in this order: first what could disturb the rest."""
    return (*system.settings(), *interpreter.settings(), *libraries.settings())


class World:
    """The process as it is when this is made. Main thread only.

    Args:
        variables: Environment variables that the job finds beside those that are there, as `os.environ` keeps them.
        is_kept: Whether other jobs follow that find the same: until `end`, the variables stay.
    """

    def __init__(self, variables: Mapping[Any, Any], *, is_kept: bool = False) -> None:
        lasting = _lasting()
        self._variables = variables
        self._is_kept = is_kept
        self._before = [lasting[each] if each.only_by_jobs else each.read() for each in _settings()]
        system.add_variables(variables)
        self._found = list(self._before)
        self._found[_place_of_environment()] = system.ENVIRONMENT.read()

    def begin_next(self) -> None:
        """Another job finds what the one before has found: what `restore` has seen then, or has put back.

        Only the handlers of signals are others, since each job is interrupted by handlers of its own.
        """
        place = _place_of_handlers()
        self._before[place] = self._found[place] = system.HANDLERS.read()

    def end(self) -> None:
        """No other job follows."""
        system.take_back(self._variables, self._before[_place_of_environment()])

    def restore_for_write(self) -> None:
        """Put back what writing relies on; the job is not over, and what asks to cancel it is noted still."""
        for attempt in range(_TRIES):
            try:
                if attempt == 0 and _read(_settings_of_writes()) == _those_of_writes(self._found):
                    return
                _stop_timers()
                for each, before in zip(_settings_of_writes(), _those_of_writes(self._before), strict=True):
                    _put_back(each, before)
            except BaseException:  # noqa: BLE001, S112 - raised by a signal handler that the job left behind
                continue
            return

    def restore(self) -> list[str]:
        """Put back what was changed since; the names of what could not be.

        It is done whole, whatever the handlers raise that the job has left behind.
        """
        for attempt in range(_TRIES):
            try:
                if attempt == 0 and _read(_settings()) == self._found:  # as most jobs leave it
                    if not self._is_kept:
                        self.end()
                    return []
                _silence()
                pairs = zip(_settings(), self._before, strict=True)
                unrestored = [each.name for each, before in pairs if not _put_back(each, before)]
                if self._is_kept:
                    system.add_variables(self._variables)
                return unrestored
            except BaseException:  # noqa: BLE001, S112 - what cannot be read was changed, or a handler of the job's raised
                continue
        return ["signal handlers"]


def _those_of_writes(values: Sequence[Any]) -> list[Any]:
    return list(compress(values, _are_of_writes()))


def _read(settings: Sequence[Setting]) -> list[Any]:
    """The present values of the settings."""
    faulthandler.cancel_dump_traceback_later()
    return [each.read() for each in settings]


@cache
def _place_of_environment() -> int:
    return _settings().index(system.ENVIRONMENT)


@cache
def _place_of_handlers() -> int:
    return _settings().index(system.HANDLERS)


@cache
def _are_of_writes() -> tuple[bool, ...]:
    return tuple(each.name in OF_WRITES for each in _settings())


@cache
def _settings_of_writes() -> tuple[Setting, ...]:
    return tuple(compress(_settings(), _are_of_writes()))


@cache
def _lasting() -> Mapping[Setting, Any]:
    """The settings that only jobs change, with their values before the first job; after each job they are put back."""
    return {each: each.read() for each in _settings() if each.only_by_jobs}


def _silence() -> None:
    """Stop what interrupts: timers, and requests to cancel a job that is over."""
    _stop_timers()
    set_handler(signal.SIGINT, IGNORE)


def _stop_timers() -> None:
    list(map(signal.setitimer, system.TIMERS, _NEVER))  # in one call, between two signals
    faulthandler.cancel_dump_traceback_later()


def _put_back(setting: Setting, before: Any) -> bool:
    try:
        if setting.read() == before:
            return True
    except Exception:  # noqa: BLE001, S110 - what cannot even be read, or compared, has been changed
        pass
    try:
        setting.write(before)
        return bool(setting.read() == before)
    except Exception:  # noqa: BLE001 - whatever refuses: the process leaves, and another one is clean
        return False
