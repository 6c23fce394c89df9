"""Events and records as the journal keeps them: rows of JSON values, read by their first word.

What a row's values mean belongs to the journal's protocol: who changes it raises that number and keeps reading the
older rows. Nothing is ever unpickled here; payloads are bytes to everybody but workers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import groupby, islice
from sys import intern
from typing import Any

from checkmaite.jobs import JobStatus, Resources
from checkmaite.jobs_ray.journal.schema_parts import (
    Row,
    basis_from,
    basis_row,
    common_from,
    common_row,
    ending_from,
    ending_row,
    redacted_from,
    spec_from,
    spec_row,
    state_from,
    state_row,
    stopping_from,
    where_from,
)
from checkmaite.jobs_ray.registry.model.events import (
    Adopted,
    Assigned,
    Doubted,
    Ended,
    Event,
    Forgotten,
    Introduced,
    Launched,
    Noted,
    Requeued,
    Resumed,
    StopAsked,
    Submitted,
    WorkerStarted,
)
from checkmaite.jobs_ray.registry.model.job_table import JobTable, ReplayState
from checkmaite.jobs_ray.registry.model.record import FINAL, Finished, JobRecord, Owner
from checkmaite.jobs_ray.wire import Basis, JobSpec, Policy, Where

_JOBS_PER_ROW = 64
"""Finished jobs that share a row of a snapshot. More save nothing, and a row is in memory as a whole."""
_STATUSES = {str(status): status for status in JobStatus}


# -- events -----------------------------------------------------------------------------------------------------------


def rows_of(events: Iterable[Event]) -> list[Row]:
    """A batch of events as the journal keeps them. A text of fingerprints is written once, and then its number."""
    texts: dict[str, int] = {}
    rows = [_row_of(event) for event in events]
    for row in rows:
        if row[0] in _WITH_SPEC and (prints := _prints_in(row)) is not None:
            row[1][-1][0] = [_once(text, texts) for text in prints]
    return rows


def _once(text: str, texts: dict[str, int]) -> str | int:
    """A text where it comes first, else its number."""
    if (number := texts.get(text)) is None:
        texts[text] = len(texts)
        return text
    return number


def events_of(rows: Iterable[Row]) -> Iterator[Event]:
    """The events of a batch that `rows_of` wrote.

    Raises:
        ValueError, TypeError, KeyError, IndexError: A row is none of those.
    """
    texts: list[str] = []
    for row in rows:
        word, *values = row
        if word in _WITH_SPEC and (prints := _prints_in(row)) is not None:
            texts += [intern(each) for each in prints if isinstance(each, str)]
            row[1][-1][0] = tuple([intern(each) if isinstance(each, str) else texts[each] for each in prints])
        yield _READERS[word](*values)


def _prints_in(row: Row) -> Sequence[Any] | None:
    """The fingerprints in the spec of an event's row, if it has some."""
    basis = row[1][-1]
    return basis[0] if isinstance(basis, list) else None  # up to protocol 3 it was a truth value


def _row_of(event: Event) -> Row:
    match event:
        case Introduced():
            return ["introduced", event.context, *event.redacted]
        case Submitted():
            return ["submitted", spec_row(event.spec), event.at, event.supersedes]
        case Adopted():
            return ["adopted", spec_row(event.spec), *event[1:]]
        case StopAsked():
            return ["stop asked", event.job_id, ending_row(event.then)]
        case Ended():
            return ["ended", event.job_id, ending_row(event.ending), event.at, event.where]
        case _:
            return [_WORDS[type(event)], *event]


_WITH_SPEC = frozenset({"submitted", "adopted"})
_WORDS: Mapping[type, str] = {
    Resumed: "resumed",
    Doubted: "doubted",
    Assigned: "given to",
    Launched: "launched",
    WorkerStarted: "started",
    Requeued: "given back",
    Noted: "noted",
    Forgotten: "forgotten",
}
_READERS: Mapping[str, Callable[..., Event]] = {
    "introduced": lambda context, *redacted: Introduced(context, redacted_from(redacted)),
    "submitted": lambda spec, at, supersedes: Submitted(spec_from(spec), at, supersedes),
    "adopted": lambda spec, at, supersedes, attempt, losses, owner: Adopted(
        spec_from(spec), at, supersedes, attempt, losses, Owner(*owner)
    ),
    "resumed": lambda job_id, owner: Resumed(job_id, Owner(*owner)),
    "doubted": Doubted,
    "given to": lambda job_id, attempt, owner: Assigned(job_id, attempt, Owner(*owner)),
    "launched": Launched,
    "started": lambda job_id, where: WorkerStarted(job_id, Where(*where)),
    "stop asked": lambda job_id, then: StopAsked(job_id, stopping_from(then)),
    "given back": Requeued,
    "ended": lambda job_id, outcome, at, where: Ended(job_id, ending_from(outcome), at, where_from(where)),
    "noted": Noted,
    "forgotten": Forgotten,
}


# -- a whole table -----------------------------------------------------------------------------------------------------


def snapshot_rows(table: JobTable) -> Iterator[Row]:
    """All that a table holds. What it holds is taken at once, so that it may change while the rows are written."""
    redacted_contexts = table.redacted_contexts.items()
    finished = [table.records[job_id] for index in table.scopes.values() for job_id in index.finished]
    live = [record for record in table.records.values() if record.is_live]

    def rows() -> Iterator[Row]:
        for name, redacted in redacted_contexts:
            yield ["context", name, *redacted]
        for alike, records in groupby(finished, key=_common):
            while several := list(islice(records, _JOBS_PER_ROW)):
                yield _finished_row(alike, several)
        for record in live:
            yield _record_row(record)

    return rows()


def restore(replayed: ReplayState, rows: Iterable[Row]) -> None:
    """Begin a replay with what `snapshot_rows` wrote.

    Raises:
        ValueError, TypeError, KeyError, IndexError: A row is not one of those.
    """
    for row in rows:
        if row[0] == "finished":
            replayed.restore(_finished_from(row))
        elif row[0] == "record":  # one that is live; up to protocol 2 a finished one too
            replayed.restore([_record_from(row)])
        elif row[0] == "context":
            replayed.redacted_contexts.introduce(row[1], redacted_from(row[2:]))
        else:
            raise ValueError(f"{row[0]!r} is no kind of row")


def _common(record: JobRecord) -> tuple[str, Resources, str, Policy]:
    """What a finished job has in common with its neighbours, as a rule; the journal says it once for all of them."""
    spec = record.spec
    return spec.scope, spec.resources, spec.context, spec.policy


def _finished_row(alike: tuple[str, Resources, str, Policy], records: Sequence[JobRecord]) -> Row:
    """Finished jobs with something in common; each basis, and each text of their fingerprints, is written once."""
    bases: dict[Basis, int] = {}
    columns = list(zip(*(_own(record, bases) for record in records), strict=True))
    texts: dict[str, int] = {}
    standing = [_numbered(basis, texts) for basis in bases]
    return ["finished", common_row(*alike), columns, list(texts), standing]


def _own(record: JobRecord, bases: dict[Basis, int]) -> Row:
    """What a finished job has of its own; instead of its basis, the number of that."""
    spec, state = record.spec, record.state
    assert isinstance(state, Finished), f"{spec.job_id} is live"
    return [
        spec.job_id,
        spec.run_key,
        spec.job_name,
        spec.capability_id,
        record.created_at,
        ending_row(state.ending),
        state.at,
        state.where,
        record.attempt,
        record.controller,
        record.losses,
        record.supersedes,
        record.notes,
        bases.setdefault(spec.basis, len(bases)),
    ]


def _numbered(basis: Basis, texts: dict[str, int]) -> Row:
    prints, *others = basis_row(basis)
    return [prints and [texts.setdefault(text, len(texts)) for text in prints], *others]


def _bases_of(texts: Sequence[str], standing: Sequence[Row]) -> list[Basis]:
    """What `_numbered` wrote of several; jobs share them."""
    shared = [intern(text) for text in texts]
    return [
        basis_from([numbers and tuple([shared[number] for number in numbers]), *others])
        for numbers, *others in standing
    ]


def _finished_from(row: Row) -> Iterator[JobRecord]:
    """The jobs of one row, in their order: a column for each value of `_own`."""
    _, common, columns, *tables = row
    scope, resources, context, policy, common_basis = common_from(common)
    if common_basis is None:
        *columns, numbers = columns
        bases = _bases_of(*tables)
        standings = [bases[number] for number in numbers]
    else:
        standings = [common_basis] * len(columns[0])
    for own in zip(*columns, standings, strict=True):
        (
            job_id,
            run_key,
            job_name,
            capability_id,
            created_at,
            ending,
            at,
            where,
            attempt,
            controller,
            losses,
            supersedes,
            notes,
            standing,
        ) = own
        capability_id = intern(capability_id)
        spec = JobSpec(job_id, scope, run_key, job_name, capability_id, resources, (), None, context, policy, standing)
        state = Finished(ending_from(ending), at, where_from(where))
        status = FINAL[type(state.ending)]
        controller = controller and intern(controller)
        yield JobRecord(spec, created_at, state, status, attempt, controller, losses, supersedes, tuple(notes))


def _record_row(record: JobRecord) -> Row:
    return [
        "record",
        spec_row(record.spec),
        record.created_at,
        state_row(record.state),
        str(record.status),
        record.attempt,
        record.controller,
        record.losses,
        record.supersedes,
        record.notes,
    ]


def _record_from(row: Row) -> JobRecord:
    _, spec, created_at, state, status, attempt, controller, losses, supersedes, notes = row
    return JobRecord(
        spec_from(spec),
        created_at,
        state_from(state),
        _STATUSES[status],
        attempt,
        controller and intern(controller),
        losses,
        supersedes,
        tuple(notes),
    )
