"""The jobs that one process has submitted, for backends that keep no registry."""

from __future__ import annotations

import threading
from collections import OrderedDict

from checkmaite.jobs._shared.errors import JobNotFoundError
from checkmaite.jobs._shared.job_protocols import Job
from checkmaite.jobs._submitters.handle import JobHandle
from checkmaite.jobs._submitters.listing import JobQuery, labels_of


class JobLedger:
    """Handles by job id, newest last; of finished jobs the oldest are forgotten first. Thread-safe.

    Args:
        retained: At most this many finished jobs are kept.
        where: What the ledger covers, for the error when a job is not in it.
    """

    def __init__(self, *, retained: int, where: str) -> None:
        self._retained = retained
        self._where = where
        self._lock = threading.Lock()
        self._live: OrderedDict[str, JobHandle] = OrderedDict()
        self._finished: OrderedDict[str, JobHandle] = OrderedDict()
        self._on_done = self._file

    def add(self, job: JobHandle) -> None:
        """Keep a job from now on; it moves to the finished ones by itself."""
        with self._lock:
            self._live[job.job_id] = job
        job.add_done_callback(self._on_done)

    def get(self, job_id: str) -> JobHandle:
        """The job with this id.

        Raises:
            JobNotFoundError: It was never here, or was forgotten.
        """
        with self._lock:
            job = self._live.get(job_id) or self._finished.get(job_id)
        if job is None:
            raise JobNotFoundError(job_id, where=self._where)
        return job

    def matching(self, query: JobQuery) -> list[Job]:
        """The jobs that match, newest first."""
        with self._lock:
            jobs = sorted(
                [*self._live.values(), *self._finished.values()],
                key=lambda job: (job.created_at, job.job_id),
                reverse=True,
            )
        found: list[Job] = []
        for job in jobs:
            if query.matches(status=job.status, created_at=job.created_at, tags=job.tags, **labels_of(job)):
                found.append(job)
                if len(found) == query.limit:
                    break
        return found

    def live(self) -> list[JobHandle]:
        """The jobs that are not final, oldest first."""
        with self._lock:
            return list(self._live.values())

    def _file(self, job: Job) -> None:
        with self._lock:
            kept = self._live.pop(job.job_id, None)
            if kept is None:
                return
            self._finished[job.job_id] = kept
            while len(self._finished) > self._retained:
                self._finished.popitem(last=False)
