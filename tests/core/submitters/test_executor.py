from __future__ import annotations

import uuid
from collections.abc import Iterator
from concurrent.futures import CancelledError, wait
from pathlib import Path

import pytest
from checkmaite.jobs import (
    JobCancelledError,
    JobExecutor,
    JobFuture,
    JobStatus,
    configure_job_backend,
    shutdown_job_backend,
)
from checkmaite.jobs.testing._samples import SampleCapability, is_marked, mark, wait_until

SOON_S = 30.0


@pytest.fixture(autouse=True)
def _one_at_a_time(tmp_path: Path) -> Iterator[None]:
    configure_job_backend("inline", analytics_store={"backend": "null"}, max_workers=1)
    yield
    mark(str(tmp_path), "go")
    shutdown_job_backend()


def submitted(pool: JobExecutor, folder: Path) -> JobFuture:
    return pool.submit(SampleCapability(act="wait", folder=str(folder)), config={"run_uid": uuid.uuid4().hex})


def test_a_future_is_pending_until_its_job_runs_and_can_be_cancelled_until_then(tmp_path: Path) -> None:
    pool = JobExecutor()
    first, second, third = (submitted(pool, tmp_path) for _ in range(3))
    wait_until(first.running, "the first did not begin", SOON_S)
    assert (second.running(), second.done(), second.cancel(), second.cancelled()) == (False, False, True, True)
    assert second.job.wait(SOON_S) is JobStatus.CANCELLED
    assert wait([second], SOON_S).done == {second}
    with pytest.raises(CancelledError):
        second.result(SOON_S)
    assert not first.cancel()
    pool.shutdown(wait=False, cancel_futures=True)
    assert third.cancelled()
    assert not first.done()
    mark(str(tmp_path), "go")
    pool.shutdown()
    assert first.job.status is JobStatus.COMPLETED


def test_a_job_that_somebody_else_cancels_has_an_error_as_other_jobs_have(tmp_path: Path) -> None:
    with JobExecutor() as pool:
        future = submitted(pool, tmp_path)
        wait_until(lambda: is_marked(str(tmp_path), "started"), "it did not begin", SOON_S)
        future.job.cancel()
        assert isinstance(future.exception(SOON_S), JobCancelledError)
    assert not future.cancelled()


def test_a_shutdown_ends_the_executor_and_not_the_backend(tmp_path: Path) -> None:
    JobExecutor().shutdown()
    mark(str(tmp_path), "go")
    with JobExecutor() as pool:
        future = submitted(pool, tmp_path)
    assert future.result(0).run_uid
