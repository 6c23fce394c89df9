"""The store's tables and the rows of a query, as plain values of JSON."""

from __future__ import annotations

import inspect
import time
from typing import Any

from checkmaite.jobs import AnalyticsStore
from checkmaite.jobs_cli.spi import plain

MOST_ROWS = 1_000
_LIMITS = {"timeout_s": 30.0, "max_memory_bytes": 2 * 1024**3, "threads": 2}
"""What a query of the page may take of this machine."""


def tables_of(store: AnalyticsStore) -> list[dict[str, Any]]:
    """The tables with their sizes and columns."""
    found = []
    for name in store.list_tables():
        described = store.describe_table(name)
        columns = [{"name": each.name, "type": each.type} for each in described.columns]
        found.append({"name": name, "runs": described.runs, "rows": described.rows, "columns": columns})
    return found


def preview_of(store: AnalyticsStore, table: str, rows: int) -> dict[str, Any]:
    """The first rows of a table; a store without SQL can give them too.

    Raises:
        StoreNotFoundError: There is no such table.
    """
    return _answer("", [store.read_table(table, limit=rows)], rows)


def answer_of(store: AnalyticsStore, sql: str, rows: int = MOST_ROWS) -> dict[str, Any]:
    """The first rows of one SELECT.

    Raises:
        QueryError: The text is no SELECT, the engine refused it, or it took too much.
    """
    batches = getattr(store, "query_batches", None)
    began = time.monotonic()
    # Of a store with batches no more is read than is shown, and it keeps to the limits.
    found = [store.query_sql(sql)] if batches is None else batches(sql, batch_rows=rows + 1, **_limits_of(batches))
    return {**_answer(sql, found, rows), "took_s": time.monotonic() - began}


def _limits_of(ask: Any) -> dict[str, Any]:
    known = inspect.signature(ask).parameters
    return {name: value for name, value in _LIMITS.items() if name in known}


def _answer(sql: str, parts: Any, most: int) -> dict[str, Any]:
    """Of Arrow tables or batches the first rows, by column."""
    columns: list[dict[str, str]] = []
    rows: list[list[Any]] = []
    parts = iter(parts)
    for part in parts:
        columns = columns or [{"name": field.name, "type": str(field.type)} for field in part.schema]
        taken = part.slice(0, most + 1 - len(rows))
        values = [taken.column(index).to_pylist() for index in range(len(columns))]
        rows += [[plain(value) for value in row] for row in zip(*values, strict=True)]
        if len(rows) > most:
            break
    close = getattr(parts, "close", None)
    if close is not None:
        close()
    return {"sql": sql, "columns": columns, "rows": rows[:most], "is_cut": len(rows) > most}
