"""What a handle knows of its job, as a `JobInfo`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from checkmaite.jobs._shared.job_info import JobAttempt, JobInfo
from checkmaite.jobs._shared.kinds import PendingReason
from checkmaite.jobs._shared.outcome import Failed, kind_of

if TYPE_CHECKING:
    from checkmaite.jobs._submitters.handle import JobHandle


def info_of(job: JobHandle, pending_reason: PendingReason | None = None) -> JobInfo:
    """The facts that a handle has.

    Args:
        job: The handle.
        pending_reason: What the backend says that the job waits for.
    """
    outcome, started = job.outcome, job.started
    failed, used = outcome if isinstance(outcome, Failed) else None, job.used
    return JobInfo(
        job_id=job.job_id,
        job_name=job.job_name,
        capability_id=job.capability_id,
        status=job.status,
        scope=job.scope,
        submitted_by=job.submitted_by,
        tags=job.tags,
        created_at=job.created_at,
        queued_at=job.queued_at,
        started_at=started.at if started else None,
        finished_at=job.finished_at,
        node=started.node if started else None,
        pid=started.pid if started else None,
        attempts=job.past_attempts + _present(job),
        resources=job.resources,
        progress=job.progress,
        peak_memory_bytes=used.memory_bytes if used else None,
        peak_gpu_memory_bytes=used.gpu_memory_bytes if used else None,
        pending_reason=pending_reason,
        reuse=job.reuse,
        failure_kind=kind_of(outcome) if outcome else None,
        error_type=failed.error_type if failed else None,
        error_message=failed.error_message if failed else None,
        traceback_text=failed.traceback_text if failed else "",
    )


def _present(job: JobHandle) -> tuple[JobAttempt, ...]:
    """The attempt under way, or the last one; none before the first, and while the next one is not given out."""
    number, begun = job.attempt
    past = job.past_attempts
    if number <= (past[-1].number if past else 0):
        return ()
    end = str(job.status) if job.outcome else ""
    return (JobAttempt.of(number, job.started if begun else None, ended_at=job.finished_at, end=end),)
