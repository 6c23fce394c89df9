"""What has happened: the only things that change records, and what the journal keeps."""

from __future__ import annotations

from typing import NamedTuple

from checkmaite.jobs.spi import Cancelled, Failed
from checkmaite.jobs_ray._machine._contexts import Shape
from checkmaite.jobs_ray._machine._ending import Ending
from checkmaite.jobs_ray._machine._record import Owner
from checkmaite.jobs_ray._messages import Draft, Where


class Introduced(NamedTuple):
    """The context of jobs to come."""

    context: str
    shape: Shape


class Submitted(NamedTuple):
    """A job was accepted."""

    draft: Draft
    at: float
    supersedes: str | None


class Adopted(NamedTuple):
    """A registry took a job over from the controller that has it: one that it did not know, or a later start."""

    draft: Draft
    at: float
    supersedes: str | None
    attempt: int
    losses: int
    owner: Owner

    @property
    def job_id(self) -> str:
        """The job."""
        return self.draft.job_id


class Resumed(NamedTuple):
    """A registry that has begun anew found the job where the journal says that it is, and goes on with it."""

    job_id: str
    owner: Owner


class Doubted(NamedTuple):
    """Its controller is gone, and whether its run was stored before is not known yet."""

    job_id: str
    reason: str


class GivenTo(NamedTuple):
    """A job was given to a controller: the start number `attempt`."""

    job_id: str
    attempt: int
    owner: Owner


class Launched(NamedTuple):
    """Ray has the job."""

    job_id: str
    at: float


class Started(NamedTuple):
    """A worker has begun it."""

    job_id: str
    where: Where


class StopAsked(NamedTuple):
    """It is being stopped."""

    job_id: str
    then: Cancelled | Failed


class GivenBack(NamedTuple):
    """Its start came to nothing, and another one follows.

    Attributes:
        note: What to tell of it, if anything.
        lost: Whether it counts against the job's retries.
        attempted: Whether it counts as a start at all: a controller that refuses a job has not started it.
    """

    job_id: str
    note: str | None
    lost: bool = False
    attempted: bool = True


class Ended(NamedTuple):
    """It is final.

    Attributes:
        ending: How it ended.
        where: The worker that had it; None where the record says it, or nobody knows.
    """

    job_id: str
    ending: Ending
    at: float
    where: Where | None = None


class Noted(NamedTuple):
    """Something to tell in the job's explanation."""

    job_id: str
    note: str


class Forgotten(NamedTuple):
    """A finished job is no longer kept."""

    job_id: str


JobEvent = (
    Submitted
    | Adopted
    | Resumed
    | Doubted
    | GivenTo
    | Launched
    | Started
    | StopAsked
    | GivenBack
    | Ended
    | Noted
    | Forgotten
)
Event = Introduced | JobEvent
