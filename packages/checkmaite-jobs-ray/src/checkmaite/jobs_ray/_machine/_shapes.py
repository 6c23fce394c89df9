"""The contexts that live jobs have, each kept for as long as one of them needs it."""

from __future__ import annotations

from collections import Counter

from checkmaite.jobs_ray._machine._contexts import Shape


class Shapes:
    """Shapes by the ids of their contexts."""

    def __init__(self) -> None:
        self._known: dict[str, Shape] = {}
        self._uses: Counter[str] = Counter()

    def __contains__(self, context: str) -> bool:
        return context in self._known

    def __getitem__(self, context: str) -> Shape:
        return self._known[context]

    def items(self) -> list[tuple[str, Shape]]:
        """All that are known."""
        return list(self._known.items())

    def introduce(self, context: str, shape: Shape) -> None:
        """Get to know a context that jobs will have."""
        self._known[context] = shape

    def use(self, context: str) -> None:
        """One more live job has it."""
        self._uses[context] += 1

    def drop(self, context: str) -> None:
        """A job that had it is final."""
        self._uses[context] -= 1
        if self._uses[context] <= 0:
            del self._uses[context]
            self._known.pop(context, None)
