"""A store that stops answering when a run is over: one story for all backends."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from checkmaite.jobs import Job, JobStatus, read_salvaged_run, submit_capability
from checkmaite.jobs.testing import SampleCapability

from tests.conftest import Outage

SOON_S = 120.0
WAITS = "its results wait to be stored"


def wait_until(condition: Callable[[], bool], job: Job) -> None:
    """Wait for what the job's news or files will show."""
    deadline = time.monotonic() + SOON_S
    while not condition():
        assert time.monotonic() < deadline, job.explain()
        time.sleep(0.02)


def over_in_an_outage(outage: Outage, folder: Path, uid: str) -> Job:
    """A job whose run is over, and whose results wait for the store."""
    job = submit_capability(SampleCapability(act="wait", folder=str(folder)), config={"run_uid": uid})
    wait_until((folder / "started").exists, job)
    outage.is_on = True
    (folder / "go").touch()
    wait_until(lambda: WAITS in job.explain(), job)
    assert job.status is JobStatus.RUNNING
    assert "the store did not answer (SlowDown)" in job.explain()
    return job


def check_that_results_outlive_an_outage(outage: Outage, folder: Path, read: Callable[[str], Any]) -> None:
    """The store answers again: the job completes, and has run once.

    Args:
        outage: Of the store that is configured.
        folder: An empty one of the test.
        read: Gives the rows of a run.
    """
    job = over_in_an_outage(outage, folder, "outlives")
    outage.is_on = False
    assert job.wait(SOON_S) is JobStatus.COMPLETED, job.explain()
    assert read("outlives").num_rows == 1
    assert WAITS not in job.explain()


def check_that_waiting_can_be_cancelled(outage: Outage, folder: Path) -> None:
    """The job is cancelled, and says where its rows are."""
    job = over_in_an_outage(outage, folder, "cancelled")
    assert job.cancel()
    assert job.wait(SOON_S) is JobStatus.CANCELLED, job.explain()
    (kept,) = re.findall(r"rows are kept in '([^']+)'", job.logs())
    assert read_salvaged_run(kept).run_uid == "cancelled"
