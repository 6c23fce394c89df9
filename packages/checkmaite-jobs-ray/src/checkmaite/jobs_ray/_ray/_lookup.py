"""Asking the analytics store, on a worker: the control plane needs no store package."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import ray
import ray.exceptions as rx
from checkmaite.jobs import JobsError, StorePermissionError
from checkmaite.jobs.spi import Completed
from checkmaite.jobs_ray._messages import Context, Draft
from checkmaite.jobs_ray_simple.wall import leave_driver

_CPUS = 0.01
"""Keeps the question off nodes that run no jobs, without taking much of one that does."""


def _work() -> Callable[[bytes, Any], dict[str, Completed]]:
    """The worker's function, nested so that it travels by value: workers have no copy of this package."""

    def checkmaite_lookup(written_terms: bytes, jobs: Any) -> dict[str, Completed]:
        leave_driver()
        from checkmaite.jobs.spi import stored_runs

        return stored_runs(written_terms, jobs)

    return checkmaite_lookup


class UnanswerableError(Exception):
    """The store cannot be asked, and asking again changes nothing: what it needs is missing or damaged."""


async def look_up(context: Context, drafts: Sequence[Draft]) -> dict[str, Completed]:
    """Of these jobs, those whose run the store of their context holds, and their outcomes; see `stored_runs`.

    Raises:
        UnanswerableError: Waiting does not help.
        Exception: Whatever else Ray or the store raises; then nothing is known.
    """
    options: dict[str, Any] = {"num_cpus": _CPUS, "name": "look for stored runs"}
    if context.runtime_env:
        options["runtime_env"] = dict(context.runtime_env)
    task: Any = ray.remote(_work())
    jobs = [(draft.capability_id, draft.order) for draft in drafts]
    try:
        found: dict[str, Completed] = await task.options(**options).remote(context.terms.written, jobs)
    except Exception as error:
        if _is_for_good(error):
            raise UnanswerableError(str(getattr(error, "cause", error))) from error
        raise
    return found


def _is_for_good(error: Exception) -> bool:
    """Whether a start of the job will meet the same. Permissions may be granted, and clients bring new tokens."""
    cause = getattr(error, "cause", error)
    if isinstance(cause, JobsError):
        return not cause.retryable and not isinstance(cause, StorePermissionError)
    return isinstance(cause, (rx.RuntimeEnvSetupError, ImportError))
