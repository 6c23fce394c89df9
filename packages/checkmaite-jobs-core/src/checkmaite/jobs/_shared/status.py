"""The six states of a job, and the only order in which they may follow each other."""

from __future__ import annotations

from enum import StrEnum
from typing import Any


class JobStatus(StrEnum):
    """What is known of a job, never a guess.

    A job moves forward: ``PENDING -> SCHEDULING -> RUNNING -> COMPLETED | FAILED | CANCELLED``. Stages may be skipped
    when nobody saw them; the last three are final and never change again. It goes back in one case: when its worker has
    died it is PENDING or SCHEDULING until another one has it.

    A status is a text, and equal to its name in lower case too, which is the value that ``checkmaite.jobs`` 0.6.1 gave
    it. A set or a mapping whose keys are lower-case texts does not find it.
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

    @property
    def is_terminal(self) -> bool:
        """The same as `is_final`, by its name in ``checkmaite.jobs`` 0.6.1."""
        return self.is_final

    @property
    def value(self) -> Any:
        """The status itself, which is a text: compared with a text in lower case it is equal, as the status is."""
        return self

    def __eq__(self, other: object) -> bool:
        return str.__eq__(self, other) is True or (type(other) is str and self.lower() == other)

    def __ne__(self, other: object) -> bool:
        return not self == other

    __hash__ = str.__hash__

    @classmethod
    def _missing_(cls, value: object) -> JobStatus | None:
        return next((status for status in cls if status == value), None)

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
