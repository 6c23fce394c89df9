"""Which capabilities have been short so far, by the journal: their further jobs are packed without being asked."""

from __future__ import annotations

from checkmaite.jobs import ReuseKind
from checkmaite.jobs.spi import ShortRuns as _ShortRuns
from checkmaite.jobs_ray.registry.model.record import Final, JobRecord, Success


class ShortRuns:
    """Of each capability of a scope, how many of its runs were short since the last that was not."""

    def __init__(self) -> None:
        self._runs = _ShortRuns()

    def note(self, ended: JobRecord) -> None:
        """A job is final. One that did not run, or failed at once, says nothing of the next one."""
        state = ended.state
        if isinstance(state, Final):
            has_run = isinstance(state.ending, Success) and state.ending.reuse.kind is not ReuseKind.REUSED
            self._runs.note(ended.spec.capability_id, state.took_s, has_run=has_run)

    def in_a_row(self, capability: str) -> int:
        """How many of its last runs were all short."""
        return self._runs.in_a_row(capability)
