"""What travels of a trace is somebody's text: what is no trace is nothing, and nothing is longer than it may be."""

from __future__ import annotations

import importlib.metadata
import json
import sys
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from attrs import evolve
from checkmaite.jobs import JobStatus, configure_job_backend, shutdown_job_backend, submit_capability
from checkmaite.jobs._shared import discovery
from checkmaite.jobs._shared.hook_events import job_event
from checkmaite.jobs._shared.hooks import JobEventKind
from checkmaite.jobs._shared.job_info import JobAttempt
from checkmaite.jobs._shared.trace_context import TraceContext, attempt_span, job_span, usable_trace
from checkmaite.jobs.spi import Started, StoreSpec, Terms, WorkOrder
from checkmaite.jobs.testing._samples import SampleCapability

TRACE = TraceContext("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "vendor=1", "who=me")
PARENT = TRACE.traceparent


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        (TRACE, TRACE),
        ([*TRACE], TRACE),
        ((PARENT,), TraceContext(PARENT)),
        ((PARENT, "v=" + "x" * 510, "b=" + "x" * 1022), TraceContext(PARENT, "v=" + "x" * 510, "b=" + "x" * 1022)),
        ((PARENT, "v=" + "x" * 511, "b=" + "x" * 1023), TraceContext(PARENT)),
        ((PARENT, "a=1\r\nCookie: x", "b=é"), TraceContext(PARENT)),
        ((PARENT, 7, None), TraceContext(PARENT)),
    ],
    ids=str,
)
def test_a_trace_is_what_its_headers_may_say(said: Any, meant: TraceContext) -> None:
    assert usable_trace(said) == meant


@pytest.mark.parametrize(
    "said",
    [
        None,
        PARENT,
        {"traceparent": PARENT},
        (),
        ("", "vendor=1"),
        (PARENT.upper(),),
        (PARENT + "\n",),
        (PARENT + "-more",),
        ("ff" + PARENT[2:],),
        (PARENT.replace("0af7651916cd43dd8448eb211c80319c", "0" * 32),),
        (PARENT.replace("b7ad6b7169203331", "0" * 16),),
        (PARENT.replace("0af", "\u0966af"),),
        (b"00",),
        (*TRACE, "more"),
    ],
    ids=str,
)
def test_what_is_no_trace_is_nothing(said: Any) -> None:
    assert usable_trace(said) is None


def test_spans_of_a_job_follow_from_the_job() -> None:
    at = datetime(2026, 1, 2, 3, 4, 5, 678901, UTC)
    job, attempt = job_span("job-1", TRACE), attempt_span("job-1", at, TRACE)
    assert (job.trace_id, attempt.trace_id, job.tracestate, job.baggage) == (TRACE.trace_id,) * 2 + ("vendor=1", "")
    assert attempt == attempt_span("job-1", datetime.fromtimestamp(at.timestamp(), UTC), TRACE), "as a journal keeps it"
    others = [
        job_span("job-2", TRACE),
        attempt_span("job-1", at + timedelta(microseconds=1), TRACE),
        attempt_span("job-2", at, TRACE),
    ]
    assert len({each.span_id for each in (job, attempt, TRACE, *others)}) == 6
    assert all(usable_trace(each) == each for each in (job, attempt))
    silent = TRACE._replace(traceparent=PARENT[:-2] + "00")
    assert not job_span("job-1", silent).is_sampled
    assert not attempt_span("job-1", at, silent).is_sampled


def test_a_job_in_no_trace_begins_one() -> None:
    one, two = job_span("job-1", None), job_span("job-2", None)
    assert one.trace_id != two.trace_id
    assert one.is_sampled
    assert attempt_span("job-1", datetime.now(UTC), None).trace_id == one.trace_id


def test_an_order_carries_the_trace_as_builtins() -> None:
    order = WorkOrder(
        job_id="job",
        submitted_at=datetime(2026, 1, 1, tzinfo=UTC),
        run_uid=None,
        reuse="auto",
        report_threshold=0.5,
        prints=None,
        terms=Terms(store=StoreSpec("null", {}), facts={}),
        trace=TRACE,
    )
    wire = order.to_wire()
    assert type(wire[-1]) is tuple, "so that versions are compared before anything of this version is unpickled"
    assert WorkOrder.from_wire(wire).trace == TRACE
    assert WorkOrder.from_wire((*wire[:-1], ("nonsense",))).trace is None
    assert WorkOrder.from_wire(evolve(order, trace=None).to_wire()).trace is None


def test_hooks_are_told_of_the_trace_without_its_baggage() -> None:
    at = datetime(2026, 1, 1, tzinfo=UTC)
    lost = JobAttempt.of(1, Started(node="node", pid=7, at=at), ended_at=at, end="it had printed: a secret")
    ended: dict[str, Any] = {"created_at": at, "status": JobStatus.FAILED, "backend": "b"}
    event = job_event(JobEventKind.FINISHED, job_id="j", trace=TRACE, lost_attempts=[lost], **ended)
    told = event.plain()
    assert told["trace"] == {"traceparent": PARENT, "tracestate": "vendor=1"}
    (attempt,) = told["lost_attempts"]
    assert attempt == {"number": 1, "started_at": at.isoformat(), "ended_at": at.isoformat(), "node": "node", "pid": 7}
    assert "secret" not in json.dumps(told)


# -- without the hook --------------------------------------------------------------------------------------------------


@pytest.fixture
def inline() -> Iterator[Any]:
    yield configure_job_backend("inline", analytics_store={"backend": "null"})
    shutdown_job_backend()


def test_without_the_hook_a_job_is_in_no_trace_and_nothing_is_imported(inline: Any) -> None:
    before = {name for name in sys.modules if name.startswith("opentelemetry")}
    job: Any = submit_capability(SampleCapability(act="return"), config={"run_uid": uuid.uuid4().hex})
    job.result(60)
    assert job.trace is None
    assert {name for name in sys.modules if name.startswith("opentelemetry")} == before


def test_a_hook_whose_packages_are_missing_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(sys.modules):
        if name.split(".")[0] == "opentelemetry" or name == "checkmaite.jobs._spans":
            monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "opentelemetry", None)  # as if it were not installed
    entry = importlib.metadata.EntryPoint("otel", "checkmaite.jobs._spans:OpenTelemetrySpans", discovery.HOOKS_GROUP)
    monkeypatch.setattr(discovery, "_entries", lambda group: {"otel": entry})
    specs, problems = discovery.hook_specs({"otel": {}})
    monkeypatch.undo()
    assert specs == ()
    assert "cannot be used here: OpenTelemetry's SDK is not installed here." in problems[0].cause
    assert problems[0].remedy == 'Install it with: pip install "checkmaite-jobs[otel]"'
