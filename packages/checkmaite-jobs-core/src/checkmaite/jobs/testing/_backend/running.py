"""What every job backend promises of a job from its submission to its end."""

from __future__ import annotations

import os
import pickle
import time
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from checkmaite.jobs import (
    ArgumentError,
    JobBackend,
    JobFailedError,
    JobStatus,
    JobSubmissionError,
    JobTimeoutError,
    as_completed,
    wait_all,
)
from checkmaite.jobs.testing._backend.suite import CLOCKS_DIFFER, BackendSuite
from checkmaite.jobs.testing._samples import is_marked, mark

_MOST_BYTES = 64 * 2**10


class RunningContract(BackendSuite):
    """Status, result, failure and time-outs."""

    def test_completes_with_a_run_ref(self, backend: JobBackend, tmp_path: Path) -> None:
        began = datetime.now(UTC)
        job = self.submit(tmp_path, job_name="first")
        ref = job.result(self.patience_s)
        assert (ref.capability_id, str(ref.report)) == ("sample", "# sample at 0.5")
        assert job.status is JobStatus.COMPLETED
        assert job.exception(0) is None
        assert job.job_name == "first"
        assert job.created_at.utcoffset() == timedelta(0)
        assert began - CLOCKS_DIFFER < job.created_at == job.created_at < datetime.now(UTC) + CLOCKS_DIFFER
        assert "first" in repr(job)

    def test_running_is_said_while_the_worker_runs(self, backend: JobBackend, tmp_path: Path) -> None:
        job = self.submit_and_start(tmp_path)
        self.until(lambda: job.status is JobStatus.RUNNING, "the job is not RUNNING")
        mark(str(tmp_path), "go")
        assert job.wait(self.patience_s) is JobStatus.COMPLETED

    def test_status_moves_forward_only(self, backend: JobBackend, tmp_path: Path) -> None:
        job = self.submit(tmp_path, "wait")
        seen = [job.status]
        self.until(lambda: is_marked(str(tmp_path), "started"), "no worker has begun with the job")
        seen += [job.status for _ in range(20)]
        mark(str(tmp_path), "go")
        job.wait(self.patience_s)
        seen += [job.status for _ in range(20)]
        for before, after in pairwise(seen):
            assert before is after or before.may_become(after), f"{before} was followed by {after}"

    def test_no_result_before_the_write(self, backend: JobBackend, tmp_path: Path) -> None:
        job = self.submit(tmp_path, "slow-write")
        self.until(lambda: is_marked(str(tmp_path), "extracting"), "no worker has begun to write")
        assert not job.wait(0.2).is_final
        with pytest.raises(JobTimeoutError):
            job.result(0.1)
        mark(str(tmp_path), "write")
        job.result(self.patience_s)

    @pytest.mark.parametrize(
        ("act", "error_type", "message"),
        [
            ("fail", "ValueError", "told to fail"),
            ("fail-unpicklable", "UnpicklableError", "this and that"),
            ("fail-unprintable", "UnprintableError", "its message cannot be shown: SystemExit"),
            ("fail-cancelled", "CancelledError", "was cancelled"),
            ("fail-interrupted", "KeyboardInterrupt", "interrupts itself"),
        ],
    )
    def test_failure_reaches_the_submitter(
        self, backend: JobBackend, tmp_path: Path, act: str, error_type: str, message: str
    ) -> None:
        job = self.submit(tmp_path, act)
        with pytest.raises(JobFailedError, match=message) as caught:
            job.result(self.patience_s)
        assert caught.value.error_type.endswith(error_type)
        assert "SampleCapability" in caught.value.traceback_text or "in run" in caught.value.traceback_text
        assert caught.value.pid
        assert isinstance(job.exception(0), JobFailedError)
        assert job.wait(0) is JobStatus.FAILED

    def test_an_error_of_any_size_is_cut_in_the_middle(self, backend: JobBackend, tmp_path: Path) -> None:
        job = self.submit(tmp_path, "fail-at-length")
        error = job.exception(self.patience_s)
        assert isinstance(error, JobFailedError)
        assert error.error_message.startswith("this begins")
        assert error.error_message.endswith("and that ends")
        assert "characters left out; job.logs() has more of it" in error.error_message
        assert "in run" in error.traceback_text
        assert max(len(each.encode()) for each in (str(error), job.explain())) < _MOST_BYTES
        assert len(pickle.dumps(error)) < _MOST_BYTES
        self.until(lambda: "and that ends" in job.logs(), "the job's output does not have the message")
        assert len(job.logs()) > len(str(error))
        assert job.logs().index("the sample fails") < job.logs().index("this begins")

    def test_time_outs_are_kept(self, backend: JobBackend, tmp_path: Path) -> None:
        job = self.submit(tmp_path, "wait")
        began = time.monotonic()
        assert not job.wait(0).is_final
        for ask in (job.result, job.exception):
            with pytest.raises(JobTimeoutError):
                ask(0.05)
        with pytest.raises(JobTimeoutError):
            next(as_completed([job], timeout=0.05))
        (status,) = wait_all([job], 0)
        assert not status.is_final
        assert time.monotonic() - began < self.patience_s
        mark(str(tmp_path), "go")
        job.result(self.patience_s)

    def test_a_time_that_is_no_number_is_refused_and_stops_nothing(self, backend: JobBackend, tmp_path: Path) -> None:
        job: Any = self.submit_and_start(tmp_path)
        for ask in (job.wait, job.result, job.exception, job.cancel):
            for number in ("5", float("nan")):
                with pytest.raises(ArgumentError):
                    ask(number)
        mark(str(tmp_path), "go")
        assert job.wait(self.patience_s) is JobStatus.COMPLETED

    def test_a_process_of_its_own_is_given_or_refused(self, backend: JobBackend, tmp_path: Path) -> None:
        own = tmp_path / "own"
        own.mkdir()
        try:
            jobs = [self.submit(own, "say-process", isolation="process") for _ in range(2)]
        except JobSubmissionError as error:
            paths = [problem.path for problem in error.problems]
            assert paths == ["isolation"]
            return
        assert wait_all(jobs, self.patience_s) == [JobStatus.COMPLETED] * 2
        self.submit(tmp_path, "say-process").result(self.patience_s)
        (shared,) = (path.name for path in tmp_path.glob("process-*"))
        processes = {path.name for path in own.glob("process-*")}
        assert len(processes) == 2, "they had one process together"
        assert not processes & {shared, f"process-{os.getpid()}"}
