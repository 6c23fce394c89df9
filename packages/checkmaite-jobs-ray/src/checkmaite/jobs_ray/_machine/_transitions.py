"""The one table of how an event changes a record."""

from __future__ import annotations

from typing import assert_never

from attrs import evolve
from checkmaite.jobs_ray._machine._events import (
    Adopted,
    Doubted,
    Ended,
    GivenBack,
    GivenTo,
    Launched,
    Noted,
    Resumed,
    Started,
    StopAsked,
    Submitted,
)
from checkmaite.jobs_ray._machine._record import (
    Doubtful,
    Finished,
    Owner,
    Placed,
    Record,
    Running,
    Scheduling,
    State,
    Stopping,
    Waiting,
    status_in,
)
from checkmaite.jobs_ray._messages import Draft

_NOTES = 20

Change = Adopted | Resumed | Doubted | GivenTo | Launched | Started | StopAsked | GivenBack | Ended | Noted


def accepted(event: Submitted | Adopted) -> Record:
    """The record that a job begins with."""
    new = Record(event.draft, event.at, supersedes=event.supersedes)
    return after(new, event) if isinstance(event, Adopted) else new


def after(record: Record, event: Change) -> Record:  # noqa: C901 - one table, a line or two for each event
    """The record after an event, the most frequent first. The registry asks only for what its state allows."""
    state = record.state
    assert not isinstance(state, Finished) or isinstance(event, Noted), f"{event} after the end"
    match event:
        case GivenTo():
            return _in(record, Placed(event.owner), attempt=event.attempt, controller=event.owner.controller)
        case Launched():
            return _in(record, Scheduling(_owner(record), event.at)) if isinstance(state, Placed) else record
        case Started():
            if isinstance(state, Stopping):
                return _in(record, evolve(state, where=event.where))
            return _in(record, Running(_owner(record), event.where))
        case Ended():
            ended = Finished(event.ending, event.at, event.where or record.where)
            return _in(record, ended, draft=record.draft.slim())
        case Adopted():
            controller = event.owner.controller
            state = Scheduling(event.owner, event.at)
            return _in(record, state, attempt=event.attempt, controller=controller, losses=event.losses)
        case Resumed():
            return record._replace(state=_owned_by(state, event.owner), controller=event.owner.controller)
        case Doubted():
            return _in(record, Doubtful(event.reason, record.where))
        case StopAsked():
            return _in(record, Stopping(_owner(record), record.where, event.then))
        case GivenBack():
            notes = record.notes if event.note is None else _with(record.notes, event.note)
            attempt, losses = record.attempt - (not event.attempted), record.losses + event.lost
            return _in(record, Waiting(), attempt=attempt, losses=losses, notes=notes)
        case Noted():
            return record._replace(notes=_with(record.notes, event.note))
        case _:
            assert_never(event)


def _with(notes: tuple[str, ...], note: str) -> tuple[str, ...]:
    """The notes with one more; of a job that is started again without end the first and the newest stay."""
    return (*notes, note) if len(notes) < _NOTES else (notes[0], *notes[2 - _NOTES :], note)


def _owned_by(state: State, owner: Owner) -> State:
    assert not isinstance(state, Waiting | Doubtful | Finished), "who goes on with a job had it before"
    return evolve(state, owner=owner)


def _in(
    record: Record,
    state: State,
    *,
    draft: Draft | None = None,
    attempt: int | None = None,
    controller: str | None = None,
    losses: int | None = None,
    notes: tuple[str, ...] | None = None,
) -> Record:
    """The record in another state. It is written out since `_replace`, four times in each job's life, costs double."""
    status, meant = record.status, status_in(state)
    if meant is not status and status.may_become(meant):
        status = meant
    return Record(
        record.draft if draft is None else draft,
        record.created_at,
        state,
        status,
        record.attempt if attempt is None else attempt,
        record.controller if controller is None else controller,
        record.losses if losses is None else losses,
        record.supersedes,
        record.notes if notes is None else notes,
    )


def _owner(record: Record) -> Owner:
    owner = record.owner
    assert owner is not None, f"{record.draft.job_id} has no controller"
    return owner
