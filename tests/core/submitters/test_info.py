"""The facts of a job as a value, and the tags that it is found by."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast

import pytest
from checkmaite.jobs import (
    ArgumentError,
    FailureKind,
    Job,
    JobAttempt,
    JobProgress,
    JobStatus,
    JobSubmissionError,
    PendingReason,
    Resources,
    configure_job_backend,
    list_jobs,
    shutdown_job_backend,
    submit_capabilities,
)
from checkmaite.jobs.spi import Cancelled, Failed, JobControls, JobHandle, Progressed, Started, Used
from checkmaite.jobs.testing import SampleCapability
from checkmaite.jobs.testing._samples import mark

AT = datetime(2026, 1, 31, 12, tzinfo=UTC)


class Controls:
    """Of a backend that names what jobs wait for."""

    asked = 0

    def cancel(self, job: JobHandle, grace: float) -> None:
        """Nothing: no job here ends."""

    def explain(self, job: JobHandle) -> str:
        return ""

    def pending_reason(self, job: JobHandle) -> PendingReason:
        self.asked += 1
        return PendingReason.NO_NODE


def handle(controls: object = None, **more: Any) -> JobHandle:
    about = {"job_id": "job", "job_name": "name", "capability_id": "c", "created_at": AT, **more}
    return JobHandle(controls=cast(JobControls, controls), **about)


def started(number: int) -> Started:
    return Started(node=f"node-{number}", pid=number, at=AT + timedelta(seconds=number))


def test_a_new_job_has_no_attempt() -> None:
    info = handle(resources=Resources(num_gpus=1), tags=(("team", "vision"),)).info
    assert (info.status, info.attempts, info.queued_at, info.started_at) == (JobStatus.PENDING, (), None, None)
    assert (info.resources, info.tags) == (Resources(num_gpus=1), {"team": "vision"})


def test_every_start_is_told_and_how_it_ended() -> None:
    job = handle()
    job.advance(JobStatus.SCHEDULING)
    for number in (1, 2, 2):  # news may arrive twice
        job.apply(started(number))
    job.measured(Used(memory_bytes=2**20))
    job.finish(Failed(error_type="ValueError", error_message="no", kind=FailureKind.EXCEPTION), AT)
    lost = JobAttempt(number=1, started_at=AT + timedelta(seconds=1), node="node-1", pid=1, end="lost")
    last = JobAttempt(number=2, started_at=AT + timedelta(seconds=2), node="node-2", pid=2, ended_at=AT, end="FAILED")
    assert job.info.attempts == (lost, last)
    assert (job.info.peak_memory_bytes, job.info.peak_gpu_memory_bytes) == (2**20, None)
    assert (job.info.failure_kind, job.info.error_message) == (FailureKind.EXCEPTION, "no")


def test_a_job_whose_worker_is_gone_is_not_said_to_run() -> None:
    job = handle(Controls())
    job.advance(JobStatus.SCHEDULING)
    job.apply(started(1))
    job.apply(Progressed(JobProgress(done=3, total=4)))
    job.lose_start()
    info = job.known
    assert (info.status, info.node, info.pid, info.started_at) == (JobStatus.PENDING, None, None, None)
    assert (info.progress, info.ran_s(AT)) == (None, None)
    assert [(each.number, each.pid, each.end) for each in info.attempts] == [(1, 1, "lost")]
    assert "pid" not in job.explain()
    assert job.advance(JobStatus.SCHEDULING)
    job.apply(started(2))
    assert (job.status, job.info.pid, [each.pid for each in job.info.attempts]) == (JobStatus.RUNNING, 2, [1, 2])
    job.finish(Cancelled())
    job.lose_start()
    assert job.status is JobStatus.CANCELLED, "a final status never changes"


def test_whether_something_is_a_job_is_found_out_without_asking_its_backend() -> None:
    controls = Controls()
    assert isinstance(handle(controls), Job)
    assert controls.asked == 0
    own = type("Own", (), {name: None for name in dir(Job) if name[0] != "_" or name == "__await__"})
    assert isinstance(own(), Job), "nothing need inherit"
    del own.follow_logs  # type: ignore[attr-defined]
    assert not any(isinstance(each, Job) for each in (own(), object(), None, "job"))


def test_a_backend_that_knows_better_counts_the_attempts() -> None:
    job = handle()
    job.apply(started(1))
    lost = JobAttempt.of(1, started(1), ended_at=AT, end="its node died")
    job.counted(1, (lost,), None, has_begun=False)
    assert job.info.attempts == (lost,), "the next start is not given out yet"
    job.counted(2, (lost,), AT, has_begun=False)
    assert job.info.attempts == (lost, JobAttempt(number=2)), "it was given out, and its worker has not spoken"
    assert job.info.queued_at == AT
    job.finish(Cancelled(), AT)
    assert job.info.attempts[1] == JobAttempt(number=2, ended_at=AT, end="CANCELLED")
    assert job.info.failure_kind is FailureKind.CANCELLED


def test_what_a_job_waits_for_is_asked_only_while_it_waits_and_only_where_that_is_wanted() -> None:
    controls = Controls()
    job = handle(controls)
    assert job.known.pending_reason is None
    assert controls.asked == 0
    assert job.info.pending_reason is PendingReason.NO_NODE
    job.apply(started(1))
    assert job.info.pending_reason is None
    assert controls.asked == 1


def test_time_in_the_queue_is_not_time_run() -> None:
    job = handle()
    assert job.info.ran_s(AT) is None
    job.apply(started(5))
    assert job.info.ran_s(AT + timedelta(seconds=7)) == 2.0
    job.finish(Cancelled(), AT + timedelta(seconds=6))
    assert job.info.ran_s(AT + timedelta(seconds=99)) == 1.0


@pytest.mark.parametrize(
    ("tags", "path", "says"),
    [
        (["team"], "tags", "expected a mapping of names to texts, got list."),
        ({"seed": 3}, "tags.seed", "expected text, got 3."),
        ({3: "seed"}, "tags", "the name 3 is no text."),
        ({"a=b": "c"}, "tags", "'a=b' is no name of a tag."),
        ({"": "c"}, "tags", "'' is no name of a tag."),
        ({"a": "two\nlines"}, "tags.a", "'two\\nlines' is not printable."),
        ({"a": "x" * 256}, "tags.a", "more than 255 bytes"),
        ({"n" * 65: "x"}, "tags", "more than 64 bytes"),
        ({f"n{number}": "" for number in range(33)}, "tags", "at most 32"),
    ],
)
def test_tags_that_cannot_be_kept_are_refused(tags: Any, path: str, says: str) -> None:
    configure_job_backend("inline", analytics_store={"backend": "null"})
    try:
        with pytest.raises(JobSubmissionError) as refused:
            submit_capabilities([{"capability": SampleCapability(), "config": {"run_uid": "run"}, "tags": tags}])
        with pytest.raises(ArgumentError) as listed:
            list_jobs(tags=tags)
    finally:
        shutdown_job_backend()
    (submitted,), (asked,) = refused.value.problems, listed.value.problems
    assert (submitted.path, asked.path) == (f"submissions[0].{path}", path)
    assert says in submitted.cause


def test_a_queued_job_of_this_process_waits_for_those_before_it(tmp_path: Path) -> None:
    configure_job_backend("inline", analytics_store={"backend": "null"}, max_workers=1)
    try:
        capability = SampleCapability(act="wait", folder=str(tmp_path))
        jobs = submit_capabilities([{"capability": capability, "config": {"run_uid": uid}} for uid in ("one", "two")])
        assert jobs[1].info.pending_reason is PendingReason.BUSY
        mark(str(tmp_path), "go")
        assert jobs[1].wait(60) is JobStatus.COMPLETED
        assert jobs[1].info.pending_reason is None
    finally:
        mark(str(tmp_path), "go")
        shutdown_job_backend()
