"""With which code a command ends. They are a promise: scripts branch on them."""

from __future__ import annotations

from collections.abc import Iterable
from enum import IntEnum

from checkmaite.jobs import (
    BackendUnavailableError,
    BackpressureError,
    ConfigurationError,
    JobNotFoundError,
    JobsError,
    JobStatus,
    JobSubmissionError,
    QueryError,
    StoreNotFoundError,
    StorePermissionError,
    StoreUnavailableError,
)


class Exit(IntEnum):
    """An exit code. Those from 10 on say how jobs ended; the command itself has done its work."""

    DONE = 0
    ERROR = 1
    USAGE = 2
    NOT_FOUND = 3
    UNREACHABLE = 4
    JOB_FAILED = 10
    JOB_CANCELLED = 11
    STILL_RUNNING = 12
    INTERRUPTED = 130


_KINDS: tuple[tuple[type[JobsError] | tuple[type[JobsError], ...], Exit], ...] = (
    ((JobNotFoundError, StoreNotFoundError), Exit.NOT_FOUND),
    ((BackendUnavailableError, BackpressureError, StoreUnavailableError, StorePermissionError), Exit.UNREACHABLE),
    ((ConfigurationError, JobSubmissionError, QueryError), Exit.USAGE),
)


def exit_of(error: JobsError) -> Exit:
    """The code for an error of the family."""
    return next((code for kinds, code in _KINDS if isinstance(error, kinds)), Exit.ERROR)


def exit_after(statuses: Iterable[JobStatus]) -> Exit:
    """The code after waiting for jobs: that of the worst end; of jobs that are not final first."""
    seen = set(statuses)
    if any(not status.is_final for status in seen):
        return Exit.STILL_RUNNING
    if JobStatus.FAILED in seen:
        return Exit.JOB_FAILED
    return Exit.JOB_CANCELLED if JobStatus.CANCELLED in seen else Exit.DONE
