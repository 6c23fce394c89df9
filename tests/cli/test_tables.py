"""What people see of jobs, and how it is said."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from threading import Event
from typing import Any

import pytest
from checkmaite.jobs import JobStatus, configure_job_backend, shutdown_job_backend, submit_capability
from checkmaite.jobs.testing import SampleCapability
from checkmaite.jobs_cli.summaries import JobSummary
from checkmaite.jobs_cli.tables import counts_text, span_text
from checkmaite.jobs_cli.watching import changes


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (None, ""),
        (0.04, "0.0 s"),
        (9.94, "9.9 s"),
        (9.96, "10 s"),
        (119, "119 s"),
        (150, "2 min"),
        (7_180, "2 h"),
        (172_001, "2 d"),
    ],
)
def test_a_time_span_is_short(seconds: float | None, text: str) -> None:
    assert span_text(seconds) == text


def test_a_job_that_is_not_over_has_run_until_now() -> None:
    now = datetime(2026, 1, 1, tzinfo=UTC)
    job = JobSummary(job_id="j", job_name="n", capability_id="c", status=JobStatus.RUNNING, started_at=now)
    assert job.took_s(now + timedelta(seconds=5)) == 5
    lost = JobSummary(job_id="j", job_name="n", capability_id="c", status=JobStatus.FAILED, started_at=now)
    assert lost.took_s(now + timedelta(seconds=5)) is None, "nobody knows when it ended"


def test_states_are_counted() -> None:
    jobs = [
        JobSummary(job_id=str(n), job_name="n", capability_id="c", status=JobStatus(status))
        for n, status in enumerate(["FAILED", "RUNNING", "RUNNING"])
    ]
    assert counts_text(jobs).plain == "2 running, 1 failed"


def test_each_change_is_told_once() -> None:
    class Waits(SampleCapability):
        def run(self, **arguments: Any) -> Any:
            started.set()
            go.wait(60)
            return super().run(**arguments)

    started, go = Event(), Event()
    configure_job_backend("inline", analytics_store={"backend": "null"})
    try:
        job = submit_capability(Waits(), config={"run_uid": "u"})
        assert started.wait(60)
        told = changes([job])
        assert [record.status for record in next(told)] == [JobStatus.RUNNING]
        with ThreadPoolExecutor(1) as beside:
            rest = beside.submit(lambda: [[record.status for record in each] for each in told])
            go.set()
            assert rest.result(60) == [[JobStatus.COMPLETED]]
    finally:
        go.set()
        shutdown_job_backend()
