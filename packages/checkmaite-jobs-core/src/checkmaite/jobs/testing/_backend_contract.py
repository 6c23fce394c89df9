"""What every job backend promises, as tests."""

from __future__ import annotations

import asyncio
import os
import pickle
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar

import pytest
from checkmaite.jobs import (
    ArgumentError,
    Job,
    JobBackend,
    JobCancelledError,
    JobFailedError,
    JobNotFoundError,
    JobStatus,
    JobSubmissionError,
    JobTimeoutError,
    NotConfiguredError,
    Reuse,
    ReuseKind,
    StaleResultError,
    as_completed,
    configure_job_backend,
    get_job,
    list_jobs,
    plan_capabilities,
    shutdown_job_backend,
    submit_capabilities,
    submit_capability,
    wait_all,
)
from checkmaite.jobs.spi import KeepsRevisions
from checkmaite.jobs.testing._samples import SampleCapability, SampleKnownBefore, mark, wait_for_mark, wait_until

_MOST_BYTES = 64 * 2**10
_SOON_S = 60.0
_BOUND_S = 10.0
"""A call that was told to wait a moment may take this long on a busy machine, and no longer."""


class JobBackendContract:
    """Inherit it, name the backend, and every promise of `Job` and `JobBackend` is tested.

    Attributes:
        kind: The backend's entry point.
        analytics_store: The store to configure; ``{"backend": "null"}`` will do. ``{folder}`` in a value becomes a
            folder of the test's own.
        options: The backend's options.
    """

    kind: ClassVar[str]
    analytics_store: ClassVar[Mapping[str, Any]] = {"backend": "null"}
    options: ClassVar[Mapping[str, Any]] = {}

    def wrap(self, job: Job) -> Job:
        """The job to test; override to test a copy of a backend with something changed."""
        return job

    @pytest.fixture
    def backend(self, tmp_path: Path) -> Iterator[JobBackend]:
        """The backend, configured for one test and stopped after it."""
        store = {
            name: value.replace("{folder}", str(tmp_path)) if isinstance(value, str) else value
            for name, value in self.analytics_store.items()
        }
        yield configure_job_backend(self.kind, analytics_store=store, **self.options)
        for mark_name in ("go", "write"):
            mark(str(tmp_path), mark_name)
        with suppress(NotConfiguredError):  # a test may have shut it down
            jobs = list_jobs(limit=None)
            for job in jobs:  # a Ray or a cluster that stays up goes on with what is not final
                job.cancel(grace=0)
            wait_all(jobs, timeout=_BOUND_S)
        shutdown_job_backend(wait=False)

    def submit(self, folder: Path, act: str = "return", **arguments: Any) -> Job:
        """Submit the sample capability with a run uid of its own."""
        capability = SampleCapability(act=act, folder=str(folder))
        return self.wrap(submit_capability(capability, config={"run_uid": uuid.uuid4().hex}, **arguments))

    def test_completes_with_a_run_ref(self, backend: JobBackend, tmp_path: Path) -> None:
        job = self.submit(tmp_path, job_name="first")
        ref = job.result(_SOON_S)
        assert (ref.capability_id, str(ref.report)) == ("sample", "# sample at 0.5")
        assert job.status is JobStatus.COMPLETED
        assert job.exception(0) is None
        assert job.job_name == "first"
        assert job.created_at.tzinfo is not None
        assert "first" in repr(job)

    def test_running_is_said_while_the_worker_runs(self, backend: JobBackend, tmp_path: Path) -> None:
        job = self.submit(tmp_path, "wait")
        wait_for_mark(str(tmp_path), "started")
        wait_until(lambda: job.status is JobStatus.RUNNING, "the job is not RUNNING")
        mark(str(tmp_path), "go")
        assert job.wait(_SOON_S) is JobStatus.COMPLETED

    def test_status_moves_forward_only(self, backend: JobBackend, tmp_path: Path) -> None:
        job = self.submit(tmp_path, "wait")
        seen = [job.status]
        wait_for_mark(str(tmp_path), "started")
        seen += [job.status for _ in range(20)]
        mark(str(tmp_path), "go")
        job.wait(_SOON_S)
        seen += [job.status for _ in range(20)]
        for before, after in pairwise(seen):
            assert before is after or before.may_become(after), f"{before} was followed by {after}"

    def test_no_result_before_the_write(self, backend: JobBackend, tmp_path: Path) -> None:
        job = self.submit(tmp_path, "slow-write")
        wait_for_mark(str(tmp_path), "extracting")
        assert not job.wait(0.2).is_final
        with pytest.raises(JobTimeoutError):
            job.result(0.1)
        mark(str(tmp_path), "write")
        job.result(_SOON_S)

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
            job.result(_SOON_S)
        assert caught.value.error_type.endswith(error_type)
        assert "SampleCapability" in caught.value.traceback_text or "in run" in caught.value.traceback_text
        assert caught.value.pid
        assert isinstance(job.exception(0), JobFailedError)
        assert job.wait(0) is JobStatus.FAILED

    def test_an_error_of_any_size_is_cut_in_the_middle(self, backend: JobBackend, tmp_path: Path) -> None:
        job = self.submit(tmp_path, "fail-at-length")
        error = job.exception(_SOON_S)
        assert isinstance(error, JobFailedError)
        assert error.error_message.startswith("this begins")
        assert error.error_message.endswith("and that ends")
        assert "characters left out; job.logs() has more of it" in error.error_message
        assert "in run" in error.traceback_text
        assert max(len(each.encode()) for each in (str(error), job.explain())) < _MOST_BYTES
        assert len(pickle.dumps(error)) < _MOST_BYTES
        wait_until(lambda: "and that ends" in job.logs(), "the job's output does not have the message")
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
        assert time.monotonic() - began < _BOUND_S
        mark(str(tmp_path), "go")
        job.result(_SOON_S)

    def test_a_time_that_is_no_number_is_refused_and_stops_nothing(self, backend: JobBackend, tmp_path: Path) -> None:
        job: Any = self.submit(tmp_path, "wait")
        wait_for_mark(str(tmp_path), "started")
        for ask in (job.wait, job.result, job.exception, job.cancel):
            for number in ("5", float("nan")):
                with pytest.raises(ArgumentError):
                    ask(number)
        mark(str(tmp_path), "go")
        assert job.wait(_SOON_S) is JobStatus.COMPLETED

    @pytest.mark.parametrize("act", ["wait", "swallow"])
    def test_cancel_of_a_running_job(self, backend: JobBackend, tmp_path: Path, act: str) -> None:
        job = self.submit(tmp_path, act)
        wait_for_mark(str(tmp_path), "started")
        assert job.cancel(grace=1) is True
        if act == "swallow":
            mark(str(tmp_path), "go")
        assert job.wait(_SOON_S) is JobStatus.CANCELLED
        with pytest.raises(JobCancelledError):
            job.result(0)
        assert job.cancel() is False
        assert job.status is JobStatus.CANCELLED

    def test_cancel_does_not_wait_for_the_grace_to_end(self, backend: JobBackend, tmp_path: Path) -> None:
        job = self.submit(tmp_path, "wait")
        wait_for_mark(str(tmp_path), "started")
        assert job.cancel(grace=3_600) is True
        assert job.wait(_SOON_S) is JobStatus.CANCELLED

    def test_cancel_of_a_finished_job_changes_nothing(self, backend: JobBackend, tmp_path: Path) -> None:
        job = self.submit(tmp_path)
        job.result(_SOON_S)
        assert job.cancel() is False
        assert job.status is JobStatus.COMPLETED

    def test_callbacks_future_and_await(self, backend: JobBackend, tmp_path: Path) -> None:
        job = self.submit(tmp_path, "wait")
        called: list[str] = []
        job.add_done_callback(lambda each: called.append(each.job_id))
        future = job.future()
        assert not future.cancel(), "cancelling the future must not cancel the job"
        mark(str(tmp_path), "go")
        ref = future.result(_SOON_S)
        job.add_done_callback(lambda each: called.append(each.job_id))
        wait_until(lambda: len(called) == 2, "a callback was not called")

        async def awaited() -> Any:
            return await job

        assert asyncio.run(awaited()) == ref == job.result(0)
        assert called == [job.job_id] * 2

    def test_batch_in_order_as_completed_and_listed(self, backend: JobBackend, tmp_path: Path) -> None:
        capability = SampleCapability(folder=str(tmp_path))
        uids = [uuid.uuid4().hex for _ in range(5)]
        jobs = [
            self.wrap(each)
            for each in submit_capabilities(
                [{"capability": capability, "config": {"run_uid": uid}, "job_name": uid} for uid in uids]
            )
        ]
        assert len({job.job_id for job in as_completed(jobs, _SOON_S)}) == len(jobs)
        assert wait_all(jobs, _SOON_S) == [JobStatus.COMPLETED] * 5
        assert [job.result(0).run_uid for job in jobs] == uids
        listed = list_jobs(limit=3, status_filter="COMPLETED")
        assert len(listed) == 3
        assert [job.created_at for job in listed] == sorted((job.created_at for job in listed), reverse=True)
        assert get_job(jobs[0].job_id).job_name == uids[0]
        assert [job.job_id for job in list_jobs(job_name=uids[2])] == [jobs[2].job_id]

    def test_an_unknown_job_is_an_error(self, backend: JobBackend) -> None:
        with pytest.raises(JobNotFoundError):
            get_job("job-that-never-was")

    def test_a_pickled_handle_finds_its_job_again(self, backend: JobBackend, tmp_path: Path) -> None:
        job = self.submit(tmp_path)
        ref = job.result(_SOON_S)
        pickled = pickle.dumps(job)
        again = pickle.loads(pickled)  # noqa: S301 - made a line above
        assert (again.job_id, again.result(_SOON_S)) == (job.job_id, ref)
        shutdown_job_backend(wait=False)
        with pytest.raises(NotConfiguredError, match=job.job_id):
            pickle.loads(pickled)  # noqa: S301 - as above

    def test_logs_progress_and_explanation(self, backend: JobBackend, tmp_path: Path) -> None:
        job = self.submit(tmp_path, "wait")
        wait_for_mark(str(tmp_path), "started")
        wait_until(lambda: job.progress is not None, "no progress")
        assert job.progress is not None
        assert (job.progress.fraction, job.progress.message) == (0.25, "waiting")
        assert job.job_id in job.explain()
        mark(str(tmp_path), "go")
        job.result(_SOON_S)
        wait_until(lambda: "the sample waits" in job.logs(), "no logs")
        wait_until(lambda: "the sample complains" in job.logs(), "no logs of stderr")

    def test_a_notebook_shows_name_and_status(self, backend: JobBackend, tmp_path: Path) -> None:
        job = self.submit(tmp_path, job_name="shown")
        job.result(_SOON_S)
        shown: Any = job
        assert "shown" in shown._repr_html_()
        assert "COMPLETED" in shown._repr_html_()

    def test_a_process_of_its_own_is_given_or_refused(self, backend: JobBackend, tmp_path: Path) -> None:
        own = tmp_path / "own"
        own.mkdir()
        try:
            jobs = [self.submit(own, "say-process", isolation="process") for _ in range(2)]
        except JobSubmissionError as error:
            paths = [problem.path for problem in error.problems]
            assert paths == ["isolation"]
            return
        assert wait_all(jobs, _SOON_S) == [JobStatus.COMPLETED] * 2
        self.submit(tmp_path, "say-process").result(_SOON_S)
        (shared,) = (path.name for path in tmp_path.glob("process-*"))
        processes = {path.name for path in own.glob("process-*")}
        assert len(processes) == 2, "they had one process together"
        assert not processes & {shared, f"process-{os.getpid()}"}

    @pytest.fixture
    def weighed(self, backend: JobBackend, tmp_path: Path) -> Callable[..., dict[str, Any]]:
        """The submission of one run with a model of some weight, where the store keeps what a result stands on."""
        if not isinstance(backend.analytics_store, KeepsRevisions):
            pytest.skip("the store keeps no second results: configure one that does, too")
        capability, config = SampleKnownBefore(folder=str(tmp_path)), {"run_uid": uuid.uuid4().hex}

        def submission(weight: float, **options: Any) -> dict[str, Any]:
            model = SimpleNamespace(metadata={"id": "net"}, weight=weight)
            return {"capability": capability, "models": [model], "config": config, **options}

        return submission

    def done(self, submission: Mapping[str, Any]) -> Job:
        """The job, completed; a plan has said before what became of the submission."""
        (plan,) = plan_capabilities([submission])
        job = self.wrap(submit_capability(**submission))
        job.result(_SOON_S)
        assert (job.reuse.kind, job.reuse.differences) == (plan.kind, plan.differences)
        return job

    def test_a_result_is_used_again_for_what_it_was_made_of_alone(self, weighed: Callable[..., dict[str, Any]]) -> None:
        first = self.done(weighed(1.0))
        assert (first.reuse, first.result(0).revision) == (Reuse(), 1)
        again = self.done(weighed(1.0))
        assert (again.reuse.kind, again.reuse.job_id) == (ReuseKind.REUSED, first.job_id)
        assert again.result(0).revision == 1
        stale = self.done(weighed(2.0))
        assert (stale.reuse.kind, stale.reuse.job_id) == (ReuseKind.STALE, first.job_id)
        assert stale.reuse.differences == ("models[0] 'net': content",)
        assert stale.result(0).revision == 2
        assert "STALE: models[0] 'net': content" in stale.explain()

    def test_reuse_is_as_it_was_asked_for(self, weighed: Callable[..., dict[str, Any]]) -> None:
        with pytest.raises(StaleResultError):
            submit_capability(**weighed(1.0, reuse="require"))
        first = self.done(weighed(1.0))
        with pytest.raises(StaleResultError, match=r"models\[0\] 'net': content"):
            submit_capability(**weighed(2.0, reuse="require"))
        for asked in (weighed(1.0, reuse="require"), weighed(2.0, reuse="always")):
            assert self.done(asked).reuse.job_id == first.job_id
        forced = self.done(weighed(1.0, reuse="never"))
        assert (forced.reuse.kind, forced.result(0).revision) == (ReuseKind.RUN, 2)
        with pytest.raises(JobSubmissionError):
            submit_capability(**weighed(1.0, reuse="auto", force=True))

    def test_handing_over_loses_no_job(self, backend: JobBackend, tmp_path: Path) -> None:
        job = self.submit(tmp_path, "wait")
        wait_for_mark(str(tmp_path), "started")
        configure_job_backend("inline", analytics_store={"backend": "null"})
        assert not job.wait(0).is_final
        mark(str(tmp_path), "go")
        assert job.wait(_SOON_S) is JobStatus.COMPLETED
        backend.shutdown(wait=True)
