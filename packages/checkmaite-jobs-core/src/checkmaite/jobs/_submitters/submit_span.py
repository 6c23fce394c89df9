"""The span of a submission, where a hook makes spans of jobs; what its jobs carry of it."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from importlib import import_module
from types import TracebackType
from typing import Any, Self

from checkmaite.jobs._shared import telemetry
from checkmaite.jobs._shared.job_protocols import Job
from checkmaite.jobs._shared.reuse import ReuseKind
from checkmaite.jobs._shared.trace_context import TraceContext, job_span, usable_trace

_log = logging.getLogger("checkmaite.jobs")
_MOST_LINKS = 100


class SubmitSpan:
    """Around one call that submits: the producer's span, a child of the caller's own.

    Whatever OpenTelemetry raises, jobs are submitted.

    Args:
        count: How many are submitted.
        is_wanted: Whether a hook makes spans; otherwise this does nothing.

    Attributes:
        carried: What the jobs carry; None for nothing.
    """

    def __init__(self, count: int, *, is_wanted: bool) -> None:
        self._count, self._is_wanted = count, is_wanted
        self._span: Any = None
        self._token: Any = None
        self.carried: TraceContext | None = None

    def __enter__(self) -> Self:
        if self._is_wanted:
            try:
                self._begin()
            except Exception:  # noqa: BLE001 - whatever the user's tracer raises, it is not about the jobs
                _log.warning("the submission is in no trace", exc_info=True)
        return self

    def note(self, jobs: Sequence[Job]) -> None:
        """Tell which jobs the submissions were answered with: those that were there are linked to."""
        if self._span is not None:
            try:
                self._note(jobs)
            except Exception:  # noqa: BLE001 - as above
                _log.debug("jobs are not noted in the span of their submission", exc_info=True)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._span is not None:
            try:
                telemetry.leave_span(self._span, error, self._token)
            except Exception:  # noqa: BLE001 - as above
                _log.debug("the span of a submission could not be ended", exc_info=True)

    def _begin(self) -> None:
        context, trace = import_module("opentelemetry.context"), import_module("opentelemetry.trace")
        attributes: dict[str, Any] = {
            "messaging.system": telemetry.SYSTEM,
            "messaging.operation.name": "submit",
            "messaging.operation.type": "send",
        }
        if self._count > 1:
            attributes["messaging.batch.message_count"] = self._count
        tracer = telemetry.tracer_here()
        self._span = tracer.start_span("submit", kind=trace.SpanKind.PRODUCER, attributes=attributes)
        inside = trace.set_span_in_context(self._span)
        self.carried = usable_trace(telemetry.trace_in(inside))
        self._token = context.attach(inside)

    def _note(self, jobs: Sequence[Job]) -> None:
        if jobs and (scope := getattr(jobs[0], "scope", None)):
            self._span.set_attribute("messaging.destination.name", scope)
        if len(jobs) == 1:
            self._span.set_attributes({"messaging.message.id": jobs[0].job_id, "checkmaite.job.id": jobs[0].job_id})
        reused = [job for job in jobs if job.reuse.kind is ReuseKind.REUSED and job.reuse.job_id == job.job_id]
        for job in reused[:_MOST_LINKS]:
            place = telemetry.span_context(job_span(job.job_id, getattr(job, "trace", None)))
            self._span.add_link(place, {"checkmaite.job.id": job.job_id})
