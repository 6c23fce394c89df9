"""Times without end are those that every clock, timer and message can carry."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta
from math import inf, nan
from typing import cast

import pytest
from checkmaite.jobs import JobStatus
from checkmaite.jobs.spi import Cancelled, Deadline, JobControls, JobHandle, usable_grace_s


@pytest.mark.parametrize("timeout_s", [None, inf, 1e300, threading.TIMEOUT_MAX])
def test_a_deadline_that_no_thread_can_wait_for_never_comes(timeout_s: float | None) -> None:
    assert Deadline.after(timeout_s, lambda: 5.0).remaining_s() is None


@pytest.mark.parametrize(("timeout_s", "remaining_s"), [(3.0, 3.0), (-1.0, 0.0), (nan, 0.0)])
def test_any_other_comes(timeout_s: float, remaining_s: float) -> None:
    assert Deadline.after(timeout_s, lambda: 5.0).remaining_s() == remaining_s


@pytest.mark.parametrize(("grace", "grace_s"), [(3, 3.0), (-1, 0.0), (inf, 1e9), (1e300, 1e9)])
def test_a_grace_is_finite(grace: float, grace_s: float) -> None:
    assert usable_grace_s(grace) == grace_s


def test_a_handle_says_how_long_its_job_took_not_when_it_was_heard() -> None:
    created_at = datetime(2024, 1, 1, tzinfo=UTC)
    job = JobHandle(
        job_id="job", job_name="name", capability_id="c", created_at=created_at, controls=cast(JobControls, None)
    )
    assert job.finish(Cancelled(), created_at + timedelta(seconds=1.5))
    assert "<th>took</th><td>1.5 s</td>" in job._repr_html_()


def test_a_job_that_is_seen_to_be_over_has_its_last_status(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who waits looks at the outcome without the lock, at whatever moment of the end."""
    seen = []

    def set_and_look(job: JobHandle, name: str, value: object) -> None:
        object.__setattr__(job, name, value)
        if name == "_outcome" and value is not None:
            seen.append((job.wait(0), job.info.finished_at))

    job = JobHandle(
        job_id="job", job_name="name", capability_id="c", created_at=datetime.now(UTC), controls=cast(JobControls, None)
    )
    monkeypatch.setattr(JobHandle, "__setattr__", set_and_look, raising=False)
    at = datetime(2024, 1, 1, tzinfo=UTC)
    assert job.finish(Cancelled(), at)
    assert seen == [(JobStatus.CANCELLED, at)]
