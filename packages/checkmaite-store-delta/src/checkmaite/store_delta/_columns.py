"""Column types as Arrow types, and the columns that the store has beside those of records. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
from attrs import asdict
from checkmaite.jobs import Problem, Provenance, RecordError, Report
from checkmaite.jobs.spi import ColumnType, TableRows, provenance_columns, run_entities, text_cause

RUNS = "runs"
RUN = "run_uid"
REVISION = "revision"
TABLE = "capability_table"

ATTEMPT = "__attempt"
"""Which call of a writer a row is of; no column of a record begins with two underscores."""
ROW = "__row"
"""Which row of that call's it is, so that rows have an order that no compaction changes."""
FACTS = "__facts"
"""In the first row of a result in ``runs``: its report and its outputs, as JSON."""
INTERNAL = frozenset({ATTEMPT, ROW, FACTS})

_ARROW: Mapping[ColumnType, pa.DataType] = {
    ColumnType.BOOL: pa.bool_(),
    ColumnType.INT: pa.int64(),
    ColumnType.FLOAT: pa.float64(),
    ColumnType.TEXT: pa.string(),
    ColumnType.BYTES: pa.binary(),
    ColumnType.DATE: pa.date32(),
    ColumnType.INSTANT: pa.timestamp("us", tz="UTC"),
}
_KINDS = {kind: column for column, kind in _ARROW.items()}

_INSTANTS = ("submitted_at", "completed_at")
_RUNS: Mapping[str, ColumnType] = {
    RUN: ColumnType.TEXT,
    REVISION: ColumnType.INT,
    "capability_id": ColumnType.TEXT,
    TABLE: ColumnType.TEXT,
    "entity_type": ColumnType.TEXT,
    "entity_id": ColumnType.TEXT,
    "created_at": ColumnType.INSTANT,
    **{name: ColumnType.INSTANT if name in _INSTANTS else ColumnType.TEXT for name in provenance_columns()},
}


def arrow_schema(columns: Mapping[str, ColumnType]) -> pa.Schema:
    """The schema of a table with these columns, and those that the store adds."""
    own = {ATTEMPT: ColumnType.TEXT, ROW: ColumnType.INT}
    return pa.schema([(name, _ARROW[kind]) for name, kind in {**columns, **own}.items()])


RUNS_SCHEMA = arrow_schema({**_RUNS, FACTS: ColumnType.TEXT})
"""The table ``runs``: a row for each table and entity of a result."""


def columns_of(schema: pa.Schema) -> dict[str, ColumnType]:
    """The columns of a table that are those of records.

    Raises:
        ValueError: One is of a type that this store never writes.
    """
    found = {}
    for field in schema:
        if field.name not in INTERNAL:
            if field.type not in _KINDS:
                raise ValueError(f"its column {field.name!r} is of the type {field.type}")
            found[field.name] = _KINDS[field.type]
    return found


def arrow_rows(table: TableRows, attempt: str) -> pa.Table:
    """The rows of a table as one attempt writes them."""
    rows = [{**row, ATTEMPT: attempt, ROW: number} for number, row in enumerate(table.rows)]
    return _table(rows, arrow_schema(table.columns))


def arrow_runs(
    run: Any, tables: Sequence[TableRows], provenance: Provenance, facts: Mapping[str, object], attempt: str
) -> pa.Table:
    """The rows of a result in ``runs``, as its first revision: one for each table and entity.

    Raises:
        RecordError: A text of them cannot be stored.
    """
    entities = run_entities(run)
    came_from = {name: getattr(provenance, name) for name in provenance_columns()}
    texts = {**came_from, **{f"entity_id {name!a}": name for _, name in entities}}
    if problems := [
        Problem(f"runs.{name}", cause.text, cause.remedy)
        for name, text in texts.items()
        if isinstance(text, str) and (cause := text_cause(text))
    ]:
        raise RecordError(f"What the run {run.run_uid} came from cannot be stored; nothing was written.", problems)
    said = {"capability_id": run.capability_id, "created_at": datetime.now(UTC), **came_from}
    places = [(table.name, *entity) for table in tables for entity in entities]
    rows = [
        {
            RUN: run.run_uid,
            REVISION: 1,
            TABLE: table,
            "entity_type": entity_type,
            "entity_id": entity_id,
            ATTEMPT: attempt,
            ROW: number,
            FACTS: json.dumps(facts) if number == 0 else None,
            **said,
        }
        for number, (table, entity_type, entity_id) in enumerate(places)
    ]
    return _table(rows, RUNS_SCHEMA)


def facts_of(report: Report | None, outputs_uri: str | None) -> dict[str, object]:
    """What is kept of a result beside its rows."""
    return {"outputs_uri": outputs_uri, "report": asdict(report) if report is not None else None}


def renumbered(runs: pa.Table, revision: int) -> pa.Table:
    """The rows of a result in ``runs`` as those of another revision."""
    place = runs.column_names.index(REVISION)
    return runs.set_column(place, REVISION, pa.array([revision] * runs.num_rows, pa.int64()))


def _table(rows: Sequence[Mapping[str, object]], schema: pa.Schema) -> pa.Table:
    return pa.Table.from_struct_array(pa.array(rows, type=pa.struct(list(schema))))
