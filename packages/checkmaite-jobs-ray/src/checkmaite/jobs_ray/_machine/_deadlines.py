"""Instants at which something is due, earliest first."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from heapq import heapify, heappop, heappush


class Deadlines:
    """Starts that must have found a worker by an instant. One that has found it is left in and ignored when due."""

    def __init__(self) -> None:
        self._due: list[tuple[float, str, int]] = []

    def __len__(self) -> int:
        return len(self._due)

    def add(self, at: float, job_id: str, attempts_before: int) -> None:
        """Expect the start after `attempts_before` others by an instant."""
        heappush(self._due, (at, job_id, attempts_before))

    def passed(self, now: float) -> Iterator[tuple[str, int]]:
        """Take out what was due: job ids and the attempts that had been made when it was added."""
        while self._due and self._due[0][0] <= now:
            _, job_id, attempts_before = heappop(self._due)
            yield job_id, attempts_before

    def keep(self, wanted: Callable[[str, int], object]) -> None:
        """Leave out what is not wanted any more."""
        self._due = [each for each in self._due if wanted(each[1], each[2])]
        heapify(self._due)
