"""A trace through a cluster: the submitter, the hook beside the registry, and workers each make their own spans."""

from __future__ import annotations

import os
import signal
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from checkmaite.jobs import Job, ReuseKind, submit_capabilities, submit_capability, wait_all

from tests.ray.capabilities import Acts
from tests.ray.clusters import SOON_S, wait_until
from tests.spans import USERS, SpanReceiver, check_spans, exporting_to, users_span

pytest.importorskip("opentelemetry.sdk")


def _says() -> None:
    from opentelemetry import baggage, trace

    with trace.get_tracer(USERS).start_as_current_span("inner") as span:
        span.set_attribute("customer", str(baggage.get_baggage("customer")))


def test_a_trace_goes_from_the_submitter_to_the_worker_of_each_start(
    configure: Callable[..., Any], own_options: dict[str, Any], span_receiver: SpanReceiver, tmp_path: Path
) -> None:
    died, go = tmp_path / "died", tmp_path / "go"

    def dies_once() -> None:
        while not go.exists():
            time.sleep(0.01)
        if not died.exists():
            died.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        _says()

    def given(act: Callable[[], object]) -> dict[str, Any]:
        return {"capability": Acts(act), "config": {"run_uid": uuid.uuid4().hex}, "tags": {"team": "vision"}}

    short = given(_says)
    with exporting_to(span_receiver):
        configure(**own_options, hooks={"otel": {}})
        with users_span() as trace:
            jobs: list[Job] = submit_capabilities([given(dies_once), short])
        wait_until(lambda: jobs[0].status == "RUNNING", "the job that dies has not begun")
        go.touch()
        assert wait_all(jobs, SOON_S) == ["COMPLETED", "COMPLETED"]
        with users_span() as another:
            again = submit_capability(**short)
        assert (again, again.reuse.kind) == (jobs[1], ReuseKind.REUSED)
        tree = span_receiver.trace(trace, "submit", *2 * ["job acts", "run acts", "inner"], *3 * ["attempt"])
        reused = span_receiver.trace(another, "submit").one("submit")
    submit = tree.one("submit")
    (lost, second), (only,) = (
        check_spans(tree, job, submit=submit, attempts=n) for job, n in zip(jobs, (2, 1), strict=True)
    )
    assert (lost.is_error, lost.attributes["error.type"]) == (True, "worker_lost")
    assert lost.began < lost.ended <= second.began
    for start in (second, only):
        run = tree.one("run acts", below=start.span)
        assert start.began <= run.began <= run.ended <= start.ended
        inner = tree.one("inner", below=run.span)
        assert (inner.attributes["customer"], inner.scope) == ("seven", USERS)
    services = {each.name: each.service for each in tree.spans}
    assert services == {name: "submitter" if name == "submit" else "cluster" for name in services}
    assert reused.links == [(trace, only.parent)]
