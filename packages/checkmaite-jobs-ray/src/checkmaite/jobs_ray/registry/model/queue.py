"""Jobs that no worker has begun: which of them wait here, and how many a controller has handed to Ray."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator

from checkmaite.jobs import Resources
from checkmaite.jobs_ray.wire import JobSpec

Kind = tuple[str, Resources, str]
"""What jobs have in common that Ray starts one after the other: context, resources and isolation."""


def kind_of(spec: JobSpec) -> Kind:
    """A job's kind. What Ray has no room for holds up its own kind alone."""
    return spec.context, spec.resources, spec.policy.isolation


class Queue:
    """Jobs by kind, those of one kind in order.

    A queued job costs Ray and its controller several times what it costs here, and its payload, which the journal has.
    So of each kind only a window is given away: the next ones to start.
    """

    def __init__(self) -> None:
        self._waiting: dict[Kind, dict[str, None]] = {}
        self._count = 0
        self._given: Counter[Kind] = Counter()

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[str]:
        for jobs in self._waiting.values():
            yield from jobs

    def add(self, spec: JobSpec) -> None:
        """A job waits, behind the others of its kind."""
        self._waiting.setdefault(kind_of(spec), {})[spec.job_id] = None
        self._count += 1

    def discard(self, spec: JobSpec) -> None:
        """A job waits no more."""
        kind = kind_of(spec)
        jobs = self._waiting[kind]
        del jobs[spec.job_id]
        self._count -= 1
        if not jobs:
            del self._waiting[kind]

    def note_given(self, spec: JobSpec, change: int) -> None:
        """A controller has a job, and no worker has begun it (1), or that is over (-1)."""
        kind = kind_of(spec)
        self._given[kind] += change
        if not self._given[kind]:
            del self._given[kind]

    def given(self, kind: Kind) -> int:
        """How many jobs of a kind controllers have that no worker has begun."""
        return self._given[kind]

    def has_room(self, kind: Kind, window: int) -> bool:
        """Whether jobs of a kind are given: when half of its window has begun, so that they go many at a time."""
        return self._given[kind] <= window // 2

    def due(self, window: int) -> int:
        """How many jobs wait for a controller, and not for others of their kind to begin."""
        return sum(min(len(jobs), max(0, window - self._given[kind])) for kind, jobs in self._waiting.items())

    def next(self, window: int, most: int, is_known: Callable[[str], bool]) -> list[str]:
        """The jobs to give now.

        Args:
            window: As many of a kind as may be given and not begun.
            most: At most so many in all; kinds that come too short are the first the next time.
            is_known: Whether a context is.
        """
        found: list[str] = []
        for kind, jobs in list(self._waiting.items()):
            if len(found) == most:
                break
            if not is_known(kind[0]) or not self.has_room(kind, window):
                continue
            count = min(window - self._given[kind], most - len(found))
            found += [job_id for _, job_id in zip(range(count), jobs, strict=False)]
            self._waiting[kind] = self._waiting.pop(kind)
        return found
