"""The span of a capability's run on its worker, below that of the job's start."""

from __future__ import annotations

import logging
from importlib import import_module
from types import TracebackType
from typing import Any

from checkmaite.jobs._shared import telemetry
from checkmaite.jobs._shared.naming import plain_text
from checkmaite.jobs._shared.news import Started
from checkmaite.jobs._shared.order import WorkOrder
from checkmaite.jobs._shared.trace_context import TraceContext, attempt_span

_log = logging.getLogger("checkmaite.jobs")


def export_spans(trace: TraceContext | None) -> None:
    """Have spans that the code of a job makes leave this worker process, if the job is in a trace that is recorded.

    A provider that is there stays. Where OpenTelemetry's SDK is not installed nothing happens.
    """
    if trace is None or not trace.is_sampled:
        return
    try:
        telemetry.provide_for_all()
    except ImportError as error:
        _log.debug("this worker makes no spans: %s", error)
    except Exception:  # noqa: BLE001 - variables that mean nothing, or whatever an exporter raises: no affair of the job's
        _log.warning("this worker makes no spans", exc_info=True)


class RunSpan:
    """Around the run of a capability: the consumer's span, in which its own are children.

    Whatever OpenTelemetry raises, the capability runs.

    Args:
        order: The job.
        capability: What runs.
        started: What its worker says of itself.
    """

    def __init__(self, order: WorkOrder, capability: Any, started: Started) -> None:
        self._order, self._capability, self._started = order, capability, started
        self._span: Any = None
        self._token: Any = None

    def __enter__(self) -> None:
        if self._order.trace is not None:
            try:
                self._begin(self._order.trace)
            except ImportError:
                _log.debug("OpenTelemetry is not installed here")
            except Exception:  # noqa: BLE001 - whatever a tracer raises, it is not about the job
                _log.warning("the run of %s is in no trace", self._order.job_id, exc_info=True)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._token is not None:
            try:
                telemetry.leave_span(self._span, error, self._token)
            except Exception:  # noqa: BLE001 - as above
                _log.debug("the span of %s could not be ended", self._order.job_id, exc_info=True)

    def _begin(self, submitted_in: TraceContext) -> None:
        context, trace = import_module("opentelemetry.context"), import_module("opentelemetry.trace")
        job_id, capability_id = self._order.job_id, plain_text(self._capability.id)
        attempt = attempt_span(job_id, self._started.at, submitted_in)
        around = telemetry.context_in(attempt._replace(baggage=submitted_in.baggage))
        self._token = context.attach(around)
        if not attempt.is_sampled:
            return
        self._span = telemetry.tracer_here().start_span(
            f"run {capability_id}",
            context=around,
            kind=trace.SpanKind.CONSUMER,
            attributes={
                "messaging.system": telemetry.SYSTEM,
                "messaging.operation.name": "run",
                "messaging.operation.type": "process",
                "messaging.message.id": job_id,
                "checkmaite.job.id": job_id,
                "checkmaite.capability.id": capability_id,
                "host.name": self._started.node,
                "process.pid": self._started.pid,
            },
        )
        context.attach(trace.set_span_in_context(self._span, around))
