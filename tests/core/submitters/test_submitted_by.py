"""Who submitted a job is kept with it, shown, and a filter of the listing."""

from __future__ import annotations

import getpass
import socket
from collections.abc import Iterator

import pytest
from checkmaite.jobs import (
    ArgumentError,
    configure_job_backend,
    configure_provenance,
    list_jobs,
    reset_provenance,
    shutdown_job_backend,
    submit_capability,
)
from checkmaite.jobs._submitters import listing
from checkmaite.jobs._submitters.handle import JobHandle
from checkmaite.jobs.testing import SampleCapability


@pytest.fixture(autouse=True)
def _backend() -> Iterator[None]:
    reset_provenance()
    configure_job_backend("inline", analytics_store={"backend": "null"})
    yield
    shutdown_job_backend()
    reset_provenance()


def _submit(name: str) -> JobHandle:
    job = submit_capability(SampleCapability(id=name))
    assert isinstance(job, JobHandle)
    return job


def test_it_is_the_user_at_the_host_unless_provenance_says_better() -> None:
    mine = _submit("a")
    configure_provenance(user_id="ann")
    hers = _submit("b")
    here = f"{getpass.getuser()}@{socket.gethostname()}"
    assert (mine.submitted_by, hers.submitted_by) == (here, "ann")
    assert "<th>by</th><td>ann</td>" in hers._repr_html_()
    assert list_jobs(submitted_by="ann") == [hers]
    assert list_jobs(submitted_by=here, capability_id="a") == [mine]
    assert list_jobs(submitted_by="bob") == []
    with pytest.raises(ArgumentError, match="submitted_by: expected text, got int"):
        list_jobs(submitted_by=7)  # type: ignore[arg-type] # what a user may pass


def test_a_user_without_a_name_has_a_number(monkeypatch: pytest.MonkeyPatch) -> None:
    def nobody() -> str:
        raise KeyError("getpwuid(): uid not found: 4711")

    monkeypatch.setattr(getpass, "getuser", nobody)
    monkeypatch.setattr("os.getuid", lambda: 4711)
    assert listing._user_at_host.__wrapped__() == f"user 4711@{socket.gethostname()}"
