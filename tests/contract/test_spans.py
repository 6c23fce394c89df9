"""Spans of jobs of this process: what is a child of what, what they say, and that nothing depends on them."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
import uuid
import weakref
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from attrs import evolve
from checkmaite.jobs import (
    JobAttempt,
    JobStatus,
    Reuse,
    ReuseKind,
    configure_job_backend,
    shutdown_job_backend,
    submit_capabilities,
    submit_capability,
    wait_all,
)
from checkmaite.jobs._shared import telemetry
from checkmaite.jobs._shared.discovery import open_hook
from checkmaite.jobs._shared.hooks import HookSpec
from checkmaite.jobs._shared.trace_context import TraceContext, attempt_span, job_span
from checkmaite.jobs._submitters.again import run_again
from checkmaite.jobs._submitters.submit_span import SubmitSpan
from checkmaite.jobs.spi import RUN, Changes, JobEvent, JobEventKind
from checkmaite.jobs.testing._samples import SampleCapability

from tests.pages.blocks import blocks
from tests.spans import Sent, SpanReceiver, check_spans, exporting_to, nanoseconds, users_span

pytest.importorskip("opentelemetry.sdk")
SOON_S = 60.0
AT = datetime(2026, 1, 2, 3, 4, 5, 678901, UTC)


@pytest.fixture(autouse=True)
def _shut_down() -> Iterator[None]:
    yield
    shutdown_job_backend()


@pytest.fixture(scope="module")
def receiver() -> Iterator[SpanReceiver]:
    with SpanReceiver().open() as receiver:
        yield receiver


@pytest.fixture
def exporting(receiver: SpanReceiver) -> Iterator[None]:
    with exporting_to(receiver):
        yield


def configure(**changed: Any) -> Any:
    return configure_job_backend("inline", **{"analytics_store": {"backend": "null"}, "hooks": {"otel": {}}, **changed})


def given(act: str, folder: Path) -> dict[str, Any]:
    capability = SampleCapability(act=act, folder=str(folder))
    return {"capability": capability, "config": {"run_uid": uuid.uuid4().hex}, "tags": {"team": "vision"}}


@pytest.mark.usefixtures("exporting")
def test_a_trace_goes_from_whoever_submits_through_the_job_to_the_run(receiver: SpanReceiver, tmp_path: Path) -> None:
    backend = configure()
    with users_span() as trace:
        jobs = submit_capabilities([given("return", tmp_path), given("fail", tmp_path)])
    wait_all(jobs, SOON_S)
    shutdown_job_backend()
    tree = receiver.trace(trace, "submit", *2 * ["job sample", "attempt", "run sample"])
    submit = tree.one("submit")
    assert (submit.kind, submit.service, submit.scope) == ("producer", "submitter", "checkmaite.jobs")
    assert submit.attributes == {
        "messaging.system": "checkmaite_jobs",
        "messaging.operation.name": "submit",
        "messaging.operation.type": "send",
        "messaging.batch.message_count": 2,
    }
    for job in jobs:
        (start,) = check_spans(tree, job, submit=submit)
        run = tree.one("run sample", below=start.span)
        assert (run.kind, run.is_error, run.attributes["messaging.message.id"]) == (
            "consumer",
            start.is_error,
            job.job_id,
        )
        assert run.attributes.get("error.type") == start.attributes.get("error.type")
    assert "told to fail" not in str(tree), "what an exception says may be a secret"
    (report,) = backend.hook_reports()
    assert (report.failed, report.dropped) == (0, 0)


@pytest.mark.usefixtures("exporting")
def test_a_submission_in_no_span_begins_a_trace(receiver: SpanReceiver, tmp_path: Path) -> None:
    configure()
    job: Any = submit_capability(**given("return", tmp_path))
    job.result(SOON_S)
    tree = receiver.trace(job.trace.trace_id, "submit", "job sample", "attempt", "run sample")
    submit = tree.one("submit")
    assert (submit.parent, submit.attributes["checkmaite.job.id"]) == ("", job.job_id)
    check_spans(tree, job, submit=submit)


@pytest.mark.usefixtures("exporting")
def test_what_the_caller_does_not_sample_makes_no_span(receiver: SpanReceiver, tmp_path: Path) -> None:
    from opentelemetry.sdk.trace.sampling import ALWAYS_OFF

    configure()
    with users_span(ALWAYS_OFF) as silent:
        unseen: Any = submit_capability(**given("return", tmp_path))
    with users_span() as trace:
        seen = submit_capability(**given("return", tmp_path))
    wait_all([unseen, seen], SOON_S)
    shutdown_job_backend()
    receiver.trace(trace, "submit", "job sample", "attempt", "run sample")
    assert unseen.trace.trace_id == silent
    assert silent not in {each.trace for each in receiver.spans}


@pytest.mark.usefixtures("exporting")
def test_a_run_that_is_used_again_is_linked_to_its_origin(receiver: SpanReceiver, tmp_path: Path) -> None:
    configure(analytics_store={"backend": "parquet", "uri": str(tmp_path / "store")})
    again = given("return", tmp_path)
    with users_span() as first:
        origin = submit_capability(**again)
    origin.result(SOON_S)
    with users_span() as second:
        job = submit_capability(**again)
    job.result(SOON_S)
    assert job.reuse.kind is ReuseKind.REUSED, "its uid is known when it has run: the store has it then"
    made = receiver.trace(first, "submit", "job sample", "attempt", "run sample").one("job sample")
    linked = receiver.trace(second, "submit", "job sample", "attempt", "run sample").one("job sample")
    assert (made.links, linked.links) == ([], [(first, made.span)])
    assert linked.attributes["checkmaite.job.reused_job_id"] == origin.job_id


@pytest.mark.usefixtures("exporting")
def test_what_a_backend_has_kept_is_run_again_in_the_trace_of_who_asks(receiver: SpanReceiver) -> None:
    configure()
    asked: list[Changes] = []

    class Keeps:
        def run_again(self, job: object, changes: Changes) -> Any:
            asked.append(changes)
            return SimpleNamespace(job_id="new", reuse=RUN)

    of_another_process: Any = SimpleNamespace(job_id="old")
    with users_span() as trace:
        run_again(of_another_process, Keeps(), Changes())
    submit = receiver.trace(trace, "submit").one("submit")
    assert submit.attributes["checkmaite.job.id"] == "new"
    (changes,) = asked
    assert changes.trace is not None
    assert (changes.trace.trace_id, changes.trace.span_id) == (trace, submit.span)


@pytest.mark.usefixtures("exporting")
def test_a_submission_that_is_answered_with_a_job_that_is_there_is_linked_to_it(receiver: SpanReceiver) -> None:
    """What a registry answers; each job that is there may be in another trace, or in none."""
    trace = TraceContext(f"00-{uuid.uuid4().hex}-{'2' * 16}-01")
    reused, found = Reuse(kind=ReuseKind.REUSED, job_id="there"), Reuse(kind=ReuseKind.REUSED, job_id="elsewhere")
    jobs: list[Any] = [
        SimpleNamespace(job_id="there", scope="team", trace=trace, reuse=reused),
        SimpleNamespace(job_id="untraced", scope="team", reuse=evolve(reused, job_id="untraced")),
        SimpleNamespace(job_id="new", scope="team", trace=trace, reuse=Reuse()),
        SimpleNamespace(job_id="new-and-done", scope="team", trace=trace, reuse=found),
    ]
    with SubmitSpan(len(jobs), is_wanted=True) as span:
        span.note(jobs)
    assert span.carried is not None
    submit = receiver.trace(span.carried.trace_id, "submit").one("submit")
    links = [job_span("there", trace), job_span("untraced", None)]
    assert submit.links == [(each.trace_id, each.span_id) for each in links]
    assert submit.attributes["messaging.destination.name"] == "team"


# -- what the hook makes of the end of a job ---------------------------------------------------------------------------


def ended(**changed: Any) -> JobEvent:
    event = JobEvent(
        kind=JobEventKind.FINISHED,
        event_id="job.finished",
        at=AT,
        backend="ray",
        job_id=f"job-{uuid.uuid4().hex}",
        capability_id="cap",
        status=JobStatus.FAILED,
        error_type="ValueError",
        attempt=3,
        created_at=AT,
        started_at=AT + timedelta(seconds=9),
        finished_at=AT + timedelta(seconds=10),
    )
    return evolve(event, **changed)


def spans_of(receiver: SpanReceiver, event: JobEvent, count: int) -> list[Sent]:
    hook = open_hook(HookSpec("otel"))
    hook.on_event(event)
    hook.on_event(evolve(event, kind=JobEventKind.SCOPE_IDLE))
    trace = job_span(str(event.job_id), event.trace).trace_id
    spans = receiver.wait_for(lambda spans: len([each for each in spans if each.trace == trace]) == count, "spans")
    return sorted((each for each in spans if each.trace == trace), key=lambda each: (each.began, each.name))


@pytest.mark.usefixtures("exporting")
def test_a_start_whose_end_nobody_noted_has_ended_when_the_next_began(receiver: SpanReceiver) -> None:
    lost = (
        JobAttempt(number=1, started_at=AT + timedelta(seconds=1), ended_at=AT + timedelta(seconds=2), node="one"),
        JobAttempt(number=2, started_at=AT + timedelta(seconds=3), node="two"),
    )
    event = ended(lost_attempts=lost)
    *starts, job = sorted(spans_of(receiver, event, 4), key=lambda each: (each.name != "attempt", each.began))
    seconds = [(each.began - nanoseconds(AT), each.ended - nanoseconds(AT)) for each in (*starts, job)]
    assert seconds == [(s * 10**9, e * 10**9) for s, e in ((1, 2), (3, 9), (9, 10), (0, 10))]
    assert [each.attributes["error.type"] for each in starts] == ["worker_lost", "worker_lost", "ValueError"]
    assert [each.parent for each in (*starts, job)] == [job.span] * 3 + [""]
    assert job.attributes["checkmaite.job.queue_time_s"] == 1.0


@pytest.mark.usefixtures("exporting")
def test_an_end_that_is_told_again_makes_the_same_spans(
    receiver: SpanReceiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "600000")  # they leave when the scope is idle, and not before
    trace = TraceContext(f"00-{uuid.uuid4().hex}-{'2' * 16}-01", "vendor=1")
    event = ended(trace=trace, status=JobStatus.CANCELLED, error_type=None)
    once = spans_of(receiver, event, 2)
    again = spans_of(receiver, event, 4)
    assert (
        {each.span for each in again}
        == {each.span for each in once}
        == {
            job_span(str(event.job_id), trace).span_id,
            attempt_span(str(event.job_id), AT + timedelta(seconds=9), trace).span_id,
        }
    )
    assert [each.is_error for each in again] == [False] * 4, "who cancels a job has not met a failure"
    assert {each.parent for each in again if each.name == "job cap"} == {"2" * 16}


@pytest.mark.usefixtures("exporting")
def test_clocks_that_differ_make_no_span_that_ends_before_it_begins(receiver: SpanReceiver) -> None:
    early = ended(started_at=AT + timedelta(hours=1), finished_at=AT - timedelta(hours=1))
    assert all(each.began == each.ended for each in spans_of(receiver, early, 2))
    (job,) = spans_of(receiver, ended(started_at=None, finished_at=AT, attempt=0), 1)
    assert job.attributes["checkmaite.job.queue_time_s"] == 0.0


# -- nothing depends on it ---------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("exporting")
def test_no_job_fails_with_its_trace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    backend = configure()

    def broken() -> Any:
        raise RuntimeError("the tracer is broken")

    monkeypatch.setattr(telemetry, "tracer_here", broken)
    job: Any = submit_capability(**given("return", tmp_path))
    assert job.result(SOON_S).revision == 1
    shutdown_job_backend()
    assert job.trace is None
    (report,) = backend.hook_reports()
    assert (report.failed, report.last_error) == (1, "RuntimeError: the tracer is broken")


@pytest.mark.usefixtures("exporting")
def test_a_span_that_cannot_be_ended_is_no_affair_of_its_job(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    configure()
    with users_span() as trace:
        monkeypatch.setattr(SampleCapability, "run", _breaking(monkeypatch, SampleCapability.run))
        job: Any = submit_capability(**given("return", tmp_path))
    assert job.result(SOON_S).revision == 1
    assert job.trace.trace_id == trace


def _breaking(monkeypatch: pytest.MonkeyPatch, run: Any) -> Any:
    """What breaks the tracer while the capability runs, so that its span cannot be ended."""

    def breaking(self: Any, **given: Any) -> Any:
        monkeypatch.setattr(telemetry, "leave_span", None)
        return run(self, **given)

    return breaking


def test_an_exporter_that_is_not_installed_is_told_and_jobs_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(telemetry, "_made", [])
    monkeypatch.setenv("OTEL_TRACES_EXPORTER", "zipkin")
    backend = configure()
    submit_capability(**given("return", tmp_path)).result(SOON_S)
    shutdown_job_backend()
    (report,) = backend.hook_reports()
    assert report.told == 0
    assert "the exporter 'zipkin' of OTEL_TRACES_EXPORTER=zipkin is not installed here" in report.last_error
    assert 'pip install "checkmaite-jobs[otel]"' in report.last_error


def test_why_there_are_no_spans_keeps_nothing_of_the_jobs(monkeypatch: pytest.MonkeyPatch) -> None:
    """An exception would: each frame that it has been raised through, and with it the models of each traced job."""
    monkeypatch.setattr(telemetry, "_made", [])
    monkeypatch.setenv("OTEL_TRACES_EXPORTER", "zipkin")

    class Model:
        pass

    def job() -> weakref.ref[Model]:
        model = Model()
        with pytest.raises(ImportError, match="'zipkin'"):
            telemetry.provider_here()
        return weakref.ref(model)

    models = [job(), job()]
    gc.collect()
    assert [each() for each in models] == [None, None]


# -- the page ----------------------------------------------------------------------------------------------------------


def test_the_page_makes_one_trace(receiver: SpanReceiver, tmp_path: Path) -> None:
    (script,) = (each.text for each in blocks("python") if each.page.endswith("how-to/tracing.md"))
    variables = {"OTEL_EXPORTER_OTLP_ENDPOINT": receiver.url, "OTEL_SERVICE_NAME": "page"}
    subprocess.run(
        [sys.executable, "-c", script], cwd=tmp_path, env={**os.environ, **variables}, check=True, timeout=120
    )
    names = ["nightly", "submit", "job word-count", "attempt", "run word-count", "count words"]
    (nightly,) = (each for each in receiver.spans if each.name == "nightly")
    tree = receiver.trace(nightly.trace, *names)
    assert [tree.one(name).parent for name in names] == ["", *(tree.one(name).span for name in names[:-1])]
    assert {each.service for each in tree.spans} == {"page"}
    assert tree.one("count words").attributes == {"words": 3}
