"""What the page shows of jobs on a cluster."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

from checkmaite.jobs import JobBackend, JobStatus
from checkmaite.jobs.spi import TellsOccupancy
from checkmaite.jobs_ui.facts import detail_of
from checkmaite.jobs_ui.sources import KeptJobs, LiveJobs

from tests.ray import capabilities
from tests.ray.clusters import SOON_S, wait_until
from tests.ray.conftest import submit


def test_jobs_of_a_cluster_are_followed(backend: JobBackend, options: dict[str, Any], tmp_path: Path) -> None:
    page = LiveJobs(backend, KeptJobs({"kind": "ray", **options}))
    assert page.summaries() == []
    failed = submit(capabilities.raises, job_name="fails")
    running = submit(
        partial(capabilities.tells_its_start_and_waits, str(tmp_path)), job_name="runs", resources={"num_cpus": 2}
    )
    failed.wait(SOON_S)
    wait_until(running.logs, "the job has printed nothing")
    wait_until(lambda: running.status is JobStatus.RUNNING, "the job is not seen to run")

    assert {job.job_name: str(job.status) for job in page.summaries()} == {"fails": "FAILED", "runs": "RUNNING"}
    shown = detail_of(page.detail(running.job_id))
    (attempt,) = shown["attempts"]
    assert attempt["node"]
    assert attempt["pid"]
    assert shown["asked"] == {"num_cpus": 2}
    assert "capability" in {each["part"] for each in shown["fingerprints"]}
    shown = detail_of(page.detail(failed.job_id))
    assert shown["failure"]["kind"] == "exception"
    assert "ValueError" in shown["failure"]["traceback_text"]
    assert shown["used"]["memory"] > 0

    assert isinstance(backend, TellsOccupancy)
    taken = {each["name"]: each for each in page.occupancy() or ()}
    assert (taken["CPU"]["total"], taken["GPU"]["total"]) == (4, 2)
    assert taken["CPU"]["used"] >= 2
    assert not [name for name in taken if name.startswith("node:")]

    (tmp_path / "go").touch()
    running.wait(SOON_S)
    assert {job.job_name: str(job.status) for job in page.summaries()} == {"fails": "FAILED", "runs": "COMPLETED"}
