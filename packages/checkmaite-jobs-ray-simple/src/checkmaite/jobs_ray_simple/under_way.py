"""The jobs under way on one connection, and how they end. Their table is safe to share between threads."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta

from checkmaite.jobs import ReuseKind
from checkmaite.jobs.spi import (
    SHORT_RUNS,
    Cancelled,
    Completed,
    Failed,
    Finished,
    JobHandle,
    Outcome,
    ShortJob,
    ShortRuns,
)
from checkmaite.jobs_ray_simple.task import RunningTask, TaskRequest, connection_lost, described

_log = logging.getLogger("checkmaite.jobs")


class UnderWay:
    """The jobs that have not ended. It is also what packs know of them, and tell: see `ShortJobs`.

    Args:
        completed: Called with what was handed to Ray of a job that has completed.
        doubt: Called with a job that may have begun in a pack that is gone; see `ShortJobs.doubted`.
    """

    def __init__(
        self, *, completed: Callable[[TaskRequest], object], doubt: Callable[[RunningTask, Failed], object]
    ) -> None:
        self._completed = completed
        self._doubt = doubt
        self._lock = threading.Lock()
        self._tasks: dict[str, RunningTask] = {}
        self._short_runs = ShortRuns()

    def __bool__(self) -> bool:
        return bool(self._tasks)

    def add(self, tasks: Iterable[RunningTask]) -> None:
        """Jobs are under way from now on."""
        with self._lock:
            self._tasks |= {each.request.job.job_id: each for each in tasks}

    def get(self, job_id: str) -> RunningTask | None:
        """A job; None when it is over."""
        return self._tasks.get(job_id)

    def all(self) -> list[RunningTask]:
        """They, oldest first."""
        with self._lock:
            return list(self._tasks.values())

    def are_short(self, capability_id: str) -> bool:
        """Whether the jobs of a capability have been short so far."""
        return self._short_runs.in_a_row(capability_id) >= SHORT_RUNS

    def take_in(self, job: JobHandle, finished: Finished) -> None:
        """Note what a worker says of a job beside its outcome."""
        if finished.started is not None:  # a short start has not told it, and the output of one before is another's
            job.apply(finished.started)
        if finished.printed is not None:
            job.apply(finished.printed)
        job.measured(finished.used)
        outcome = finished.outcome
        has_run = isinstance(outcome, Completed) and outcome.reuse.kind is not ReuseKind.REUSED
        self._short_runs.note(job.capability_id, finished.took_s, has_run=has_run)

    def settle(self, job: JobHandle, outcome: Outcome, at: datetime | None = None) -> None:
        """End a job; see `JobHandle.finish`."""
        with self._lock:
            running = self._tasks.pop(job.job_id, None)
        job.finish(outcome, at)
        if running is not None and isinstance(outcome, Completed):
            self._completed(running.request)

    def lose_all(self, why: str) -> list[RunningTask]:
        """End all jobs, of which nothing will be heard any more; they."""
        with self._lock:
            lost, self._tasks = list(self._tasks.values()), {}
        for running in lost:
            running.request.job.finish(connection_lost(why))
        return lost

    # -- what packs ask and tell --------------------------------------------------------------------------------------

    def described(self, job: TaskRequest) -> ShortJob[TaskRequest]:
        """What there is to know of one."""
        return described(job)

    def begins(self, start: tuple[str, int], now: float) -> bool:
        """Whether a job is still to run; one that was cancelled ends with this."""
        running = self.get(start[0])
        if running is not None and running.request.job.cancelling:
            self.settle(running.request.job, Cancelled())
            return False
        return running is not None

    def ended(self, start: tuple[str, int], finished: Finished, now: float) -> None:
        """A job has ended: when its worker was done, since all of a pack are told of at once."""
        running = self.get(start[0])
        if running is None:
            return
        job, began, at = running.request.job, finished.started, datetime.now(UTC)
        if began is not None and finished.took_s is not None:
            at = min(at, began.at + timedelta(seconds=finished.took_s))
        try:
            try:
                self.take_in(job, finished)
            finally:
                self.settle(job, finished.outcome, at)
        except Exception:  # noqa: BLE001 - a fault in bringing one job home must not strand the others of its pack
            _log.exception("the end of job %s was not all dealt with", job.job_id)

    def cancelled(self, start: tuple[str, int], now: float) -> None:
        """A job was stopped before it was in a pack."""
        if (running := self.get(start[0])) is not None:
            self.settle(running.request.job, Cancelled())

    def doubted(self, start: tuple[str, int], failed: Failed, now: float) -> None:
        """A job may have begun with a runner that is gone."""
        if (running := self.get(start[0])) is not None:
            self._doubt(running, failed)
