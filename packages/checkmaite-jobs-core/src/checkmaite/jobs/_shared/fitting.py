"""A run's rows as a table takes them that has runs already: a column keeps its type, or is widened."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from attrs import evolve
from checkmaite.jobs._shared.columns import ColumnType, merged, stored_value
from checkmaite.jobs._shared.naming import case_twins
from checkmaite.jobs._shared.problems import Problem
from checkmaite.jobs._shared.records import TableRows
from checkmaite.jobs._shared.scalars import is_nan


def fitted(table: TableRows, known: Mapping[str, ColumnType]) -> tuple[TableRows, list[Problem]]:
    """The rows as columns of these types hold them, and where they do not fit.

    Whole numbers become floats in a column of floats, where each is exact; a column of nothing but NaN becomes nulls in
    a column of anything but numbers. Where the result still says that a column holds floats and the table knows it as
    whole numbers, the store has to widen it, or to refuse the run with `two_types`.

    Args:
        table: The rows of a run.
        known: Types of the columns that the table has already.
    """
    columns, problems = dict(table.columns), _twins(table, known)
    changed: dict[str, ColumnType] = {}
    for name, kind in table.columns.items():
        wanted = known.get(name, kind)
        if wanted is kind or (kind, wanted) == (ColumnType.FLOAT, ColumnType.INT):
            continue
        if merged(kind, wanted) is wanted or (kind is ColumnType.FLOAT and _is_only_nan(table.rows, name)):
            columns[name] = changed[name] = wanted
        else:
            problems.append(two_types(table.name, name, kind, wanted))
    if not changed:
        return table, problems
    rows = tuple({**row, **_changed(row, at, table.name, changed, problems)} for at, row in enumerate(table.rows))
    return evolve(table, columns=columns, rows=rows), problems


def two_types(table: str, column: str, given: ColumnType, known: ColumnType) -> Problem:
    """The problem of a column that a run gives another type than the table has."""
    return Problem(
        f"{table}.{column}",
        f"is {given} in this run, but {known} in the runs stored before.",
        "Give the column its first type, or a new name.",
    )


def wanting_floats(table: TableRows, known: Mapping[str, ColumnType]) -> list[str]:
    """Columns of whole numbers for which a run has floats."""
    return [
        name for name, kind in table.columns.items() if kind is ColumnType.FLOAT and known.get(name) is ColumnType.INT
    ]


def unwidened(table: str, column: str) -> Problem:
    """The problem of a column of whole numbers that cannot become one of floats."""
    given = two_types(table, column, ColumnType.FLOAT, ColumnType.INT)
    return evolve(given, cause=f"{given.cause[:-1]}, some of them beyond what a float keeps exactly.")


def twin_table(table: str, twin: str) -> Problem:
    """The problem of a table that SQL would take for one that the store has."""
    return Problem(
        f"{table}.table_name",
        f"differs only in case, which SQL does not see, from the table {twin!r} of the runs stored before.",
        "Write it as there, or give it another name.",
    )


def _twins(table: TableRows, known: Mapping[str, ColumnType]) -> list[Problem]:
    """Columns new to the table that SQL would take for one that it has; the table could not be queried any more."""
    new = [name for name in table.columns if name not in known]
    if not new or not known:
        return []
    return [
        Problem(
            f"{table.name}.{name}",
            f"differs only in case, which SQL does not see, from the column {twin!r} of the runs stored before.",
            "Write it as there, or give it another name.",
        )
        for twin, name in case_twins([*known, *new])
        if name in new
    ]


def _changed(
    row: Mapping[str, Any], at: int, table: str, changed: Mapping[str, ColumnType], problems: list[Problem]
) -> dict[str, Any]:
    values = {}
    for name, kind in changed.items():
        values[name], cause = stored_value(row.get(name), kind)
        if cause:
            problems.append(Problem(f"{table}[{at}].{name}", cause.text, cause.remedy))
    return values


def _is_only_nan(rows: Iterable[Mapping[str, Any]], column: str) -> bool:
    return all(value is None or is_nan(value) for value in (row.get(column) for row in rows))
