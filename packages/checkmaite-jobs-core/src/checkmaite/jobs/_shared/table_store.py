"""What stores have in common whose tables are Arrow data below one root; for their authors. Nothing need inherit."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Generator, Iterable, Mapping, Sequence
from functools import partial
from typing import Any, ClassVar, Generic, TypeVar

from checkmaite.jobs._shared.capability_protocols import CapabilityRun
from checkmaite.jobs._shared.errors import StoreNotFoundError
from checkmaite.jobs._shared.examining import Check, examined
from checkmaite.jobs._shared.naming import object_name
from checkmaite.jobs._shared.objects import ObjectStore
from checkmaite.jobs._shared.provenance import Provenance
from checkmaite.jobs._shared.receipt import WriteReceipt
from checkmaite.jobs._shared.records import runs_of
from checkmaite.jobs._shared.refs import Report
from checkmaite.jobs._shared.seen_results import AsOf, Revision, SeenResults, StoreTags
from checkmaite.jobs._shared.sql_engine import (
    FrameKind,
    SqlLimits,
    SqlTables,
    duckdb_of,
    frame_converter,
    running_select,
    sql_connection,
    sql_limits,
    table_of,
)
from checkmaite.jobs._shared.store_arguments import (
    check_choice,
    check_document,
    check_query,
    check_runs,
    check_text,
    check_whole,
)
from checkmaite.jobs._shared.store_protocols import ColumnDescription, TableDescription, Tag

ARTIFACTS = "_artifacts"
"""The folder of documents; no table is named so."""

TagsT = TypeVar("TagsT", bound=StoreTags)


class TableStore(ABC, Generic[TagsT]):
    """Writing several runs, documents, tags, reading, and SQL on DuckDB over tables that are Arrow datasets.

    A subclass sets the attributes below, and says how one run is written and which results are seen.

    Attributes:
        _distribution: The store's, whose extra ``sql`` brings DuckDB.
        _read_errors: What reading its datasets may raise, beside this project's own errors.
        _objects: Where it is.
        _tags: Its tags.
    """

    _distribution: ClassVar[str]
    _read_errors: ClassVar[tuple[type[Exception], ...]]
    _objects: ObjectStore
    _tags: TagsT

    @abstractmethod
    def write_with_receipt(
        self,
        run: CapabilityRun,
        *,
        provenance: Provenance | Mapping[str, Any] | None = None,
        report: Report | None = None,
        supersede: bool = False,
    ) -> WriteReceipt:
        """Store one run; see `KeepsRevisions.write_with_receipt`."""

    @abstractmethod
    def _seen(self, revision: Revision, as_of: AsOf, run_uids: Sequence[str] | None = None) -> SeenResults:
        """The results that are seen at a moment; of these runs alone."""

    @abstractmethod
    def _sql_tables(self, revision: Revision, as_of: AsOf, *, is_for_notebook: bool) -> SqlTables:
        """The tables of a moment; for a notebook one that cannot be opened keeps nobody from the others."""

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.uri!r})"

    @classmethod
    def normalized_options(cls, options: Mapping[str, Any]) -> Mapping[str, Any]:
        """The options with an absolute uri, so that they mean the same in every working directory."""
        return {**options, "uri": ObjectStore(options["uri"]).root}

    @property
    def uri(self) -> str:
        """The absolute folder or URL, without secrets."""
        return self._objects.root

    def write(
        self,
        runs: CapabilityRun | Iterable[CapabilityRun],
        *,
        provenance: Provenance | Mapping[str, Any] | None = None,
        supersede: bool = False,
    ) -> list[WriteReceipt]:
        """Store one run or several, each atomically, in order.

        Args:
            runs: One run, or several.
            provenance: Who ran them; a mapping of the fields of `Provenance` will do.
            supersede: See `KeepsRevisions.write_with_receipt`.

        Returns:
            A receipt for each.

        Raises:
            RecordError: A run's records cannot be stored; runs before it are stored.
            StoreError: The store refused or could not be reached.
            ArgumentError: There are no runs in `runs`, or another argument is of the wrong kind.
        """
        check_runs(runs)
        return [self.write_with_receipt(run, provenance=provenance, supersede=supersede) for run in runs_of(runs)]

    def doctor(self) -> list[Check]:
        """Try all that a store needs of its place from this process, and say what to do about what fails.

        Objects are written, read, created by several at once, listed and deleted, and the store's clock is compared;
        nothing of it stays. `probe` is the cheap part of it, which every worker asks for.
        """
        return list(examined(self._objects))

    def put_artifact(self, name: str, content: bytes) -> str:
        """Keep a document under ``_artifacts/`` and return its URI; the first write of a name wins."""
        check_document(name)
        key = artifact_key(name)
        self._objects.create(key, content)
        return self._objects.uri_of(key)

    def delete_artifact(self, name: str) -> None:
        """Delete a document; one that is not there is fine."""
        check_document(name)
        self._objects.delete(artifact_key(name))

    def tag(self, name: str) -> Tag:
        """Give what the store holds now a name, for ``as_of=``; see `KeepsHistory.tag`.

        It costs one small object. No result is copied for it.
        """
        return self._tags.make(name)

    def tags(self) -> list[Tag]:
        """The tags, oldest first."""
        return self._tags.all()

    def delete_tag(self, name: str) -> None:
        """Forget a tag; see `KeepsHistory.delete_tag`. No result goes with it."""
        self._tags.delete(name)

    def list_tables(self, *, as_of: AsOf = None) -> list[str]:
        """Names of the tables that hold rows of visible results, ``runs`` included, sorted.

        Args:
            as_of: As in `read_table`.
        """
        return self._seen(None, as_of).tables()

    def describe_table(self, name: str, *, as_of: AsOf = None) -> TableDescription:
        """Columns and size of a table; see `AnalyticsStore.describe_table`.

        Args:
            name: The table.
            as_of: As in `read_table`.
        """
        check_text("name", name)
        seen = self._seen(None, as_of)
        dataset = seen.dataset(name)
        with seen.reading(name, dataset):
            rows = dataset.count_rows()
        columns = tuple(ColumnDescription(name=each.name, type=str(each.type)) for each in dataset.schema)
        return TableDescription(name=name, columns=columns, runs=seen.count_runs(name), rows=rows)

    def read_table(
        self,
        name: str,
        *,
        columns: Sequence[str] | None = None,
        run_uids: Sequence[str] | None = None,
        limit: int | None = None,
        revision: Revision = None,
        as_of: AsOf = None,
    ) -> Any:
        """Rows of visible results as a ``pyarrow.Table``: of each run the newest revision.

        Args:
            name: The table.
            columns: Only these, in this order.
            run_uids: Only rows of these runs.
            limit: At most this many rows.
            revision: Of each run this revision, if it has so many; ``"all"`` for every one, with a column ``revision``.
            as_of: What the store held then: a name that `tag` was given, or an aware datetime. Rows are then in an
                order that stays, so that the answer is the same for ever.

        Raises:
            StoreNotFoundError: There is no such table, column or tag; the message names those there are.
            StoreHistoryError: What it held then is not there any more.
            QueryError: An argument makes no sense.
        """
        check_query("name", name)
        check_choice(columns=columns, run_uids=run_uids, limit=limit)
        seen = self._seen(revision, as_of, run_uids)
        chooses = run_uids is not None or revision is not None
        if chooses and name not in seen.tables():  # which is an error only when no other result has it either
            self._seen("all", as_of).dataset(name)
            dataset = seen.no_rows(name)
        else:
            dataset = seen.dataset(name)
        known = dataset.schema.names
        if unknown := [column for column in columns or () if column not in known]:
            text = f"the table {name!r} has no column {unknown[0]!r}. Its columns: {', '.join(known)}."
            raise StoreNotFoundError(text, uri=self._objects.uri_of(name))
        chosen = list(columns) if columns is not None else None
        with seen.reading(name, dataset):
            if as_of is not None:
                return seen.in_order(name, dataset, chosen, limit)
            return dataset.to_table(columns=chosen) if limit is None else dataset.head(limit, columns=chosen)

    def query_sql(
        self,
        sql: str,
        *,
        revision: Revision = None,
        as_of: AsOf = None,
        to: FrameKind = "arrow",
        timeout_s: float | None = None,
        max_memory_bytes: int = 4 * 1024**3,
        threads: int = 4,
    ) -> Any:
        """The result of one SELECT over the tables. Needs DuckDB: ``checkmaite-jobs[sql]``.

        Each table, ``runs`` too, is a view of the newest revision of each run, so that a join through ``run_uid`` never
        mixes them. The engine can read nothing else: no files, no network, no extensions.

        Args:
            sql: The text.
            revision: As in `read_table`.
            as_of: As in `read_table`, but for the order of rows, which is that of ``ORDER BY``.
            to: What the result is: a ``pyarrow.Table``, or a data frame of pandas or Polars.
            timeout_s: Seconds that it may take; None for as long as it takes.
            max_memory_bytes: Memory that the engine may take.
            threads: Threads that it may use.

        Raises:
            QueryError: The text is not one SELECT, DuckDB refused it, or it hit a limit, which the message names.
            StoreError: The store refused or could not be reached.
        """
        convert = frame_converter(to)
        with self._running(sql, revision, as_of, sql_limits(timeout_s, max_memory_bytes, threads)) as relation:
            table = table_of(relation)
        return convert(table)

    def query_batches(
        self,
        sql: str,
        *,
        revision: Revision = None,
        as_of: AsOf = None,
        batch_rows: int = 64 * 1024,
        timeout_s: float | None = None,
        max_memory_bytes: int = 4 * 1024**3,
        threads: int = 4,
    ) -> Generator[Any, None, None]:
        """The result of one SELECT as ``pyarrow.RecordBatch`` after another, for results that no memory holds.

        Nothing is asked before the first is taken. Sums of whole numbers are ``decimal128(38, 0)`` here. The arguments
        are those of `query_sql`; `timeout_s` is for all of it, with what is done between two batches.

        Args:
            sql: The text.
            revision: As in `read_table`.
            as_of: As in `query_sql`.
            batch_rows: At most so many rows in each.
            timeout_s: Seconds that it may take.
            max_memory_bytes: Memory that the engine may take.
            threads: Threads that it may use.

        Raises:
            QueryError: See `query_sql`.
            StoreError: The store refused or could not be reached.
        """
        limits = sql_limits(timeout_s, max_memory_bytes, threads)
        check_whole("batch_rows", batch_rows)
        return self._batches(sql, revision, as_of, limits, batch_rows)

    def connect(
        self,
        *,
        revision: Revision = None,
        as_of: AsOf = None,
        max_memory_bytes: int = 4 * 1024**3,
        threads: int = 4,
    ) -> Any:
        """A DuckDB connection with a view of each table as it is now, for notebooks. Needs ``checkmaite-jobs[sql]``.

        It is locked down as that of `query_sql`: tables may be made in its own memory, but nothing is read or written
        outside, and no setting changed. It shows what was stored when it was opened; open another one for what came
        later, and within the grace of the next `vacuum`.

        Args:
            revision: As in `read_table`.
            as_of: As in `query_sql`.
            max_memory_bytes: Memory that the engine may take.
            threads: Threads that it may use.

        Raises:
            StoreError: The store refused or could not be reached.
        """
        limits = sql_limits(None, max_memory_bytes, threads)
        duckdb = duckdb_of(self._distribution)
        return sql_connection(duckdb, self._sql_tables(revision, as_of, is_for_notebook=True), limits)

    def _running(self, sql: str, revision: Revision, as_of: AsOf, limits: SqlLimits) -> Any:
        open_tables = partial(self._sql_tables, revision, as_of, is_for_notebook=False)
        return running_select(duckdb_of(self._distribution), sql, limits, open_tables, self._read_errors)

    def _batches(
        self, sql: str, revision: Revision, as_of: AsOf, limits: SqlLimits, rows: int
    ) -> Generator[Any, None, None]:
        with self._running(sql, revision, as_of, limits) as relation:
            yield from relation.to_arrow_reader(rows)


def artifact_key(name: str) -> str:
    """Key of a document."""
    return "/".join([ARTIFACTS, *(object_name(part) for part in name.split("/"))])
