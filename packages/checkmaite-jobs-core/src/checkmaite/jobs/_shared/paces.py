"""What a process has seen of how long jobs of a capability take."""

from __future__ import annotations

from collections import OrderedDict

SHORT_RUNS = 20
"""A capability whose last runs were short, so many of them, is taken to be short."""
PACK_S = 0.05
"""What a pack of short jobs is made to take."""
_SHORT_S = 0.02
_UNKNOWN_S = 0.006
"""What a job is taken to take whose capability was not seen yet."""
_WEIGHT = 0.25
_REMEMBERED = 1_000


class ShortRuns:
    """Of each capability, how many of its runs were short since the last that was not."""

    def __init__(self) -> None:
        self._in_a_row: dict[str, int] = {}

    def note(self, capability: str, took_s: float | None, *, has_run: bool) -> None:
        """A job has ended.

        Args:
            capability: Its capability.
            took_s: How long its worker was at it; None where that is not known, which says nothing.
            has_run: Whether it ran to its end: one that did not, or failed at once, says nothing of the next one.
        """
        if took_s is None:
            return
        before = self._in_a_row.pop(capability, 0)
        if not 0 <= took_s < _SHORT_S:
            return
        self._in_a_row[capability] = before + has_run
        if len(self._in_a_row) > _REMEMBERED:
            del self._in_a_row[next(iter(self._in_a_row))]

    def in_a_row(self, capability: str) -> int:
        """How many of its last runs were all short."""
        return self._in_a_row.get(capability, 0)


class Paces:
    """Of each capability, how long one of its short jobs takes in a pack."""

    def __init__(self) -> None:
        self._paces: OrderedDict[str, float] = OrderedDict()

    def of(self, capability: str) -> float:
        """Seconds that the next one is taken to take."""
        return self._paces.get(capability, _UNKNOWN_S)

    def measure(self, capability: str, took_s: float) -> None:
        """Note what a job has taken; one that was long counts as one that fills a pack."""
        took_s = min(took_s, PACK_S)
        before = self._paces.pop(capability, took_s)
        self._paces[capability] = before + _WEIGHT * (took_s - before)
        if len(self._paces) > _REMEMBERED:
            self._paces.popitem(last=False)
