"""The world of a job: what it may change in its process, and how that is put back."""

from __future__ import annotations

import faulthandler
import signal
from functools import cache
from typing import Any

from checkmaite.jobs._hygiene import _interpreter, _libraries, _system
from checkmaite.jobs._hygiene._setting import Setting

_TRIES = 5
_NEVER = (0, 0, 0)


@cache
def _settings() -> tuple[Setting, ...]:
    """What can be put back, in the order in which it is: first what could disturb the rest."""
    return (*_system.settings(), *_interpreter.settings(), *_libraries.settings())


class World:
    """The process as it is when this is made. Main thread only."""

    def __init__(self) -> None:
        self._before = [(setting, setting.read()) for setting in _settings()]

    def restore(self) -> list[str]:
        """Put back what was changed since; the names of what could not be.

        It is done whole, whatever the handlers raise that the job has left behind.
        """
        for _ in range(_TRIES):
            try:
                _silence()
                return [setting.name for setting, before in self._before if not _put_back(setting, before)]
            except BaseException:  # noqa: BLE001, S112 - raised by a signal handler that the job left behind
                continue
        return ["signal handlers"]


def _silence() -> None:
    """Stop what interrupts: timers, and requests to cancel a job that is over."""
    list(map(signal.setitimer, _system.TIMERS, _NEVER))  # in one call, between two signals
    signal.signal(signal.SIGINT, signal.SIG_IGN)
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
