"""Which types a table's columns have: agreed among all writers, kept beside the table, and asked for once a process."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime

import pyarrow.compute as pc
from attrs import evolve, field, frozen
from checkmaite.jobs import Problem, RecordError, StoreNotFoundError
from checkmaite.jobs.spi import ColumnType, ObjectStore, TableRows, fitted, twin_table, unwidened, wanting_floats
from checkmaite.store_parquet import _reading
from checkmaite.store_parquet._layout import column_key, schema_key, spelling_key, widening_key
from checkmaite.store_parquet._schema import ColumnTypes, columns_to_json

_EXACT = 2**53
"""Arrow reads a whole number up to this as a float; one beyond makes the whole column unreadable as floats."""
_TRUSTED_S = 60.0
"""So long a process believes of a remote store that a table's types are still there; a disk is asked each time."""


@frozen
class _Known:
    """What this process knows of a table's columns.

    Attributes:
        types: Their types.
        settled: Those of whole numbers that hold some which no float keeps, and that will therefore never be floats.
        since: When they were seen in the store, in seconds of this process's clock.
    """

    types: dict[str, ColumnType] = field(factory=dict)
    settled: set[str] = field(factory=set)
    since: float = field(factory=time.monotonic)


class TableTypes:
    """The types of a store's tables.

    The types of a table's first run are one object, created exclusively; a column that came later has one of its own.
    Neither ever changes, so what was read once is true as long as the table is there: somebody may have removed the
    folder, and a warm process asks no more than that. A column of whole numbers may become one other thing, once:
    floats, with the first run that has some, or whole numbers for good, with the first one that no float keeps. One
    object says which, so that of two writers one wins and every number stays readable. Likewise one object says how a
    name is written: of names that differ only in case, which SQL does not see, a table or a column has the first.

    Args:
        objects: The store.
    """

    def __init__(self, objects: ObjectStore) -> None:
        self._objects = objects
        self._known: dict[str, _Known] = {}
        self.agreed_at = datetime.min.replace(tzinfo=UTC)
        """When the last of all columns that this process knows was agreed, by the clock of whoever did so."""

    def settle(self, tables: Sequence[TableRows]) -> list[TableRows]:
        """A run's rows as the tables take them, whose types for these columns are fixed from now on.

        Raises:
            RecordError: A column has another type in the table. Nothing was written, and no type was fixed.
        """
        for table in tables:
            self._forget_if_gone(table.name)
        return self._fitted(self._fitted(tables, self._learn), self._agree)

    def _forget_if_gone(self, table: str) -> None:
        """Begin anew with a table whose folder somebody has removed, emptied or replaced."""
        known, now = self._known.get(table), time.monotonic()
        if known is None or not known.types or not (self._objects.is_local or now > known.since + _TRUSTED_S):
            return
        if self._objects.exists(schema_key(table)):
            self._known[table] = evolve(known, since=now)
        else:
            del self._known[table]

    def _fitted(self, tables: Sequence[TableRows], ask: Callable[[TableRows, _Known], str | None]) -> list[TableRows]:
        fits: list[TableRows] = []
        problems: list[Problem] = []
        for table in tables:
            known = self._known.setdefault(table.name, _Known())
            if _is_new(table, known) and (twin := ask(table, known)):
                problems.append(twin_table(table.name, twin))
            fit, faults = fitted(table, known.types)
            faults += [
                unwidened(table.name, name) for name in wanting_floats(table, known.types) if name in known.settled
            ]
            fits.append(fit)
            problems += faults
        if problems:
            raise RecordError("The run does not fit the tables; nothing was written.", problems, uri=self._objects.root)
        return fits

    def _learn(self, table: TableRows, known: _Known) -> str | None:
        """Ask which types the table has for these columns; how a new one's name is written, if otherwise."""
        if not known.types:
            self._take(known, self._types_in(schema_key(table.name)))
        if not known.types:
            return self._twin_of(table.name)
        for name in [name for name in table.columns if name not in known.types]:
            self._take(known, self._types_in(column_key(table.name, name)))
        for name in [*wanting_floats(table, known.types), *_wants_to_settle(table, known)]:
            if name in known.types:
                self._take(known, self._types_in(widening_key(table.name, name)), settles=True)
        for name in wanting_floats(table, known.types):
            if name not in known.settled and not self._holds_only_exact(table.name, name):
                known.settled.add(name)
        return None

    def _agree(self, table: TableRows, known: _Known) -> str | None:
        """Fix what the table does not say yet of these columns, or learn what another writer has just fixed."""
        if not known.types:
            key = spelling_key(table.name)
            _reading.check_inside(self._objects, key)
            if not self._objects.create(key, table.name.encode()) and (twin := self._twin_of(table.name)):
                return twin
            self._take(known, self._fixed(schema_key(table.name), table.columns))
        for name in [name for name in table.columns if name not in known.types]:
            self._take(known, self._fixed(column_key(table.name, name), {name: table.columns[name]}))
        for kind, names in (
            (ColumnType.FLOAT, wanting_floats(table, known.types)),
            (ColumnType.INT, _wants_to_settle(table, known)),
        ):
            for name in names:
                self._take(known, self._fixed(widening_key(table.name, name), {name: kind}), settles=True)
        return None

    def _twin_of(self, table: str) -> str | None:
        """How the name of the table that SQL takes for this one is written, if otherwise."""
        there = self._objects.find(spelling_key(table))
        spelling = there.decode(errors="replace") if there is not None else table
        return spelling if spelling != table else None

    def _take(self, known: _Known, said: ColumnTypes, *, settles: bool = False) -> None:
        known.types.update(said.columns)
        if settles:
            known.settled.update(name for name, kind in said.columns.items() if kind is ColumnType.INT)
        if said.created_at is not None:
            self.agreed_at = max(self.agreed_at, said.created_at)

    def _holds_only_exact(self, table: str, column: str) -> bool:
        """Whether every number of a column can be read as a float: asked once in a column's life.

        Since columns settle no writer adds others, but a table may be older.
        """
        try:
            values = _reading.values_of_all(self._objects, table, column)
        except StoreNotFoundError:  # no run is committed
            return True
        span = pc.call_function("min_max", [values]).as_py()
        return span["min"] is None or (span["min"] >= -_EXACT and span["max"] <= _EXACT)

    def _fixed(self, key: str, columns: Mapping[str, ColumnType]) -> ColumnTypes:
        """These types, when this call fixed them; else those that another writer had fixed before."""
        _reading.check_inside(self._objects, key)
        now = datetime.now(UTC)
        if self._objects.create(key, columns_to_json(columns, now)):
            return ColumnTypes(dict(columns), now)
        return _reading.columns_at(self._objects, key)

    def _types_in(self, key: str) -> ColumnTypes:
        try:
            return _reading.columns_at(self._objects, key)
        except StoreNotFoundError:
            return ColumnTypes({}, None)


def _is_new(table: TableRows, known: _Known) -> bool:
    """Whether the run has something for these columns that this process does not know how to store."""
    return (
        any(name not in known.types for name in table.columns)
        or bool(wanting_floats(table, known.types))
        or bool(_wants_to_settle(table, known))
    )


def _wants_to_settle(table: TableRows, known: _Known) -> list[str]:
    """Columns of whole numbers for which the run has the first one that no float keeps."""
    return [
        name
        for name, kind in table.columns.items()
        if kind is known.types.get(name, kind) is ColumnType.INT
        and name not in known.settled
        and any(abs(row.get(name) or 0) > _EXACT for row in table.rows)
    ]
