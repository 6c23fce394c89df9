"""Column types as Arrow types, and the fixed columns of the ``runs`` table. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime

import pyarrow as pa
from attrs import frozen
from checkmaite.jobs import Provenance
from checkmaite.jobs.spi import ColumnType, provenance_columns

_ARROW: Mapping[ColumnType, pa.DataType] = {
    ColumnType.BOOL: pa.bool_(),
    ColumnType.INT: pa.int64(),
    ColumnType.FLOAT: pa.float64(),
    ColumnType.TEXT: pa.string(),
    ColumnType.BYTES: pa.binary(),
    ColumnType.DATE: pa.date32(),
    ColumnType.INSTANT: pa.timestamp("us", tz="UTC"),
}

_CREATED_AT = "__created_at"
"""Beside column types; no column's name begins so."""

_PROVENANCE_INSTANTS = ("submitted_at", "completed_at")

RUNS_COLUMNS: Mapping[str, ColumnType] = {
    "run_uid": ColumnType.TEXT,
    "revision": ColumnType.INT,
    "capability_id": ColumnType.TEXT,
    "capability_table": ColumnType.TEXT,
    "entity_type": ColumnType.TEXT,
    "entity_id": ColumnType.TEXT,
    "created_at": ColumnType.INSTANT,
    "payload": ColumnType.TEXT,
    **{name: ColumnType.INSTANT if name in _PROVENANCE_INSTANTS else ColumnType.TEXT for name in provenance_columns()},
}
"""The ``runs`` table, with a row for each table and entity of a run.

``created_at`` is when it was written (UTC), ``payload`` the file of the run's rows in that table, below the store's
uri.
"""


def arrow_schema(columns: Mapping[str, ColumnType]) -> pa.Schema:
    """The Arrow schema of columns that may all be null."""
    return pa.schema([pa.field(name, _ARROW[kind]) for name, kind in columns.items()])


RUNS_SCHEMA = arrow_schema(RUNS_COLUMNS)


def plain_type(kind: pa.DataType) -> pa.DataType:
    """The type that a column of another writer has in a table; null stays null.

    Raises:
        ValueError: No column has such a type.
    """
    is_ = pa.types
    if is_.is_dictionary(kind):
        return plain_type(kind.value_type)
    for meant, tests in (
        (pa.null(), (is_.is_null,)),
        (_ARROW[ColumnType.BOOL], (is_.is_boolean,)),
        (_ARROW[ColumnType.INT], (is_.is_integer,)),
        (_ARROW[ColumnType.FLOAT], (is_.is_floating,)),
        (_ARROW[ColumnType.TEXT], (is_.is_string, is_.is_large_string)),
        (_ARROW[ColumnType.BYTES], (is_.is_binary, is_.is_large_binary)),
        (_ARROW[ColumnType.DATE], (is_.is_date,)),
        (_ARROW[ColumnType.INSTANT], (is_.is_timestamp,)),
    ):
        if any(test(kind) for test in tests):
            return meant
    raise ValueError(f"no column of a table is of the type {kind}")


def columns_to_json(columns: Mapping[str, ColumnType], created_at: datetime) -> bytes:
    """Column types as they are kept beside a table."""
    said = {name: str(kind) for name, kind in columns.items()}
    return json.dumps({**said, _CREATED_AT: created_at.isoformat()}).encode()


@frozen
class ColumnTypes:
    """Column types, and when they were agreed: None of those that an earlier version has kept."""

    columns: dict[str, ColumnType]
    created_at: datetime | None


def columns_from_json(content: bytes) -> ColumnTypes:
    """What `columns_to_json` wrote.

    Raises:
        ValueError: The content is something else.
    """
    try:
        said = dict(json.loads(content))
        at = said.pop(_CREATED_AT, None)
        created_at = datetime.fromisoformat(at) if at is not None else None
        columns = {name: ColumnType(kind) for name, kind in said.items()}
    except (AttributeError, RecursionError, TypeError) as error:
        raise ValueError(type(error).__name__) from error
    if created_at is not None and created_at.tzinfo is None:
        raise ValueError("a naive instant")
    return ColumnTypes(columns, created_at)


def provenance_row(provenance: Provenance) -> dict[str, object]:
    """The provenance columns of a ``runs`` row."""
    return {name: getattr(provenance, name) for name in provenance_columns()}
