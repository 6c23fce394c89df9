"""Makes the events that hooks are told of what is known of a job."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from attrs import evolve
from checkmaite.jobs._shared.hooks import JobEvent, JobEventKind
from checkmaite.jobs._shared.job_info import JobAttempt
from checkmaite.jobs._shared.news import Started
from checkmaite.jobs._shared.outcome import Completed, Failed, Outcome, kind_of
from checkmaite.jobs._shared.status import JobStatus
from checkmaite.jobs._shared.trace_context import TraceContext


def job_event(
    kind: JobEventKind,
    *,
    job_id: str,
    created_at: datetime,
    status: JobStatus,
    attempt: int = 0,
    started: Started | None = None,
    finished_at: datetime | None = None,
    outcome: Outcome | None = None,
    lost_attempts: Iterable[JobAttempt] = (),
    trace: TraceContext | None = None,
    **labels: Any,
) -> JobEvent:
    """What happened to a job.

    Args:
        kind: What it was.
        job_id: See `JobEvent`; so are those that are not named here.
        created_at: Likewise.
        status: Likewise.
        attempt: Number of the present or last start.
        started: What its worker has said of itself.
        finished_at: When it ended.
        outcome: How.
        lost_attempts: Starts before the last one. How they were lost is not told: that may quote what the job printed.
        trace: What it was submitted in.
        **labels: Attributes of `JobEvent` that say which job it is.
    """
    began_at = started.at if started else None
    moments = {JobEventKind.SUBMITTED: created_at, JobEventKind.STARTED: began_at, JobEventKind.FINISHED: finished_at}
    name = f"{job_id}.{kind}.{attempt}" if kind is JobEventKind.STARTED else f"{job_id}.{kind}"
    return JobEvent(
        kind=kind,
        event_id=name,
        at=moments[kind] or created_at,
        job_id=job_id,
        created_at=created_at,
        status=status,
        attempt=attempt,
        node=started.node if started else None,
        started_at=began_at,
        finished_at=finished_at,
        lost_attempts=tuple(evolve(each, end="") for each in lost_attempts),
        trace=trace and trace._replace(baggage=""),
        **_ending(outcome),
        **labels,
    )


def idle_event(last: JobEvent) -> JobEvent:
    """That no job is left, of the event that the last one has finished."""
    kind = JobEventKind.SCOPE_IDLE
    return JobEvent(kind=kind, event_id=f"{last.job_id}.{kind}", at=last.at, backend=last.backend, scope=last.scope)


def _ending(outcome: Outcome | None) -> Mapping[str, Any]:
    match outcome:
        case None:
            return {}
        case Completed(ref=ref, reuse=reuse):
            reused = {"reuse": reuse.kind, "reused_job_id": reuse.job_id}
            return {"run_uid": ref.run_uid, "revision": ref.revision, **reused}
        case Failed(error_type=error_type):
            return {"failure": outcome.kind, "error_type": error_type}
        case _:
            return {"failure": kind_of(outcome)}
