"""What ``--json`` prints. The names and meanings of fields are a promise; fields may be added."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import Any

import attrs
from attrs import field, frozen
from checkmaite.jobs import Job, JobInfo, JobStatus


@frozen(kw_only=True)
class JobSummary:
    """One job. Unknown is null; every field is always there.

    Attributes:
        job_id: Identity.
        job_name: Name for people.
        capability_id: What it runs.
        status: One of the six of `JobStatus`.
        submitted_at: UTC.
        started_at: When its last start was.
        finished_at: When it became final.
        node: Where it runs or ran last.
        attempts: How often it was started.
        progress: Share done, 0 to 1.
        submitted_by: Who submitted it.
        failure_kind: What ended it, by name, when it did not complete; a `FailureKind`.
        error_type: Class of the error of a failed job.
        error_message: Its text.
        run_uid: The run whose result it has.
        revision: Which result of that run.
        store_uri: What to open for its rows.
        commit_uri: The object that made the run visible.
        reuse: RUN, REUSED or STALE, with what is known of it.
        tags: What it was submitted with.
        queued_at: When its last start was handed to Ray.
        peak_memory_bytes: Resident memory of its worker at most, once it has ended.
        peak_gpu_memory_bytes: GPU memory that PyTorch reserved in it at most, likewise.
        scope: The ``idempotency_scope`` that it is in.
    """

    job_id: str
    job_name: str
    capability_id: str
    status: JobStatus
    submitted_at: datetime | None = None
    started_at: datetime | None = None
    finished_at: datetime | None = None
    node: str | None = None
    attempts: int | None = None
    progress: float | None = None
    submitted_by: str | None = None
    failure_kind: str | None = None
    error_type: str | None = None
    error_message: str | None = None
    run_uid: str | None = None
    revision: int | None = None
    store_uri: str | None = None
    commit_uri: str | None = None
    reuse: str | None = None
    tags: Mapping[str, str] = field(factory=dict)
    queued_at: datetime | None = None
    peak_memory_bytes: int | None = None
    peak_gpu_memory_bytes: int | None = None
    scope: str | None = None

    @classmethod
    def of_row(cls, row: Mapping[str, Any]) -> JobSummary:
        """From a row of `read_job_history`."""
        known = {field.name for field in attrs.fields(cls)}
        found = {name: row[name] for name in row if name in known}
        return cls(**{**found, "status": JobStatus(row["status"]), "tags": dict(row.get("tags") or ())})

    @classmethod
    def of_job(cls, job: Job) -> JobSummary:
        """From a handle."""
        ref = job.result(0) if job.status is JobStatus.COMPLETED else None
        info: JobInfo = getattr(job, "known", None) or job.info
        return cls(
            job_id=info.job_id,
            job_name=info.job_name,
            capability_id=info.capability_id,
            status=info.status,
            submitted_at=info.created_at,
            started_at=info.started_at,
            finished_at=info.finished_at,
            node=info.node,
            attempts=info.attempts[-1].number if info.attempts else 0,
            progress=info.progress.fraction if info.progress is not None else None,
            submitted_by=info.submitted_by,
            failure_kind=str(info.failure_kind) if info.failure_kind else None,
            error_type=info.error_type,
            error_message=info.error_message,
            run_uid=ref.run_uid if ref else None,
            revision=ref.revision if ref else None,
            store_uri=ref.store_uri if ref else None,
            commit_uri=ref.commit_uri if ref else None,
            reuse=str(info.reuse),
            tags=info.tags,
            queued_at=info.queued_at,
            peak_memory_bytes=info.peak_memory_bytes,
            peak_gpu_memory_bytes=info.peak_gpu_memory_bytes,
            scope=info.scope,
        )

    def took_s(self, now: datetime) -> float | None:
        """Seconds that it has run, without its time in the queue; None where it has not started."""
        if self.started_at is None:
            return None
        until = self.finished_at if self.status.is_final else now
        return None if until is None else max(0.0, (until - self.started_at).total_seconds())


def json_line(record: Any) -> str:
    """A record as one line of JSON, in RFC 8259: what it has no number for is null."""
    if attrs.has(type(record)):
        record = attrs.asdict(record)
    return json.dumps(plain(record), ensure_ascii=False, allow_nan=False)


def plain(value: Any) -> Any:
    """A value as JSON has it: what it has no number for is null, and what it has no word for is text."""
    match value:
        case Mapping():
            return {str(name): plain(own) for name, own in value.items()}
        case list() | tuple() | set() | frozenset():
            return [plain(each) for each in value]
        case datetime():
            return (value.astimezone(UTC) if value.tzinfo else value).isoformat()
        case date() | time():
            return value.isoformat()
        case float():
            return value if math.isfinite(value) else None
        case Decimal():
            return _number(value)
        case None | bool() | int() | str():
            return value
        case bytes():
            return value.hex()
        case _:
            return str(value)


def _number(value: Decimal) -> int | float | str:
    """A number where it loses nothing, else its digits."""
    if not value.is_finite():
        return str(value)
    whole = int(value)
    if whole == value:
        return whole
    return float(value) if Decimal(repr(float(value))) == value else str(value)
