"""A receiver of OTLP over HTTP on loopback, the spans that it was sent, and what is expected of those of a job."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from attrs import frozen
from checkmaite.jobs import Job
from checkmaite.jobs._shared import telemetry

SOON_S = 60.0
USERS = "users-own"
"""The name of the tracer of whoever submits, and of the capability's code."""


@frozen
class Sent:
    """A span, as it was sent.

    Attributes:
        service: Whose it is.
        links: The spans that it is linked to, as trace and span.
        began: Nanoseconds since the epoch; so is `ended`.
    """

    service: str
    scope: str
    name: str
    trace: str
    span: str
    parent: str
    kind: str
    is_error: bool
    attributes: dict[str, Any]
    links: Sequence[tuple[str, str]]
    began: int
    ended: int


class SpanReceiver:
    """Takes what exporters post, as a collector does."""

    def __init__(self) -> None:
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                receiver.take(self.path, body)
                self.send_response(200)
                self.send_header("Content-Type", "application/x-protobuf")
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self._changed = threading.Condition()
        self._spans: list[Sent] = []
        self.requests = 0
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def take(self, path: str, body: bytes) -> None:
        from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

        assert path == "/v1/traces"
        said: Any = ExportTraceServiceRequest.FromString(body)
        with self._changed:
            self.requests += 1
            self._spans += [
                _sent(_plain(resource.resource.attributes), scope.scope.name, span)
                for resource in said.resource_spans
                for scope in resource.scope_spans
                for span in scope.spans
            ]
            self._changed.notify_all()

    def wait_for(self, condition: Callable[[list[Sent]], object], otherwise: str) -> list[Sent]:
        """The spans, once they are as they should be."""
        with self._changed:
            came = self._changed.wait_for(lambda: condition(self._spans), SOON_S)
            assert came, f"{otherwise}: {[(each.name, each.parent) for each in self._spans]}"
            return list(self._spans)

    @property
    def spans(self) -> list[Sent]:
        """What has come so far."""
        with self._changed:
            return list(self._spans)

    def trace(self, trace: str, *names: str) -> Tree:
        """The spans of a trace, once those of these names are there, as often as they are named."""
        wanted = sorted(names)

        def is_there(spans: list[Sent]) -> bool:
            return sorted(each.name for each in spans if each.trace == trace) == wanted

        spans = self.wait_for(is_there, f"not {wanted} of {trace}")
        return Tree([each for each in spans if each.trace == trace])

    @contextmanager
    def open(self) -> Iterator[SpanReceiver]:
        thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        thread.start()
        yield self
        self._server.shutdown()
        self._server.server_close()


@frozen
class Tree:
    """The spans of one trace."""

    spans: Sequence[Sent]

    def of(self, name: str, *, below: str | None = None) -> list[Sent]:
        """Those of a name, oldest first; only those whose parent is `below`."""
        found = [each for each in self.spans if each.name == name and below in (None, each.parent)]
        return sorted(found, key=lambda each: each.began)

    def one(self, name: str, *, below: str | None = None) -> Sent:
        """The only one."""
        (found,) = self.of(name, below=below)
        return found


def _plain(attributes: Any) -> dict[str, Any]:
    return {each.key: getattr(each.value, str(each.value.WhichOneof("value"))) for each in attributes}


def _sent(resource: dict[str, Any], scope: str, span: Any) -> Sent:
    kinds = {1: "internal", 4: "producer", 5: "consumer"}
    return Sent(
        service=resource["service.name"],
        scope=scope,
        name=span.name,
        trace=span.trace_id.hex(),
        span=span.span_id.hex(),
        parent=span.parent_span_id.hex(),
        kind=kinds[span.kind],
        is_error=span.status.code == 2,
        attributes=_plain(span.attributes),
        links=[(link.trace_id.hex(), link.span_id.hex()) for link in span.links],
        began=span.start_time_unix_nano,
        ended=span.end_time_unix_nano,
    )


@contextmanager
def exporting_to(receiver: SpanReceiver) -> Iterator[None]:
    """This process's spans go there, by a provider that is made anew: only the variables say so."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", receiver.url)
        patched.setenv("OTEL_SERVICE_NAME", "submitter")
        patched.setattr(telemetry, "_made", made := [])
        yield
        for provider in made:
            provider.shutdown()


@contextmanager
def users_span(sampler: Any = None) -> Iterator[str]:
    """A span of whoever submits is current, with baggage; its trace. The process has set no provider."""
    from opentelemetry import baggage, context, trace
    from opentelemetry.sdk.trace import TracerProvider

    own = TracerProvider(sampler, shutdown_on_exit=False).get_tracer(USERS)
    with own.start_as_current_span("mine") as span:
        token = context.attach(baggage.set_baggage("customer", "seven"))
        yield trace.format_trace_id(span.get_span_context().trace_id)
        context.detach(token)


def nanoseconds(at: datetime | None) -> int:
    assert at is not None
    return round(at.timestamp() * 1e6) * 1000


def check_spans(tree: Tree, job: Job, *, submit: Sent, attempts: int = 1) -> list[Sent]:
    """The span of a job, and those below it; those of its starts.

    Every start ran the capability, which made a span ``inner`` of its own.
    """
    info = job.info
    (whole,) = [
        each for each in tree.of(f"job {job.capability_id}") if each.attributes["checkmaite.job.id"] == job.job_id
    ]
    assert (whole.parent, whole.kind) == (submit.span, "internal")
    assert (whole.began, whole.ended) == (nanoseconds(info.created_at), nanoseconds(info.finished_at))
    said = whole.attributes
    assert said["checkmaite.job.status"] == job.status
    assert said["checkmaite.capability.id"] == job.capability_id
    assert said.get("checkmaite.job.scope") == info.scope
    assert said["checkmaite.job.attempts"] == attempts
    assert said["checkmaite.job.tag.team"] == "vision"
    starts = tree.of("attempt", below=whole.span)
    assert [each.attributes["checkmaite.job.attempt"] for each in starts] == [*range(1, attempts + 1)]
    assert said["checkmaite.job.queue_time_s"] == pytest.approx((starts[0].began - whole.began) / 1e9, abs=1e-5)
    assert (starts[-1].began, starts[-1].ended) == (nanoseconds(info.started_at), whole.ended)
    assert whole.is_error == starts[-1].is_error == (job.status == "FAILED")
    for each in starts:
        assert each.attributes["checkmaite.job.id"] == job.job_id
    return starts
