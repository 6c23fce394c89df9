"""What the page shows, as plain values of JSON. Pure: server and report have it from here."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import attrs
from attrs import frozen
from checkmaite.jobs import FailureKind, JobAttempt, JobProgress, JobStatus, PendingReason
from checkmaite.jobs_cli.spi import JobSummary, plain

_MESSAGE_CHARACTERS = 300
"""Of an error's text, in the table of jobs."""
_NOT_IN_ROWS = frozenset(
    {"store_uri", "commit_uri", "revision", "peak_memory_bytes", "peak_gpu_memory_bytes", "queued_at"}
)
_COLUMNS = tuple(field.name for field in attrs.fields(JobSummary) if field.name not in _NOT_IN_ROWS)
_PLAIN = frozenset({str, int})


@frozen(kw_only=True)
class Failure:
    """What is known of an end that is no completion beyond the job's summary."""

    traceback_text: str = ""
    phase: str | None = None
    exit_cause: str | None = None


@frozen(kw_only=True)
class JobDetail:
    """All that a source knows of one job.

    Attributes:
        summary: As in the table.
        failure: See there.
        progress: What it said last.
        explanation: Why it is where it is, in words; empty when nobody can say.
        attempts: Its starts, the first first.
        pending_reason: What it waits for.
        asked: Resources that it reserves, by name.
        used: What it was seen to take, by name.
        fingerprints: JSON of what it stands on.
        log: What it has printed; None when that is not kept.
    """

    summary: JobSummary
    failure: Failure = Failure()
    progress: JobProgress | None = None
    explanation: str = ""
    attempts: tuple[JobAttempt, ...] = ()
    pending_reason: PendingReason | None = None
    asked: Mapping[str, Any] = attrs.field(factory=dict)
    used: Mapping[str, Any] = attrs.field(factory=dict)
    fingerprints: str | None = None
    log: str | None = None


def row_of(summary: JobSummary) -> dict[str, Any]:
    """A job for the table: what is unknown, or shown on its page alone, is left out, and a long message is cut."""
    row = _known({name: getattr(summary, name) for name in _COLUMNS})  # ten thousand at once: no walk through classes
    message = row.get("error_message")
    if message is not None and len(message) > _MESSAGE_CHARACTERS:
        row["error_message"] = f"{message[:_MESSAGE_CHARACTERS]} ..."
    return row


def detail_of(detail: JobDetail) -> dict[str, Any]:
    """A job for its own page, without its log."""
    return {
        "job": _known(attrs.asdict(detail.summary)),
        "failure": failure_of(detail.summary, detail.failure),
        "progress": None if detail.progress is None else _known(attrs.asdict(detail.progress)),
        "explanation": detail.explanation,
        "waits_for": _waits_for(detail.pending_reason),
        "attempts": [_known(attrs.asdict(each)) for each in detail.attempts or attempts_of(detail.summary)],
        "asked": plain(dict(detail.asked)),
        "used": plain(dict(detail.used)),
        "fingerprints": inputs_of(detail.fingerprints),
        "has_log": detail.log is not None,
    }


def failure_of(summary: JobSummary, failure: Failure) -> dict[str, Any] | None:
    """Why a job did not complete, with the cause and the remedy of its kind; None where it did, or has not ended."""
    if summary.status not in (JobStatus.FAILED, JobStatus.CANCELLED):
        return None
    kind = FailureKind(summary.failure_kind or "other")
    if summary.status is JobStatus.CANCELLED:
        kind = FailureKind.CANCELLED
    return {
        "kind": str(kind),
        "cause": kind.cause,
        "remedy": kind.remedy,
        "error_type": summary.error_type,
        "error_message": summary.error_message,
        **plain(attrs.asdict(failure)),
    }


def _waits_for(reason: PendingReason | None) -> dict[str, str] | None:
    return None if reason is None else {"cause": reason.cause, "remedy": reason.remedy}


def attempts_of(summary: JobSummary) -> tuple[JobAttempt, ...]:
    """The last start of a job whose other starts nobody remembers."""
    return (
        JobAttempt(
            number=max(1, summary.attempts or 1),
            started_at=summary.started_at,
            ended_at=summary.finished_at,
            node=summary.node,
            end=str(summary.status) if summary.status.is_final else "",
        ),
    )


def inputs_of(text: str | None) -> list[dict[str, str]]:
    """What a job stands on: each part's name, and its digest or why there is none."""
    try:
        known = json.loads(text or "{}")
    except ValueError:
        return []
    parts = []
    for name, value in known.items() if isinstance(known, dict) else ():
        parts.append({"part": name, "print": value if isinstance(value, str) else json.dumps(value, sort_keys=True)})
    return parts


def _known(values: Mapping[str, Any]) -> dict[str, Any]:
    """Without what is unknown."""
    return {
        name: value if type(value) in _PLAIN else plain(value)
        for name, value in values.items()
        if value is not None and value != {}
    }
