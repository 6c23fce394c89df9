"""By when jobs had become final: how long ago that is says when they are forgotten."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator

from attrs import define

_TOGETHER_S = 1.0
"""Jobs that become final within so long count as final with the last of them."""


@define
class _Mark:
    begun_at: float
    at: float
    count: int


class FinishTimes:
    """By when how many jobs of a scope had become final, on the registry's own clock.

    Dates do not tell it: they follow every step of the calendar, and come from several machines. Jobs are forgotten in
    the order in which they became final, so their numbers are enough.
    """

    def __init__(self) -> None:
        self._marks: deque[_Mark] = deque()
        self._finished = 0
        self._forgotten = 0

    @property
    def oldest(self) -> float:
        """By when the job that is forgotten next had become final; there must be one."""
        return self._marks[0].at

    def note(self, now: float) -> None:
        """One more job is final."""
        self._finished += 1
        if self._marks and now - self._marks[-1].begun_at < _TOGETHER_S:
            self._marks[-1].at, self._marks[-1].count = now, self._finished
        else:
            self._marks.append(_Mark(now, now, self._finished))

    def forget(self) -> None:
        """The job that had been final for longest is forgotten."""
        self._forgotten += 1
        while self._marks and self._marks[0].count <= self._forgotten:
            self._marks.popleft()

    def recall(self, counts: Iterable[float], count: float, now: float) -> None:
        """Begin with what a journal says, in the order in which the jobs became final.

        Args:
            counts: By when each had become final; see `finish_counts`.
            count: What the count has come to.
            now: The time.
        """
        reached = float("-inf")
        for each in counts:
            reached = max(reached, each)  # no job has been final for longer than one that was so before it
            self.note(now - max(0.0, count - reached))


def finish_counts(ends: Iterable[tuple[float, int | None]], latest: float) -> Iterator[float]:
    """By when jobs had become final, by the count of the time of registries, which no calendar moves.

    Earlier versions kept dates alone. The count had not begun then, and the last instant that these name was its
    beginning.

    Args:
        ends: When each became final, by the calendar of its time, and by the count.
        latest: The last instant that those name which have no count.
    """
    reached = float("-inf")
    for at, counted_s in ends:
        reached = max(reached, at)
        yield min(0.0, reached - latest) if counted_s is None else counted_s
