"""What the objects that users hold say of themselves, and which names completion shows."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import checkmaite.jobs
import pytest
from checkmaite.jobs import Job, configure_job_backend, shutdown_job_backend, submit_capability
from checkmaite.jobs.testing import SampleCapability


@pytest.fixture(autouse=True)
def _backend(tmp_path: Path) -> Iterator[None]:
    yield
    shutdown_job_backend()


def test_a_backend_says_what_it_is() -> None:
    backend = configure_job_backend("inline", analytics_store={"backend": "null"})
    assert repr(backend).startswith("<JobBackend 'inline' in process ")
    assert repr(backend).endswith(", store null://>")


def test_completion_shows_what_a_user_may_ask() -> None:
    configure_job_backend("inline", analytics_store={"backend": "null"})
    job = submit_capability(SampleCapability(), config={"run_uid": "run"})
    shown = {name for name in dir(job) if not name.startswith("_")}
    promised = {name for name in vars(Job) if not name.startswith("_")}
    of_handles = {"capability_id", "finished_at", "known", "rerun", "scope", "submitted_by", "table", "tags"}
    assert shown == promised | of_handles
    assert {name for name in dir(checkmaite.jobs) if not name.startswith("_")} >= {*checkmaite.jobs.__all__}
