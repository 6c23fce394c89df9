"""The store: one Delta table for each kind of record, and ``runs``, whose commits make results visible."""

from __future__ import annotations

import math
from collections.abc import Generator, Iterable, Mapping, Sequence
from datetime import datetime
from os import PathLike, fspath
from typing import Any, ClassVar, Literal

from attrs import frozen
from checkmaite.jobs import CapabilityRun, Provenance, Report, TableDescription, Tag, WriteReceipt
from checkmaite.jobs.spi import (
    FrameKind,
    ObjectStore,
    SqlLimits,
    StoredRun,
    check_as_of,
    check_document,
    check_one_run,
    check_revision,
    check_runs,
    check_text,
    check_whole,
    duckdb_of,
    frame_converter,
    object_name,
    option,
    provenance_given,
    run_tables,
    running_select,
    runs_of,
    sql_connection,
    sql_limits,
    table_of,
)
from checkmaite.store_delta import _reading
from checkmaite.store_delta._columns import RUNS
from checkmaite.store_delta._compacting import Backlog, Compaction, Compactor
from checkmaite.store_delta._errors import FOREIGN
from checkmaite.store_delta._moments import Moment
from checkmaite.store_delta._places import (
    DEFAULT_GRACE_S,
    check_delta_place,
    check_grace,
    delta_options_of,
    usable_place,
)
from checkmaite.store_delta._runs import Runs
from checkmaite.store_delta._tables import Tables
from checkmaite.store_delta._tags import Tags
from checkmaite.store_delta._writing import RunWriter

AsOf = str | datetime | None

_DISTRIBUTION = "checkmaite-store-delta"


@frozen
class DeltaOptions:
    """Options of ``{"backend": "delta", ...}``."""

    uri: str = option('a folder, or a URL such as "s3://bucket/folder".', validator=usable_place)
    storage_options: Mapping[str, Any] = option(
        "options of the fsspec filesystem, such as key, secret and endpoint_url, for the tables too.",
        factory=dict,
        repr=False,
    )
    delta_options: Mapping[str, str] = option(
        "options of the deltalake library in its own words, for the tables alone.", factory=dict, repr=False
    )


class DeltaStore:
    """An analytics store of Delta tables.

    A run's rows are appended to their tables first, marked with the attempt that wrote them. Then one commit to the
    table ``runs`` makes the result visible, whole: the library refuses it when there is a result of that number. What a
    writer that died has left is read by nobody. Safe to share between threads; pickles as its uri and options.

    Args:
        uri: A folder, made absolute here, or a URL without credentials.
        storage_options: Options of the fsspec filesystem; never shown.
        delta_options: Options of the deltalake library; never shown.

    Raises:
        ConfigurationError: There can be no store at such a uri, or with such options.
    """

    config_type: ClassVar[type[DeltaOptions]] = DeltaOptions

    def __init__(
        self,
        uri: str | PathLike[str],
        storage_options: Mapping[str, Any] | None = None,
        delta_options: Mapping[str, str] | None = None,
    ) -> None:
        check_delta_place(uri, storage_options, delta_options)
        self._options = storage_options, delta_options
        self._objects = ObjectStore(fspath(uri), storage_options)
        self._tables = Tables(self._objects, delta_options_of(self._objects.root, *self._options))
        self._runs = Runs(self._tables)
        self._tags = Tags(self._tables)

    def __repr__(self) -> str:
        return f"DeltaStore({self.uri!r})"

    def __reduce__(self) -> tuple[Any, ...]:
        return DeltaStore, (self.uri, *self._options)

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

    def write_with_receipt(
        self,
        run: CapabilityRun,
        *,
        provenance: Provenance | Mapping[str, Any] | None = None,
        report: Report | None = None,
        supersede: bool = False,
    ) -> WriteReceipt:
        """Store one run; see `KeepsRevisions.write_with_receipt`. Returns after the run is durable and visible."""
        check_one_run(run)
        came_from = provenance_given(provenance, supersede)
        rows = run_tables(run)
        if not rows:
            return WriteReceipt(run_uid=run.run_uid, store_uri=None, created=False)
        writer = RunWriter(self._tables, self._runs, run, rows, came_from, report)
        return writer.supersede() if supersede else writer.write()

    def find_run(
        self, run_uid: str, *, revision: int | None = None, run_event_id: str | None = None
    ) -> StoredRun | None:
        """One result of a run, whole; see `KeepsRevisions.find_run`."""
        check_text("run_uid", run_uid)
        check_revision(revision)
        found = self._runs.find(run_uid, revision=revision, run_event_id=run_event_id)
        return found.stored if found is not None else None

    def get_run_uri(self, run_uid: str) -> str | None:
        """The table with the newest rows of the run, and the run after ``#``; None when the store does not hold it."""
        check_text("run_uid", run_uid)
        found = self._runs.find(run_uid)
        return found.stored.ref.store_uri if found is not None else None

    def compact(self) -> Compaction:
        """Write the rows of many small files into few large ones, without those of attempts that came to nothing.

        Writers, readers and other compactors may go on meanwhile. One that is interrupted has changed nothing of the
        table that it was at.

        Raises:
            StoreError: The store refused or could not be reached.
        """
        return Compactor(self._tables).compact()

    def backlog(self) -> Backlog:
        """How much has gathered since the last compaction, and whether `compact` is worth it."""
        return Compactor(self._tables).backlog()

    def maintain(self) -> None:
        """Compact when it is worth it; see `checkmaite.jobs.spi.HasMaintenance`."""
        if self.backlog().is_worth_compacting:
            self.compact()

    def vacuum(self, *, grace_s: float = DEFAULT_GRACE_S) -> int:
        """Delete files that compactions have replaced, or that killed writers have left; how many there were.

        Results of runs are never deleted. What the store held before, as of an instant, may be gone; tags are kept.

        Args:
            grace_s: What was of use, or was written, in the last so many seconds stays, in whole hours.

        Raises:
            StoreError: The store refused or could not be reached.
            ArgumentError: The grace is shorter than two hours.
        """
        check_grace(grace_s)
        names = _reading.ChosenRuns(self._tables, revision="all").tables()
        hours = math.ceil(grace_s / 3600)
        return sum(self._tables.vacuum(name, hours, self._tags.versions_of(name)) for name in names)

    def tag(self, name: str) -> Tag:
        """Give what the store holds now a name, for ``as_of=``; see `KeepsHistory.tag`."""
        return self._tags.make(name)

    def tags(self) -> list[Tag]:
        """The tags, oldest first."""
        return self._tags.all()

    def delete_tag(self, name: str) -> None:
        """Forget a tag; see `KeepsHistory.delete_tag`."""
        self._tags.delete(name)

    def probe(self) -> None:
        """See that runs can be written here and read; see `checkmaite.jobs.spi.HasProbe`."""
        self._objects.probe()
        self._tables.open(RUNS)

    def put_artifact(self, name: str, content: bytes) -> str:
        """Keep a document under ``_artifacts/`` and return its URI; the first write of a name wins."""
        key = _artifact_key(name)
        self._objects.create(key, content)
        return self._objects.uri_of(key)

    def delete_artifact(self, name: str) -> None:
        """Delete a document; one that is not there is fine."""
        self._objects.delete(_artifact_key(name))

    def list_tables(self, *, as_of: AsOf = None) -> list[str]:
        """Names of the tables that hold rows of visible results, ``runs`` included, sorted.

        Args:
            as_of: As in `read_table`.
        """
        return self._chosen(None, as_of).tables()

    def describe_table(self, name: str, *, as_of: AsOf = None) -> TableDescription:
        """Columns and size of a table; see `AnalyticsStore.describe_table`.

        Args:
            name: The table.
            as_of: As in `read_table`.
        """
        check_text("name", name)
        return _reading.describe_table(self._tables, name, self._moment(as_of))

    def read_table(
        self,
        name: str,
        *,
        columns: Sequence[str] | None = None,
        run_uids: Sequence[str] | None = None,
        limit: int | None = None,
        revision: int | Literal["all"] | None = None,
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
                order that stays.

        Raises:
            StoreNotFoundError: There is no such table, column or tag; the message names those there are.
            StoreHistoryError: What it held then is not there any more.
            QueryError: An argument makes no sense.
        """
        return _reading.read_table(
            self._tables,
            name,
            columns=columns,
            run_uids=run_uids,
            limit=limit,
            revision=revision,
            moment=self._moment(as_of),
        )

    def query_sql(
        self,
        sql: str,
        *,
        revision: int | Literal["all"] | None = None,
        as_of: AsOf = None,
        to: FrameKind = "arrow",
        timeout_s: float | None = None,
        max_memory_bytes: int = 4 * 1024**3,
        threads: int = 4,
    ) -> Any:
        """The result of one SELECT over the tables. Needs DuckDB: ``checkmaite-jobs[delta,sql]``.

        Each table, ``runs`` too, is a view of the newest revision of each run. The engine can read nothing else.

        Args:
            sql: The text.
            revision: As in `read_table`.
            as_of: As in `read_table`.
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
        revision: int | Literal["all"] | None = None,
        as_of: AsOf = None,
        batch_rows: int = 64 * 1024,
        timeout_s: float | None = None,
        max_memory_bytes: int = 4 * 1024**3,
        threads: int = 4,
    ) -> Generator[Any, None, None]:
        """The result of one SELECT as ``pyarrow.RecordBatch`` after another, for results that no memory holds.

        Nothing is asked before the first is taken. The arguments are those of `query_sql`.

        Raises:
            QueryError: See `query_sql`.
            StoreError: The store refused or could not be reached.
        """
        limits = sql_limits(timeout_s, max_memory_bytes, threads)
        check_whole("batch_rows", batch_rows)
        return self._batches(sql, revision, as_of, limits, batch_rows)

    def _batches(
        self, sql: str, revision: _reading.Revision, as_of: AsOf, limits: SqlLimits, rows: int
    ) -> Generator[Any, None, None]:
        with self._running(sql, revision, as_of, limits) as relation:
            yield from relation.to_arrow_reader(rows)

    def connect(
        self,
        *,
        revision: int | Literal["all"] | None = None,
        as_of: AsOf = None,
        max_memory_bytes: int = 4 * 1024**3,
        threads: int = 4,
    ) -> Any:
        """A DuckDB connection with a view of each table as it is now, for notebooks; locked down as `query_sql` is.

        Args:
            revision: As in `read_table`.
            as_of: As in `read_table`.
            max_memory_bytes: Memory that the engine may take.
            threads: Threads that it may use.

        Raises:
            StoreError: The store refused or could not be reached.
        """
        runs = self._chosen(revision, as_of)
        return sql_connection(duckdb_of(_DISTRIBUTION), runs, sql_limits(None, max_memory_bytes, threads))

    def _chosen(self, revision: _reading.Revision, as_of: AsOf) -> _reading.ChosenRuns:
        return _reading.ChosenRuns(self._tables, revision=revision, moment=self._moment(as_of))

    def _moment(self, as_of: AsOf) -> Moment | None:
        check_as_of(as_of)
        if as_of is None:
            return None
        return self._tags.moment(as_of) if isinstance(as_of, str) else Moment(words=f"{as_of}", versions=as_of)

    def _running(self, sql: str, revision: _reading.Revision, as_of: AsOf, limits: SqlLimits) -> Any:
        def open_tables() -> _reading.ChosenRuns:
            return self._chosen(revision, as_of)

        return running_select(duckdb_of(_DISTRIBUTION), sql, limits, open_tables, FOREIGN)


def _artifact_key(name: str) -> str:
    check_document(name)
    return "/".join(["_artifacts", *(object_name(part) for part in name.split("/"))])
