"""The jobs that one process has submitted, for backends that keep no registry."""

from __future__ import annotations

import threading
from collections import OrderedDict
from typing import Any

from checkmaite.jobs._shared.errors import JobNotFoundError
from checkmaite.jobs._shared.hook_events import idle_event, job_event
from checkmaite.jobs._shared.hook_lines import HookLines
from checkmaite.jobs._shared.hooks import JobEvent, JobEventKind
from checkmaite.jobs._shared.job_protocols import Job
from checkmaite.jobs._shared.outcome import Completed
from checkmaite.jobs._shared.reuse import ReuseKind
from checkmaite.jobs._shared.status import JobStatus
from checkmaite.jobs._shared.trace_context import TraceContext, job_span
from checkmaite.jobs._submitters.handle import JobHandle
from checkmaite.jobs._submitters.listing import JobQuery, labels_of


class JobLedger:
    """Handles by job id, newest last; of finished jobs the oldest are forgotten first. Thread-safe.

    Hooks are told of them in the order of what happened: no event of a job comes before that it was submitted, and a
    scope is idle after the end of its last job.

    Args:
        retained: At most this many finished jobs are kept.
        where: What the ledger covers, for the error when a job is not in it.
        hooks: What is told of them.
        backend: The backend's kind, for hooks.
    """

    def __init__(self, *, retained: int, where: str, hooks: HookLines | None = None, backend: str = "") -> None:
        self._retained = retained
        self._where = where
        self._hooks, self._backend = hooks, backend
        self._lock = threading.RLock()
        self._live: OrderedDict[str, JobHandle] = OrderedDict()
        self._finished: OrderedDict[str, JobHandle] = OrderedDict()
        self._on_done = self._file

    def add(self, *jobs: JobHandle) -> None:
        """Keep jobs that were submitted together from now on; they move to the finished ones by themselves."""
        with self._lock:
            for job in jobs:
                self._live[job.job_id] = job
                self._tell(JobEventKind.SUBMITTED, job)
        for job in jobs:
            if self._hooks:
                self._follow(job)
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
            last = self._tell(JobEventKind.FINISHED, kept)
            if last is not None and self._hooks and not self._live:
                self._hooks.tell(idle_event(last))

    def _follow(self, job: JobHandle) -> None:
        def begun() -> None:
            with self._lock:
                if job.job_id in self._live:
                    self._tell(JobEventKind.STARTED, job)

        job.add_start_callback(begun)

    def _tell(self, kind: JobEventKind, job: JobHandle) -> JobEvent | None:
        """Have hooks told what happened to a job. The lock is held: a hook's queue takes it at once."""
        if not self._hooks:
            return None
        known: dict[str, Any] = {"status": JobStatus.PENDING}
        if kind is not JobEventKind.SUBMITTED:
            known = {"status": JobStatus.RUNNING, "attempt": job.attempt[0], "started": job.started}
        if kind is JobEventKind.FINISHED:
            known |= {"status": job.status, "finished_at": job.finished_at, "outcome": job.outcome}
            known |= {"lost_attempts": job.past_attempts, "reused_span": self._reused_span(job)}
        labels = {**labels_of(job), "tags": job.tags, "backend": self._backend, "trace": job.trace}
        event = job_event(kind, job_id=job.job_id, created_at=job.created_at, **labels, **known)
        self._hooks.tell(event)
        return event

    def _reused_span(self, job: JobHandle) -> TraceContext | None:
        """The span of the job whose result stands for a job's own, if it is here. The lock is held."""
        reused = job.outcome.reuse if isinstance(job.outcome, Completed) else None
        if reused is None or reused.kind is not ReuseKind.REUSED or reused.job_id is None:
            return None
        origin = self._live.get(reused.job_id) or self._finished.get(reused.job_id)
        return job_span(origin.job_id, origin.trace) if origin is not None else None
