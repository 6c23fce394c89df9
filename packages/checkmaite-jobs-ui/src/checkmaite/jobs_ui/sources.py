"""Where jobs are known: the backend of this process, or a journal."""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime
from typing import Any

from attrs import asdict
from checkmaite.jobs import (
    Job,
    JobBackend,
    JobFailedError,
    JobNotFoundError,
    JobsError,
    Resources,
    read_job_history,
    read_job_logs,
)
from checkmaite.jobs.spi import JobQuery, TellsOccupancy
from checkmaite.jobs_cli.spi import JobSummary
from checkmaite.jobs_ui.facts import Failure, JobDetail

_ALL_AGAIN_S = 30.0
_OVERLAP_S = 60.0
"""New jobs are asked for from so long before the newest that is known: several registries' clocks may differ."""


class LiveJobs:
    """The jobs of a backend.

    Its handles are told what happens, so it is only asked which jobs there are: once all of them, then for new ones.

    Args:
        backend: The backend.
        kept: Its journal, where that can be read from here.
    """

    is_live = True

    def __init__(self, backend: JobBackend, kept: KeptJobs | None = None) -> None:
        self._backend = backend
        self._kept = kept
        self._prints: dict[str, str | None] = {}
        self._jobs: dict[str, Job] = {}
        self._last: dict[str, JobSummary] = {}
        self._newest: datetime | None = None
        self._asked_at = float("-inf")

    def summaries(self) -> list[JobSummary]:
        """See `JobSource`."""
        self._find()
        for job_id, job in self._jobs.items():
            before = self._last.get(job_id)
            if before is None or not before.status.is_final:
                self._last[job_id] = JobSummary.of_job(job)
        return [self._last[job_id] for job_id in self._jobs]

    def _find(self) -> None:
        now = time.monotonic()
        if now - self._asked_at > _ALL_AGAIN_S:
            found = self._backend.list_jobs(JobQuery(limit=None))
            self._asked_at = now
            listed = {job.job_id for job in found}
            self._jobs = {job_id: job for job_id, job in self._jobs.items() if job_id in listed}
            self._last = {job_id: row for job_id, row in self._last.items() if job_id in listed}
        else:
            since = self._newest.timestamp() - _OVERLAP_S if self._newest else None
            found = self._backend.list_jobs(JobQuery(limit=None, submitted_after_ts=since))
        for job in found:
            self._jobs.setdefault(job.job_id, job)
            self._newest = max(self._newest or job.created_at, job.created_at)

    def detail(self, job_id: str, *, with_log: bool = True) -> JobDetail:
        """See `JobSource`."""
        job = self._jobs.get(job_id) or self._backend.get_job(job_id)
        info = job.info
        error = job.exception(0) if info.status.is_final else None
        failure = Failure()
        if isinstance(error, JobFailedError):
            failure = Failure(traceback_text=error.traceback_text, phase=error.phase, exit_cause=error.exit_cause)
        return JobDetail(
            summary=JobSummary.of_job(job),
            failure=failure,
            progress=info.progress,
            explanation=_told(job.explain),
            attempts=info.attempts,
            pending_reason=info.pending_reason,
            asked=_asked(info.resources),
            used={"memory": info.peak_memory_bytes, "gpu_memory": info.peak_gpu_memory_bytes},
            fingerprints=self._fingerprints(job_id),
            log=_told(job.logs) if with_log else None,
        )

    def _fingerprints(self, job_id: str) -> str | None:
        """What the journal has of them: handles know none. Each job's are asked for once."""
        if self._kept is None:
            return None
        if job_id not in self._prints:
            with suppress(JobsError):  # there need be no journal
                self._kept.summaries()
                self._prints.update(self._kept.fingerprints())
            self._prints.setdefault(job_id, None)
        return self._prints[job_id]

    def occupancy(self) -> list[dict[str, Any]] | None:
        """See `JobSource`."""
        if not isinstance(self._backend, TellsOccupancy):
            return None
        return [asdict(each) for each in self._backend.occupancy()]


class KeptJobs:
    """The jobs of a journal.

    Args:
        arguments: Those of `configure_job_backend`.
    """

    is_live = False

    def __init__(self, arguments: Mapping[str, Any]) -> None:
        self._arguments = arguments
        self._rows: dict[str, dict[str, Any]] = {}
        self._last: dict[str, JobSummary] = {}

    def summaries(self) -> list[JobSummary]:
        """See `JobSource`."""
        rows = read_job_history(**self._arguments).to_pylist()
        self._rows = {row["job_id"]: row for row in rows}
        found = {job_id: JobSummary.of_row(row) for job_id, row in self._rows.items()}
        self._last = {job_id: _same(self._last.get(job_id), row) for job_id, row in found.items()}
        return list(self._last.values())

    def detail(self, job_id: str, *, with_log: bool = True) -> JobDetail:
        """See `JobSource`."""
        if job_id not in self._rows:
            self.summaries()
        if job_id not in self._rows:
            raise JobNotFoundError(job_id, where="the journal of this scope")
        row = self._rows[job_id]
        log = None
        if with_log:
            with suppress(JobsError):  # of most jobs none is kept
                log = read_job_logs(job_id, **self._arguments)
        return JobDetail(
            summary=JobSummary.of_row(row),
            failure=Failure(traceback_text=row.get("traceback_text") or ""),
            used={"memory": row.get("peak_memory_bytes"), "gpu_memory": row.get("peak_gpu_memory_bytes")},
            fingerprints=row.get("fingerprints"),
            log=log,
        )

    def fingerprints(self) -> dict[str, str | None]:
        """Those of all jobs, as they were looked at last."""
        return {job_id: row.get("fingerprints") for job_id, row in self._rows.items()}

    def occupancy(self) -> None:
        """See `JobSource`."""
        return


def _asked(resources: Resources | None) -> dict[str, Any]:
    """What a job reserves, by name; what it does not ask for is left out."""
    if resources is None:
        return {}
    named = asdict(resources)
    custom = named.pop("custom")
    return {name: value for name, value in {**named, **custom}.items() if value}


def _same(before: JobSummary | None, now: JobSummary) -> JobSummary:
    """The former object where nothing has changed."""
    return before if before == now and before is not None else now


def _told(ask: Any) -> str:
    """What a handle says; when its backend does not answer, that."""
    try:
        return str(ask())
    except JobsError as error:
        return str(error)
