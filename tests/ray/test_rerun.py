"""Jobs that are run again by a process that has not submitted them."""

from __future__ import annotations

import base64
import json
import os
import secrets
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from checkmaite.jobs import (
    JobStatus,
    JobSubmissionError,
    Resources,
    configure_job_backend,
    get_job,
    get_job_backend,
    list_jobs,
)

from tests.ray.clusters import SOON_S, Client
from tests.ray.conftest import Control

SUBMITTER = """
from checkmaite.jobs.testing import SampleRun

class NeedsMending:
    def __init__(self, folder, ballast=b""):
        self.id, self.folder, self.ballast = "needs-mending", folder, ballast

    def run(self, *, config, **_):
        if not (Path(self.folder) / "mended").exists():
            raise OSError("not yet")
        return SampleRun(run_uid=config["run_uid"], capability_id=self.id)

configure()
folder = str(Path.cwd())
given = {"small": NeedsMending(folder), "large": NeedsMending(folder, os.urandom(200_000))}
jobs = {
    name: submit_capability(
        each, config={"run_uid": name}, job_name=name, resources={"num_cpus": 2}, tags={"sweep": "12"}, max_retries=0
    )
    for name, each in given.items()
}
for job in jobs.values():
    job.wait(60)
(Path.cwd() / "mended").touch()
jobs["done"] = submit_capability(given["small"], config={"run_uid": "done"}, job_name="done")
jobs["done"].wait(60)
say(json.dumps({name: job.job_id for name, job in jobs.items()}))
"""


def test_a_job_of_a_process_that_has_left_is_run_again_also_after_a_restart_of_the_registry(
    own_options: dict[str, Any],
    client: Callable[..., Client],
    control: Control,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    key = tmp_path / "payload.key"
    key.write_text(base64.b64encode(secrets.token_bytes(32)).decode())
    own_options |= {"payload_key": {"file": str(key)}, "journal_uri": str(tmp_path / "journal")}
    submitter = client(SUBMITTER, **own_options)
    ids = json.loads(submitter.line())
    submitter.rest()
    os.kill(control.registry(), signal.SIGKILL)

    configure_job_backend("ray", **own_options)
    monkeypatch.setenv("CHECKMAITE_PROVENANCE_USER_ID", "somebody-else")
    small, large, done = (get_job(ids[name]) for name in ("small", "large", "done"))
    assert [job.wait(SOON_S) for job in (small, large, done)] == [JobStatus.FAILED] * 2 + [JobStatus.COMPLETED]
    with pytest.raises(JobSubmissionError, match='Start it with keep_inputs="all"'):
        done.rerun()
    with pytest.raises(JobSubmissionError, match="num_cpus"):
        small.rerun(resources={"num_cpu": 1})

    again = [small.rerun(resources={"num_gpus": 1}), large.rerun(job_name="mended", tags={})]
    assert [job.wait(SOON_S) for job in again] == [JobStatus.COMPLETED] * 2, [job.explain() for job in again]
    assert [job.info.resources for job in again] == [Resources(num_cpus=2, num_gpus=1), Resources(num_cpus=2)]
    assert [(job.job_name, job.info.tags, job.info.submitted_by) for job in again] == [
        ("small", {"sweep": "12"}, "somebody-else"),
        ("mended", {}, "somebody-else"),
    ]
    stored = get_job_backend().analytics_store.read_table("runs").to_pylist()
    assert {row["run_uid"]: row["user_id"] for row in stored} == {
        "small": "somebody-else",
        "large": "somebody-else",
        "done": None,
    }
    assert {job.job_id for job in again}.isdisjoint(ids.values())
    assert len(list_jobs(limit=None)) == 5
