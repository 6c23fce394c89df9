"""What the ``runs`` table says of a job after it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from attrs import frozen
from checkmaite.jobs import (
    JobBackend,
    configure_job_backend,
    configure_provenance,
    reset_provenance,
    shutdown_job_backend,
    submit_capability,
)
from checkmaite.jobs.testing import SampleCapability, SampleRun

USER_ID, EXECUTOR = "CHECKMAITE_PROVENANCE_USER_ID", "CHECKMAITE_PROVENANCE_EXECUTOR"


@frozen
class ChangesItsEnvironment(SampleCapability):
    """Does on the worker what another machine's environment would do."""

    def run(self, **given: Any) -> SampleRun:
        os.environ.update({USER_ID: "the-worker's", EXECUTOR: "the-worker's"})
        return super().run(**given)


@pytest.fixture
def backend(tmp_path: Path) -> Iterator[JobBackend]:
    yield configure_job_backend("inline", analytics_store={"backend": "parquet", "uri": tmp_path / "store"})
    shutdown_job_backend()
    reset_provenance()


def test_runs_says_which_job_and_what_the_submitter_said(backend: JobBackend, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(USER_ID, "ada")
    monkeypatch.setenv(EXECUTOR, "restored after the test, whatever the job does")
    monkeypatch.delenv(EXECUTOR)
    configure_provenance(workspace_id="from-the-call")
    before = datetime.now(UTC)
    job = submit_capability(ChangesItsEnvironment(), config={"run_uid": "u"})
    job.result(30)
    rows = backend.analytics_store.read_table("runs").to_pylist()
    assert rows
    for row in rows:
        assert (row["backend"], row["job_id"], row["run_event_id"]) == ("inline", job.job_id, job.job_id)
        assert before <= row["submitted_at"] == job.created_at <= row["completed_at"] <= datetime.now(UTC)
        assert (row["user_id"], row["workspace_id"], row["executor"]) == ("ada", "from-the-call", None)
