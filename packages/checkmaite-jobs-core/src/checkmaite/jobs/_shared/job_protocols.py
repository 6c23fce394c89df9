"""What a backend gives to users, and what it promises. Nothing need inherit.

`checkmaite.jobs.testing` holds the suite that checks it.
"""

from __future__ import annotations

from abc import ABCMeta
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from datetime import datetime
from functools import cache
from inspect import getattr_static
from typing import TYPE_CHECKING, Any, Protocol, _ProtocolMeta, runtime_checkable

from attrs import frozen
from checkmaite.jobs._shared.status import JobStatus

if TYPE_CHECKING:
    from concurrent.futures import Future

    from checkmaite.jobs._shared.job_info import JobInfo
    from checkmaite.jobs._shared.refs import CapabilityRunRef
    from checkmaite.jobs._shared.resources import Resources
    from checkmaite.jobs._shared.reuse import Reuse
    from checkmaite.jobs._shared.run_table import RunTable
    from checkmaite.jobs._shared.store_protocols import AnalyticsStore
    from checkmaite.jobs._submitters.listing import JobQuery
    from checkmaite.jobs._submitters.preparing import PreparedSubmission


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
        created_at: When it was accepted (UTC), as `created_at` of the job: by the clock of whoever accepted it, with
            "ray" the registry. (`Provenance.submitted_at` is when it was handed in, by the submitter's clock.)
        started_at: When its last start was, by the worker's clock; None while none is known.
        wait_s: Seconds from the one to the other; so far, while it waits.
        node: Host of the last start; on Kubernetes that is the name of the pod.
        pid: Process of the last start there.
    """

    created_at: datetime
    started_at: datetime | None = None
    wait_s: float
    node: str | None = None
    pid: int | None = None

    @property
    def submitted_at(self) -> datetime:
        """`created_at`, as CheckMAITE 0.6.1 and the first versions of this package called it."""
        return self.created_at


_ABSENT = object()


class _EvaluatesNothing(_ProtocolMeta):
    """`isinstance` looks for members. Before Python 3.12 it evaluated them, and `info` asks a registry."""

    def __instancecheck__(cls, instance: Any) -> bool:  # noqa: N805 - the class of a class
        if cls is not Job:
            return super().__instancecheck__(instance)
        is_named = ABCMeta.__instancecheck__(cls, instance)  # its class says that it is one
        return is_named or all(getattr_static(instance, name, _ABSENT) is not _ABSENT for name in _members_of_a_job())


@cache
def _members_of_a_job() -> list[str]:
    return [name for name in vars(Job) if name[0] != "_" or name == "__await__"]


@runtime_checkable
class Job(Protocol, metaclass=_EvaluatesNothing):
    """A handle on one submitted run. Cheap, thread-safe, and never the job itself: dropping it stops nothing.

    Promises of every backend:

    - `status` moves forward, and a final status never changes again. Only of a job whose worker has died, and that is
      started again, it goes back to PENDING or SCHEDULING: RUNNING means that a worker has it.
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
    def info(self) -> JobInfo:
        """All facts of the job as they are now, as a value; what the backend cannot know is None."""
        ...

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

    def rerun(
        self,
        *,
        job_name: str | None = None,
        resources: Resources | Mapping[str, Any] | None = None,
        tags: Mapping[str, str] | None = None,
        **options: Any,
    ) -> Job:
        """Submit the job's run once more; returns the new job.

        The process that submitted it can; any other, where the backend keeps what jobs were given. Resources that a
        mapping does not name stay as they were.

        Raises:
            JobSubmissionError: The job is not final, or nobody can submit the same once more.
        """
        ...

    def table(self, name: str | None = None) -> RunTable:
        """The rows of the job's result; waits for it.

        Raises:
            JobFailedError: The job failed.
            JobCancelledError: The job was cancelled.
            LookupError: There are no such rows, or rows in several tables, and none is named.
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

    def follow_logs(self) -> Iterator[str]:
        """The lines that the job prints, without their ends, as they come, until it is final."""
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
class ResourceUse:
    """How much of one resource of a cluster is reserved by what runs.

    Attributes:
        name: As the cluster calls it: ``CPU``, ``GPU``, ``memory`` (bytes).
        used: How much is reserved.
        total: How much there is.
    """

    name: str
    used: float
    total: float


@runtime_checkable
class TellsOccupancy(Protocol):
    """A job backend that knows how full its cluster is."""

    def occupancy(self) -> Sequence[ResourceUse]:
        """What there is now, and how much of it is reserved.

        Raises:
            JobsError: Nobody answers.
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
