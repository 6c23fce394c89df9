"""Files that the CheckMAITE package's own analytics store has written into the same folder.

It writes the rows of each call to ``TABLE/<milliseconds>_<hex digits>.parquet``, and where they came from to a file of
that kind in ``runs/``, without a commit. Names only suggest that; what a file is, its columns say. A file that is
neither its nor this store's is left out, and a warning names it.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Collection, Iterable, Iterator
from datetime import datetime
from functools import cached_property

import pyarrow as pa
import pyarrow.compute as pc
from checkmaite.jobs import StoreNotFoundError
from checkmaite.jobs.spi import ObjectStore, object_name
from checkmaite.store_parquet._layout import RUNS, is_foreign_table, is_payload
from checkmaite.store_parquet._parquet import UnreadableError, first_line, table_in
from checkmaite.store_parquet._rows import RUNS_METADATA_KEY
from checkmaite.store_parquet._schema import RUNS_SCHEMA, plain_type

_NAME = re.compile(r"[0-9]{10,}(_[0-9a-f]+)?\.parquet")
_REVISION = "revision"
_KEYS = ("run_uid", "capability_table", "entity_type", "entity_id")


def may_be_foreign(name: str) -> bool:
    """Whether a file of this name may be the package's."""
    return _NAME.fullmatch(name) is not None


def written_by(key: str, instant: datetime) -> bool:
    """Whether a file of the package's, which is named by the milliseconds, was written until an instant."""
    digits = key.rpartition("/")[2].partition(".")[0].partition("_")[0]
    return digits.isdecimal() and int(digits) <= instant.timestamp() * 1000


def is_commit(objects: ObjectStore, key: str) -> bool:
    """Whether a file in ``runs/`` is this store's; False of one that cannot be read."""
    try:
        return names_files(table_in(objects.read(key)))
    except UnreadableError:
        return False


def names_files(runs: pa.Table) -> bool:
    """Whether every row is of a commit: it names a table and the file in its folder with the run's rows."""
    pair = ("payload", "capability_table")
    if any(name not in runs.column_names for name in pair):
        return False
    return all(is_payload(*named) for named in set(zip(*(runs.column(name).to_pylist() for name in pair), strict=True)))


class ForeignRuns:
    """What the package's store has written, as one consistent view. Its results count as first revisions.

    Args:
        objects: The store.
        files: Files in ``runs/`` that are no commits of this store.
        own: Runs of which this store holds a result, as `object_name` writes them: their rows in other tables are
            taken from its own files.
        superseded: Those of them that are not shown at all.
        run_uids: Only these runs; all when None.
        sees: Whether a file counts, by its key.
    """

    def __init__(
        self,
        objects: ObjectStore,
        files: Iterable[str],
        *,
        own: Collection[str],
        superseded: Collection[str],
        run_uids: Collection[str] | None,
        sees: Callable[[str], bool] = lambda _: True,
    ) -> None:
        self._objects = objects
        self._sees = sees
        self._files = sorted(filter(sees, files))
        self._own = own
        self._superseded = superseded
        self._run_uids = run_uids

    @cached_property
    def runs(self) -> pa.Table:
        """Its rows of the table ``runs``, as its store keeps them apart: also a second event of the same run."""
        found = []
        for key, table in self._readable(self._files, _KEYS):
            try:
                found.append(_fitting([table], RUNS_SCHEMA))
            except pa.ArrowException as error:
                self._leave_out(key, f"its columns do not fit the table's ({first_line(error)})")
        rows = _fitting(found, RUNS_SCHEMA) if found else RUNS_SCHEMA.empty_table()
        place = rows.schema.get_field_index(_REVISION)
        rows = rows.set_column(place, _REVISION, pa.array([1] * rows.num_rows, pa.int64()))
        return self._chosen(rows, but=self._superseded)

    @cached_property
    def tables(self) -> frozenset[str]:
        """Tables with rows of these runs, beside ``runs``."""
        return frozenset(filter(is_foreign_table, self.runs.column("capability_table").unique().to_pylist()))

    def rows(self, name: str, schema: pa.Schema) -> pa.Table:
        """Rows of a table, of runs of which this store holds no result.

        Args:
            name: The table.
            schema: The columns that it has in this store. In the answer others follow, and whole numbers may have
                become floats.
        """
        found = []
        for key, table in self._payloads(name):
            try:
                schema = pa.unify_schemas([schema, table.schema], promote_options="permissive")
                _fitting([table], schema)
            except pa.ArrowException as error:
                self._leave_out(key, f"its columns do not fit the table's ({first_line(error)})")
                continue
            found.append(table)
        schema = pa.schema([field.with_type(_named(field.type)) for field in schema])
        return self._chosen(_fitting(found, schema), but=self._own) if found else schema.empty_table()

    def count(self, name: str) -> int:
        """Runs with rows in a table of which this store holds no result."""
        runs = self.runs if name == RUNS else self.runs.filter(pc.field("capability_table") == name)
        return len([run for run in runs.column("run_uid").unique().to_pylist() if object_name(run) not in self._own])

    def uri_of(self, run_uid: str) -> str | None:
        """The first file with rows of a run."""
        for name in sorted(self.tables):
            for key, table in self._payloads(name):
                if run_uid in table.column("run_uid").to_pylist():
                    return self._objects.uri_of(key)
        return None

    @property
    def files(self) -> list[str]:
        """Keys of all files that may be the package's, those of rows too."""
        return [*self._files, *(key for name in sorted(self.tables) for key in self._named(name))]

    def _named(self, name: str) -> list[str]:
        names = [each for each in self._objects.names(name) if may_be_foreign(each)]
        return [key for each in sorted(names) if self._sees(key := f"{name}/{each}")]

    def _payloads(self, name: str) -> Iterator[tuple[str, pa.Table]]:
        if name not in self.tables:
            return
        for key, table in self._readable(self._named(name), ("run_uid",)):
            if RUNS_METADATA_KEY.encode() not in (table.schema.metadata or {}):
                yield key, table.replace_schema_metadata()

    def _readable(self, keys: Iterable[str], columns: Collection[str]) -> Iterator[tuple[str, pa.Table]]:
        """Files with all of these columns, in types that tables have."""
        for key in keys:
            try:
                table = table_in(self._objects.read(key))
                plain = [field.with_type(plain_type(field.type)) for field in table.schema]
                table = table.cast(pa.schema(plain, metadata=table.schema.metadata))
            except StoreNotFoundError:  # deleted since it was listed
                continue
            except (pa.ArrowException, ValueError) as error:
                self._leave_out(key, f"it cannot be read as rows of a table ({first_line(error)})")
                continue
            if missing := [name for name in columns if name not in table.column_names]:
                self._leave_out(
                    key, f"it has no column {missing[0]!r}, so it is neither of this store nor of CheckMAITE's"
                )
                continue
            yield key, table

    def _chosen(self, rows: pa.Table, *, but: Collection[str]) -> pa.Table:
        runs = rows.column("run_uid").unique().to_pylist()
        chosen = [
            run
            for run in runs
            if (self._run_uids is None or run in self._run_uids) and object_name(str(run)) not in but
        ]
        return rows if chosen == runs else rows.filter(pc.field("run_uid").isin(pa.array(chosen, pa.string())))

    def _leave_out(self, key: str, reason: str) -> None:
        warnings.warn(f"{self._objects.uri_of(key)} is left out: {reason}.", RuntimeWarning, stacklevel=2)


def _fitting(tables: Collection[pa.Table], schema: pa.Schema) -> pa.Table:
    """The rows of tables that lack columns, or have them in another order, in one table."""
    empty = schema.empty_table()
    rows = pa.concat_tables(
        [empty, *(table.replace_schema_metadata() for table in tables)], promote_options="permissive"
    )
    return rows.select(schema.names).cast(schema)


def _named(kind: pa.DataType) -> pa.DataType:
    """The type of a column of which no file says what it holds: texts that are null."""
    return pa.string() if pa.types.is_null(kind) else kind
