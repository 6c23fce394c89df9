"""What a simulated process takes for the world: the time, and sizes that are small enough for stories of a few jobs."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

import ray.exceptions as rx
from checkmaite.jobs import JobsError
from checkmaite.jobs_ray.controller.machine import StaleLeaseError
from checkmaite.jobs_ray.registry import group_commit, shell

_ROOMS = ("checkmaite.jobs_ray.registry.", "checkmaite.jobs_ray.clock")
_EXPECTED = (JobsError, StaleLeaseError, TimeoutError, rx.RayError)
_log = logging.getLogger("checkmaite.jobs")


class _Time:
    """The module `time`, as the process that runs has it."""

    def __init__(self, stage: Any) -> None:
        self._stage = stage

    def monotonic(self) -> float:
        now: float = self._stage.now
        return now

    def time(self) -> float:
        return self.monotonic() + (self._stage.runs.ahead_s if self._stage.runs else 0.0)

    def time_ns(self) -> int:
        return round(self.time() * 1e9)


class _Log(logging.Handler):
    """Sees what was logged and goes on as if it were Ray's: a fault of the code is none of that."""

    def __init__(self, stage: Any) -> None:
        super().__init__()
        self._stage = stage

    def emit(self, record: logging.LogRecord) -> None:
        error = record.exc_info[1] if record.exc_info else None
        if error is not None and not isinstance(error, _EXPECTED):
            self._stage.failed(error)


@contextmanager
def simulated(stage: Any) -> Iterator[None]:
    """Within the block, the registry has the stage's time, and writes and places few things at once or many."""
    told, time = _Log(stage), _Time(stage)
    modules = [each for name, each in sys.modules.items() if name.startswith(_ROOMS) and hasattr(each, "time")]
    before = [(each, each.time) for each in modules], _log.propagate
    with (
        patch.object(group_commit, "_MOST", stage.dice.choice((1, 3, 100, 5_000))),
        patch.object(shell, "_BATCH", stage.dice.choice((1, 100))),
    ):
        for module in modules:
            module.time = time  # type: ignore[attr-defined]
        _log.propagate = False
        _log.addHandler(told)
        try:
            yield
        finally:
            _log.removeHandler(told)
            for module, real in before[0]:
                module.time = real
            _log.propagate = before[1]
