"""The promises that the parts make to each other. All of them are structural: nothing need inherit.

`Job` and `JobBackend` are what a backend gives to users, `AnalyticsStore` what a store gives to workers and
notebooks, `Capability` and `CapabilityRun` what users bring. `checkmaite.jobs.testing` holds the suites that check
the first three.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from attrs import frozen
from checkmaite.jobs._shared.status import JobStatus

if TYPE_CHECKING:
    from concurrent.futures import Future

    from checkmaite.jobs._shared.listing import JobQuery
    from checkmaite.jobs._shared.provenance import Provenance
    from checkmaite.jobs._shared.receipt import WriteReceipt
    from checkmaite.jobs._shared.refs import CapabilityRunRef, Report
    from checkmaite.jobs._shared.reuse import Reuse
    from checkmaite.jobs._shared.stored import StoredRun
    from checkmaite.jobs._submitters.preparing import PreparedSubmission


@runtime_checkable
class Capability(Protocol):
    """A test that can be run on models and datasets."""

    @property
    def id(self) -> str:
        """Stable identity of the capability, part of every run key."""
        ...

    def run(
        self,
        *,
        models: Any = None,
        datasets: Any = None,
        metrics: Any = None,
        config: Any = None,
        use_cache: bool = False,
    ) -> CapabilityRun:
        """Do the work and return the run. Workers always pass ``use_cache=False``."""
        ...


class CapabilityRun(Protocol):
    """What `Capability.run` returns.

    It may also have ``collect_md_report(threshold)``, whose NotImplementedError means that there is no report, and
    ``outputs_uri``.
    """

    @property
    def run_uid(self) -> str:
        """Identity of the run; the same inputs give the same uid."""
        ...

    @property
    def capability_id(self) -> str:
        """The capability that ran."""
        ...

    @property
    def dataset_metadata(self) -> Sequence[Mapping[str, Any]]:
        """One mapping with an ``"id"`` for each dataset."""
        ...

    @property
    def model_metadata(self) -> Sequence[Mapping[str, Any]]:
        """One mapping with an ``"id"`` for each model."""
        ...

    @property
    def metric_metadata(self) -> Sequence[Mapping[str, Any]]:
        """One mapping with an ``"id"`` for each metric."""
        ...

    def extract(self) -> Iterable[Any]:
        """The run's flat records; see `checkmaite.jobs.Record`."""
        ...


@frozen(kw_only=True)
class JobProgress:
    """How far a running job is, in its own words.

    Attributes:
        done: Units finished so far.
        total: Units in all; None when the job does not know.
        message: What it is doing.
        reported_at: When the job said so (UTC).
    """

    done: float
    total: float | None = None
    message: str = ""
    reported_at: datetime | None = None

    @property
    def fraction(self) -> float | None:
        """Share finished, 0 to 1; None when the total is unknown or 0."""
        return min(1.0, self.done / self.total) if self.total else None


@frozen(kw_only=True)
class SchedulingInfo:
    """How a job found a worker.

    Attributes:
        submitted_at: When it was accepted (UTC), `created_at` of the job: by the clock of whoever accepted it, which is
            the registry with "ray". (`Provenance.submitted_at` is when it was handed in, by the submitter's clock.)
        started_at: When its last start was, by the worker's clock; None while none is known.
        wait_s: Seconds from the one to the other; so far, while it waits.
        node: Host of the last start; on Kubernetes that is the name of the pod.
        pid: Process of the last start there.
    """

    submitted_at: datetime
    started_at: datetime | None = None
    wait_s: float
    node: str | None = None
    pid: int | None = None


@runtime_checkable
class Job(Protocol):
    """A handle on one submitted run. Cheap, thread-safe, and never the job itself: dropping it stops nothing.

    Promises of every backend:

    - `status` moves forward only, and a final status never changes again.
    - COMPLETED is reported after the results are durable, CANCELLED after the work has stopped.
    - An error of the run is never swallowed: `result` raises it, `exception` returns it.
    - It pickles as a reference: unpickled, it is the handle that the active backend has for the job. Without a backend
      that is a `NotConfiguredError`, with one that does not know the job a `JobNotFoundError`.
    """

    @property
    def job_id(self) -> str: ...
    @property
    def job_name(self) -> str: ...
    @property
    def created_at(self) -> datetime: ...
    @property
    def status(self) -> JobStatus: ...
    @property
    def progress(self) -> JobProgress | None: ...
    @property
    def scheduling_info(self) -> SchedulingInfo: ...
    @property
    def reuse(self) -> Reuse:
        """Whether the run is made (RUN), a result that is there stands for it (REUSED), or it replaces one (STALE)."""
        ...

    def wait(self, timeout: float | None = None) -> JobStatus:
        """Block until the job is final or `timeout` seconds have passed; return the status then."""
        ...

    def result(self, timeout: float | None = None) -> CapabilityRunRef:
        """Block until the job is final and return its run ref.

        Raises:
            JobTimeoutError: `timeout` seconds passed first; the job goes on.
            JobFailedError: The job failed.
            JobCancelledError: The job was cancelled.
        """
        ...

    def exception(self, timeout: float | None = None) -> Exception | None:
        """Block until the job is final and return what `result` would raise; None when it completed.

        Raises:
            JobTimeoutError: `timeout` seconds passed first.
        """
        ...

    def cancel(self, grace: float = ...) -> bool:
        """Ask the job to stop: cooperatively first, by force after `grace` seconds.

        Returns at once. True means that the job will end CANCELLED; False that it was final already.
        """
        ...

    def add_done_callback(self, callback: Callable[[Job], object]) -> None:
        """Call `callback(job)` once the job is final, at once when it is already."""
        ...

    def future(self) -> Future[CapabilityRunRef]:
        """A `concurrent.futures.Future` of `result`. Cancelling the future does not cancel the job."""
        ...

    def __await__(self) -> Generator[Any, None, CapabilityRunRef]: ...

    def explain(self) -> str:
        """Why the job is where it is, in words."""
        ...

    def logs(self) -> str:
        """What the job has printed so far, stdout and stderr together."""
        ...


@runtime_checkable
class JobBackend(Protocol):
    """Where and how jobs run.

    A backend class found by entry point also has ``config_type``, an attrs class of its options, and is called as
    ``Backend(config, context)``; see `checkmaite.jobs.spi`.
    """

    @property
    def name(self) -> str:
        """The kind it is configured by, for example ``"ray"``."""
        ...

    @property
    def analytics_store(self) -> AnalyticsStore:
        """The store that jobs write to, opened in this process."""
        ...

    def submit(self, submissions: Sequence[PreparedSubmission]) -> list[Job]:
        """Accept all of them or none, and return a job for each, in order, without waiting for any."""
        ...

    def get_job(self, job_id: str) -> Job:
        """The job with this id.

        Raises:
            JobNotFoundError: Nobody knows it.
        """
        ...

    def list_jobs(self, query: JobQuery) -> list[Job]:
        """The jobs that match, newest first."""
        ...

    def hand_over(self) -> None:
        """Another backend becomes active: accept nothing more, lose nothing, wait for nothing.

        Handles given out before keep working until their jobs are final.
        """
        ...

    def shutdown(self, *, wait: bool = True) -> None:
        """Stop. With `wait`, only after every job that this process keeps alive is final.

        Without, cancel those that cannot go on: what runs them ends now, or nobody would hear of them.
        """
        ...


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
class PlansReuse(Protocol):
    """A job backend that knows earlier jobs, so that it can say beforehand which of them stands for a submission.

    Of a backend that cannot, only what the analytics store holds is known beforehand.
    """

    def plan(self, submissions: Sequence[PreparedSubmission]) -> Sequence[Reuse | None]:
        """What `submit` would decide about each; None where no job of its run is known. Nothing is changed."""
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
