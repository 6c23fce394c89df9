"""Which capabilities have been short so far, by the journal: their further jobs are packed without being asked."""

from __future__ import annotations

from checkmaite.jobs import ReuseKind
from checkmaite.jobs_ray.registry.model.record import Final, JobRecord, Success

_SHORT_S = 0.02
_REMEMBERED = 1_000


class ShortRuns:
    """Of each capability of a scope, how many of its runs were short since the last that was not."""

    def __init__(self) -> None:
        self._in_a_row: dict[str, int] = {}

    def note(self, ended: JobRecord) -> None:
        """A job is final. One that did not run, or failed at once, says nothing of the next one."""
        state, capability = ended.state, ended.spec.capability_id
        if not isinstance(state, Final) or (took_s := state.took_s) is None:
            return
        before = self._in_a_row.pop(capability, 0)
        if not 0 <= took_s < _SHORT_S:
            return
        has_run = isinstance(state.ending, Success) and state.ending.reuse.kind is not ReuseKind.REUSED
        self._in_a_row[capability] = before + has_run
        if len(self._in_a_row) > _REMEMBERED:
            del self._in_a_row[next(iter(self._in_a_row))]

    def in_a_row(self, capability: str) -> int:
        """How many of its last runs were all short."""
        return self._in_a_row.get(capability, 0)
