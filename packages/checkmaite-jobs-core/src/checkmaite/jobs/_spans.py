"""``"otel"``: the hook that makes OpenTelemetry's spans of jobs, so that a trace goes from the submitter to the worker.

The spans of a job are made at its end, of what its last event says: nothing is kept of jobs meanwhile, and whoever is
told of the end again makes the same ones. Their ids follow from the job (`trace_context`), since its worker has put its
own below them by then.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from datetime import datetime
from importlib import import_module
from typing import Any, ClassVar

from checkmaite.jobs._shared import telemetry
from checkmaite.jobs._shared.errors import MissingDependencyError
from checkmaite.jobs._shared.hooks import JobEvent, JobHook
from checkmaite.jobs._shared.job_info import JobAttempt
from checkmaite.jobs._shared.status import JobStatus
from checkmaite.jobs._shared.trace_context import TraceContext, attempt_span, job_span

_REQUIREMENT = "checkmaite-jobs[otel]"

try:
    import_module("opentelemetry.sdk.trace")
except ImportError as error:
    raise MissingDependencyError("OpenTelemetry's SDK is not installed here.", requirement=_REQUIREMENT) from error


class _GivenIds:
    """An `IdGenerator` that gives the ids of one span."""

    def __init__(self, place: TraceContext) -> None:
        self._place = place

    def generate_trace_id(self) -> int:
        return int(self._place.trace_id, 16)

    def generate_span_id(self) -> int:
        return int(self._place.span_id, 16)

    def is_trace_id_random(self) -> bool:
        return False


class OpenTelemetrySpans(JobHook):
    """Makes a span of each job that has ended, and below it one of each of its starts."""

    traces: ClassVar[bool] = True

    def __init__(self) -> None:
        try:
            telemetry.provider_here()
        except ImportError as error:
            raise MissingDependencyError(f"Spans cannot be exported: {error}.", requirement=_REQUIREMENT) from error

    def on_finished(self, event: JobEvent) -> None:
        """Make the spans of a job."""
        assert event.job_id is not None, "it is about a job"
        starts = _starts(event)
        span = _span(
            f"job {event.capability_id}",
            job_span(event.job_id, event.trace),
            within=event.trace,
            began=event.created_at,
            attributes=_attributes_of(event, starts),
            reused=event.reused_span,
        )
        for index, start in enumerate(starts):
            is_last = index == len(starts) - 1
            _make_attempt(event, start, until=event.finished_at if is_last else starts[index + 1].started_at)
        _end(span, event.finished_at, not_before=event.created_at, error=_error_type(event))

    def on_scope_idle(self, event: JobEvent) -> None:
        """Let what was made leave: the process may be about to end."""
        telemetry.provider_here().force_flush()


def _starts(event: JobEvent) -> Sequence[JobAttempt]:
    """The starts that a worker has begun, the last one included, in order."""
    last = JobAttempt(number=event.attempt or 1, started_at=event.started_at, node=event.node)
    return [each for each in (*event.lost_attempts, last) if each.started_at is not None]


def _make_attempt(event: JobEvent, start: JobAttempt, *, until: datetime | None) -> None:
    """Make the span of a start, which has ended at `until` where nobody has noted it."""
    assert event.job_id is not None, "it is about a job"
    assert start.started_at is not None, "a worker has begun it"
    is_lost = start in event.lost_attempts
    attributes = _attributes_of(event)
    attributes |= {"checkmaite.job.attempt": start.number, "host.name": start.node, "process.pid": start.pid}
    span = _span(
        "attempt",
        attempt_span(event.job_id, start.started_at, event.trace),
        within=job_span(event.job_id, event.trace),
        began=start.started_at,
        attributes=attributes,
    )
    error = "worker_lost" if is_lost else _error_type(event)
    _end(span, start.ended_at or until, not_before=start.started_at, error=error)


def _attributes_of(event: JobEvent, starts: Sequence[JobAttempt] | None = None) -> dict[str, Any]:
    """What a job's spans say of it; with its starts, what that of the job as a whole does."""
    said: dict[str, Any] = {
        "checkmaite.job.id": event.job_id,
        "checkmaite.job.name": event.job_name,
        "checkmaite.job.scope": event.scope,
        "checkmaite.capability.id": event.capability_id,
    }
    if starts is None:
        return said
    said |= {
        "checkmaite.job.backend": event.backend,
        "checkmaite.job.status": event.status and str(event.status),
        "checkmaite.job.failure": event.failure and str(event.failure),
        "checkmaite.job.submitted_by": event.submitted_by,
        "checkmaite.job.attempts": event.attempt,
        "checkmaite.job.queue_time_s": _queue_time_s(event, starts),
        "checkmaite.job.reuse": event.reuse and str(event.reuse),
        "checkmaite.job.reused_job_id": event.reused_job_id,
        "checkmaite.run.uid": event.run_uid,
        "checkmaite.run.revision": event.revision,
    }
    return said | {f"checkmaite.job.tag.{name}": value for name, value in event.tags.items()}


def _queue_time_s(event: JobEvent, starts: Sequence[JobAttempt]) -> float | None:
    """Until a worker has begun it, else until it ended."""
    until = starts[0].started_at if starts else event.finished_at
    if event.created_at is None or until is None:
        return None
    return max(0.0, (until - event.created_at).total_seconds())


def _error_type(event: JobEvent) -> str | None:
    """Of a job that has failed; one that was cancelled has not."""
    if event.status is not JobStatus.FAILED:
        return None
    return event.error_type or (str(event.failure) if event.failure else "_OTHER")


def _span(
    name: str,
    place: TraceContext,
    *,
    within: TraceContext | None,
    began: datetime | None,
    attributes: Mapping[str, Any],
    reused: TraceContext | None = None,
) -> Any:
    """A span that has begun then, with the ids of `place`, as a child of the one that `within` names."""
    trace = import_module("opentelemetry.trace")
    tracer = copy.copy(telemetry.tracer_here())  # which its provider may give to others as well
    tracer.id_generator = _GivenIds(place)
    return tracer.start_span(
        name,
        context=telemetry.context_in(within) if within else import_module("opentelemetry.context").Context(),
        attributes={key: value for key, value in attributes.items() if value is not None},
        links=[trace.Link(telemetry.span_context(reused))] if reused else [],
        start_time=_nanoseconds(began),
    )


def _end(span: Any, at: datetime | None, *, not_before: datetime | None, error: str | None) -> None:
    """End a span; clocks of several machines may say that it had ended before it began."""
    if error is not None:
        span.set_attribute("error.type", error)
        span.set_status(import_module("opentelemetry.trace").StatusCode.ERROR)
    times = [each for each in (at, not_before) if each is not None]
    span.end(end_time=_nanoseconds(max(times, default=None)))


def _nanoseconds(at: datetime | None) -> int | None:
    return None if at is None else round(at.timestamp() * 1e6) * 1_000
