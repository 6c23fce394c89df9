"""What `concurrent.futures` promises of an executor and its futures, kept by jobs of every backend."""

from __future__ import annotations

import uuid
from concurrent.futures import FIRST_COMPLETED, CancelledError, Future
from concurrent.futures import TimeoutError as FuturesTimeoutError
from concurrent.futures import as_completed as futures_as_completed
from concurrent.futures import wait as futures_wait
from pathlib import Path
from typing import Any

import pytest
from checkmaite.jobs import JobBackend, JobExecutor, JobFailedError, JobStatus
from checkmaite.jobs.testing._backend.suite import BackendSuite
from checkmaite.jobs.testing._samples import SampleCapability, is_marked, mark


class FuturesContract(BackendSuite):
    """`JobExecutor`, and the functions that take its futures."""

    def test_an_executor_runs_what_it_is_given(self, backend: JobBackend, tmp_path: Path) -> None:
        called: list[Future[Any]] = []
        with JobExecutor() as pool:
            future = pool.submit(_capability(), config=_config(), job_name="by-the-pool")
            future.add_done_callback(called.append)
            failed = pool.submit(_capability("fail"), config=_config())
        assert future.done()
        assert failed.done(), "the end of the block waits"
        assert called == [future]
        assert future.result().run_uid == future.job.result().run_uid
        assert (future.job.job_name, future.cancelled(), future.running()) == ("by-the-pool", False, False)
        assert isinstance(failed.exception(), JobFailedError)
        with pytest.raises(JobFailedError):
            failed.result()
        with pytest.raises(RuntimeError, match="after shutdown"):
            pool.submit(_capability())

    def test_a_map_gives_results_in_order(self, backend: JobBackend) -> None:
        configs = [_config() for _ in range(3)]
        with JobExecutor() as pool:
            nothing = [None] * 3
            refs = pool.map(_capability(), nothing, nothing, nothing, configs, timeout=3 * self.patience_s)
            assert [ref.run_uid for ref in refs] == [config["run_uid"] for config in configs]

    def test_a_run_that_has_begun_is_not_cancelled_by_its_future(self, backend: JobBackend, tmp_path: Path) -> None:
        with JobExecutor() as pool:
            future = pool.submit(_capability("wait", tmp_path), config=_config())
            quick = pool.submit(_capability(), config=_config())
            self.until(lambda: is_marked(str(tmp_path), "started"), "no worker has begun with the job")
            self.until(future.running, "the future of a job that runs is not running")
            assert futures_wait([future, quick], self.patience_s, FIRST_COMPLETED).done == {quick}
            assert (future.cancel(), future.cancelled()) == (False, False)
            with pytest.raises(FuturesTimeoutError):
                future.result(timeout=0.01)
            mark(str(tmp_path), "go")
            assert {*futures_as_completed([future, quick], self.patience_s)} == {future, quick}
        assert future.job.status is JobStatus.COMPLETED

    def test_what_no_worker_has_begun_is_cancelled_with_the_executor(self, backend: JobBackend, tmp_path: Path) -> None:
        pool = JobExecutor()
        futures = [pool.submit(_capability("wait", tmp_path), config=_config()) for _ in range(6)]
        pool.shutdown(wait=False, cancel_futures=True)
        cancelled = [each for each in futures if each.cancelled()]
        mark(str(tmp_path), "go")
        self.in_time(pool.shutdown, "shutdown()")
        assert futures_wait(futures, self.patience_s).not_done == set()
        for each in futures:  # how many had begun is the backend's affair
            is_cancelled = each in cancelled
            assert each.cancelled() == is_cancelled
            assert each.job.wait(self.patience_s) is (JobStatus.CANCELLED if is_cancelled else JobStatus.COMPLETED)
        for each in cancelled:
            with pytest.raises(CancelledError):
                each.result(self.patience_s)


def _config() -> dict[str, str]:
    return {"run_uid": uuid.uuid4().hex}


def _capability(act: str = "return", folder: Path | str = "") -> SampleCapability:
    return SampleCapability(act=act, folder=str(folder))
