"""The store: one Delta table for each kind of record, and ``runs``, whose commits make results visible."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from os import PathLike, fspath
from typing import Any, ClassVar

from attrs import frozen
from checkmaite.jobs import CapabilityRun, Provenance, Report, StoreError, WriteReceipt
from checkmaite.jobs.spi import (
    AsOf,
    Check,
    ObjectStore,
    Revision,
    SqlTables,
    StoredRun,
    TableStore,
    check_as_of,
    check_one_run,
    check_revision,
    check_text,
    option,
    provenance_given,
    run_tables,
)
from checkmaite.store_delta._columns import RUNS
from checkmaite.store_delta._compacting import Backlog, Compaction, Compactor
from checkmaite.store_delta._errors import FOREIGN
from checkmaite.store_delta._moments import Moment
from checkmaite.store_delta._places import (
    DEFAULT_GRACE_S,
    check_delta_place,
    check_grace,
    delta_options_of,
    profile_of,
    usable_place,
)
from checkmaite.store_delta._reading import ChosenRuns
from checkmaite.store_delta._runs import Runs
from checkmaite.store_delta._tables import Tables
from checkmaite.store_delta._tags import Tags
from checkmaite.store_delta._writing import RunWriter


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


class DeltaStore(TableStore[Tags]):
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
    _distribution = "checkmaite-store-delta"
    _read_errors = FOREIGN

    def __init__(
        self,
        uri: str | PathLike[str],
        storage_options: Mapping[str, Any] | None = None,
        delta_options: Mapping[str, str] | None = None,
    ) -> None:
        check_delta_place(uri, storage_options, delta_options)
        self._options = storage_options, delta_options
        self._objects = ObjectStore(fspath(uri), storage_options)
        self._tables = Tables(
            self._objects, delta_options_of(self._objects.root, *self._options), profile_of(storage_options)
        )
        self._runs = Runs(self._tables)
        self._tags = Tags(self._tables)

    def __reduce__(self) -> tuple[Any, ...]:
        return DeltaStore, (self.uri, *self._options)

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
        names = ChosenRuns(self._tables, revision="all").tables()
        hours = math.ceil(grace_s / 3600)
        return sum(self._tables.vacuum(name, hours, self._tags.versions_of(name)) for name in names)

    def probe(self) -> None:
        """See that runs can be written here and read; see `checkmaite.jobs.spi.HasProbe`."""
        self._objects.probe()
        self._tables.open(RUNS)

    def doctor(self) -> list[Check]:
        """Try all that a store needs of its place; see `TableStore.doctor`. The library, which reads itself, too."""
        checks = super().doctor()
        try:
            self._tables.open(RUNS)
        except StoreError as error:
            return [*checks, Check(check="tables", state="fault", found=str(error))]
        return [*checks, Check(check="tables", state="ok", found="the deltalake library finds what is there")]

    def _sql_tables(self, revision: Revision, as_of: AsOf, *, is_for_notebook: bool) -> SqlTables:
        return self._seen(revision, as_of)

    def _seen(self, revision: Revision, as_of: AsOf, run_uids: Sequence[str] | None = None) -> ChosenRuns:
        return ChosenRuns(self._tables, run_uids, revision=revision, moment=self._moment(as_of))

    def _moment(self, as_of: AsOf) -> Moment | None:
        check_as_of(as_of)
        if as_of is None:
            return None
        return self._tags.moment(as_of) if isinstance(as_of, str) else Moment(words=f"{as_of}", versions=as_of)
