"""Ends what a test has begun, on a Ray that stays up for the next one."""

from __future__ import annotations

from checkmaite.jobs import NotConfiguredError, list_jobs, shutdown_job_backend

_SOON_S = 60.0


def stop_backend() -> None:
    """Cancel every job of the active backend, wait until they have stopped, and shut the backend down."""
    try:
        live = [job for job in list_jobs(limit=None) if not job.status.is_final]
    except NotConfiguredError:  # the test has shut it down itself
        return
    for job in live:
        job.cancel(grace=0)
    for job in live:
        job.wait(_SOON_S)
    shutdown_job_backend(wait=False)
