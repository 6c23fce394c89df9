"""OpenTelemetry in this process, for spans of jobs: nothing is imported before somebody asks for it.

How spans leave the process is said by OpenTelemetry's own environment variables and by nothing else.
"""

from __future__ import annotations

import atexit
import logging
import os
import threading
from collections.abc import Iterable
from importlib import import_module
from typing import Any, NamedTuple

from checkmaite.jobs._shared.texts import class_name
from checkmaite.jobs._shared.trace_context import TraceContext

NAME = "checkmaite.jobs"
"""The instrumentation scope of all spans, and the service where nobody has named it."""
SYSTEM = "checkmaite_jobs"
"""``messaging.system``."""
_END_S = 2.0
"""What a process that ends gives its last spans to leave."""
_DELAY_MS = 500.0
"""How long a span waits for others, where no variable says so. Workers are ended a moment after their last job."""
_lock = threading.Lock()
_made: list[Any] = []
"""The provider of our own, or a `_Refusal`: asking again would cost each job milliseconds."""


class _Refusal(NamedTuple):
    """Why there is none. Not as an exception, which would keep whatever the frames have that it is raised through."""

    kind: type[Exception]
    text: str


def provider_here() -> Any:
    """The tracer provider that this process has set; where there is none, one of our own that nobody else sees.

    Raises:
        ImportError: OpenTelemetry, or the exporter that a variable names, is not installed here.
    """
    trace = import_module("opentelemetry.trace")
    found = trace.get_tracer_provider()
    return _own_provider() if isinstance(found, trace.ProxyTracerProvider) else found


def tracer_here() -> Any:
    """What makes spans; see `provider_here`."""
    return provider_here().get_tracer(NAME)


def provide_for_all() -> None:
    """Let whoever makes spans in this process have a provider that exports them, unless there is one.

    Raises:
        ImportError: See `provider_here`.
    """
    trace = import_module("opentelemetry.trace")
    if isinstance(trace.get_tracer_provider(), trace.ProxyTracerProvider):
        trace.set_tracer_provider(_own_provider())


def _own_provider() -> Any:
    with _lock:
        if not _made:
            try:
                _made.append(_new_provider())
            except Exception as error:  # noqa: BLE001 - whatever an exporter makes of its variables
                _made.append(_Refusal(ImportError if isinstance(error, ImportError) else RuntimeError, str(error)))
        if isinstance(_made[0], _Refusal):
            raise _made[0].kind(_made[0].text)
        return _made[0]


def _new_provider() -> Any:
    sdk, exporting = import_module("opentelemetry.sdk.trace"), import_module("opentelemetry.sdk.trace.export")
    # Without a handler of the process's own, what exporters complain of would be in the output of some job.
    logging.getLogger("opentelemetry").addHandler(logging.NullHandler())
    delay_ms = None if "OTEL_BSP_SCHEDULE_DELAY" in os.environ else _DELAY_MS
    processors = [
        exporting.BatchSpanProcessor(exporter, schedule_delay_millis=delay_ms) for exporter in list(_exporters())
    ]
    provider = sdk.TracerProvider(resource=_resource(), shutdown_on_exit=False)
    for each in processors:
        provider.add_span_processor(each)
    _flush_at_exit(provider)
    return provider


def _resource() -> Any:
    """What the variables say of this process, and a name for it where they have none."""
    resource = import_module("opentelemetry.sdk.resources").Resource
    is_named = "OTEL_SERVICE_NAME" in os.environ or "service.name=" in os.environ.get("OTEL_RESOURCE_ATTRIBUTES", "")
    return resource.create({} if is_named else {"service.name": NAME})


def _exporters() -> Iterable[Any]:
    """Those that ``OTEL_TRACES_EXPORTER`` names; OTLP by HTTP where nothing is said."""
    from importlib.metadata import entry_points

    protocol = os.environ.get("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf")
    protocol = os.environ.get("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", protocol)
    names = [name.strip() for name in os.environ.get("OTEL_TRACES_EXPORTER", "otlp").split(",")]
    if names == ["none"]:
        return
    for name in names:
        wanted = ("otlp_proto_grpc" if protocol == "grpc" else "otlp_proto_http") if name == "otlp" else name
        found = next(iter(entry_points(group="opentelemetry_traces_exporter", name=wanted)), None)
        if found is None:
            raise ImportError(f"the exporter {wanted!r} of OTEL_TRACES_EXPORTER={name} is not installed here")
        yield found.load()()


def _flush_at_exit(provider: Any) -> None:
    """Let the last spans leave. An exporter that nobody answers would take ten seconds and more.

    The thread is there before: an interpreter that ends may start none.
    """
    ends, left, process = threading.Event(), threading.Event(), os.getpid()

    def leave() -> None:
        ends.wait()
        provider.force_flush()
        left.set()

    def end() -> None:
        if os.getpid() == process:
            ends.set()
            left.wait(_END_S)

    threading.Thread(target=leave, name="checkmaite spans", daemon=True).start()
    atexit.register(end)


# -- contexts ----------------------------------------------------------------------------------------------------------


def span_context(place: TraceContext) -> Any:
    """The span that a context names, as OpenTelemetry has it."""
    trace = import_module("opentelemetry.trace")
    return trace.SpanContext(
        int(place.trace_id, 16),
        int(place.span_id, 16),
        is_remote=True,
        trace_flags=trace.TraceFlags(place.flags),
        trace_state=trace.TraceState.from_header([place.tracestate] if place.tracestate else []),
    )


def context_in(place: TraceContext) -> Any:
    """A context in which spans are children of the one that a context names, with its baggage."""
    trace, empty = import_module("opentelemetry.trace"), import_module("opentelemetry.context").Context()
    context = trace.set_span_in_context(trace.NonRecordingSpan(span_context(place)), empty)
    if not place.baggage:
        return context
    return _baggage().extract({"baggage": place.baggage}, context=context)


def trace_in(context: Any) -> tuple[str, ...]:
    """The parts of a `TraceContext`, of a context of OpenTelemetry's."""
    carrier: dict[str, str] = {}
    tracing = import_module("opentelemetry.trace.propagation.tracecontext")
    tracing.TraceContextTextMapPropagator().inject(carrier, context)
    _baggage().inject(carrier, context)
    return tuple(carrier.get(name, "") for name in TraceContext._fields)


def _baggage() -> Any:
    return import_module("opentelemetry.baggage.propagation").W3CBaggagePropagator()


def leave_span(span: Any, error: BaseException | None, token: Any) -> None:
    """End a span that was made current, with the class of what was raised in it and without what that says.

    Args:
        span: None where there was only a context.
        error: What was raised.
        token: What makes current again what was so before.
    """
    if span is not None:
        if error is not None:
            span.set_attribute("error.type", class_name(error))
            span.set_status(import_module("opentelemetry.trace").StatusCode.ERROR)
        span.end()
    import_module("opentelemetry.context").detach(token)
