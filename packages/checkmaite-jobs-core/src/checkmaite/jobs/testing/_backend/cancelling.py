"""What every job backend promises of cancelled jobs."""

from __future__ import annotations

from pathlib import Path

import pytest
from checkmaite.jobs import JobBackend, JobCancelledError, JobStatus
from checkmaite.jobs.testing._backend.suite import BackendSuite
from checkmaite.jobs.testing._samples import is_marked, is_worked_in, mark, wait_until

_MOST_MOMENT_S = 5.0
"""A busy operating system may take as long to end a process that was killed."""


class CancellingContract(BackendSuite):
    """A cancelled job ends CANCELLED, once its work has stopped and not before."""

    @pytest.mark.parametrize("act", ["wait", "swallow"])
    def test_cancel_of_a_running_job(self, backend: JobBackend, tmp_path: Path, act: str) -> None:
        job = self.submit_and_start(tmp_path, act)
        assert job.cancel(grace=1) is True
        if act == "swallow":
            mark(str(tmp_path), "go")
        assert job.wait(self.patience_s) is JobStatus.CANCELLED
        self.see_that_nobody_works(tmp_path)
        with pytest.raises(JobCancelledError):
            job.result(0)
        assert job.cancel() is False
        assert job.status is JobStatus.CANCELLED

    def test_cancel_does_not_wait_for_the_grace_to_end(self, backend: JobBackend, tmp_path: Path) -> None:
        job = self.submit_and_start(tmp_path)
        assert job.cancel(grace=3_600) is True
        assert job.wait(self.patience_s) is JobStatus.CANCELLED
        assert is_marked(str(tmp_path), "left"), "the job had no chance to clean up before it was stopped by force"

    def test_cancel_returns_at_once(self, backend: JobBackend, tmp_path: Path) -> None:
        job = self.submit_and_start(tmp_path, "swallow")
        assert self.in_time(lambda: job.cancel(grace=3_600), "cancel()") is True
        assert not job.status.is_final, f"the job is {job.status}, and its work goes on"
        mark(str(tmp_path), "go")
        assert job.wait(self.patience_s) is JobStatus.CANCELLED

    def test_cancel_of_a_job_that_has_just_been_submitted(self, backend: JobBackend, tmp_path: Path) -> None:
        job = self.submit(tmp_path, "wait")
        assert job.cancel(grace=1) is True
        assert job.wait(self.patience_s) is JobStatus.CANCELLED
        self.see_that_nobody_works(tmp_path)

    def test_cancel_of_a_finished_job_changes_nothing(self, backend: JobBackend, tmp_path: Path) -> None:
        job = self.submit(tmp_path)
        job.result(self.patience_s)
        assert job.cancel() is False
        assert job.status is JobStatus.COMPLETED

    def see_that_nobody_works(self, folder: Path) -> None:
        """The work of a job that is CANCELLED has stopped."""
        moment_s = min(_MOST_MOMENT_S, self.patience_s / 4)  # the test goes on before `backend` lets the work end
        wait_until(lambda: not is_worked_in(str(folder)), "the job is CANCELLED, and its work goes on", moment_s)
