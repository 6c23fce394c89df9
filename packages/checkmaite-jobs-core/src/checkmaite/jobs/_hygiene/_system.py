"""What the operating system keeps for a process."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Iterator, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

from attrs import field, frozen
from checkmaite.jobs._hygiene._setting import Setting

TIMERS = (signal.ITIMER_REAL, signal.ITIMER_VIRTUAL, signal.ITIMER_PROF) if sys.platform != "win32" else ()
"""The first is also `signal.alarm`'s."""

_getsignal = import_module("_signal").getsignal  # the public one makes an enumeration of each, at many times the cost
_SIGNALS = tuple(int(each) for each in signal.Signals if each.name not in {"SIGKILL", "SIGSTOP"})


@frozen
class _Timer:
    """Seconds until a timer goes off, which pass, and then between one time and the next."""

    first: float = field(eq=bool)
    interval: float


def settings() -> Iterator[Setting]:
    """Those that this platform has."""
    if sys.platform != "win32":
        yield Setting("interval timers", lambda: [_Timer(*signal.getitimer(timer)) for timer in TIMERS], _set_timers)
        yield Setting(
            "blocked signals",
            lambda: signal.pthread_sigmask(signal.SIG_BLOCK, ()),
            lambda before: signal.pthread_sigmask(signal.SIG_SETMASK, before),
        )
    yield Setting("signal handlers", _handlers, _set_handlers)
    yield Setting("working directory", os.getcwd, _set_directory)
    yield Setting("environment variables", lambda: dict(os.environ), _set_environment)
    yield Setting("umask", _umask, os.umask)
    if sys.platform != "win32":
        import resource

        limits = sorted({value for name, value in vars(resource).items() if name.startswith("RLIMIT_")})

        def set_limits(before: Mapping[int, tuple[int, int]]) -> None:
            for limit, values in before.items():
                if resource.getrlimit(limit) != values:
                    resource.setrlimit(limit, values)

        yield Setting("resource limits", lambda: {each: resource.getrlimit(each) for each in limits}, set_limits)
        yield Setting(
            "priority",
            lambda: os.getpriority(os.PRIO_PROCESS, 0),
            lambda before: os.setpriority(os.PRIO_PROCESS, 0, before),
        )
    if sys.platform == "linux":
        yield Setting("CPU affinity", lambda: os.sched_getaffinity(0), lambda before: os.sched_setaffinity(0, before))


def _handlers() -> list[Any]:
    return [_getsignal(number) for number in _SIGNALS]


def _set_timers(before: list[_Timer]) -> None:
    for timer, each in zip(TIMERS, before, strict=True):
        signal.setitimer(timer, each.first, each.interval)


def _set_handlers(before: list[Any]) -> None:
    """A handler that was not set from Python is None; it cannot be set from Python again."""
    for number, handler in zip(_SIGNALS, before, strict=True):
        if _getsignal(number) != handler:
            signal.signal(number, handler)


def _set_directory(before: str) -> None:
    Path(before).mkdir(parents=True, exist_ok=True)  # where the job removed it
    os.chdir(before)


def _set_environment(before: Mapping[str, str]) -> None:
    now = dict(os.environ)
    for name in now.keys() - before.keys():
        del os.environ[name]
    os.environ.update(before.items() - now.items())
    if sys.platform != "win32" and now.get("TZ") != before.get("TZ"):
        time.tzset()


def _umask() -> int:
    """It can only be read by setting it."""
    mask = os.umask(0o077)
    os.umask(mask)
    return mask
