"""The six states of a job, and the only order in which they may follow each other."""

from __future__ import annotations

from enum import StrEnum


class JobStatus(StrEnum):
    """What is known of a job, never a guess.

    A job moves forward only: ``PENDING -> SCHEDULING -> RUNNING -> COMPLETED | FAILED | CANCELLED``.
    Stages may be skipped when nobody saw them; the last three are final and never change again.
    """

    PENDING = "PENDING"
    """Accepted; not yet handed to the machinery that runs it."""
    SCHEDULING = "SCHEDULING"
    """Handed over; waiting for resources."""
    RUNNING = "RUNNING"
    """A worker has said that it started."""
    COMPLETED = "COMPLETED"
    """The run is stored durably."""
    FAILED = "FAILED"
    """The run ended in an error; nothing more will happen."""
    CANCELLED = "CANCELLED"
    """Cancelled, and the work has stopped."""

    @property
    def is_final(self) -> bool:
        """Whether the job can never change again."""
        return _STAGE[self] == _FINAL_STAGE

    def may_become(self, later: JobStatus) -> bool:
        """Whether `later` is a step forward from here."""
        return _STAGE[later] > _STAGE[self]


_FINAL_STAGE = 3
_STAGE = {
    JobStatus.PENDING: 0,
    JobStatus.SCHEDULING: 1,
    JobStatus.RUNNING: 2,
    JobStatus.COMPLETED: _FINAL_STAGE,
    JobStatus.FAILED: _FINAL_STAGE,
    JobStatus.CANCELLED: _FINAL_STAGE,
}
