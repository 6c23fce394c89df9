"""Holds the backend that submissions of this process go to."""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING

from checkmaite.jobs._shared.errors import NotConfiguredError
from checkmaite.jobs._shared.job_protocols import JobBackend

if TYPE_CHECKING:
    from checkmaite.jobs._shared.staged_objects import StagingPlace


class _Active:
    """The active backend, and what is known of it; whoever changes it holds the lock.

    Attributes:
        place: Where its workers read what is staged.
        traces: Whether one of its hooks makes spans of jobs.
    """

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.backend: JobBackend | None = None
        self.place: StagingPlace | None = None
        self.traces = False


active = _Active()


def _forget_after_fork() -> None:
    """A child has neither the threads nor the connections that its parent's backend stands on."""
    active.lock = threading.RLock()
    active.backend = active.place = None


if hasattr(os, "register_at_fork"):  # Windows has no forks
    os.register_at_fork(after_in_child=_forget_after_fork)


def get_job_backend() -> JobBackend:
    """The active backend.

    Raises:
        NotConfiguredError: `configure_job_backend` has not been called, or the backend was shut down.
    """
    backend = active.backend
    if backend is None:
        raise NotConfiguredError(
            "no job backend is configured. Call configure_job_backend(...) first, for example "
            'configure_job_backend("inline", analytics_store={"backend": "parquet", "uri": "./analytics_store"}).'
        )
    return backend
