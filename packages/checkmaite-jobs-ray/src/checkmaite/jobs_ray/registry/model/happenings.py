"""What hooks are told of the registry's events."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

from checkmaite.jobs import JobStatus
from checkmaite.jobs.spi import JobEvent, JobEventKind, Started, idle_event, job_event, labels_of
from checkmaite.jobs_ray.registry.model.events import Ended, Event, Submitted, WorkerStarted
from checkmaite.jobs_ray.registry.model.job_table import JobTable
from checkmaite.jobs_ray.registry.model.record import Final, JobRecord

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
            told.append(_finished(record, record.state))
            ended[record.spec.scope] = told[-1]
    return told + [idle_event(last) for scope, last in ended.items() if _is_idle(table, scope)]


def _begun(record: JobRecord, started: Started) -> JobEvent:
    return _event(JobEventKind.STARTED, record, JobStatus.RUNNING, attempt=record.attempt, started=started)


def _finished(record: JobRecord, end: Final) -> JobEvent:
    return _event(
        JobEventKind.FINISHED,
        record,
        record.status,
        attempt=record.attempt,
        started=end.started,
        finished_at=_instant(end.at),
        outcome=end.outcome,
    )


def _event(kind: JobEventKind, record: JobRecord, status: JobStatus, **known: Any) -> JobEvent:
    spec = record.spec
    labels = {**labels_of(spec), "tags": dict(spec.tags), "backend": "ray", "scope": spec.scope}
    created_at = _instant(record.created_at)
    return job_event(kind, job_id=spec.job_id, created_at=created_at, status=status, **labels, **known)


def _is_idle(table: JobTable, scope: str) -> bool:
    index = table.scopes.get(scope)
    return index is None or not any(map(index.count, _LIVE))


def _instant(at: float) -> datetime:
    return datetime.fromtimestamp(at, UTC)
