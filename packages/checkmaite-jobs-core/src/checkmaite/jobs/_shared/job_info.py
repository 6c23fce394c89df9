"""What is known of a job, as a value: the facts that a page, a table or a script shows, from one place."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any

from attrs import field, frozen
from checkmaite.jobs._shared.job_protocols import JobProgress
from checkmaite.jobs._shared.kinds import FailureKind, PendingReason
from checkmaite.jobs._shared.resources import Resources
from checkmaite.jobs._shared.reuse import RUN, Reuse
from checkmaite.jobs._shared.status import JobStatus

if TYPE_CHECKING:
    from checkmaite.jobs._shared.news import Started


@frozen(kw_only=True)
class Used:
    """What a job's worker process has used at most.

    Attributes:
        memory_bytes: Resident memory of the process, not of processes that the job started; None where the system does
            not count it for each job.
        gpu_memory_bytes: What PyTorch has reserved on all GPUs together; None where it was not used there.
    """

    memory_bytes: int | None = None
    gpu_memory_bytes: int | None = None

    def __reduce__(self) -> tuple[Any, ...]:
        return _used, (self.memory_bytes, self.gpu_memory_bytes)


def _used(memory_bytes: int | None, gpu_memory_bytes: int | None) -> Used:
    return Used(memory_bytes=memory_bytes, gpu_memory_bytes=gpu_memory_bytes)


@frozen(kw_only=True)
class JobAttempt:
    """One start of a job.

    Attributes:
        number: 1 for the first.
        started_at: When its worker began, by that worker's clock; None where none has told.
        node: Host of the worker.
        pid: Process of the worker there.
        ended_at: When it ended; None while it has not, and where nobody has noted it.
        end: How it ended: the job's final status, or how the start was lost; empty while it has not.
    """

    number: int
    started_at: datetime | None = None
    node: str | None = None
    pid: int | None = None
    ended_at: datetime | None = None
    end: str = ""

    @classmethod
    def of(cls, number: int, started: Started | None, *, ended_at: datetime | None = None, end: str = "") -> JobAttempt:
        """An attempt, by what its worker has said of itself."""
        if started is None:
            return cls(number=number, ended_at=ended_at, end=end)
        return cls(number=number, started_at=started.at, node=started.node, pid=started.pid, ended_at=ended_at, end=end)


@frozen(kw_only=True)
class JobInfo:
    """All facts of one job at one instant. None is what is not known: not yet, or not by this kind of backend.

    Attributes:
        job_id: Identity.
        job_name: The name for people.
        capability_id: What the job runs.
        status: What is known of it now.
        scope: The ``idempotency_scope`` that it is in; None where the backend has none.
        submitted_by: Who submitted it: ``user_id`` of the provenance, else ``user@host``.
        tags: What it was submitted with as ``tags=``.
        created_at: When it was accepted (UTC), by the clock of whoever accepted it.
        queued_at: When its last start was handed to what starts it: Ray, or the thread pool of "inline".
        started_at: When its last start began, by the worker's clock.
        finished_at: When its worker was done, else when it became final.
        node: Host of the last start.
        pid: Process of the last start there.
        attempts: Every start, the present or last one included; on "ray" of many lost ones the first and the newest.
        resources: What it asks for, defaults filled in. None of jobs that another version's registry tells of.
        progress: What it said last through `report_progress`.
        peak_memory_bytes: Resident memory that its worker had at most; see `Used`. Known at the end, on Linux. None on
            "inline", whose jobs share a process, and of workers that died.
        peak_gpu_memory_bytes: GPU memory that PyTorch reserved for it at most; likewise.
        pending_reason: What it waits for, while it has not started.
        reuse: Whether its run is made (RUN), was there already (REUSED), or replaces another result (STALE).
        failure_kind: What ended it when it did not complete.
        error_type: Class of the error of a failed job.
        error_message: Its text.
        traceback_text: Its traceback, empty when there is none.
    """

    job_id: str
    job_name: str
    capability_id: str
    status: JobStatus
    scope: str | None = None
    submitted_by: str | None = None
    tags: Mapping[str, str] = field(factory=dict)
    created_at: datetime
    queued_at: datetime | None = None
    started_at: datetime | None = None
    finished_at: datetime | None = None
    node: str | None = None
    pid: int | None = None
    attempts: tuple[JobAttempt, ...] = ()
    resources: Resources | None = None
    progress: JobProgress | None = None
    peak_memory_bytes: int | None = None
    peak_gpu_memory_bytes: int | None = None
    pending_reason: PendingReason | None = None
    reuse: Reuse = RUN
    failure_kind: FailureKind | None = None
    error_type: str | None = None
    error_message: str | None = None
    traceback_text: str = ""

    def ran_s(self, now: datetime) -> float | None:
        """Seconds that the last start has run, without its time in the queue; None where it has not begun."""
        until = self.finished_at if self.status.is_final else now
        if self.started_at is None or until is None:
            return None
        return max(0.0, (until - self.started_at).total_seconds())
