"""Settings of a process that the operating system keeps."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from attrs import field, frozen
from checkmaite.jobs._shared.signals import get_handler, set_handler, set_mask
from checkmaite.jobs._workers.hygiene.setting import Setting

TIMERS = (signal.ITIMER_REAL, signal.ITIMER_VIRTUAL, signal.ITIMER_PROF) if sys.platform != "win32" else ()
"""The first is also `signal.alarm`'s."""

_NO_TIMERS = [(0.0, 0.0)] * len(TIMERS)
_SIGNALS = tuple(int(each) for each in signal.Signals if each.name not in {"SIGKILL", "SIGSTOP"})


def settings() -> Iterator[Setting]:
    """Those that this platform has."""
    if (mask := set_mask) is not None:
        yield Setting("interval timers", _timers, _set_timers)
        yield Setting(
            "blocked signals",
            lambda: mask(signal.SIG_BLOCK, ()),
            lambda before: mask(signal.SIG_SETMASK, before),
            only_by_jobs=True,
        )
    yield HANDLERS
    yield Setting("working directory", os.getcwd, _set_directory)
    yield ENVIRONMENT
    yield Setting("umask", _umask, os.umask, only_by_jobs=True)
    if sys.platform != "win32":
        yield Setting("time zone", lambda: (time.tzname, time.timezone), lambda _: time.tzset())
        yield from _limits()
        yield Setting(
            "priority",
            lambda: os.getpriority(os.PRIO_PROCESS, 0),
            lambda before: os.setpriority(os.PRIO_PROCESS, 0, before),
        )
    if sys.platform == "linux":
        yield Setting("CPU affinity", lambda: os.sched_getaffinity(0), lambda before: os.sched_setaffinity(0, before))


def _limits() -> Iterator[Setting]:
    """Resource limits, those that a write may meet apart: each of them costs a call into the system."""
    import resource

    for_writes = {f"RLIMIT_{name}" for name in ("FSIZE", "NOFILE", "NPROC", "DATA", "AS", "CPU")}
    numbers = {name: value for name, value in vars(resource).items() if name.startswith("RLIMIT_")}
    met = {numbers[name] for name in for_writes & numbers.keys()}
    for name, limits in (("limits of writing", sorted(met)), ("other limits", sorted({*numbers.values()} - met))):

        def read(limits: Sequence[int] = limits) -> list[tuple[int, int]]:
            return list(map(resource.getrlimit, limits))

        def write(before: list[tuple[int, int]], limits: Sequence[int] = limits) -> None:
            for limit, values in zip(limits, before, strict=True):
                if resource.getrlimit(limit) != values:
                    resource.setrlimit(limit, values)

        yield Setting(name, read, write, only_by_jobs=True)


def _handlers() -> list[Any]:
    return list(map(get_handler, _SIGNALS))


@frozen
class _Timer:
    """One that runs, with the seconds between one time and the next, and those until it goes off, which pass."""

    number: int
    interval: float
    first: float = field(eq=False)


def _timers() -> list[_Timer]:
    found = list(map(signal.getitimer, TIMERS))
    if found == _NO_TIMERS:
        return []
    return [_Timer(number, interval, first) for number, (first, interval) in zip(TIMERS, found, strict=True) if first]


def _set_timers(before: list[_Timer]) -> None:
    running = {each.number: each for each in before}
    for number in TIMERS:
        each = running.get(number, _Timer(number, 0, 0))
        signal.setitimer(number, each.first, each.interval)


def _set_handlers(before: list[Any]) -> None:
    """A handler that was not set from Python is None; it cannot be set from Python again."""
    for number, handler in zip(_SIGNALS, before, strict=True):
        if get_handler(number) != handler:
            set_handler(number, handler)


HANDLERS = Setting("signal handlers", _handlers, _set_handlers)


def _set_directory(before: str) -> None:
    Path(before).mkdir(parents=True, exist_ok=True)  # where the job removed it
    os.chdir(before)


def _environment() -> tuple[Any, Mapping[Any, Any]]:
    """`os.environ`, and its variables as it keeps them: all that it gives out it decodes anew."""
    environment: Any = os.environ
    return environment, environment._data.copy()


def as_kept(variables: Mapping[str, str]) -> Mapping[Any, Any]:
    """Environment variables in the form in which `os.environ` keeps them, and the system takes them."""
    environment: Any = os.environ
    return {environment.encodekey(name): environment.encodevalue(value) for name, value in variables.items()}


def add_variables(variables: Mapping[Any, Any]) -> None:
    """Set variables, given `as_kept`: setting a dozen by `os.environ` costs a short job more than it does itself."""
    environment: Any = os.environ
    _set_variables(environment._data, variables)


def take_back(variables: Mapping[Any, Any], before: tuple[Any, Mapping[Any, Any]]) -> None:
    """Put these variables back to their earlier values, when nothing else of the environment has changed."""
    environment, there = before
    for name in variables:
        if name in there:
            _set_variables(environment._data, {name: there[name]})
        else:
            os.unsetenv(name)
            environment._data.pop(name, None)


def _set_variables(kept: dict[Any, Any], variables: Mapping[Any, Any]) -> None:
    for name, value in variables.items():
        os.putenv(name, value)
        kept[name] = value


def _set_environment(before: tuple[Any, Mapping[Any, Any]]) -> None:
    zone = os.environ.get("TZ")
    environment, variables = before
    os.environ = environment  # noqa: B003 - the job may have put another mapping there
    kept = environment._data
    for name in kept.keys() - variables.keys():
        os.unsetenv(name)
        del kept[name]
    if kept != variables:
        _set_variables(kept, variables)
    if sys.platform != "win32" and environment.get("TZ") != zone:
        time.tzset()


ENVIRONMENT = Setting("environment variables", _environment, _set_environment)


def _umask() -> int:
    """It can only be read by setting it."""
    mask = os.umask(0o077)
    os.umask(mask)
    return mask
