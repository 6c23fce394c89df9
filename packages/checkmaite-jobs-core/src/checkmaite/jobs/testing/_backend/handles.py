"""What every job backend promises of the handles that it gives, one by one and listed."""

from __future__ import annotations

import asyncio
import copy
import pickle
import threading
import uuid
from concurrent.futures import as_completed as futures_as_completed
from concurrent.futures import wait as futures_wait
from datetime import UTC, datetime
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from checkmaite.jobs import (
    CapabilityRunRef,
    FailureKind,
    Job,
    JobBackend,
    JobFailedError,
    JobNotFoundError,
    JobStatus,
    NotConfiguredError,
    Resources,
    as_completed,
    configure_job_backend,
    get_job,
    list_jobs,
    shutdown_job_backend,
    submit_capabilities,
    wait_all,
    watch,
)
from checkmaite.jobs.testing._backend.suite import CLOCKS_DIFFER, BackendSuite
from checkmaite.jobs.testing._samples import SampleCapability, is_marked, mark


class HandleContract(BackendSuite):
    """Callbacks, futures, listing, pickling, and what becomes of jobs when the backend goes."""

    def test_callbacks_future_and_await(self, backend: JobBackend, tmp_path: Path) -> None:
        job = self.submit(tmp_path, "wait")
        called: list[str] = []
        job.add_done_callback(lambda each: called.append(each.job_id))
        future = job.future()
        assert not future.cancel(), "cancelling the future must not cancel the job"
        mark(str(tmp_path), "go")
        ref = future.result(self.patience_s)
        job.add_done_callback(lambda each: called.append(each.job_id))
        self.until(lambda: len(called) >= 2, "a callback was not called")

        async def awaited() -> Any:
            return await job

        assert asyncio.run(awaited()) == ref == job.result(0)
        assert called == [job.job_id] * 2

    def test_callbacks_are_called_once_and_after_the_end(self, backend: JobBackend, tmp_path: Path) -> None:
        job = self.submit_and_start(tmp_path)
        called: list[tuple[int, bool]] = []

        def call(number: int, ended: Job) -> None:
            called.append((number, ended.status.is_final))
            if number == 1:
                raise ValueError("this callback is at fault, and keeps no other from being called")

        for number in (1, 2, 3):
            job.add_done_callback(partial(call, number))
        mark(str(tmp_path), "go")
        assert job.wait(self.patience_s) is JobStatus.COMPLETED
        self.until(lambda: {number for number, _ in called} == {1, 2, 3}, f"callbacks were not called, but {called}")
        assert sorted(called) == [(1, True), (2, True), (3, True)]

    def test_await_lets_the_loop_go_on(self, backend: JobBackend, tmp_path: Path) -> None:
        job = self.submit_and_start(tmp_path)

        async def both() -> tuple[CapabilityRunRef, bool]:
            return await asyncio.gather(awaited(), go())

        async def awaited() -> CapabilityRunRef:
            return await job

        async def go() -> bool:
            in_time = not is_marked(str(tmp_path), "go")  # a test that waits in vain is freed by this mark
            mark(str(tmp_path), "go")
            return in_time

        ref, in_time = self.in_time(lambda: asyncio.run(both()), "await job, while another coroutine lets the job end,")
        assert in_time
        assert ref == job.result(0)

    def test_batch_in_order_as_completed_and_listed(self, backend: JobBackend, tmp_path: Path) -> None:
        capability = SampleCapability(folder=str(tmp_path))
        uids = [uuid.uuid4().hex for _ in range(5)]
        jobs = [
            self.wrap(each)
            for each in submit_capabilities(
                [{"capability": capability, "config": {"run_uid": uid}, "job_name": uid} for uid in uids]
            )
        ]
        assert len({job.job_id for job in as_completed(jobs, self.patience_s)}) == len(jobs)
        assert wait_all(jobs, self.patience_s) == [JobStatus.COMPLETED] * 5
        assert [job.result(0).run_uid for job in jobs] == uids
        listed = list_jobs(limit=3, status_filter="COMPLETED")
        assert len(listed) == 3
        assert [job.created_at for job in listed] == sorted((job.created_at for job in listed), reverse=True)
        assert get_job(jobs[0].job_id).job_name == uids[0]
        third, created_ts = jobs[2], jobs[2].created_at.timestamp()
        fits: dict[str, Any] = {
            "capability_id": "sample",
            "status_filter": ["COMPLETED", "FAILED"],
            "submitted_after_ts": created_ts,
            "submitted_before_ts": created_ts + 0.001,
        }
        for chosen in ({}, fits):
            assert [job.job_id for job in list_jobs(job_name=uids[2], **chosen)] == [third.job_id]
        for name, other in [
            ("capability_id", "another"),
            ("status_filter", "FAILED"),
            ("submitted_after_ts", created_ts + 0.001),
            ("submitted_before_ts", created_ts),
        ]:
            asked: dict[str, Any] = {"job_name": uids[2], name: other}
            assert list_jobs(**asked) == [], f"{name} is ignored"

    def test_an_unknown_job_is_an_error(self, backend: JobBackend) -> None:
        with pytest.raises(JobNotFoundError):
            get_job("job-that-never-was")

    def test_a_pickled_handle_finds_its_job_again(self, backend: JobBackend, tmp_path: Path) -> None:
        job = self.submit(tmp_path)
        ref = job.result(self.patience_s)
        pickled = pickle.dumps(job)
        again = pickle.loads(pickled)  # noqa: S301 - made a line above
        assert (again.job_id, again.result(self.patience_s)) == (job.job_id, ref)
        shutdown_job_backend(wait=False)
        with pytest.raises(NotConfiguredError, match=job.job_id):
            pickle.loads(pickled)  # noqa: S301 - as above

    def test_handles_are_pickled_and_copied_within_anything(self, backend: JobBackend, tmp_path: Path) -> None:
        """A copy means the same job also where another backend is active by now."""
        jobs = [self.submit(tmp_path), self.submit(tmp_path)]
        refs = [job.result(self.patience_s) for job in jobs]
        within = {"jobs": (jobs, {"first": jobs[0]})}
        (all_again, named), *_ = pickle.loads(pickle.dumps(within)).values()  # noqa: S301 - made here
        assert [job.result(self.patience_s) for job in (*all_again, named["first"])] == [*refs, refs[0]]
        configure_job_backend("inline", analytics_store={"backend": "null"})
        (all_again, named), *_ = copy.deepcopy(within).values()
        again = [*all_again, named["first"], copy.copy(jobs[1])]
        assert [job.result(0) for job in again] == [*refs, refs[0], refs[1]]
        backend.shutdown(wait=True)

    def test_logs_progress_and_explanation(self, backend: JobBackend, tmp_path: Path) -> None:
        job = self.submit_and_start(tmp_path)
        self.until(lambda: job.progress is not None, "no progress")
        assert job.progress is not None
        assert (job.progress.fraction, job.progress.message) == (0.25, "waiting")
        assert job.job_id in job.explain()
        mark(str(tmp_path), "go")
        job.result(self.patience_s)
        self.until(lambda: "the sample waits" in job.logs(), "no logs")
        self.until(lambda: "the sample complains" in job.logs(), "no logs of stderr")
        silent = self.submit(tmp_path)
        silent.result(self.patience_s)
        assert silent.logs() == ""

    def test_output_and_changes_come_as_they_happen(self, backend: JobBackend, tmp_path: Path) -> None:
        job, other = self.submit_and_start(tmp_path), self.submit(tmp_path)
        lines = job.follow_logs()
        changes = watch([job, other], self.patience_s)
        seen = [next(changes).job_id, next(changes).job_id]
        assert seen == [job.job_id, other.job_id], "what is known at first is told first"
        mark(str(tmp_path), "go")
        told = {info.job_id: info.status for info in changes}
        assert told[job.job_id] is JobStatus.COMPLETED
        assert other.status is JobStatus.COMPLETED, "it ends when all are final"
        assert "the sample waits" in self.in_time(lambda: list(lines), "follow_logs() of a job that is over")

    def test_many_are_awaited_by_the_means_of_python(self, backend: JobBackend, tmp_path: Path) -> None:
        jobs = [self.submit(tmp_path), self.submit(tmp_path, "fail")]

        async def ends() -> set[str]:
            return {job.job_id async for job in as_completed(jobs, self.patience_s)}

        assert asyncio.run(ends()) == {job.job_id for job in jobs}
        futures = [job.future() for job in jobs]
        assert futures_wait(futures, self.patience_s) == ({*futures}, set())
        assert {*futures_as_completed(futures, self.patience_s)} == {*futures}
        assert isinstance(futures[1].exception(self.patience_s), JobFailedError)

    def test_facts_of_a_job_are_a_value(self, backend: JobBackend, tmp_path: Path) -> None:
        before = datetime.now(UTC)
        job = self.submit_and_start(tmp_path)
        self.until(lambda: job.info.started_at is not None, "nobody has told that the job started")
        running = job.info
        assert (running.job_id, running.job_name, running.status) == (job.job_id, job.job_name, JobStatus.RUNNING)
        assert (running.finished_at, running.pending_reason, running.failure_kind) == (None, None, None)
        assert [(each.number, each.end) for each in running.attempts] == [(1, "")]
        mark(str(tmp_path), "go")
        job.result(self.patience_s)
        done = job.info
        assert (running.status, done.status) == (JobStatus.RUNNING, JobStatus.COMPLETED), "what was told has changed"
        instants = [before, done.created_at, done.queued_at, done.started_at, done.finished_at, datetime.now(UTC)]
        known = [each for each in instants if each is not None]
        assert len(known) == len(instants), "an instant is missing"
        assert all(one <= another + CLOCKS_DIFFER for one, another in pairwise(known)), known
        (attempt,) = done.attempts
        assert (attempt.number, attempt.end, attempt.ended_at) == (1, "COMPLETED", done.finished_at)
        assert (attempt.started_at, attempt.node, attempt.pid) == (done.started_at, done.node, done.pid)
        assert done.pid
        assert done.resources == Resources()
        failed = self.submit(tmp_path, "fail")
        failed.wait(self.patience_s)
        told = failed.info
        assert (told.failure_kind, told.error_type) == (FailureKind.EXCEPTION, "ValueError")
        assert "told to fail" in f"{told.error_message}"
        assert "Traceback" in told.traceback_text

    def test_tags_find_jobs(self, backend: JobBackend, tmp_path: Path) -> None:
        sweep = uuid.uuid4().hex
        one, other = (self.submit(tmp_path, tags={"sweep": sweep, "part": part}) for part in ("one", "other"))
        assert one.info.tags == {"sweep": sweep, "part": "one"}
        wait_all([one, other], self.patience_s)
        for wanted, jobs in [
            ({"sweep": sweep}, [other, one]),
            ({"sweep": sweep, "part": "one"}, [one]),
            ({"sweep": sweep, "part": "none"}, []),
            ({"part of": sweep}, []),
        ]:
            assert [job.job_id for job in list_jobs(tags=wanted)] == [job.job_id for job in jobs], wanted

    def test_a_notebook_shows_name_and_status(self, backend: JobBackend, tmp_path: Path) -> None:
        job = self.submit(tmp_path, job_name="shown")
        job.result(self.patience_s)
        shown: Any = job
        assert "shown" in shown._repr_html_()
        assert "COMPLETED" in shown._repr_html_()

    def test_handing_over_loses_no_job(self, backend: JobBackend, tmp_path: Path) -> None:
        job = self.submit_and_start(tmp_path)
        configure_job_backend("inline", analytics_store={"backend": "null"})
        assert not job.wait(0).is_final
        mark(str(tmp_path), "go")
        assert job.wait(self.patience_s) is JobStatus.COMPLETED
        backend.shutdown(wait=True)

    def test_shutdown_loses_no_job_that_it_waits_for(self, backend: JobBackend, tmp_path: Path) -> None:
        """It waits for jobs that end with this process; others may go on without it."""
        self.submit_and_start(tmp_path)
        stopping = threading.Thread(target=shutdown_job_backend, daemon=True)
        stopping.start()
        stopping.join(0.1)
        mark(str(tmp_path), "go")
        stopping.join(self.patience_s)
        assert not stopping.is_alive(), "shutdown_job_backend() has not returned, and the job is over"
        self.until(lambda: list(tmp_path.glob("executed-*")), "the job was not done")
        assert len(list(tmp_path.glob("executed-*"))) == 1, "the job was done more than once"
