"""What the journal's rows mean: events, and in a snapshot the records that they amount to.

Every row is a word and the fields of what it names, see `fields`; the classes in `wire` and `registry.model` say which
these are. Older protocols are lifted to this one by `earlier_rows`. Nothing here is ever unpickled; payloads are bytes
to everybody but workers.
"""

from __future__ import annotations

from base64 import b64decode, b64encode
from collections.abc import Iterable, Iterator, Mapping, Sequence
from copy import deepcopy
from datetime import UTC, datetime
from itertools import islice, repeat
from sys import intern
from typing import Any

from checkmaite.jobs import FailureKind, JobStatus, Report, Resources, Reuse, ReuseKind
from checkmaite.jobs.spi import RUN, Cancelled, Failed
from checkmaite.jobs_ray.journal.earlier_rows import lifted
from checkmaite.jobs_ray.journal.fields import ANYTHING, TEXT, TUPLE, Fields, Part, Plain, Row, Unknown, one_of, read
from checkmaite.jobs_ray.journal.format import JOURNAL_PROTOCOL
from checkmaite.jobs_ray.registry.model.contexts import RedactedContext, RedactedStore
from checkmaite.jobs_ray.registry.model.events import (
    Adopted,
    Assigned,
    Ended,
    Event,
    Extended,
    Forgotten,
    Introduced,
    Launched,
    Noted,
    OwnerLost,
    Requeued,
    Resumed,
    StopAsked,
    Submitted,
    WorkerStarted,
)
from checkmaite.jobs_ray.registry.model.job_table import JobTable, ReplayState
from checkmaite.jobs_ray.registry.model.record import (
    STATUS_OF_ENDING,
    Final,
    JobRecord,
    Owner,
    Placed,
    Running,
    Scheduling,
    Stopping,
    Success,
    Unresolved,
    Waiting,
)
from checkmaite.jobs_ray.wire import Basis, JobSpec, Policy, StoredPayload, Where

_JOBS_PER_ROW = 64
"""Final jobs that share a row of a snapshot. More save nothing, and a row is in memory as a whole."""


# -- the fields of everything ------------------------------------------------------------------------------------------


class _Payload:
    """Bytes as base64, or where they are kept. A reference in Ray's object store dies with its owner."""

    is_shared = False
    _stored = Fields(StoredPayload, without=("ref",))

    def row(self, value: Any) -> Any:
        if isinstance(value, StoredPayload):
            return self._stored.row(value)
        return b64encode(value).decode() if isinstance(value, bytes) else None

    def value(self, row: Any) -> Any:
        return b64decode(row) if isinstance(row, str) else self._stored.value(row)

    def separated(self, row: Any) -> tuple[Any, Unknown]:
        return (row, {}) if isinstance(row, str) else self._stored.separated(row)

    def merged(self, row: Any, unknown: Unknown) -> Any:
        return row if isinstance(row, str) else self._stored.merged(row, unknown)


def _order(said: Sequence[Any]) -> tuple[Any, ...]:
    """An order; its texts are few and many jobs have the same."""
    return tuple([intern(each) if isinstance(each, str) else each for each in said])


def _code(said: Sequence[Any]) -> tuple[Any, ...]:
    digest, paths, files = said
    return digest, tuple(paths), tuple((file, content) for file, content in files)


_INSTANT = Plain(lambda said: datetime.fromtimestamp(said, UTC), datetime.timestamp)
_REUSE = Fields(Reuse, {"kind": Plain(ReuseKind), "at": _INSTANT, "differences": TUPLE, "unknown": TUPLE}, nothing=RUN)
_BASIS = Fields(Basis, {"prints": TUPLE, "policy": TEXT, "decided": _REUSE}, is_shared=True)
_OF_SPEC: Mapping[str, Part] = {
    "scope": TEXT,
    "capability_id": TEXT,
    "resources": Fields(Resources, is_shared=True),
    "order": Plain(_order),
    "payload": _Payload(),
    "context": TEXT,
    "policy": Fields(Policy, {"isolation": TEXT}, is_shared=True),
    "basis": _BASIS,
    "submitted_by": TEXT,
}
SPEC = Fields(JobSpec, _OF_SPEC, absent={"order": (), "payload": None})
_OWNER = Fields(Owner, {"controller": TEXT})
_WHERE = Fields(Where, {"node": TEXT})
_FAILED = Fields(Failed, {"kind": Plain(FailureKind, str)})
_CANCELLED = Fields(Cancelled)
_STOPPING = one_of(failed=_FAILED, cancelled=_CANCELLED)
_SUCCESS = Fields(
    Success,
    {"capability_id": TEXT, "report": Fields(Report), "notes": TUPLE, "reuse": _REUSE},
    absent={
        "revision": 1,
        "store_uri": None,
        "commit_uri": None,
        "outputs_uri": None,
        "report": None,
        "notes": (),
        "reuse": RUN,
    },
)
ENDING = one_of(completed=_SUCCESS, failed=_FAILED, cancelled=_CANCELLED)
_FINAL = Fields(Final, {"ending": ENDING, "where": _WHERE})
_STATE = one_of(
    waiting=Fields(Waiting),
    doubtful=Fields(Unresolved, {"where": _WHERE}),
    placed=Fields(Placed, {"owner": _OWNER}),
    scheduling=Fields(Scheduling, {"owner": _OWNER}),
    running=Fields(Running, {"owner": _OWNER, "where": _WHERE}),
    stopping=Fields(Stopping, {"owner": _OWNER, "where": _WHERE, "then": _STOPPING}, absent={"where": None}),
    finished=_FINAL,
)
_OF_RECORD: Mapping[str, Part] = {
    "spec": SPEC,
    "state": _STATE,
    "status": Plain(JobStatus, str),
    "controller": TEXT,
    "notes": TUPLE,
}
_RECORD = Fields(JobRecord, _OF_RECORD, without=("unknown",))
REDACTED = Fields(
    RedactedContext,
    {"store": Fields(RedactedStore, {"hidden": TUPLE}), "versions": TUPLE, "code": Plain(_code)},
    without=("unknown",),
    words={"runtime_env": "environment"},
)
_EVENT = one_of(
    introduced=Fields(Introduced, {"redacted": REDACTED}),
    submitted=Fields(Submitted, {"spec": SPEC}, absent={"supersedes": None}),
    adopted=Fields(Adopted, {"spec": SPEC, "owner": _OWNER}, absent={"supersedes": None, "losses": 0}),
    resumed=Fields(Resumed, {"owner": _OWNER}),
    doubted=Fields(OwnerLost),
    assigned=Fields(Assigned, {"owner": _OWNER}),
    launched=Fields(Launched),
    started=Fields(WorkerStarted, {"where": _WHERE}),
    stop_asked=Fields(StopAsked, {"then": _STOPPING}),
    requeued=Fields(Requeued),
    ended=Fields(Ended, {"ending": ENDING, "where": _WHERE}),
    noted=Fields(Noted),
    forgotten=Fields(Forgotten),
)


# -- events ------------------------------------------------------------------------------------------------------------


def rows_of(events: Iterable[Event]) -> list[Row]:
    """A batch of events as the journal keeps them. A text of fingerprints is written once, and then its number."""
    rows = [_EVENT.row(event) for event in events]
    _number_texts(place for _, said in rows for place in _with_basis(said))
    return rows


def events_of(rows: Iterable[Row], protocol: int = JOURNAL_PROTOCOL) -> Iterator[Event]:
    """The events of a batch that `rows_of` wrote, or that of an earlier protocol.

    Raises:
        ValueError, TypeError, KeyError, IndexError: A row is none of those.
    """
    texts: list[str] = []
    for row in lifted(rows, protocol):
        _name_texts(_with_basis(row[1]), texts)
        event, unknown = read(_EVENT, row)
        if not unknown:
            yield event
        elif isinstance(event, Introduced):
            yield event._replace(redacted=event.redacted._replace(unknown=unknown))
        else:
            yield event
            yield Extended(event.job_id, _of_the_record(event, unknown))


def _of_the_record(event: Event, unknown: Unknown) -> Unknown:
    """Where a record keeps what is unknown in an event: that of the spec there, that of other fields in its state."""
    of_record = {name: said for name, said in unknown.items() if name not in event._fields or name == "spec"}
    of_state = {name: said for name, said in unknown.items() if name not in of_record}
    return {**of_record, "state": of_state} if of_state else of_record


# -- a whole table -----------------------------------------------------------------------------------------------------


def snapshot_rows(table: JobTable) -> Iterator[Row]:
    """All that a table holds. What it holds is taken at once, so that it may change while the rows are written."""
    redacted_contexts = table.redacted_contexts.items()
    finished = [table.records[job_id] for index in table.scopes.values() for job_id in index.finished]
    live = [record for record in table.records.values() if record.is_live]

    def rows() -> Iterator[Row]:
        for name, redacted in redacted_contexts:
            yield _EVENT.merged(_EVENT.row(Introduced(name, redacted)), redacted.unknown or {})
        for records in _alike(finished):
            yield _record_row(records[0]) if records[0].unknown else _finished_row(records)
        for record in live:
            yield _record_row(record)

    return rows()


def restore(replayed: ReplayState, rows: Iterable[Row], protocol: int = JOURNAL_PROTOCOL) -> None:
    """Begin a replay with what `snapshot_rows` wrote, or an earlier protocol's.

    Raises:
        ValueError, TypeError, KeyError, IndexError: A row is not one of those.
    """
    for row in lifted(rows, protocol):
        word, said = row
        if word == "finished":
            replayed.restore(_finished_from(said))
        elif word == "record":
            replayed.restore([_record_from(said)])
        elif word == "introduced":
            for event in events_of([row]):
                replayed.apply(event)
        else:
            raise ValueError(f"{word!r} is no kind of row")


def _record_row(record: JobRecord) -> Row:
    return ["record", _RECORD.merged(_RECORD.row(record), record.unknown or {})]


def _record_from(said: Mapping[str, Any]) -> JobRecord:
    _name_texts(_with_basis(said), [])
    record, unknown = read(_RECORD, said)
    state = record.state
    status = STATUS_OF_ENDING[type(state.ending)] if isinstance(state, Final) else record.status
    found: JobRecord = record._replace(status=status, unknown=unknown or None)
    return found


# -- finished jobs, many in one row ------------------------------------------------------------------------------------

_COLUMNS = {
    "spec": Fields(JobSpec, _OF_SPEC, without=("order", "payload")),
    "state": _FINAL,
    "record": Fields(JobRecord, _OF_RECORD, without=("spec", "state", "status", "unknown")),
}
"""What the records of finished jobs consist of, by place."""
_GONE = {"order": (), "payload": None}
_KNOWN = frozenset(f"{place}.{name}" for place, fields in _COLUMNS.items() for name in fields.names)


def _alike(finished: Sequence[JobRecord]) -> Iterator[Sequence[JobRecord]]:
    """The same in their order, as many at a time as share a row. Who has something unknown has a row of its own."""
    several: list[JobRecord] = []
    for record in finished:
        if several and (record.unknown or len(several) == _JOBS_PER_ROW):
            yield several
            several = []
        if record.unknown:
            yield [record]
        else:
            several.append(record)
    if several:
        yield several


def _finished_row(records: Sequence[JobRecord]) -> Row:
    """What all of the jobs have in common, by place and field, and a column for every other field."""
    common: dict[str, dict[str, Any]] = {place: {} for place in _COLUMNS}
    columns: dict[str, Any] = {}
    values: Sequence[Sequence[Any]] = (
        [record.spec for record in records],
        [record.state for record in records],
        records,
    )
    for (place, fields), of_place in zip(_COLUMNS.items(), values, strict=True):
        for name, column in zip(fields.names, zip(*map(fields.values, of_place), strict=True), strict=True):
            first = column[0]
            if any(each is not first and each != first for each in column):
                columns[f"{place}.{name}"] = _column_row(fields, name, column)
            elif not fields.is_left_out(name, said := fields.said(name, first)):
                common[place][name] = said
    row = {"jobs": len(records), "common": common, "columns": columns}
    _number_texts(_with_bases(row))
    return ["finished", row]


def _column_row(fields: Fields, name: str, column: Sequence[Any]) -> Any:
    """A column; of values that many jobs share, each once and its number for each job."""
    if not fields.parts[name].is_shared:
        return [fields.said(name, each) for each in column]
    distinct: dict[Any, int] = {}
    numbers = [distinct.setdefault(each, len(distinct)) for each in column]
    return {"distinct": [fields.said(name, each) for each in distinct], "numbers": numbers}


def _finished_from(said: Mapping[str, Any]) -> Iterable[JobRecord]:
    """The jobs of one row, in their order."""
    _name_texts(_with_bases(said), [])
    if all(said["common"][place].keys() <= fields.parts.keys() for place, fields in _COLUMNS.items()) and (
        said["columns"].keys() <= _KNOWN
    ):
        try:
            return _together(said)
        except TypeError:  # within a field something is unknown; or it is no such row, and is refused again
            pass
    return [_record_from(each) for each in _apart(said)]


def _together(said: Mapping[str, Any]) -> Iterable[JobRecord]:
    """The jobs of a row in which nothing is unknown, all at once since nearly all jobs are in such rows."""
    count = said["jobs"]

    def made(make: type[Any], place: str, others: Mapping[str, Iterable[Any]]) -> list[Any]:
        names: Sequence[str] = make._fields
        columns = [others[name] if name in others else _column(said, place, name) for name in names]
        return list(islice(map(make, *columns), count))

    specs = made(JobSpec, "spec", {name: repeat(value) for name, value in _GONE.items()})
    states: list[Final] = made(Final, "state", {})
    statuses = [STATUS_OF_ENDING[type(state.ending)] for state in states]
    return made(JobRecord, "record", {"spec": specs, "state": states, "status": statuses, "unknown": repeat(None)})


def _column(said: Mapping[str, Any], place: str, name: str) -> Iterable[Any]:
    """A field's value for each job."""
    fields, common = _COLUMNS[place], said["common"][place]
    column: Any = said["columns"].get(f"{place}.{name}")
    value = fields.parts[name].value
    if column is None:
        if name not in common:
            return repeat(fields.defaults[name])
        return repeat(None if common[name] is None else value(common[name]))
    if isinstance(column, Mapping):
        distinct = [None if each is None else value(each) for each in column["distinct"]]
        column = [distinct[number] for number in column["numbers"]]
    elif value is not ANYTHING.value:
        column = [None if each is None else value(each) for each in column]
    if len(column) != said["jobs"]:
        raise ValueError(f"{place}.{name} has {len(column)} values for {said['jobs']} jobs")
    found: Sequence[Any] = column
    return found


def _apart(said: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Each job of a row as a record's row has it."""
    for number in range(said["jobs"]):
        common = deepcopy(said["common"])
        for path, column in said["columns"].items():
            place, _, name = path.partition(".")
            own = column["distinct"][column["numbers"][number]] if isinstance(column, Mapping) else column[number]
            common[place][name] = deepcopy(own)
        yield {**common["record"], "spec": common["spec"], "state": ["finished", common["state"]]}


# -- fingerprints: jobs share most of their texts ----------------------------------------------------------------------


def _with_basis(said: Mapping[str, Any]) -> Iterator[tuple[Any, Any]]:
    """Where the row of an event or a record has a basis: what it is in, and by which key; nowhere if it has none."""
    spec = said.get("spec")
    if spec is not None and spec.get("basis") is not None:
        yield spec, "basis"


def _with_bases(said: Mapping[str, Any]) -> Iterator[tuple[Any, Any]]:
    """Where a row of finished jobs has a basis, in a fixed order."""
    yield from _with_basis(said["common"])
    column = said["columns"].get("spec.basis", [])
    bases = column["distinct"] if isinstance(column, Mapping) else column
    yield from ((bases, index) for index in range(len(bases)))


def _number_texts(places: Iterable[tuple[Any, Any]]) -> None:
    """Leave each text where it comes first, and its number where it comes again."""
    texts: dict[str, int] = {}
    for within, key in places:
        prints = within[key].get("prints")
        if prints is not None:
            within[key] = {**within[key], "prints": [_once(text, texts) for text in prints]}


def _once(text: str, texts: dict[str, int]) -> str | int:
    if (number := texts.get(text)) is None:
        texts[text] = len(texts)
        return text
    return number


def _name_texts(places: Iterable[tuple[Any, Any]], texts: list[str]) -> None:
    """Undo `_number_texts`; `texts` are those that came before."""
    for within, key in places:
        prints = within[key].get("prints")
        if prints is not None:
            texts += [intern(each) for each in prints if isinstance(each, str)]
            named = tuple([intern(each) if isinstance(each, str) else texts[each] for each in prints])
            within[key] = {**within[key], "prints": named}
