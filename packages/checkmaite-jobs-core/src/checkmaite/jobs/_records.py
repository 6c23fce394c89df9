"""A run's records as typed, flat tables, whatever classes they were written with.

Column types come from declared annotations wherever there are any, because a type guessed from values changes with
the values: a table whose first file holds 1 and whose second holds 1.5 would be read wrongly. Only plain mappings,
which declare nothing, are typed by their values.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, cast

import attrs
from checkmaite.jobs._columns import ColumnType, declared_columns, inferred_type, stored_value
from checkmaite.jobs._errors import RecordError
from checkmaite.jobs._problems import Problem
from checkmaite.jobs._values import with_article

_TABLE_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,99}\Z")
_RESERVED = frozenset({"runs"})


@attrs.frozen
class TableRows:
    """The rows of one run in one table.

    Attributes:
        name: The table.
        columns: Type of each column, in the order of declaration. ``run_uid`` is always one of them.
        rows: One mapping of column to stored value for each record; a column that is missing is null.
    """

    name: str
    columns: Mapping[str, ColumnType]
    rows: tuple[Mapping[str, Any], ...]


def table_rows(records: Iterable[object], *, run_uid: str) -> list[TableRows]:
    """Check and flatten what `extract` returned, grouped by table in order of first appearance.

    Raises:
        RecordError: A record is nested, naive in time, of a type that cannot be stored, or names no table; every
            fault is listed with a path such as ``records[3].accuracy``.
    """
    problems: list[Problem] = []
    grouped: dict[str, list[_Flat]] = {}
    for index, record in enumerate(records):
        flat = _flattened(record, f"records[{index}]", problems)
        if flat is not None:
            grouped.setdefault(flat.table, []).append(flat)
    tables = [_table(name, flats, run_uid, problems) for name, flats in grouped.items()]
    if problems:
        raise RecordError(f"The records of run {run_uid} cannot be stored; nothing was written.", problems)
    return tables


def runs_of(given: Any) -> Iterable[Any]:
    """The runs in what a store is given to write: one run, or several.

    What can be iterated may be one run: a pydantic model yields its fields.
    """
    return [given] if hasattr(given, "extract") else given


def run_entities(run: Any) -> list[tuple[str | None, str | None]]:
    """The ``(entity_type, entity_id)`` pairs of a run's ``runs`` rows.

    One for each dataset, model and metric; ``[(None, None)]`` when the run names none. Repeated ids count once.

    Raises:
        RecordError: A metadata mapping has no ``"id"``.
    """
    problems: list[Problem] = []
    found: dict[tuple[str | None, str | None], None] = {}
    for entity_type in ("dataset", "model", "metric"):
        for index, metadata in enumerate(getattr(run, f"{entity_type}_metadata", None) or ()):
            entity_id = metadata.get("id") if isinstance(metadata, Mapping) else None
            if entity_id is None:
                problems.append(
                    Problem(
                        f"{entity_type}_metadata[{index}]",
                        "has no 'id'.",
                        "Give every dataset, model and metric a metadata mapping with an 'id'.",
                    )
                )
            else:
                found[entity_type, str(entity_id)] = None
    if problems:
        raise RecordError(f"The run {run.run_uid} does not say what it was about.", problems)
    return list(found) or [(None, None)]


@attrs.frozen
class _Flat:
    """One record, taken apart: its table, its declared column types, its values."""

    path: str
    table: str
    declared: Mapping[str, ColumnType]
    values: Mapping[str, Any]


def _flattened(record: object, path: str, problems: list[Problem]) -> _Flat | None:
    taken = _values_of(record)
    if taken is None:
        problems.append(
            Problem(
                path,
                f"{type(record).__name__} is not a record.",
                "Return attrs classes on Record, mappings, dataclasses, or objects with model_dump().",
            )
        )
        return None
    values = dict(taken)
    table = values.pop("table_name", None) or getattr(record, "table_name", None)
    if not isinstance(table, str) or not _TABLE_NAME.match(table) or table in _RESERVED:
        problems.append(
            Problem(
                f"{path}.table_name",
                f"{table!r} cannot name a table.",
                "Use letters, digits and _, a letter first, at most 100 characters, and not 'runs'.",
            )
        )
        return None
    names = [name for name in values if not isinstance(name, str) or not name]
    if names:
        problems.append(Problem(path, f"column names {names!r} are not text.", "Name every column with a string."))
        return None
    declared, faults = declared_columns(type(record), only=values)
    problems += [fault.below(path) for fault in faults]
    return _Flat(path, table, declared, values)


def _values_of(record: object) -> Mapping[Any, Any] | None:
    if isinstance(record, Mapping):
        return record
    if attrs.has(type(record)):
        return {field.name: getattr(record, field.name) for field in attrs.fields(cast("type[Any]", type(record)))}
    fields = getattr(type(record), "__dataclass_fields__", None)
    if fields is not None:
        return {name: getattr(record, name) for name in fields if hasattr(record, name)}
    dump = getattr(record, "model_dump", None)
    dumped = dump() if callable(dump) else None
    return dumped if isinstance(dumped, Mapping) else None


def _table(name: str, flats: list[_Flat], run_uid: str, problems: list[Problem]) -> TableRows:
    columns: dict[str, ColumnType] = {"run_uid": ColumnType.TEXT}
    for flat in flats:
        for column, kind in flat.declared.items():
            agreed = columns.setdefault(column, kind)
            if agreed is not kind:
                problems.append(_two_types(flat.path, column, agreed, kind))
    fixed = frozenset(columns)
    for flat in flats:
        for column, value in flat.values.items():
            if column in fixed:
                continue
            inferred = inferred_type(value, columns.get(column))
            if inferred is not None:
                columns[column] = inferred
    rows = tuple(_row(flat, columns, run_uid, problems) for flat in flats)
    return TableRows(name, columns, rows)


def _row(flat: _Flat, columns: Mapping[str, ColumnType], run_uid: str, problems: list[Problem]) -> Mapping[str, Any]:
    row: dict[str, Any] = {}
    for column, value in flat.values.items():
        kind = columns.get(column)
        if kind is None or value is None:
            if value is not None:
                problems.append(_unstorable(flat.path, column, value))
            continue
        stored, cause = stored_value(value, kind)
        if cause:
            problems.append(Problem(f"{flat.path}.{column}", cause.text, cause.remedy))
        row[column] = stored
    if row.setdefault("run_uid", run_uid) != run_uid:
        problems.append(
            Problem(
                f"{flat.path}.run_uid",
                f"is {row['run_uid']!r}, but the run is {run_uid!r}.",
                "Leave run_uid out of the records: the store adds it.",
            )
        )
    return row


def _two_types(path: str, column: str, first: ColumnType, second: ColumnType) -> Problem:
    return Problem(
        f"{path}.{column}",
        f"is declared {second} here and {first} by another record of the same table.",
        "Declare one type for a column, or use two tables.",
    )


def _unstorable(path: str, column: str, value: object) -> Problem:
    return Problem(
        f"{path}.{column}",
        f"{with_article(type(value).__name__)} cannot be stored in a flat column.",
        "Store text, numbers, booleans, dates, aware datetimes or bytes; "
        "make nested values columns or tables of their own.",
    )
