"""What an analytics store gives to workers and notebooks, and what it promises. Nothing need inherit.

`checkmaite.jobs.testing` holds the suite that checks it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from attrs import frozen

if TYPE_CHECKING:
    from checkmaite.jobs._shared.capability_protocols import CapabilityRun
    from checkmaite.jobs._shared.provenance import Provenance
    from checkmaite.jobs._shared.receipt import WriteReceipt
    from checkmaite.jobs._shared.refs import Report
    from checkmaite.jobs._shared.stored import StoredRun


@frozen(kw_only=True)
class ColumnDescription:
    """One column of a table: its name, and its type in the store's words."""

    name: str
    type: str


@frozen(kw_only=True)
class TableDescription:
    """What a store knows of one table.

    Attributes:
        name: The table.
        columns: Its columns, those added later included.
        runs: Number of committed runs with rows in it.
        rows: Number of rows of committed runs.
    """

    name: str
    columns: tuple[ColumnDescription, ...]
    runs: int
    rows: int


@frozen(kw_only=True)
class Tag:
    """A name for what a store held at one moment.

    Attributes:
        name: The name.
        created_at: When it was made (UTC).
        results: How many results of runs the store held then.
    """

    name: str
    created_at: datetime
    results: int


@runtime_checkable
class AnalyticsStore(Protocol):
    """Where results are kept, one table for each kind of record and one, ``runs``, that says where they came from.

    Promises of every store:

    - A run is stored once, whatever number of writers, retries and lost replies: the first durable write wins.
    - A write returns after the run is durable. Readers see whole runs or nothing.
    - An error is raised as a `StoreError`, never taken for "empty".
    - Secrets never appear in a repr, an error, a receipt or a URI.

    A store is picklable: workers get a copy. Several threads may ask one and the same copy at once.
    """

    @property
    def uri(self) -> str:
        """Where the store is, without secrets."""
        ...

    def write(
        self, runs: CapabilityRun | Iterable[CapabilityRun], *, provenance: Provenance | None = None
    ) -> list[WriteReceipt]:
        """Store one run or several, each atomically, in order; a receipt for each."""
        ...

    def write_with_receipt(self, run: CapabilityRun, *, provenance: Provenance | None = None) -> WriteReceipt:
        """Store one run.

        Raises:
            RecordError: The records cannot be stored as they are; nothing was written.
            StoreError: The store refused or could not be reached.
        """
        ...

    def get_run_uri(self, run_uid: str) -> str | None:
        """What a reader can open for the run's rows; None when the store does not hold the run."""
        ...

    def list_tables(self) -> list[str]:
        """Names of the tables that hold rows, ``runs`` included, sorted."""
        ...

    def describe_table(self, name: str) -> TableDescription:
        """Columns and size of a table.

        Raises:
            StoreNotFoundError: There is no such table.
        """
        ...

    def read_table(
        self,
        name: str,
        *,
        columns: Sequence[str] | None = None,
        run_uids: Sequence[str] | None = None,
        limit: int | None = None,
    ) -> Any:
        """Rows of committed runs as a ``pyarrow.Table``.

        Raises:
            StoreNotFoundError: There is no such table, or no such column.
        """
        ...

    def query_sql(self, sql: str) -> Any:
        """The result of one read-only SELECT over the tables, as a ``pyarrow.Table``.

        Raises:
            QueryError: The text is not one SELECT, or the engine refused it.
        """
        ...


@runtime_checkable
class KeepsRevisions(Protocol):
    """A store that can keep a second result of a run, and that keeps each result whole: rows, report and outputs.

    Promises beside those of `AnalyticsStore`:

    - Results of a run are numbered from 1. Of two writers of the same number one wins, whole.
    - ``read_table`` and ``query_sql`` show the newest result of each run, the table ``runs`` included. Both take
      ``revision=``: a number shows the results of that number, ``"all"`` every one, with a column ``revision``.
    - The table ``runs`` has that column always.
    - Two attempts of one execution, which is what ``run_event_id`` of their provenance names, never store two results.

    In a store that is no such thing the first result of a run is the only one, and a job that was to supersede it fails
    with a `StoreConflictError`.
    """

    def write_with_receipt(
        self,
        run: CapabilityRun,
        *,
        provenance: Provenance | None = None,
        report: Report | None = None,
        supersede: bool = False,
    ) -> WriteReceipt:
        """Store one run with its report and the run's own ``outputs_uri``.

        Args:
            run: The run.
            provenance: Who ran it.
            report: Kept with the rows. An artifact is elsewhere already.
            supersede: When the store holds a result of the run, store this one as the next revision. Left out, the
                result that is there stays the only one, and the receipt names the newest.

        Raises:
            RecordError: The records cannot be stored as they are; nothing was written.
            StoreError: The store refused or could not be reached.
        """
        ...

    def find_run(
        self, run_uid: str, *, revision: int | None = None, run_event_id: str | None = None
    ) -> StoredRun | None:
        """The newest result of a run; None when the store does not hold it.

        Args:
            run_uid: The run.
            revision: This result instead.
            run_event_id: The result of this execution instead, if it has stored one.
        """
        ...


@runtime_checkable
class KeepsHistory(Protocol):
    """A store that can be asked what it held at an earlier moment.

    ``list_tables``, ``describe_table``, ``read_table`` and ``query_sql`` take ``as_of=``: the name of a tag, or an
    aware datetime. Promises beside those of `AnalyticsStore`:

    - The same question as of the same tag has the same answer for ever: rows, columns and their types, and in
      ``read_table`` the order of rows, whatever is written, compacted or vacuumed later.
    - As of an instant the store shows the results that were stored until then; the answer is final once every write
      that had begun by then is over.
    - A moment that the store can no longer show whole is a `StoreHistoryError`, a tag that is not there a
      `StoreNotFoundError`, and a naive datetime or one in the future a `QueryError`.
    - Maintenance keeps what a tag needs, until the tag is deleted.
    """

    def tag(self, name: str) -> Tag:
        """Give what the store holds now a name. Writers and maintenance may go on meanwhile: runs are in it whole.

        Raises:
            ArgumentError: It cannot be a name: 1 to 100 letters, digits, ``.``, ``_`` and ``-``, the first one a
                letter or digit, which are no date.
            StoreConflictError: There is such a tag already.
        """
        ...

    def tags(self) -> list[Tag]:
        """The tags, oldest first."""
        ...

    def delete_tag(self, name: str) -> None:
        """Forget a tag; what it named stays or goes as if it had never been.

        Raises:
            StoreNotFoundError: There is no such tag.
        """
        ...


@runtime_checkable
class KeepsArtifacts(Protocol):
    """A store that can also keep documents, such as a report too large for a run ref."""

    def put_artifact(self, name: str, content: bytes) -> str:
        """Keep `content` under `name` and return its URI. The first write of a name wins.

        A report's name is ``<run_uid>/<attempt>/<file name>``. Where the attempt turns out not to be the one that
        counts, the worker calls ``delete_artifact(name)``, which a store may have too.
        """
        ...


@runtime_checkable
class HasMaintenance(Protocol):
    """A store that wants something done from time to time so that it stays quick, beside the jobs that write to it."""

    def maintain(self) -> None:
        """Do what has become worth doing; return soon when nothing has.

        A backend calls it on a worker after so many jobs, in a process of its own, which may be killed at any point.
        Any number may do so at once, beside writers and readers. It changes no answer, and takes no more memory than a
        small job.

        Raises:
            StoreError: The store refused or could not be reached; nothing is lost by that.
        """
        ...


@runtime_checkable
class HasProbe(Protocol):
    """A store that can say beforehand whether a run could be written to it."""

    def probe(self) -> None:
        """See that this process can write to the store and read from it.

        Asked once by every worker process, before it runs anything, and when a backend is configured. It costs a few
        requests, lists nothing, leaves at most one and the same object behind, and any number may probe at once.

        Raises:
            StoreError: It cannot; the kind and the text say what to mend.
        """
        ...
