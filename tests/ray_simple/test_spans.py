from __future__ import annotations

import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from checkmaite.jobs import configure_job_backend, shutdown_job_backend, submit_capability
from checkmaite.jobs.testing import SampleRun

from tests.spans import SpanReceiver, check_spans, exporting_to, users_span

pytest.importorskip("opentelemetry.sdk")
SOON_S = 60.0


@pytest.fixture(autouse=True)
def _shut_down() -> Iterator[None]:
    yield
    shutdown_job_backend()


def _capability(folder: Path) -> Any:
    class Says:
        """Travels by value, and notes in which span it runs: where its worker sends spans is the cluster's affair."""

        id = "says"

        def run(self, *, config: Any, **_: Any) -> SampleRun:
            from opentelemetry import trace

            span: Any = trace.get_current_span()
            (folder / "span").write_text(f"{span.name} {trace.format_span_id(span.parent.span_id)}")
            return SampleRun(run_uid=config["run_uid"], capability_id=self.id)

    return Says()


@pytest.mark.usefixtures("local_ray")
def test_a_task_of_a_cluster_runs_in_the_trace_of_its_submission(tmp_path: Path) -> None:
    with SpanReceiver().open() as receiver, exporting_to(receiver):
        configure_job_backend("ray-simple", analytics_store={"backend": "null"}, hooks={"otel": {}})
        with users_span() as trace:
            job = submit_capability(
                _capability(tmp_path), config={"run_uid": uuid.uuid4().hex}, tags={"team": "vision"}
            )
        job.result(SOON_S)
        tree = receiver.trace(trace, "submit", "job says", "attempt")
    (start,) = check_spans(tree, job, submit=tree.one("submit"))
    assert (tmp_path / "span").read_text() == f"run says {start.span}"
