"""The Delta tables of a store: one for each kind of record, and ``runs``. The one module that calls the library.

What deltalake promises, found by experiment, is in ``docs/design/delta.md``. In short: a commit is one exclusive create
of the log's next object. Of two commits with the same application id from one and the same version the second is
refused; from a later version none is, so that whoever commits looks first. What appends ignores other appends. A
change of the schema refuses whatever was begun before it, but is itself refused only where it is tried once. What takes
files away is refused by nothing when others have taken the same ones, except for an application id: the library's own
``optimize`` has none, and two at once leave every row twice, so it is not used. On a disk the library makes nothing
durable: files of rows are written by core, and the log is seen to after each commit.
"""

from __future__ import annotations

import json
import random
import secrets
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit
from urllib.request import url2pathname

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from checkmaite.jobs import StoreCorruptError, StoreNotFoundError
from checkmaite.jobs.spi import ColumnType, ObjectStore
from checkmaite.store_delta._columns import ATTEMPT, RUN, arrow_schema, columns_of
from checkmaite.store_delta._credentials import FoundOptions
from checkmaite.store_delta._durable import settle_log, sync_files
from checkmaite.store_delta._errors import FOREIGN, refusal_in, telling
from checkmaite.store_delta._places import library_uri
from deltalake import CommitProperties, DeltaTable, Schema, Transaction, write_deltalake
from deltalake.exceptions import CommitFailedError, SchemaMismatchError, TableNotFoundError
from deltalake.transaction import AddAction, RemoveAction
from pyarrow import fs

Version = int | datetime | None

_TRIES = 50
_RETRIES = 1000
"""How often the library tries a commit again that another one came before, but does not contradict."""
_LONGEST_PAUSE_S = 0.5
_NOTHING_BETWEEN = CommitProperties(max_commit_retries=0)
_NO_OTHER_REWRITE = CommitProperties(
    max_commit_retries=_RETRIES, app_transactions=[Transaction("checkmaite/rewrites", 1)]
)
_CONFIGURATION: Mapping[str, str | None] = {
    # Statistics of floats leave NaN out, and a reader that trusts them would lose such rows.
    "delta.dataSkippingStatsColumns": f"{RUN},{ATTEMPT}",
    # The log is what `as_of` reads.
    "delta.enableExpiredLogCleanup": "false",
    # Whoever opens a table reads each object of the log since the last checkpoint.
    "delta.checkpointInterval": "20",
}


class Tables:
    """The tables of one store.

    Args:
        objects: Its place.
        options: Those of the library.
        profile: Of which profile credentials are that are not among them.
    """

    def __init__(self, objects: ObjectStore, options: Mapping[str, str], profile: str | None = None) -> None:
        self.objects = objects
        self._given = dict(options)
        self._found = FoundOptions(objects, options, profile)

    @property
    def _options(self) -> dict[str, str]:
        return {**self._found.options(), **self._given}

    def uri_of(self, name: str) -> str:
        """Where a table is."""
        return self.objects.uri_of(name)

    def open(self, name: str, version: Version = None) -> DeltaTable | None:
        """A table as it is now, or as it was; None when there is none.

        Raises:
            StoreError: It cannot be reached or read.
        """
        with telling(self.objects, name):
            table = self._opened(name)
            if table is None and self.objects.is_local:  # where the library says the same of what it may not read
                if not any(each.endswith(".json") for each in self.objects.names(f"{name}/_delta_log")):
                    return None
                table = self._opened(name)  # somebody may have created it meanwhile
                if table is None:
                    uri = self.uri_of(name)
                    said = "its log is no log of a Delta table. Restore it from a backup."
                    raise StoreCorruptError(f"{uri}: {said}", uri=uri)
            if table is not None and version is not None:
                table.load_as_version(version)
            return table

    def _opened(self, name: str) -> DeltaTable | None:
        try:
            return self._found_by_library(name)
        except FOREIGN as error:
            said = refusal_in(error)
            if said is None or not self.objects.look_again(said):
                raise
        return self._found_by_library(name)

    def _found_by_library(self, name: str) -> DeltaTable | None:
        try:
            return DeltaTable(library_uri(self.uri_of(name)), storage_options=self._options)
        except TableNotFoundError:
            return None

    def spelling_of(self, name: str) -> str:
        """How the table is written that SQL takes for one of this name; this name when there is none."""
        found = self.objects.find(_spelling_key(name))
        return found.decode(errors="replace") if found is not None else name

    def settled_spelling_of(self, name: str) -> str:
        """The same, and from now on no table is written otherwise."""
        return name if self.objects.create(_spelling_key(name), name.encode()) else self.spelling_of(name)

    def columns(self, name: str, table: DeltaTable | None) -> dict[str, ColumnType]:
        """The columns of a table; none when there is no such table.

        Raises:
            StoreCorruptError: Somebody else has given it a column of another type.
        """
        if table is None:
            return {}
        try:
            return columns_of(schema_of(table))
        except ValueError as error:
            uri = self.uri_of(name)
            raise StoreCorruptError(f"{uri}: this store has not made the table: {error}.", uri=uri) from error

    def create(self, name: str, schema: pa.Schema) -> None:
        """Create a table, unless it is there."""
        with telling(self.objects, name):
            with suppress(CommitFailedError):  # another writer creates it at the same time
                DeltaTable.create(
                    library_uri(self.uri_of(name)),
                    schema=schema,
                    mode="ignore",
                    configuration=_CONFIGURATION,
                    storage_options=self._options,
                )
            settle_log(self.objects, name, -1)

    def append(
        self,
        name: str,
        app_id: str,
        number: int,
        rows: Callable[[DeltaTable], pa.Table | None],
        *,
        table: DeltaTable | None,
    ) -> bool:
        """Append rows once, however often they are tried: False when the table has this number of the id, or a later.

        Args:
            name: The table, which exists.
            app_id: Whose rows they are.
            number: Which of its rows; the numbers of an id grow.
            rows: Gives them for the table as it is; asked again when something has come before them, or when it has
                given None.
            table: The table as it was a moment ago, for the first try.

        Raises:
            StoreError: They were not appended, as far as is known.
        """
        once = CommitProperties(app_transactions=[Transaction(app_id, number)], max_commit_retries=_RETRIES)
        content, file = b"", None
        with telling(self.objects, name):
            for there in self._tries(name, table):
                seen = there.transaction_version(app_id)
                if seen is not None and seen >= number:
                    return False
                if (given := rows(there)) is None or self._add_columns(name, there, given.schema):
                    continue
                before, content = content, _parquet(given)
                if file is None or content != before:
                    file = self._written(name, given, content, is_new=True)
                if self._commit(name, there, [file], once):
                    return True
        raise AssertionError("the last try raises")

    def replace(self, name: str, table: DeltaTable, files: Sequence[Mapping[str, Any]], rows: pa.Table) -> bool:
        """Write these rows in place of those of some files; False when others have been rewriting the table.

        Args:
            name: The table.
            table: As it was when they were read.
            files: What it says of the files.
            rows: The rows.
        """
        with telling(self.objects, name):
            now = time.time_ns() // 1_000_000
            gone = [
                RemoveAction(each["path"], False, now, size=each["size_bytes"], partition_values={}) for each in files
            ]
            added = [self._written(name, rows, _parquet(rows), is_new=False)] if rows.num_rows else []
            return self._commit(name, table, [*added, *gone], _NO_OTHER_REWRITE)

    def widen(self, name: str, columns: Mapping[str, ColumnType]) -> None:
        """Write a table anew with columns of whole numbers as floats, unless something comes between."""
        table = self.open(name)
        if table is None:
            return
        with telling(self.objects, name):
            known = self.columns(name, table)
            wanting = [column for column, kind in columns.items() if known[column] is not kind]
            if not wanting or not all(self._is_exact(table, column) for column in wanting):
                return
            floats = arrow_schema({**known, **columns})
            wanted = pa.schema([floats.field(each.name) for each in schema_of(table)])
            batches = (batch.cast(wanted) for batch in self.dataset(table).to_batches())
            anew = pa.RecordBatchReader.from_batches(wanted, batches)
            before = table.version()
            with suppress(CommitFailedError):
                write_deltalake(
                    table, anew, mode="overwrite", schema_mode="overwrite", commit_properties=_NOTHING_BETWEEN
                )
                sync_files(self.objects, table.file_uris())
                settle_log(self.objects, name, before)

    def _add_columns(self, name: str, table: DeltaTable, schema: pa.Schema) -> bool:
        """Give a table the columns that it lacks; whether there were any, so that it is to be looked at again."""
        there = set(schema_of(table).names)
        new = [field for field in schema if field.name not in there]
        if new:
            before = table.version()
            with suppress(CommitFailedError, SchemaMismatchError):
                table.alter.add_columns(Schema.from_arrow(pa.schema(new)).fields)
                settle_log(self.objects, name, before)
        return bool(new)

    def _written(self, name: str, rows: pa.Table, content: bytes, *, is_new: bool) -> AddAction:
        """A durable file of rows, which is in the table with the commit that names it."""
        path = f"{secrets.token_hex(16)}.parquet"
        self.objects.create(f"{name}/{path}", content)
        values = {column: rows.column(column).unique().to_pylist() for column in (RUN, ATTEMPT)}
        stats = {
            "numRecords": rows.num_rows,
            "minValues": {column: min(each) for column, each in values.items()},
            "maxValues": {column: max(each) for column, each in values.items()},
            "nullCount": dict.fromkeys(values, 0),
        }
        return AddAction(path, len(content), {}, time.time_ns() // 1_000_000, is_new, json.dumps(stats))

    def _commit(
        self, name: str, table: DeltaTable, actions: list[AddAction | RemoveAction], properties: CommitProperties
    ) -> bool:
        before = table.version()
        try:
            table.create_write_transaction(actions, "append", table.schema(), commit_properties=properties)
        except CommitFailedError:
            return False
        settle_log(self.objects, name, before)
        return True

    def vacuum(self, name: str, hours: int, keep_versions: Sequence[int]) -> int:
        """Delete files that the table has not named for so long, or never has; how many there were."""
        table = self.open(name)
        if table is None:
            return 0
        with telling(self.objects, name):
            gone = table.vacuum(
                retention_hours=hours,
                dry_run=False,
                enforce_retention_duration=False,
                full=True,
                keep_versions=list(keep_versions),
            )
            return len(gone)

    def holds_only_exact(self, name: str, column: str) -> bool:
        """Whether every whole number of a column is a float too."""
        table = self.open(name)
        with telling(self.objects, name):
            return table is None or self._is_exact(table, column)

    def _is_exact(self, table: DeltaTable, column: str) -> bool:
        values = self.dataset(table).to_table(columns=[column]).column(column)
        span = pc.call_function("min_max", [values]).as_py()
        return span["min"] is None or (span["min"] >= -(2**53) and span["max"] <= 2**53)

    def dataset(self, table: DeltaTable, pruned_by: Any = None) -> Any:
        """A dataset over the files of a table; with filters, over those files that may hold such rows."""
        filesystem = None  # the library's own, in which Arrow calls Python for each file
        if self.objects.is_local:
            filesystem = fs.SubTreeFileSystem(url2pathname(urlsplit(table.table_uri).path), fs.LocalFileSystem())
        return table.to_pyarrow_dataset(filesystem=filesystem, file_pruning_predicate=pruned_by)

    def _tries(self, name: str, first: DeltaTable | None) -> Iterator[DeltaTable]:
        """The table as it is, again and again, each time after a pause; the last failure is told."""
        for number in range(_TRIES):
            table = first if first is not None and number == 0 else self.open(name)
            if table is None:
                uri = self.uri_of(name)
                raise StoreNotFoundError(f"{uri}: the table is gone. Somebody has removed its folder.", uri=uri)
            yield table
            time.sleep(random.uniform(0, min(_LONGEST_PAUSE_S, 0.01 * 2**number)))  # noqa: S311 - a pause
        raise CommitFailedError(f"{_TRIES} times")


def _spelling_key(name: str) -> str:
    return f"_spelling/{name.casefold()}"


def schema_of(table: DeltaTable) -> pa.Schema:
    """The columns of a table as Arrow's."""
    return pa.schema(table.schema().to_arrow())


def reader_of(scanner: Any) -> pa.RecordBatchReader:
    """What a scanner reads, piece by piece.

    Arrow's own holds Python's lock while it begins, for which a read waits where the library's files are Python's.
    """
    return pa.RecordBatchReader.from_batches(scanner.projected_schema, scanner.to_batches())


def _parquet(rows: pa.Table) -> bytes:
    sink = pa.BufferOutputStream()
    which: Any = [RUN, ATTEMPT]
    pq.write_table(rows, sink, compression="zstd", write_statistics=which)
    content: bytes = sink.getvalue().to_pybytes()
    return content
