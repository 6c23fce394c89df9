"""Maintenance of stores: after so many jobs a worker is let do it, beside them."""

from __future__ import annotations

import logging
import random
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from functools import partial
from typing import Any

import ray
from checkmaite.jobs import Resources
from checkmaite.jobs.spi import StoreSpec, Terms
from checkmaite.jobs_ray_simple.cluster.actors import enter_namespace
from checkmaite.jobs_ray_simple.cluster.resources import RemoteWork
from checkmaite.jobs_ray_simple.cluster.worker_processes import Leave, make_version_check

_log = logging.getLogger("checkmaite.jobs")
DEFAULT_MAINTENANCE_JOBS = 200
_NOTHING = Resources(num_cpus=0)
"""What it reserves, so that it is in no job's way: it has the least priority instead."""
_SPARED = 4
"""For each job that completes while a worker does it, so many complete before the next: its process takes a second."""
_NEEDS_NONE = b"needs none"


def _work(prepare: Callable[[], None] | None, leave: Leave | None) -> Callable[[bytes], bytes]:
    """The worker's function, nested so that it travels by value: workers have no copy of this package."""
    check_versions, needs_none = make_version_check(), _NEEDS_NONE

    def checkmaite_maintenance(written_terms: bytes) -> bytes:
        worker: Any = ray  # its parts that carry no types
        if worker._private.worker.global_worker.core_worker.get_current_task_attempt_number():
            return b""  # Ray starts again without end what it has killed since memory ran out
        if prepare is not None:
            prepare()
        enter_namespace("checkmaite")  # its process is its own, and compacts: it needs nothing that jobs import
        check_versions(written_terms)
        from checkmaite.jobs.spi import maintain_store

        return b"" if maintain_store(written_terms) else needs_none

    return checkmaite_maintenance


class StoreMaintenance:
    """Counts jobs that complete, and after so many lets a worker maintain the store of the last one.

    The first time comes sooner, by chance, so that processes that end after fewer jobs do their share. One worker at a
    time does it, and takes a small part of the time. A store that needs none is asked once. All methods are called on
    one thread.

    Args:
        jobs: After how many jobs; None for never.
        prepare: What the worker does first; it travels by value.
        took: Called on a thread of Ray's with what became of it; `ended` takes that on the caller's own.
    """

    def __init__(
        self,
        jobs: int | None,
        *,
        took: Callable[[Future[Any]], object],
        prepare: Callable[[], None] | None = None,
    ) -> None:
        self._jobs = jobs
        self._left = random.randint(1, jobs) if jobs is not None else 0  # noqa: S311 - it keeps no secret
        self._took = took
        self._make = partial(_work, prepare)
        self._work: RemoteWork | None = None
        self._under_way: Any = None
        self._meanwhile = 0
        self._asked: StoreSpec | None = None
        self._needs_none: StoreSpec | None = None

    def completed(self, terms: Terms, *, code: str, runtime_env: Mapping[str, Any] | None = None) -> None:
        """A job has completed.

        Args:
            terms: Its.
            code: Digest of the code that it ran.
            runtime_env: How its worker was prepared; None for as this process is.
        """
        if self._jobs is None or terms.store == self._needs_none:
            return
        if self._under_way is not None:
            self._meanwhile += 1
            return
        self._left -= 1
        if self._left > 0:
            return
        self._left, self._meanwhile, self._asked = self._jobs, 0, terms.store
        try:
            self._work = self._work or RemoteWork(self._make)
            self._under_way = self._work.start(
                terms.written,
                job_name="maintain the store",
                resources=_NOTHING,
                isolation="process",  # it leaves with its priority
                max_retries=1,  # so that of all tasks Ray ends this one first when memory runs out
                runtime_env=runtime_env,
                code=code,
            )
            self._under_way.future().add_done_callback(self._took)
        except Exception:  # noqa: BLE001 - whatever Ray raises here, the job has completed
            self._under_way = None
            _log.warning("the store could not be maintained", exc_info=True)

    def ended(self, future: Future[Any]) -> None:
        """What was begun has ended, well or not."""
        self._under_way = None
        self._left = max(self._left, _SPARED * self._meanwhile)
        error = future.exception()
        if error is None and future.result() == _NEEDS_NONE:
            self._needs_none = self._asked
        if error is not None:
            _log.warning("the store was not maintained, and nothing is lost by it: %s", error)
