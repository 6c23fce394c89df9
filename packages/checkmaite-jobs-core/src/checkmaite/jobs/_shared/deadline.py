"""A deadline: several waits that share one time-out spend it once."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from attrs import frozen

Clock = Callable[[], float]


@frozen
class Deadline:
    """The end of a wait.

    Attributes:
        at: The instant on `clock`, in seconds; None waits for ever.
        clock: A monotonic clock in seconds.
    """

    at: float | None
    clock: Clock = time.monotonic

    @classmethod
    def after(cls, timeout_s: float | None, clock: Clock = time.monotonic) -> Deadline:
        """The deadline `timeout_s` seconds from now; None and what no thread can wait never come, negative is 0."""
        never = timeout_s is None or timeout_s >= threading.TIMEOUT_MAX
        return cls(None if never or timeout_s is None else clock() + max(0.0, timeout_s), clock)

    def remaining_s(self) -> float | None:
        """Seconds left, at least 0; None when the deadline never comes."""
        return None if self.at is None else max(0.0, self.at - self.clock())
