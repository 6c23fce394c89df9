"""Events and records as the journal keeps them: rows of JSON values, read by their first word.

What a row's values mean belongs to the journal's protocol: who changes it raises that number and keeps reading the
older rows. Nothing is ever unpickled here; payloads are bytes to everybody but workers.
"""

from __future__ import annotations

from base64 import b64decode, b64encode
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import lru_cache
from typing import Any

from attrs import astuple
from checkmaite.jobs import CapabilityRunRef, JobStatus, Resources
from checkmaite.jobs.spi import Cancelled, Completed, Failed, Outcome
from checkmaite.jobs_ray._machine._book import JobBook
from checkmaite.jobs_ray._machine._contexts import Shape, StoreShape
from checkmaite.jobs_ray._machine._events import (
    Adopted,
    Doubted,
    Ended,
    Event,
    Forgotten,
    GivenBack,
    GivenTo,
    Introduced,
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
)
from checkmaite.jobs_ray._messages import Draft, Kept, Policy, Where

Row = list[Any]
_STATUSES = {status.value: status for status in JobStatus}


# -- events -----------------------------------------------------------------------------------------------------------


def row_of(event: Event) -> Row:
    """An event as the journal keeps it."""
    match event:
        case Introduced():
            return ["introduced", event.context, *event.shape]
        case Submitted():
            return ["submitted", _draft_row(event.draft), event.at, event.supersedes]
        case Adopted():
            return ["adopted", _draft_row(event.draft), *event[1:]]
        case StopAsked():
            return ["stop asked", event.job_id, _outcome_row(event.then)]
        case Ended():
            return ["ended", event.job_id, _outcome_row(event.outcome), event.at, event.where]
        case _:
            return [_WORDS[type(event)], *event]


def event_of(row: Row) -> Event:
    """The event that `row_of` wrote.

    Raises:
        ValueError, TypeError, KeyError, IndexError: It is none.
    """
    return _READERS[row[0]](*row[1:])


_WORDS: Mapping[type, str] = {
    Resumed: "resumed",
    Doubted: "doubted",
    GivenTo: "given to",
    Launched: "launched",
    Started: "started",
    GivenBack: "given back",
    Noted: "noted",
    Forgotten: "forgotten",
}
_READERS: Mapping[str, Callable[..., Event]] = {
    "introduced": lambda context, *shape: Introduced(context, _shape_from(shape)),
    "submitted": lambda draft, at, supersedes: Submitted(_draft_from(draft), at, supersedes),
    "adopted": lambda draft, at, supersedes, attempt, losses, owner: Adopted(
        _draft_from(draft), at, supersedes, attempt, losses, Owner(*owner)
    ),
    "resumed": lambda job_id, owner: Resumed(job_id, Owner(*owner)),
    "doubted": Doubted,
    "given to": lambda job_id, attempt, owner: GivenTo(job_id, attempt, Owner(*owner)),
    "launched": Launched,
    "started": lambda job_id, where: Started(job_id, Where(*where)),
    "stop asked": lambda job_id, then: StopAsked(job_id, _ending_from(then)),
    "given back": GivenBack,
    "ended": lambda job_id, outcome, at, where: Ended(job_id, _outcome_from(outcome), at, _where_from(where)),
    "noted": Noted,
    "forgotten": Forgotten,
}


# -- a whole book -----------------------------------------------------------------------------------------------------


def snapshot_rows(book: JobBook) -> Iterator[Row]:
    """All that a book holds. What it holds is taken at once, so that it may change while the rows are written."""
    shapes = book.shapes.items()
    finished = [book.records[job_id] for index in book.scopes.values() for job_id in index.finished]
    live = [record for record in book.records.values() if record.is_live]

    def rows() -> Iterator[Row]:
        for name, shape in shapes:
            yield ["context", name, *shape]
        for record in finished:
            yield _record_row(record)
        for record in live:
            yield _record_row(record)

    return rows()


def restore(book: JobBook, rows: Iterable[Row]) -> None:
    """Fill a new book with what `snapshot_rows` wrote.

    Raises:
        ValueError, TypeError, KeyError, IndexError: A row is not one of those.
    """
    for kind, *values in rows:
        if kind == "context":
            book.shapes.introduce(values[0], _shape_from(values[1:]))
        elif kind == "record":
            book.restore(_record_from(*values))
        else:
            raise ValueError(f"{kind!r} is no kind of row")


def _record_row(record: Record) -> Row:
    return [
        "record",
        _draft_row(record.draft),
        record.created_at,
        _state_row(record.state),
        record.status.value,
        record.attempt,
        record.controller,
        record.losses,
        record.supersedes,
        record.notes,
    ]


def _record_from(
    draft: Row,
    created_at: float,
    state: Row,
    status: str,
    attempt: int,
    controller: str | None,
    losses: int,
    supersedes: str | None,
    notes: list[str],
) -> Record:
    return Record(
        _draft_from(draft),
        created_at,
        _state_from(state),
        _STATUSES[status],
        attempt,
        controller,
        losses,
        supersedes,
        tuple(notes),
    )


# -- parts ------------------------------------------------------------------------------------------------------------


def _draft_row(draft: Draft) -> Row:
    (job_id, scope, run_key, job_name, capability_id, resources, order, payload, context, policy, force) = draft
    return [
        job_id,
        scope,
        run_key,
        job_name,
        capability_id,
        astuple(resources),
        order,
        _payload_row(payload),
        context,
        policy,
        force,
    ]


def _draft_from(row: Row) -> Draft:
    job_id, scope, run_key, job_name, capability_id, resources, order, payload, context, policy, force = row
    num_cpus, num_gpus, memory, custom = resources
    return Draft(
        job_id,
        scope,
        run_key,
        job_name,
        capability_id,
        _resources(num_cpus, num_gpus, memory, tuple(custom.items())),
        tuple(order),
        _payload_from(payload),
        context,
        _policy(*policy),
        force,
    )


@lru_cache(maxsize=256)
def _resources(
    num_cpus: float, num_gpus: float, memory: int | None, custom: tuple[tuple[str, float], ...]
) -> Resources:
    return Resources(num_cpus=num_cpus, num_gpus=num_gpus, memory=memory, custom=dict(custom))


_policy = lru_cache(maxsize=256)(Policy)


def _payload_row(payload: Any) -> str | Row | None:
    if payload is None:
        return None
    if isinstance(payload, Kept):
        return [payload.key, payload.size]
    return b64encode(payload).decode() if isinstance(payload, bytes) else None  # a reference dies with its owner


def _payload_from(row: str | Row | None) -> bytes | Kept | None:
    if row is None:
        return None
    return b64decode(row) if isinstance(row, str) else Kept(*row)


def _shape_from(row: Iterable[Any]) -> Shape:
    (backend, plain, hidden, *artifacts), facts, (protocol, python, core), environment = row
    store = StoreShape(backend, plain, tuple(hidden), *artifacts)
    return Shape(store, facts, (protocol, python, core), environment)


def _state_row(state: State) -> Row:
    match state:
        case Waiting():
            return ["waiting"]
        case Doubtful():
            return ["doubtful", state.reason, state.where]
        case Placed():
            return ["placed", state.owner]
        case Scheduling():
            return ["scheduling", state.owner, state.since]
        case Running():
            return ["running", state.owner, state.where]
        case Stopping():
            return ["stopping", state.owner, state.where, _outcome_row(state.then)]
        case Finished():
            return ["finished", _outcome_row(state.outcome), state.at, state.where]


_STATES: Mapping[str, Callable[..., State]] = {
    "waiting": Waiting,
    "doubtful": lambda reason, where=None: Doubtful(reason, _where_from(where)),  # protocol 1 has no place
    "placed": lambda owner: Placed(Owner(*owner)),
    "scheduling": lambda owner, since: Scheduling(Owner(*owner), since),
    "running": lambda owner, where: Running(Owner(*owner), Where(*where)),
    "stopping": lambda owner, where, then: Stopping(Owner(*owner), _where_from(where), _ending_from(then)),
    "finished": lambda outcome, at, where: Finished(_outcome_from(outcome), at, _where_from(where)),
}


def _state_from(row: Row) -> State:
    return _STATES[row[0]](*row[1:])


def _where_from(row: Row | None) -> Where | None:
    return None if row is None else Where(*row)


def _outcome_row(outcome: Outcome) -> Row:
    match outcome:
        case Completed(ref=ref):
            where = ref.run_uid, ref.capability_id, ref.store_uri, ref.outputs_uri, ref.report
            return ["completed", where, outcome.already_stored, outcome.notes]
        case Failed():
            return ["failed", *astuple(outcome)]
        case Cancelled():
            return ["cancelled", outcome.reason]


def _outcome_from(row: Row) -> Outcome:
    kind, *values = row
    if kind != "completed":
        return _ending_from(row)
    (run_uid, capability_id, store_uri, outputs_uri, report), already_stored, notes = values
    ref = CapabilityRunRef(
        run_uid=run_uid, capability_id=capability_id, store_uri=store_uri, outputs_uri=outputs_uri, report=report
    )
    return Completed(ref=ref, already_stored=already_stored, notes=tuple(notes))


def _ending_from(row: Row) -> Cancelled | Failed:
    kind, *values = row
    if kind == "cancelled":
        return Cancelled(reason=values[0])
    if kind != "failed":
        raise ValueError(f"{kind!r} is no way to end")
    error_type, error_message, traceback_text, phase, node, pid, exit_cause, lost, remedy = values
    return Failed(
        error_type=error_type,
        error_message=error_message,
        traceback_text=traceback_text,
        phase=phase,
        node=node,
        pid=pid,
        exit_cause=exit_cause,
        lost=lost,
        remedy=remedy,
    )
