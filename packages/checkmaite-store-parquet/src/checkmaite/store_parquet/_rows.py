"""A run's rows as the bytes of Parquet objects. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from checkmaite.jobs import Problem, Provenance, RecordError
from checkmaite.jobs.spi import ColumnType, TableRows, run_entities, text_cause
from checkmaite.store_parquet._digests import rows_digest
from checkmaite.store_parquet._layout import payload_key
from checkmaite.store_parquet._parquet import UnreadableError, table_in
from checkmaite.store_parquet._schema import RUNS_COLUMNS, RUNS_SCHEMA, arrow_schema, provenance_row

RUNS_METADATA_KEY = "checkmaite.runs"
"""Key of a payload file's metadata under which its ``runs`` rows stand as JSON, so that a payload explains itself."""

ATTEMPT_METADATA_KEY = "checkmaite.attempt"
"""Key of a payload's metadata under which stands what its commit will say beside its ``runs`` rows; only the payload of
a run's first table has it."""

COMMIT_METADATA_KEY = "checkmaite.commit"
"""Key of a commit's metadata under which the writer, the report and the run's outputs stand as JSON."""

COMMIT_FACTS = "commit_facts"
"""Column of copies of ``runs`` rows: what a commit says beside them, as JSON, in the first row of each result."""

_SMALL_ROWS = 10
_ALWAYS: Mapping[str, Any] = {"write_statistics": False, "write_page_checksum": True, "store_schema": False}
_SMALL: Mapping[str, Any] = {**_ALWAYS, "compression": "none", "use_dictionary": False}
_LARGE: Mapping[str, Any] = {**_ALWAYS, "compression": "zstd"}
"""Up to so many rows compression and dictionaries save no space, and take half of the time that encoding takes. No file
has statistics, since those of floats leave NaN out: DuckDB would skip such rows by them. Nor has one Arrow's own words
for its columns, which Parquet's say all of: a commit is a third smaller without, and fits into a disk's block."""


def runs_rows(
    run: Any, tables: Sequence[TableRows], provenance: Provenance, created_at: datetime
) -> list[dict[str, object]]:
    """The ``runs`` rows of a run: one for each table and entity.

    Raises:
        RecordError: A text of them cannot be stored.
    """
    entities = run_entities(run)
    came_from = provenance_row(provenance)
    texts = {**came_from, **{f"entity_id {name!a}": name for _, name in entities}}
    if problems := [
        Problem(f"runs.{name}", cause.text, cause.remedy)
        for name, text in texts.items()
        if isinstance(text, str) and (cause := text_cause(text))
    ]:
        raise RecordError(f"What the run {run.run_uid} came from cannot be stored; nothing was written.", problems)
    return [
        {
            "run_uid": run.run_uid,
            "revision": 1,
            "capability_id": run.capability_id,
            "capability_table": table.name,
            "entity_type": entity_type,
            "entity_id": entity_id,
            "created_at": created_at,
            "payload": payload_key(table.name, run.run_uid),
            **came_from,
        }
        for table in tables
        for entity_type, entity_id in entities
    ]


def renumbered(runs: Sequence[Mapping[str, object]], revision: int) -> list[dict[str, object]]:
    """The ``runs`` rows of a run as those of a revision of it."""
    return [
        {
            **row,
            "revision": revision,
            "payload": payload_key(str(row["capability_table"]), str(row["run_uid"]), revision),
        }
        for row in runs
    ]


def moved(runs: Sequence[Mapping[str, object]], table: str, payload: str) -> list[dict[str, object]]:
    """The ``runs`` rows of a run whose rows of one table are in another file."""
    return [{**row, "payload": payload} if row["capability_table"] == table else {**row} for row in runs]


def holds_rows(content: bytes, table: TableRows) -> bool:
    """Whether a file holds just these rows; False for what is no Parquet file.

    A NaN is equal to itself here, and a whole number to the float that it became when its column was widened.
    """
    meant = _arrow(table.columns, table.rows)
    try:
        found = table_in(content)
        if found.column_names != meant.column_names:
            return False
        return bool(_floats_as_text(found.cast(meant.schema)).equals(_floats_as_text(meant)))
    except (UnreadableError, pa.ArrowException):
        return False


def _floats_as_text(table: pa.Table) -> pa.Table:
    """The table with each float as the shortest text that means it: Arrow's own comparison is False where a NaN is."""
    fields = [field.with_type(pa.string()) if pa.types.is_floating(field.type) else field for field in table.schema]
    return table.cast(pa.schema(fields))


def digest_of(table: TableRows) -> str:
    """The digest of the rows of a table, see `rows_digest`."""
    return rows_digest(_arrow(table.columns, table.rows))


def payload_bytes(
    table: TableRows, runs: Sequence[Mapping[str, object]], facts: Mapping[str, object] | None = None
) -> bytes:
    """A Parquet file with the rows of one table, its ``runs`` rows in the metadata.

    Args:
        table: The rows.
        runs: The ``runs`` rows of all tables.
        facts: What the commit will say beside them, where the file is to say it, too.
    """
    mine = [row for row in runs if row["capability_table"] == table.name]
    metadata = {RUNS_METADATA_KEY: json.dumps(mine, default=_iso)}
    if facts is not None:
        metadata[ATTEMPT_METADATA_KEY] = json.dumps(facts)
    return _parquet(table.columns, table.rows, metadata)


def commit_bytes(runs: Sequence[Mapping[str, object]], facts: Mapping[str, object]) -> bytes:
    """A Parquet file with a revision's ``runs`` rows, what is known of all of it in the metadata."""
    return _parquet(RUNS_COLUMNS, runs, {COMMIT_METADATA_KEY: json.dumps(facts)})


def facts_text(commit: pa.Table) -> str | None:
    """The facts of a commit as they stand in its metadata, as JSON; an earlier version wrote none.

    None where something else stands there.
    """
    facts: bytes = (commit.schema.metadata or {}).get(COMMIT_METADATA_KEY.encode(), b"{}")
    try:
        return facts.decode() if isinstance(json.loads(facts), dict) else None
    except (ValueError, RecursionError):
        return None


def read_commit(content: bytes) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """The rows and the facts that `commit_bytes` wrote; an earlier version wrote no facts.

    Raises:
        ValueError, pa.ArrowException: The content is something else.
    """
    table = table_in(content)
    facts = facts_text(table)
    if facts is None:
        raise ValueError("it has no facts")
    known = {name: RUNS_SCHEMA.field(name).type for name in RUNS_COLUMNS}
    table = table.cast(pa.schema([(each.name, known.get(each.name, each.type)) for each in table.schema]))
    return table.to_pylist(), json.loads(facts)


def _parquet(
    columns: Mapping[str, ColumnType], rows: Sequence[Mapping[str, object]], metadata: Mapping[str, str]
) -> bytes:
    table = _arrow(columns, rows)
    sink = pa.BufferOutputStream()
    with pq.ParquetWriter(sink, table.schema, **(_SMALL if len(rows) <= _SMALL_ROWS else _LARGE)) as writer:
        writer.write_table(table)
        writer.add_key_value_metadata(metadata)
    content: bytes = sink.getvalue().to_pybytes()
    return content


def _arrow(columns: Mapping[str, ColumnType], rows: Sequence[Mapping[str, object]]) -> pa.Table:
    return pa.Table.from_struct_array(pa.array(rows, type=pa.struct(list(arrow_schema(columns)))))


def _iso(value: object) -> str:
    if isinstance(value, datetime):
        return value.isoformat()
    raise TypeError(f"a {type(value).__name__} has no place in runs rows")
