"""One job as the registry knows it: what was submitted, the state it is in, and how it ended.

A state is a class, so that "completed without a result" or "running nowhere" cannot be written. Of a hundred thousand
endings few are ever asked for, so they are kept as flat tuples.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from attrs import frozen
from checkmaite.jobs import CapabilityRunRef, JobStatus, Report, Reuse
from checkmaite.jobs.spi import Cancelled, Completed, Failed, Outcome, Started, Used
from checkmaite.jobs_ray.wire import JobSpec, PastAttempt


class Owner(NamedTuple):
    """The controller that a job was given to, and the token of the lease that it had then."""

    controller: str
    token: int


@frozen
class Waiting:
    """Accepted; no controller has it."""


@frozen
class Unresolved:
    """Its controller is gone; the store is asked whether its run was stored before.

    Attributes:
        reason: How the controller went.
        started: What the worker that had begun it has said of itself, when one has spoken.
    """

    reason: str
    started: Started | None = None


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
    started: Started


@frozen
class Stopping:
    """Asked to stop; it ends as `then` once its work has stopped."""

    owner: Owner
    started: Started | None
    then: Cancelled | Failed


class Final(NamedTuple):
    """It will never change again. A tuple, as a record is, because nearly all records are of finished jobs.

    Attributes:
        ending: How it ended.
        at: When.
        started: What the worker that had it has said of itself, when one has spoken.
        counted_s: How long registries had led its journal by then, see `JobTable.counted_s`; None where an earlier
            version wrote it.
        used: What its worker has used at most.
    """

    ending: Ending
    at: float
    started: Started | None = None
    counted_s: int | None = None
    used: Used | None = None

    @property
    def outcome(self) -> Outcome:
        """How it ended, as clients are told it."""
        return outcome_of(self.ending)

    @property
    def took_s(self) -> float | None:
        """The seconds from its last beginning to its end; None where no worker had spoken."""
        return None if self.started is None else self.at - self.started.at.timestamp()


State = Waiting | Unresolved | Placed | Scheduling | Running | Stopping | Final


def status_in(state: State) -> JobStatus:
    """The status that a state alone means."""
    match state:
        case Waiting() | Unresolved() | Placed():
            return JobStatus.PENDING
        case Scheduling():
            return JobStatus.SCHEDULING
        case Running():
            return JobStatus.RUNNING
        case Stopping(started=started):
            return JobStatus.SCHEDULING if started is None else JobStatus.RUNNING
        case Final(ending=ending):
            return STATUS_OF_ENDING[type(ending)]


class JobRecord(NamedTuple):
    """One job. A tuple, because a registry that begins makes some for each job that it finds in its journal.

    Attributes:
        spec: What was submitted; without order and payload once the job is final.
        created_at: When it was accepted, in seconds since the epoch; unique within a registry.
        state: What is known of it.
        status: What users see: what the state means, kept since it is asked for often.
        attempt: Number of the present or last attempt; 0 before the first.
        controller: The one that has it, or had it last: its output is there.
        losses: Starts that were lost with their worker.
        supersedes: The completed job that this one runs again on purpose.
        notes: What happened to it beyond the ordinary, for `explain`.
        unknown: What a newer version has written of it and this one does not know; see `journal.fields`.
        queued_at: When Ray had its last start, in seconds since the epoch.
        past: Starts that others followed; of very many the first and the newest.
    """

    spec: JobSpec
    created_at: float
    state: State = Waiting()
    status: JobStatus = JobStatus.PENDING
    attempt: int = 0
    controller: str | None = None
    losses: int = 0
    supersedes: str | None = None
    notes: tuple[str, ...] = ()
    unknown: Mapping[str, Any] | None = None
    queued_at: float | None = None
    past: tuple[PastAttempt, ...] = ()

    @property
    def is_live(self) -> bool:
        """Whether it may still change."""
        return not isinstance(self.state, Final)

    @property
    def is_cancelling(self) -> bool:
        """Whether it is being stopped because somebody cancelled it."""
        return isinstance(self.state, Stopping) and isinstance(self.state.then, Cancelled)

    @property
    def owner(self) -> Owner | None:
        """The controller that has it."""
        state = self.state
        return None if isinstance(state, (Waiting, Unresolved, Final)) else state.owner

    @property
    def used(self) -> Used | None:
        """What its worker has used at most, once it has ended and where that is known."""
        return self.state.used if isinstance(self.state, Final) else None

    @property
    def started(self) -> Started | None:
        """What the worker of the present or last attempt has said of itself, when one has spoken."""
        match self.state:
            case Running() | Unresolved() | Stopping() | Final() as known:
                return known.started
            case _:
                return None


# -- how a job ended ---------------------------------------------------------------------------------------------------


class Success(NamedTuple):
    """A `Completed` and its ref as one flat tuple, which costs a fifth of the two objects. The fields are theirs."""

    run_uid: str
    revision: int
    capability_id: str
    store_uri: str | None
    commit_uri: str | None
    outputs_uri: str | None
    report: Report | None
    notes: tuple[str, ...]
    reuse: Reuse


Ending = Success | Failed | Cancelled
STATUS_OF_ENDING: Mapping[type[Ending], JobStatus] = {
    Success: JobStatus.COMPLETED,
    Failed: JobStatus.FAILED,
    Cancelled: JobStatus.CANCELLED,
}
"""The status that each ending means."""


def ending_of(outcome: Outcome) -> Ending:
    """What is kept of an outcome: all of it."""
    if not isinstance(outcome, Completed):
        return outcome
    ref = outcome.ref
    about = ref.run_uid, ref.revision, ref.capability_id, ref.store_uri, ref.commit_uri, ref.outputs_uri, ref.report
    return Success(*about, outcome.notes, outcome.reuse)


def outcome_of(ending: Ending) -> Outcome:
    """The outcome that `ending_of` was given."""
    if not isinstance(ending, Success):
        return ending
    return Completed(ref=ref_of(ending), notes=ending.notes, reuse=ending.reuse)


def ref_of(ending: Success) -> CapabilityRunRef:
    """The ref of the outcome that `ending_of` was given."""
    return CapabilityRunRef(
        run_uid=ending.run_uid,
        revision=ending.revision,
        capability_id=ending.capability_id,
        store_uri=ending.store_uri,
        commit_uri=ending.commit_uri,
        outputs_uri=ending.outputs_uri,
        report=ending.report,
    )
