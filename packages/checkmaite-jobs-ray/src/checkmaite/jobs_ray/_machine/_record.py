"""One job as the registry knows it: what was submitted, and the state it is in.

A state is a class, so that "completed without a result" or "running nowhere" cannot be written.
"""

from __future__ import annotations

from typing import NamedTuple

from attrs import frozen
from checkmaite.jobs import JobStatus
from checkmaite.jobs.spi import Cancelled, Failed, Outcome
from checkmaite.jobs_ray._machine._ending import FINAL, Ending, outcome_of
from checkmaite.jobs_ray._messages import Draft, Where


class Owner(NamedTuple):
    """The controller that a job was given to, and the token of the lease that it had then."""

    controller: str
    token: int


@frozen
class Waiting:
    """Accepted; no controller has it."""


@frozen
class Doubtful:
    """Its controller is gone; the store is asked whether its run was stored before.

    Attributes:
        reason: How the controller went.
        where: The worker that had begun it, when one has spoken.
    """

    reason: str
    where: Where | None = None


@frozen
class Placed:
    """Given to a controller that has not confirmed it yet."""

    owner: Owner


@frozen
class Scheduling:
    """Ray has it and waits for a worker."""

    owner: Owner
    since: float


@frozen
class Running:
    """A worker has said that it started."""

    owner: Owner
    where: Where


@frozen
class Stopping:
    """Asked to stop; it ends as `then` once its work has stopped."""

    owner: Owner
    where: Where | None
    then: Cancelled | Failed


class Finished(NamedTuple):
    """It will never change again. A tuple, as a record is, because nearly all records are of finished jobs.

    Attributes:
        ending: How it ended.
        at: When.
        where: The worker that had it, when one has spoken.
    """

    ending: Ending
    at: float
    where: Where | None = None

    @property
    def outcome(self) -> Outcome:
        """How it ended, as clients are told it."""
        return outcome_of(self.ending)


State = Waiting | Doubtful | Placed | Scheduling | Running | Stopping | Finished


def status_in(state: State) -> JobStatus:
    """The status that a state alone means."""
    match state:
        case Waiting() | Doubtful() | Placed():
            return JobStatus.PENDING
        case Scheduling():
            return JobStatus.SCHEDULING
        case Running():
            return JobStatus.RUNNING
        case Stopping(where=where):
            return JobStatus.SCHEDULING if where is None else JobStatus.RUNNING
        case Finished(ending=ending):
            return FINAL[type(ending)]


class Record(NamedTuple):
    """One job. A tuple, because a registry that begins makes some for each job that it finds in its journal.

    Attributes:
        draft: What was submitted; without order and payload once the job is final.
        created_at: When it was accepted, in seconds since the epoch; unique within a registry.
        state: What is known of it.
        status: What users see. It never goes back, also when a lost job is started again.
        attempt: Number of the present or last start; 0 before the first.
        controller: The one that has it, or had it last: its output is there.
        losses: Starts that were lost with their worker.
        supersedes: The completed job that this one runs again on purpose.
        notes: What happened to it beyond the ordinary, for `explain`.
    """

    draft: Draft
    created_at: float
    state: State = Waiting()
    status: JobStatus = JobStatus.PENDING
    attempt: int = 0
    controller: str | None = None
    losses: int = 0
    supersedes: str | None = None
    notes: tuple[str, ...] = ()

    @property
    def is_live(self) -> bool:
        """Whether it may still change."""
        return not isinstance(self.state, Finished)

    @property
    def is_cancelling(self) -> bool:
        """Whether it is being stopped because somebody cancelled it."""
        return isinstance(self.state, Stopping) and isinstance(self.state.then, Cancelled)

    @property
    def owner(self) -> Owner | None:
        """The controller that has it."""
        state = self.state
        return None if isinstance(state, (Waiting, Doubtful, Finished)) else state.owner

    @property
    def where(self) -> Where | None:
        """The worker of the present or last start, when one has spoken."""
        match self.state:
            case Running(where=where) | Doubtful(where=where) | Stopping(where=where) | Finished(where=where):
                return where
            case _:
                return None
