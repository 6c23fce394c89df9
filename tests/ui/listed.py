"""Jobs that are only listed, as many as one likes."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from attrs import define
from checkmaite.jobs import JobAttempt, JobNotFoundError, JobProgress, JobStatus, PendingReason
from checkmaite.jobs_cli.spi import JobSummary
from checkmaite.jobs_ui.facts import Failure, JobDetail

_MODELS = ("lenet", "resnet50", "vit-base", "random-forest")
_CORRUPTIONS = ("noise", "blur", "rotation", "occlusion")
_STATUSES = (
    JobStatus.PENDING,
    JobStatus.RUNNING,
    JobStatus.RUNNING,
    *[JobStatus.COMPLETED] * 7,
    JobStatus.FAILED,
    JobStatus.COMPLETED,
    JobStatus.CANCELLED,
)
TRACEBACK = """Traceback (most recent call last):
  File "/project/mycaps/robustness.py", line 41, in run
    scores = model(corrupted)
  File "/project/mycaps/models.py", line 17, in __call__
    raise ValueError("images have 3 channels, the model takes 1")
ValueError: images have 3 channels, the model takes 1
"""


@define
class Listed:
    """A source of such jobs; `summaries` may be set while it is served."""

    jobs: Sequence[JobSummary]
    is_live: bool = True

    def summaries(self) -> Sequence[JobSummary]:
        return self.jobs

    def detail(self, job_id: str, *, with_log: bool = True) -> JobDetail:
        job = next((job for job in self.jobs if job.job_id == job_id), None)
        if job is None:
            raise JobNotFoundError(job_id, where="this list")
        is_waiting = job.status is JobStatus.PENDING
        failed = job.status is JobStatus.FAILED
        return JobDetail(
            summary=job,
            failure=Failure(traceback_text=TRACEBACK, phase="run") if failed else Failure(),
            progress=JobProgress(done=412, total=899, message="rotation") if job.status is JobStatus.RUNNING else None,
            explanation="It waits for a place: it asks for 2 CPUs, and all 8 are taken." if is_waiting else "",
            pending_reason=PendingReason.BUSY if is_waiting else None,
            attempts=_attempts(job) if failed else (),
            asked={"num_cpus": 2, "num_gpus": 1},
            used={} if is_waiting else {"memory": 2_147_483_648},
            fingerprints='{"capability": "7d61e0c9", "config": "b2aa0c11", "models[0] lenet": "50f3a4be"}',
            log="".join(f"image {number:,} of 899\n" for number in range(0, 899, 50)) if with_log else None,
        )

    def occupancy(self) -> list[dict[str, Any]]:
        return [{"name": "CPU", "used": 6.0, "total": 8.0}, {"name": "GPU", "used": 1.0, "total": 2.0}]


def sweep(number: int, now: datetime | None = None) -> list[JobSummary]:
    """So many jobs, newest first: about one of thirteen waits, two run, one has failed, one was cancelled."""
    now = now or datetime.now(UTC)
    return [_job(index, now) for index in range(number)]


def _job(index: int, now: datetime) -> JobSummary:
    status = _STATUSES[index % len(_STATUSES)]
    submitted_at = now - timedelta(seconds=12 + 7 * index)
    started_at = None if status is JobStatus.PENDING else submitted_at + timedelta(seconds=3 + index % 5)
    finished_at = started_at + timedelta(seconds=4 + index * 37 % 90) if started_at and status.is_final else None
    done, failed = status is JobStatus.COMPLETED, status is JobStatus.FAILED
    earlier = "job-01a20c53d7b2-c572dc9e4a of 2026-11-20 10:12 UTC by ada@lab"
    reuse = {4: f"REUSED: {earlier}", 6: f"STALE: models[0] 'lenet': content; the result was {earlier}"}
    return JobSummary(
        job_id=f"job-{10**12 - index:012x}-{index:010x}",
        job_name=f"{_MODELS[index % 4]} {_CORRUPTIONS[index // 4 % 4]} {1 + index % 3}",
        capability_id="calibration" if index % 3 == 2 else "robustness",
        status=status,
        submitted_at=submitted_at,
        started_at=started_at,
        finished_at=finished_at,
        node=f"gpu-node-{1 + index % 4}" if started_at else None,
        attempts=2 if failed else 1,
        progress=(0.2 + 0.13 * index) % 1 if status is JobStatus.RUNNING else None,
        submitted_by="ada@lab",
        failure_kind="exception" if failed else "cancelled" if status is JobStatus.CANCELLED else None,
        error_type="ValueError" if failed else None,
        error_message="images have 3 channels, the model takes 1" if failed else None,
        run_uid=f"run-{index:06d}" if done else None,
        revision=1 if done else None,
        store_uri=f"/shared/analytics-store/robustness/run-{index:06d}.parquet" if done else None,
        commit_uri=f"/shared/analytics-store/runs/run-{index:06d}.parquet" if done else None,
        reuse=reuse.get(index % len(_STATUSES), "RUN"),
    )


def _attempts(job: JobSummary) -> tuple[JobAttempt, ...]:
    """A start that was lost, and the one that failed."""
    assert job.submitted_at
    assert job.started_at
    assert job.finished_at
    half = job.started_at + (job.finished_at - job.started_at) / 2
    return (
        JobAttempt(
            number=1,
            started_at=job.started_at,
            ended_at=half,
            node=job.node,
            pid=4127,
            end="its node was lost",
        ),
        JobAttempt(number=2, started_at=half, ended_at=job.finished_at, node=job.node, end="FAILED"),
    )
