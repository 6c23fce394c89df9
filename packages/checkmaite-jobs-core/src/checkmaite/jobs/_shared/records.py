"""Turns the records of a run into typed, flat tables, whatever classes the records have.

Column types come from declared annotations wherever there are any, because a type guessed from values changes with
the values: a table whose first file holds 1 and whose second holds 1.5 would be read wrongly. Only plain mappings,
which declare nothing, are typed by their values.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any, cast

import attrs
from checkmaite.jobs._shared.columns import (
    ColumnType,
    declared_columns,
    inferred_type,
    merged,
    stored_value,
    unstorable,
)
from checkmaite.jobs._shared.errors import JobsError, RecordError
from checkmaite.jobs._shared.identities import identity_cause
from checkmaite.jobs._shared.naming import case_twins, plain_text
from checkmaite.jobs._shared.problems import Problem
from checkmaite.jobs._shared.scalars import Cause, plain_value, text_cause
from checkmaite.jobs._shared.texts import class_name, message_text
from checkmaite.jobs._shared.values import shown, with_article

_TABLE_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,99}\Z")
_RESERVED = frozenset({"runs"})
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")


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


def run_tables(run: Any) -> list[TableRows]:
    """The rows of a run, all of them checked before a store writes any.

    Raises:
        RecordError: It is no run, or its records cannot be stored; see `check_run` and `table_rows`.
    """
    run_uid = check_run(run)
    try:
        records = run.extract()
    except Exception as error:
        raise _refusal(run_uid, [_raised("extract()", error)]) from error
    return table_rows(records, run_uid=run_uid)


def check_run(run: Any) -> str:
    """The uid of a run, as plain text.

    Raises:
        RecordError: It is no run, or its uid or the id of its capability is no text that a reader could find it by.
    """
    if not callable(getattr(run, "extract", None)):
        cause = f"{'None' if run is None else with_article(type(run).__name__)} is no run."
        remedy = "Return an object with run_uid, capability_id, the metadata and extract() from run()."
        raise RecordError("Nothing can be stored; nothing was written.", [Problem("run", cause, remedy)])
    names = {name: plain_text(getattr(run, name, None)) for name in ("run_uid", "capability_id")}
    found = {name: fault for name, given in names.items() if (fault := identity_cause(given))}
    if found:
        faults = [Problem(f"run.{name}", fault.text, fault.remedy) for name, fault in found.items()]
        raise RecordError("Nothing can be stored; nothing was written.", faults)
    return str(names["run_uid"])


def table_rows(records: Iterable[object], *, run_uid: str) -> list[TableRows]:
    """Check and flatten what `extract` returned, grouped by table in order of first appearance.

    Raises:
        RecordError: A record is nested, naive in time, of a type that cannot be stored, or names no table, or it could
            not be had; every fault is listed with a path such as ``records[3].accuracy``.
    """
    if isinstance(records, (str, bytes, Mapping)) or not (
        hasattr(records, "__iter__") or hasattr(records, "__getitem__")
    ):
        given = "None" if records is None else with_article(type(records).__name__)
        remedy = "Return a list of records, an empty one when there are none."
        raise _refusal(run_uid, [Problem("extract()", f"returned {given}, which is no series of records.", remedy)])
    problems: list[Problem] = []
    grouped: dict[str, list[_Flat]] = {}
    at, broken = 0, None
    try:
        for record in records:
            flat = _flattened(record, f"records[{at}]", problems)
            if flat is not None:
                grouped.setdefault(flat.table, []).append(flat)
            at += 1
    except Exception as error:  # noqa: BLE001 - the user's code may raise anything; it is raised below, with the other faults
        broken = error
        problems.append(_raised(f"records[{at}]", error))
    problems += [_twins(f"{grouped[name][0].path}.table_name", twin, name) for twin, name in case_twins(grouped)]
    tables = [_table(name, flats, run_uid, problems) for name, flats in grouped.items()]
    if problems:
        raise _refusal(run_uid, problems) from broken
    return tables


def _refusal(run_uid: str, problems: Sequence[Problem]) -> RecordError:
    return RecordError(f"The records of run {run_uid} cannot be stored; nothing was written.", problems)


def _raised(path: str, error: Exception) -> Problem:
    """What the user's code raised; a `MemoryError` goes on as it is, for it is about the worker, not about the run."""
    if isinstance(error, (JobsError, MemoryError)):
        raise error
    cause = f"{class_name(error)} was raised there: {message_text(error)}."
    return Problem(path, cause, "Mend the run's extract(), or the class of its records.")


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
    taken = taken_apart(record)
    if taken is None:
        problems.append(
            Problem(
                path,
                f"{type(record).__name__} is not a record.",
                "Return attrs classes on Record, mappings, dataclasses, or objects with model_dump().",
            )
        )
        return None
    table, values = taken
    if not isinstance(table, str) or not _TABLE_NAME.match(table) or table.casefold() in _RESERVED:
        problems.append(
            Problem(
                f"{path}.table_name",
                f"{table!r} cannot name a table.",
                "Use letters, digits and _, a letter first, at most 100 characters, and not 'runs' in any case.",
            )
        )
        return None
    faults = [fault.below(path) for name in values if (fault := _name_problem(name))]
    if faults:
        problems += faults
        return None
    declared, faults = declared_columns(type(record), only=values)
    problems += [fault.below(path) for fault in faults]
    return _Flat(path, table, declared, {name: plain_value(value) for name, value in values.items()})


@lru_cache(maxsize=10_000)  # the same few names come with every row
def _name_problem(name: object) -> Problem | None:
    """Why no column can be called so; None when it can."""
    if not isinstance(name, str) or not name:
        return Problem("", f"{shown(name)} names a column.", "Name every column with a text that is not empty.")
    if name.startswith("__"):
        return Problem(
            name, "begins with two underscores, as Arrow's own columns do, which readers mix up.", "Use another name."
        )
    if _CONTROL.search(name) or text_cause(name):
        return Problem(ascii(name), "holds characters that readers cannot find it by.", "Use printable characters.")
    return None


def taken_apart(record: object) -> tuple[Any, dict[Any, Any]] | None:
    """What a record says of its table, and its values; None when it is no record."""
    taken = _values_of(record)
    if taken is None:
        return None
    values = dict(taken.items())
    return values.pop("table_name", None) or getattr(record, "table_name", None), values


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
            first = columns.get(column, kind)
            agreed = merged(first, kind)
            if agreed is None:
                problems.append(_two_types(flat.path, column, first, kind))
            columns[column] = agreed or first
    for column in dict.fromkeys(column for flat in flats for column in flat.values if column not in columns):
        inferred = inferred_type(flat.values.get(column) for flat in flats)
        if inferred is not None:
            columns[column] = inferred
    problems += [_twins(f"{name}.{column}", twin, column) for twin, column in case_twins(columns)]
    rows = tuple(_row(flat, columns, run_uid, problems) for flat in flats)
    return TableRows(name, columns, rows)


def _row(flat: _Flat, columns: Mapping[str, ColumnType], run_uid: str, problems: list[Problem]) -> Mapping[str, Any]:
    row: dict[str, Any] = {}
    for column, plain in flat.values.items():
        kind = columns.get(column)
        if kind is not None:
            row[column], cause = stored_value(plain, kind)
        else:
            cause = plain if plain is None or isinstance(plain, Cause) else unstorable(plain)
        if cause:
            problems.append(Problem(f"{flat.path}.{column}", cause.text, cause.remedy))
    if row.setdefault("run_uid", run_uid) != run_uid:
        problems.append(
            Problem(
                f"{flat.path}.run_uid",
                f"is {row['run_uid']!r}, but the run is {run_uid!r}.",
                "Leave run_uid out of the records: the store adds it.",
            )
        )
    return row


def _twins(path: str, twin: str, name: str) -> Problem:
    return Problem(path, f"{name!r} differs from {twin!r} only in case, which SQL does not see.", "Use another name.")


def _two_types(path: str, column: str, first: ColumnType, second: ColumnType) -> Problem:
    return Problem(
        f"{path}.{column}",
        f"is declared {second} here and {first} by another record of the same table.",
        "Declare one type for a column, or use two tables.",
    )
