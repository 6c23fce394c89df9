"""The clock of registries and controllers: durations are counted on one that nobody sets, dates follow the calendar."""

from __future__ import annotations

import time
from typing import Protocol


class Dating(Protocol):
    """A machine that is given the time of its process's own clock, and that dates what happens."""

    def set_calendar(self, ahead_s: float) -> None:
        """So far the calendar, in seconds since the epoch, is ahead of that clock."""
        ...


def tell_time(machine: Dating) -> float:
    """The time by this process's own clock, which steps of the calendar do not move; the machine is told of those."""
    now = time.monotonic()
    machine.set_calendar(time.time() - now)
    return now
