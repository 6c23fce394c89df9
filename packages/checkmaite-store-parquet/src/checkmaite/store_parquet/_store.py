"""Writing and finding runs. One write costs a constant number of requests, whatever the store holds."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from os import PathLike, fspath
from typing import Any, ClassVar, Literal

from attrs import frozen
from checkmaite.jobs import (
    CapabilityRun,
    Provenance,
    Report,
    TableDescription,
    Tag,
    WriteReceipt,
)
from checkmaite.jobs.spi import (
    ObjectStore,
    StoredRun,
    check_as_of,
    check_document,
    check_flag,
    check_one_run,
    check_place,
    check_revision,
    check_runs,
    check_text,
    check_whole,
    option,
    provenance_given,
    run_tables,
    runs_of,
    sql_limits,
    usable_uri,
)
from checkmaite.store_parquet import _reading, _sql
from checkmaite.store_parquet._arguments import DEFAULT_GRACE_S, check_grace
from checkmaite.store_parquet._commits import Commits
from checkmaite.store_parquet._compacting import SMALL_PART_BYTES, Backlog, Compaction, Compactor
from checkmaite.store_parquet._examining import Check, examined
from checkmaite.store_parquet._instants import moment_at
from checkmaite.store_parquet._layout import artifact_key
from checkmaite.store_parquet._moments import Moment
from checkmaite.store_parquet._originals import DeletedOriginals
from checkmaite.store_parquet._repairing import Repair, Repairer
from checkmaite.store_parquet._rows import runs_rows
from checkmaite.store_parquet._tags import Tags
from checkmaite.store_parquet._types import TableTypes
from checkmaite.store_parquet._vacuum import Vacuum, Vacuumed
from checkmaite.store_parquet._verifying import Verification, Verifier
from checkmaite.store_parquet._writing import RunWriter

AsOf = datetime | str | None
"""A moment: an aware datetime, or the name of a tag; None for now."""


@frozen
class ParquetOptions:
    """Options of ``{"backend": "parquet", ...}``."""

    uri: str = option('a folder, or an fsspec URL such as "s3://bucket/folder".', validator=usable_uri)
    storage_options: Mapping[str, Any] = option(
        "options of the fsspec filesystem, such as key, secret and endpoint_url.", factory=dict, repr=False
    )
    private_files: bool = option(
        "True gives its folder and its files on a disk the modes 0700 and 0600, whatever the umask is.", default=False
    )


class ParquetStore:
    """An analytics store of plain Parquet files.

    A run's rows are written first, one object for each table, then one commit object that names them and makes the
    whole run visible. All are created exclusively: the first commit of a revision wins, whole, and a writer that dies
    leaves nothing that readers see and nothing that a retry cannot complete. Safe to share between
    threads; pickles as its uri and options.

    Args:
        uri: A folder, made absolute here, or an fsspec URL without credentials.
        storage_options: Options of the fsspec filesystem; never shown.
        private_files: Whether what it writes on a disk is for its owner alone: folders of mode 0700, files of 0600.

    Raises:
        ConfigurationError: There can be no store at such a uri.
    """

    config_type: ClassVar[type[ParquetOptions]] = ParquetOptions

    def __init__(
        self,
        uri: str | PathLike[str],
        storage_options: Mapping[str, Any] | None = None,
        private_files: bool = False,
    ) -> None:
        check_place(uri, storage_options)
        self._storage_options = storage_options
        self._private_files = private_files
        self._objects = ObjectStore(fspath(uri), storage_options, private_files)
        self._types = TableTypes(self._objects)
        self._commits = Commits(self._objects, DeletedOriginals(self._objects))
        self._tags = Tags(self._objects)

    def __repr__(self) -> str:
        return f"ParquetStore({self.uri!r})"

    def __reduce__(self) -> tuple[Any, ...]:
        return ParquetStore, (self.uri, self._storage_options, self._private_files)

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
        tables = run_tables(run)
        if not tables:
            return WriteReceipt(run_uid=run.run_uid, store_uri=None, created=False)
        rows = runs_rows(run, tables, came_from, datetime.now(UTC))
        tables = self._types.settle(tables)
        writer = RunWriter(self._objects, self._commits, run, tables, rows, report, self._types.agreed_at)
        return writer.supersede() if supersede else writer.write()

    def find_run(
        self, run_uid: str, *, revision: int | None = None, run_event_id: str | None = None
    ) -> StoredRun | None:
        """One result of a run, whole; see `KeepsRevisions.find_run`. Asks for one revision after the other."""
        check_text("run_uid", run_uid)
        check_revision(revision)
        commits = self._commits
        if revision is not None:
            found = commits.at(run_uid, revision)
        else:
            found = commits.newest(run_uid, run_event_id=run_event_id)
        return commits.whole(found) if found is not None else None

    def get_run_uri(self, run_uid: str) -> str | None:
        """The file with the newest rows of the run in its first table; None when the store does not hold the run."""
        check_text("run_uid", run_uid)
        found = self._commits.newest(run_uid)
        return found.stored.ref.store_uri if found is not None else _reading.foreign_uri(self._objects, run_uid)

    def compact(self) -> Compaction:
        """Copy the rows of all results that are not copied yet into few large files, which readers then take instead.

        What is there is not changed, and writers, readers and other compactors may go on meanwhile. A compaction that
        is interrupted has kept what it says it has, and the next one goes on from there. It has a quarter of a gigabyte
        of rows in memory, twice over, or the rows of one run where they are more, and those of eight runs read ahead.

        Raises:
            StoreError: The store refused or could not be reached.
        """
        return Compactor(self._objects).compact()

    def backlog(self) -> Backlog:
        """How much has gathered since the last compaction, and whether `compact` is worth it."""
        return Compactor(self._objects).backlog()

    def maintain(self) -> None:
        """Compact when it is worth it, in a third of the memory, and sweep what writers killed a day ago have left.

        See `checkmaite.jobs.spi.HasMaintenance`.
        """
        if self.backlog().is_worth_compacting:
            Compactor(self._objects, part_bytes=SMALL_PART_BYTES).compact()
        self._objects.sweep()

    def vacuum(self, *, grace_s: float = DEFAULT_GRACE_S, originals: bool = False) -> Vacuumed:
        """Delete copies that later compactions have replaced, and what killed writers and compactors have left.

        Runs are never deleted: all of their results stay readable, and none is stored twice.

        Args:
            grace_s: What was of use, or was written, in the last so many seconds stays. A reader that needs longer may
                fail, and then has to read again.
            originals: Delete the small files too, of results that have been in copies for so long. The first time this
                is announced to writers alone, and ``originals_from`` says when to ask again. Then `compact` has what is
                left of these results: whoever reads the files without this package has to read those in ``_compact/``,
                and uris of files that receipts and jobs have named before lead nowhere.

        Raises:
            StoreCorruptError: A copy is damaged; its originals are kept.
            StoreError: The store refused or could not be reached.
            ArgumentError: The grace is shorter than two hours.
        """
        check_grace(grace_s)
        check_flag("originals", originals)
        return Vacuum(self._objects, grace_s).run(originals=originals)

    def verify(self, run_uid: str | None = None, *, revision: int | None = None) -> Verification:
        """Compute the digests of results again, and say what is not as it was stored: rows, report or commit.

        Each commit has kept digests of all of these since it was made. They are no signatures: whoever changes them too
        is not found out. What nothing can be said of is told apart: results that an earlier version has stored, and
        the content of a report that is not in the store. Small files and copies are both looked at.

        Args:
            run_uid: The run; all runs when None, which reads the whole store.
            revision: Only this result of each run.

        Raises:
            StoreNotFoundError: The store does not hold that run.
            StoreError: The store refused or could not be reached.
        """
        if run_uid is not None:
            check_text("run_uid", run_uid)
        check_revision(revision)
        return Verifier(self._objects).run(run_uid, revision)

    def repair(self, *, dry_run: bool = False, grace_s: float = DEFAULT_GRACE_S) -> Repair:
        """Make the commits anew that are not there, though all rows of their results are.

        Somebody may have deleted them, or a writer may have died just before it made one: nobody can tell these apart,
        so a result of a job that failed may appear; look with `dry_run` first. A result is made whole or not at all,
        of one attempt alone, and gets the instant at which its writer began. Nothing is deleted or overwritten.

        Args:
            dry_run: Say what would be done, and do nothing.
            grace_s: Files that have been written in the last so many seconds are left to their writers.

        Raises:
            StoreError: The store refused or could not be reached.
            ArgumentError: The grace is shorter than two hours.
        """
        check_grace(grace_s)
        check_flag("dry_run", dry_run)
        return Repairer(self._objects, self._commits, grace_s).run(dry_run=dry_run)

    def probe(self) -> None:
        """See that runs can be written here and read; see `checkmaite.jobs.spi.HasProbe`."""
        self._objects.probe()

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

        It costs one object, with the names of all commits: 40 bytes for each result. Nothing else is copied or kept
        because of it, since results are never deleted.
        """
        return self._tags.make(name)

    def tags(self) -> list[Tag]:
        """The tags, oldest first."""
        return self._tags.all()

    def delete_tag(self, name: str) -> None:
        """Forget a tag; see `KeepsHistory.delete_tag`. No result goes with it."""
        self._tags.delete(name)

    def list_tables(self, *, as_of: AsOf = None) -> list[str]:
        """Names of the tables that hold rows of committed runs, ``runs`` included, sorted.

        Args:
            as_of: As in `read_table`.
        """
        return self._runs(None, as_of).tables()

    def describe_table(self, name: str, *, as_of: AsOf = None) -> TableDescription:
        """Columns and size of a table; see `AnalyticsStore.describe_table`.

        Args:
            name: The table.
            as_of: As in `read_table`.
        """
        check_text("name", name)
        return _reading.describe_table(self._objects, name, self._moment(as_of))

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
        """Rows of committed runs as a ``pyarrow.Table``: of each run the newest revision.

        Args:
            name: The table.
            columns: Only these, in this order.
            run_uids: Only rows of these runs; only their files are opened.
            limit: At most this many rows.
            revision: Of each run this revision, if it has so many; ``"all"`` for every one, with a column ``revision``.
            as_of: What the store held then: a name that `tag` was given, or an aware datetime. Rows are then sorted by
                run, so that the answer is the same for ever.

        Raises:
            StoreNotFoundError: There is no such table, column or tag; the message names those there are.
            StoreHistoryError: A result that the tag names is not there any more.
            QueryError: An argument makes no sense.
        """
        return _reading.read_table(
            self._objects,
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
        to: Literal["arrow", "pandas", "polars"] = "arrow",
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
        limits = sql_limits(timeout_s, max_memory_bytes, threads)
        return _sql.query(self._objects, sql, partial(self._runs, revision, as_of), limits, to)

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
        return _sql.query_batches(self._objects, sql, partial(self._runs, revision, as_of), limits, batch_rows)

    def connect(
        self,
        *,
        revision: int | Literal["all"] | None = None,
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
        return _sql.connect(self._objects, partial(self._runs, revision, as_of), limits)

    def _runs(self, revision: _reading.Revision, as_of: AsOf) -> _reading.CommittedRuns:
        return _reading.CommittedRuns(self._objects, revision=revision, moment=self._moment(as_of))

    def _moment(self, as_of: AsOf) -> Moment | None:
        check_as_of(as_of)
        if as_of is None:
            return None
        return self._tags.moment(as_of) if isinstance(as_of, str) else moment_at(self._objects, as_of)
