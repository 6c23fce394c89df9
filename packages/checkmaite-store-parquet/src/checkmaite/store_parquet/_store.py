"""Writing and finding runs. One write costs a constant number of requests, whatever the store holds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from os import PathLike, fspath
from typing import Any, ClassVar

from attrs import frozen
from checkmaite.jobs import (
    CapabilityRun,
    Provenance,
    Report,
    WriteReceipt,
)
from checkmaite.jobs.spi import (
    AsOf,
    ObjectStore,
    Revision,
    SqlTables,
    StoredRun,
    TableStore,
    check_as_of,
    check_flag,
    check_one_run,
    check_place,
    check_revision,
    check_text,
    option,
    provenance_given,
    run_tables,
    usable_uri,
)
from checkmaite.store_parquet._arguments import DEFAULT_GRACE_S, check_grace
from checkmaite.store_parquet._commits import Commits
from checkmaite.store_parquet._compacting import SMALL_PART_BYTES, Backlog, Compaction, Compactor
from checkmaite.store_parquet._instants import moment_at
from checkmaite.store_parquet._moments import Moment
from checkmaite.store_parquet._originals import DeletedOriginals
from checkmaite.store_parquet._parquet import BROKEN
from checkmaite.store_parquet._reading import CommittedRuns, foreign_uri
from checkmaite.store_parquet._repairing import Repair, Repairer
from checkmaite.store_parquet._rows import runs_rows
from checkmaite.store_parquet._sql import TablesOfNotebook, TablesOfQuery
from checkmaite.store_parquet._tags import Tags
from checkmaite.store_parquet._types import TableTypes
from checkmaite.store_parquet._vacuum import Vacuum, Vacuumed
from checkmaite.store_parquet._verifying import Verification, Verifier
from checkmaite.store_parquet._writing import RunWriter


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


class ParquetStore(TableStore[Tags]):
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
    _distribution = "checkmaite-store-parquet"
    _read_errors = BROKEN

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

    def __reduce__(self) -> tuple[Any, ...]:
        return ParquetStore, (self.uri, self._storage_options, self._private_files)

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
        return found.stored.ref.store_uri if found is not None else foreign_uri(self._objects, run_uid)

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

    def _sql_tables(self, revision: Revision, as_of: AsOf, *, is_for_notebook: bool) -> SqlTables:
        kind = TablesOfNotebook if is_for_notebook else TablesOfQuery
        return kind(self._objects, self._seen(revision, as_of))

    def _seen(self, revision: Revision, as_of: AsOf, run_uids: Sequence[str] | None = None) -> CommittedRuns:
        return CommittedRuns(self._objects, run_uids, revision=revision, moment=self._moment(as_of))

    def _moment(self, as_of: AsOf) -> Moment | None:
        check_as_of(as_of)
        if as_of is None:
            return None
        return self._tags.moment(as_of) if isinstance(as_of, str) else moment_at(self._objects, as_of)
