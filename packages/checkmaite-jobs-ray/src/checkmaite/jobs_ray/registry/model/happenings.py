"""What hooks are told of the registry's events."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

from checkmaite.jobs import JobAttempt, JobStatus, ReuseKind
from checkmaite.jobs.spi import (
    Completed,
    JobEvent,
    JobEventKind,
    Started,
    TraceContext,
    idle_event,
    job_event,
    job_span,
    labels_of,
)
from checkmaite.jobs_ray.registry.model.events import Ended, Event, Submitted, WorkerStarted
from checkmaite.jobs_ray.registry.model.job_table import JobTable
from checkmaite.jobs_ray.registry.model.record import Final, JobRecord
from checkmaite.jobs_ray.wire import PastAttempt

_LIVE = JobStatus.PENDING, JobStatus.SCHEDULING, JobStatus.RUNNING


def happenings(events: Iterable[Event], table: JobTable) -> list[JobEvent]:
    """What has happened to jobs and scopes, in order.

    Args:
        events: Those that the table has just been changed by.
        table: As it is now.
    """
    told: list[JobEvent] = []
    ended: dict[str, JobEvent] = {}
    for event in events:
        if not isinstance(event, Submitted | WorkerStarted | Ended) or event.job_id not in table.records:
            continue
        record = table.records[event.job_id]
        if isinstance(event, Submitted):
            told.append(_event(JobEventKind.SUBMITTED, record, JobStatus.PENDING))
            continue
        if event.started is not None:  # the end of a short job says that it was begun
            told.append(_begun(record, event.started))
        if isinstance(event, Ended) and isinstance(record.state, Final):
            told.append(_finished(record, record.state, table))
            ended[record.spec.scope] = told[-1]
    return told + [idle_event(last) for scope, last in ended.items() if _is_idle(table, scope)]


def _begun(record: JobRecord, started: Started) -> JobEvent:
    return _event(JobEventKind.STARTED, record, JobStatus.RUNNING, attempt=record.attempt, started=started)


def _finished(record: JobRecord, end: Final, table: JobTable) -> JobEvent:
    return _event(
        JobEventKind.FINISHED,
        record,
        record.status,
        attempt=record.attempt,
        started=end.started,
        finished_at=_instant(end.at),
        outcome=end.outcome,
        lost_attempts=map(_lost, record.past),
        reused_span=_reused_span(end, table),
    )


def _lost(past: PastAttempt) -> JobAttempt:
    ended_at = None if past.ended_at is None else _instant(past.ended_at)
    return JobAttempt.of(past.number, past.started, ended_at=ended_at)


def _reused_span(end: Final, table: JobTable) -> TraceContext | None:
    """The span of the job whose result stands for another's own, if it is listed."""
    outcome = end.outcome
    if not isinstance(outcome, Completed) or outcome.reuse.kind is not ReuseKind.REUSED:
        return None
    origin = table.records.get(outcome.reuse.job_id or "")
    return job_span(origin.spec.job_id, origin.spec.trace) if origin is not None else None


def _event(kind: JobEventKind, record: JobRecord, status: JobStatus, **known: Any) -> JobEvent:
    spec = record.spec
    labels = {**labels_of(spec), "tags": dict(spec.tags), "backend": "ray", "scope": spec.scope, "trace": spec.trace}
    created_at = _instant(record.created_at)
    return job_event(kind, job_id=spec.job_id, created_at=created_at, status=status, **labels, **known)


def _is_idle(table: JobTable, scope: str) -> bool:
    index = table.scopes.get(scope)
    return index is None or not any(map(index.count, _LIVE))


def _instant(at: float) -> datetime:
    return datetime.fromtimestamp(at, UTC)
