"""What the rows of a snapshot mean: all that a job table holds.

A record has a row of its own. Of finished jobs, which are nearly all, many share a row: what they have in common once,
and a column for every other field.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from copy import deepcopy
from itertools import islice, repeat
from typing import Any

from checkmaite.jobs_ray.journal.earlier_rows import lifted
from checkmaite.jobs_ray.journal.fields import Fields, Row, read
from checkmaite.jobs_ray.journal.format import JOURNAL_PROTOCOL
from checkmaite.jobs_ray.journal.schema import (
    EVENT,
    FINAL,
    PARTS_OF_RECORD,
    PARTS_OF_SPEC,
    events_of,
    name_texts,
    number_texts,
    with_basis,
)
from checkmaite.jobs_ray.registry.model.events import Introduced
from checkmaite.jobs_ray.registry.model.job_table import JobTable, ReplayState
from checkmaite.jobs_ray.registry.model.record import STATUS_OF_ENDING, Final, JobRecord, status_in
from checkmaite.jobs_ray.wire import JobSpec

_JOBS_PER_ROW = 64
"""Final jobs that share a row of a snapshot. More save nothing, and a row is in memory as a whole."""
_RECORD = Fields(JobRecord, PARTS_OF_RECORD, without=("unknown",))

# -- a whole table -----------------------------------------------------------------------------------------------------


def snapshot_rows(table: JobTable) -> Iterator[Row]:
    """All that a table holds. What it holds is taken at once, so that it may change while the rows are written."""
    redacted_contexts = table.redacted_contexts.items()
    finished = [table.records[job_id] for index in table.scopes.values() for job_id in index.finished]
    live = [record for record in table.records.values() if record.is_live]

    def rows() -> Iterator[Row]:
        for name, redacted in redacted_contexts:
            yield EVENT.merged(EVENT.row(Introduced(name, redacted)), redacted.unknown or {})
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
    name_texts(with_basis(said), [])
    record, unknown = read(_RECORD, said)
    # Earlier versions wrote RUNNING of a job that had been lost and waited.
    found: JobRecord = record._replace(status=status_in(record.state), unknown=unknown or None)
    return found


# -- finished jobs, many in one row ------------------------------------------------------------------------------------

_COLUMNS = {
    "spec": Fields(JobSpec, PARTS_OF_SPEC, without=("order", "payload")),
    "state": FINAL,
    "record": Fields(JobRecord, PARTS_OF_RECORD, without=("spec", "state", "status", "unknown")),
}
"""What the records of finished jobs consist of, by section."""
_GONE = {"order": (), "payload": None}
_KNOWN = frozenset(f"{section}.{name}" for section, fields in _COLUMNS.items() for name in fields.names)


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
    """What all of the jobs have in common, by section and field, and a column for every other field."""
    common: dict[str, dict[str, Any]] = {section: {} for section in _COLUMNS}
    columns: dict[str, Any] = {}
    values: Sequence[Sequence[Any]] = (
        [record.spec for record in records],
        [record.state for record in records],
        records,
    )
    for (section, fields), of_section in zip(_COLUMNS.items(), values, strict=True):
        for name, column in zip(fields.names, zip(*map(fields.values, of_section), strict=True), strict=True):
            first = column[0]
            if any(each is not first and each != first for each in column):
                columns[f"{section}.{name}"] = _column_row(fields, name, column)
            elif not fields.is_left_out(name, said := fields.said(name, first)):
                common[section][name] = said
    row = {"jobs": len(records), "common": common, "columns": columns}
    number_texts(_with_bases(row))
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
    _check_count(said)
    name_texts(_with_bases(said), [])
    if all(said["common"][section].keys() <= fields.parts.keys() for section, fields in _COLUMNS.items()) and (
        said["columns"].keys() <= _KNOWN
    ):
        try:
            return _together(said)
        except TypeError:  # within a field something is unknown; or it is no such row, and is refused again
            pass
    return [_record_from(each) for each in _apart(said)]


def _check_count(said: Mapping[str, Any]) -> None:
    """See that a row is of as many jobs as it names, so that a small one does not stand for millions.

    Raises:
        ValueError: It is not.
    """
    count, job_ids = said["jobs"], said["columns"].get("spec.job_id", [None])
    if type(count) is not int or not 0 < count <= _JOBS_PER_ROW or len(job_ids) != count:
        raise ValueError(f"a row of {count!r:.80} jobs names {len(job_ids)}")


def _together(said: Mapping[str, Any]) -> Iterable[JobRecord]:
    """The jobs of a row in which nothing is unknown, all at once since nearly all jobs are in such rows."""
    count = said["jobs"]

    def made(make: type[Any], section: str, others: Mapping[str, Iterable[Any]]) -> list[Any]:
        words = _COLUMNS[section].words
        names: Sequence[str] = [words.get(name, name) for name in make._fields]
        columns = [others[name] if name in others else _column(said, section, name) for name in names]
        return list(islice(map(make, *columns), count))

    specs = made(JobSpec, "spec", {name: repeat(value) for name, value in _GONE.items()})
    states: list[Final] = made(Final, "state", {})
    statuses = [STATUS_OF_ENDING[type(state.ending)] for state in states]
    return made(JobRecord, "record", {"spec": specs, "state": states, "status": statuses, "unknown": repeat(None)})


def _column(said: Mapping[str, Any], section: str, name: str) -> Iterable[Any]:
    """A field's value for each job."""
    fields, common = _COLUMNS[section], said["common"][section]
    column: Any = said["columns"].get(f"{section}.{name}")
    if column is None:
        if name not in common:
            return repeat(fields.defaults[name])
        return repeat(fields.column(name, [common[name]])[0])
    if isinstance(column, Mapping):
        distinct = fields.column(name, column["distinct"])
        column = [distinct[number] for number in column["numbers"]]
    else:
        column = fields.column(name, column)
    if len(column) != said["jobs"]:
        raise ValueError(f"{section}.{name} has {len(column)} values for {said['jobs']} jobs")
    found: Sequence[Any] = column
    return found


def _apart(said: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Each job of a row as a record's row has it."""
    for number in range(said["jobs"]):
        common = deepcopy(said["common"])
        for path, column in said["columns"].items():
            section, _, name = path.partition(".")
            own = column["distinct"][column["numbers"][number]] if isinstance(column, Mapping) else column[number]
            common[section][name] = deepcopy(own)
        yield {**common["record"], "spec": common["spec"], "state": ["finished", common["state"]]}


def _with_bases(said: Mapping[str, Any]) -> Iterator[tuple[Any, Any]]:
    """Where a row of finished jobs has a basis, in a fixed order."""
    yield from with_basis(said["common"])
    column = said["columns"].get("spec.basis", [])
    bases = column["distinct"] if isinstance(column, Mapping) else column
    yield from ((bases, index) for index in range(len(bases)))
