"""What has happened: the only things that change records, and what the journal keeps; and how each changes a record."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple, TypeVar, assert_never

from attrs import evolve
from checkmaite.jobs.spi import Cancelled, Failed, Started, Used
from checkmaite.jobs_ray.registry.model.contexts import RedactedContext
from checkmaite.jobs_ray.registry.model.record import (
    Ending,
    Final,
    JobRecord,
    Owner,
    Placed,
    Running,
    Scheduling,
    State,
    Stopping,
    Unresolved,
    Waiting,
    status_in,
)
from checkmaite.jobs_ray.wire import JobSpec, PastAttempt

_NOTES = 20
_Said = TypeVar("_Said")


class Introduced(NamedTuple):
    """The context of jobs to come."""

    context: str
    redacted: RedactedContext


class Submitted(NamedTuple):
    """A job was accepted."""

    spec: JobSpec
    at: float
    supersedes: str | None

    @property
    def job_id(self) -> str:
        """The job."""
        return self.spec.job_id


class Adopted(NamedTuple):
    """A registry took a job over from the controller that has it: one that it did not know, or a later attempt."""

    spec: JobSpec
    at: float
    supersedes: str | None
    attempt: int
    losses: int
    owner: Owner
    past: tuple[PastAttempt, ...] = ()

    @property
    def job_id(self) -> str:
        """The job."""
        return self.spec.job_id


class Resumed(NamedTuple):
    """A registry that has begun anew found the job where the journal says that it is, and goes on with it."""

    job_id: str
    owner: Owner


class OwnerLost(NamedTuple):
    """Its controller is gone, and whether its run was stored before is not known yet."""

    job_id: str
    reason: str


class Assigned(NamedTuple):
    """A job was given to a controller: attempt number `attempt`."""

    job_id: str
    attempt: int
    owner: Owner


class Launched(NamedTuple):
    """Ray has the job."""

    job_id: str
    at: float


class WorkerStarted(NamedTuple):
    """A worker has begun it."""

    job_id: str
    started: Started


class StopAsked(NamedTuple):
    """It is being stopped."""

    job_id: str
    then: Cancelled | Failed


class Requeued(NamedTuple):
    """Its attempt came to nothing, and another one follows.

    Attributes:
        note: What to tell of it, if anything.
        lost: Whether it counts against the job's retries.
        attempted: Whether it counts as an attempt at all: a controller that refuses a job has not started it.
        at: When; None where an earlier version wrote it.
        started: What the worker of that attempt has said of itself; None where the record says it, or nobody knows.
    """

    job_id: str
    note: str | None
    lost: bool = False
    attempted: bool = True
    at: float | None = None
    started: Started | None = None


class Ended(NamedTuple):
    """It is final.

    Attributes:
        ending: How it ended.
        started: What the worker that had it has said of itself; None where the record says it, or nobody knows.
        counted_s: See `Final`.
        used: See `Final`.
    """

    job_id: str
    ending: Ending
    at: float
    started: Started | None = None
    counted_s: int | None = None
    used: Used | None = None


class Noted(NamedTuple):
    """Something to tell in the job's explanation."""

    job_id: str
    note: str


class Extended(NamedTuple):
    """A newer version has written of a job what this one does not know. Only reading makes it; it is never written.

    Attributes:
        unknown: What it has written, where a record's row has it.
    """

    job_id: str
    unknown: Mapping[str, Any]


class Forgotten(NamedTuple):
    """A finished job is no longer kept."""

    job_id: str


JobEvent = (
    Submitted
    | Adopted
    | Resumed
    | OwnerLost
    | Assigned
    | Launched
    | WorkerStarted
    | StopAsked
    | Requeued
    | Ended
    | Noted
    | Extended
    | Forgotten
)
Event = Introduced | JobEvent


# -- how an event changes a record -------------------------------------------------------------------------------------


RecordEvent = (
    Adopted
    | Resumed
    | OwnerLost
    | Assigned
    | Launched
    | WorkerStarted
    | StopAsked
    | Requeued
    | Ended
    | Noted
    | Extended
)


def accepted(event: Submitted | Adopted) -> JobRecord:
    """The record that a job begins with."""
    new = JobRecord(event.spec, event.at, supersedes=event.supersedes)
    return after(new, event) if isinstance(event, Adopted) else new


def after(record: JobRecord, event: RecordEvent) -> JobRecord:  # noqa: C901 - one table, a line or two for each event
    """The record after an event, the most frequent first. The registry asks only for what its state allows."""
    state = record.state
    assert not isinstance(state, Final) or isinstance(event, Noted | Extended), f"{event} after the end"
    match event:
        case Assigned():
            return _in(record, Placed(event.owner), attempt=event.attempt, controller=event.owner.controller)
        case Launched():
            if not isinstance(state, Placed):
                return record
            return _in(record, Scheduling(_owner(record), event.at), queued_at=event.at)
        case WorkerStarted():
            if isinstance(state, Stopping):
                return _in(record, evolve(state, started=event.started))
            return _in(record, Running(_owner(record), event.started))
        case Ended():
            ended = Final(event.ending, event.at, event.started or record.started, event.counted_s, event.used)
            return _in(record, ended, spec=record.spec.slim())
        case Adopted():
            controller = event.owner.controller
            state = Scheduling(event.owner, event.at)
            return _in(
                record, state, attempt=event.attempt, controller=controller, losses=event.losses, past=event.past
            )
        case Resumed():
            return record._replace(state=_owned_by(state, event.owner), controller=event.owner.controller)
        case OwnerLost():
            return _in(record, Unresolved(event.reason, record.started))
        case StopAsked():
            return _in(record, Stopping(_owner(record), record.started, event.then))
        case Requeued():
            notes = record.notes if event.note is None else _with(record.notes, event.note)
            past = _with(record.past, _past(record, event)) if event.attempted else record.past
            attempt, losses = record.attempt - (not event.attempted), record.losses + event.lost
            return _in(record, Waiting(), attempt=attempt, losses=losses, notes=notes, past=past)
        case Noted():
            return record._replace(notes=_with(record.notes, event.note))
        case Extended():
            return record._replace(unknown=_joined(record.unknown or {}, event.unknown))
        case _:
            assert_never(event)


def _joined(before: Mapping[str, Any], now: Mapping[str, Any]) -> Mapping[str, Any]:
    """Both, at every depth; where both say something the later counts."""
    both = {**before}
    for name, said in now.items():
        known = both.get(name)
        both[name] = _joined(known, said) if isinstance(known, Mapping) and isinstance(said, Mapping) else said
    return both


def _with(notes: tuple[_Said, ...], note: _Said) -> tuple[_Said, ...]:
    """The notes with one more; of a job that is started again without end the first and the newest stay."""
    return (*notes, note) if len(notes) < _NOTES else (notes[0], *notes[2 - _NOTES :], note)


def _past(record: JobRecord, event: Requeued) -> PastAttempt:
    return PastAttempt(record.attempt, event.started or record.started, event.at, event.note or "")


def _owned_by(state: State, owner: Owner) -> State:
    assert not isinstance(state, Waiting | Unresolved | Final), "who goes on with a job had it before"
    return evolve(state, owner=owner)


def _in(
    record: JobRecord,
    state: State,
    *,
    spec: JobSpec | None = None,
    attempt: int | None = None,
    controller: str | None = None,
    losses: int | None = None,
    notes: tuple[str, ...] | None = None,
    queued_at: float | None = None,
    past: tuple[PastAttempt, ...] | None = None,
) -> JobRecord:
    """The record in another state. It is written out since `_replace`, four times in each job's life, costs double."""
    return JobRecord(
        record.spec if spec is None else spec,
        record.created_at,
        state,
        status_in(state),
        record.attempt if attempt is None else attempt,
        record.controller if controller is None else controller,
        record.losses if losses is None else losses,
        record.supersedes,
        record.notes if notes is None else notes,
        record.unknown,
        record.queued_at if queued_at is None else queued_at,
        record.past if past is None else past,
    )


def _owner(record: JobRecord) -> Owner:
    owner = record.owner
    assert owner is not None, f"{record.spec.job_id} has no controller"
    return owner
