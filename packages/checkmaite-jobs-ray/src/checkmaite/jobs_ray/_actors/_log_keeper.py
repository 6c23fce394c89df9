"""Keeps the output of finished jobs beside the journal, so that it outlives workers, controllers and the cluster."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, TypeVar

from checkmaite.jobs import StoreError
from checkmaite.jobs.spi import Failed, ObjectStore
from checkmaite.jobs_ray._kept_logs import KeptLog, kept_log, kept_logs, read_log
from checkmaite.jobs_ray._machine._ending import Ending
from checkmaite.jobs_ray._machine._events import Ended, Event, Forgotten
from checkmaite.jobs_ray._machine._record import Finished, Record

T = TypeVar("T")
_log = logging.getLogger("checkmaite.jobs")
_AT_ONCE = 4
"""Outputs that pass through this process at the same time: each may take some megabytes."""
_TRIES = 5
_AGAIN_S = 2.0


class LogKeeper:
    """The kept output of one registry's jobs. All methods run on one event loop.

    Args:
        objects: Where the journal is.
        names: What was in the folder of kept output before this registry led the journal.
        keeps_all: Whether the output of every job is kept, not only of those that failed.
        most_bytes: What all of it may take; then that of the oldest jobs is deleted.
        fetch: Gives a finished job's output; None where nobody has it any more.
        is_known: Whether a job is listed still.
    """

    def __init__(
        self,
        objects: ObjectStore,
        names: Iterable[str],
        *,
        keeps_all: bool,
        most_bytes: int,
        fetch: Callable[[str], Awaitable[str | None]],
        is_known: Callable[[str], bool],
    ) -> None:
        self._objects = objects
        self._keeps_all = keeps_all
        self._most_bytes = most_bytes
        self._fetch = fetch
        self._is_known = is_known
        self._kept = dict(kept_logs(names))
        self._bytes = sum(each.size for each in self._kept.values())
        self._turns = asyncio.Semaphore(_AT_ONCE)
        self._threads = ThreadPoolExecutor(_AT_ONCE, "checkmaite-logs")
        self._chores: set[asyncio.Task[None]] = set()
        self._drop([job_id for job_id in self._kept if not is_known(job_id)])

    def catch_up(self, records: Iterable[Record], since: float) -> None:
        """Keep what an earlier registry did not get to keep, as far as controllers have it.

        Args:
            records: The jobs.
            since: Of jobs that ended before this no controller has the output.
        """
        for record in records:
            state, job_id = record.state, record.draft.job_id
            is_wanted = isinstance(state, Finished) and state.at >= since and self._wants(state.ending)
            if is_wanted and job_id not in self._kept:
                self._spawn(self._keep(job_id))

    def note(self, events: Sequence[Event]) -> Mapping[str, asyncio.Task[None]]:
        """This has happened, and is durable; the jobs whose output is on its way, with what is done when it is kept."""
        under_way = {}
        for each in events:
            if isinstance(each, Ended) and self._wants(each.ending):
                under_way[each.job_id] = self._spawn(self._keep(each.job_id))
            elif isinstance(each, Forgotten):
                self._drop([each.job_id])
        return under_way

    async def read(self, job_id: str) -> str | None:
        """A job's output; None when it is not kept.

        Raises:
            StoreError: It cannot be read, or is damaged.
        """
        kept = self._kept.get(job_id)
        return None if kept is None else await self._in_thread(partial(read_log, self._objects, kept))

    # -- inside -------------------------------------------------------------------------------------------------------

    def _wants(self, ending: Ending) -> bool:
        return self._keeps_all or isinstance(ending, Failed)

    async def _keep(self, job_id: str) -> None:
        async with self._turns:
            text = await self._fetch(job_id)
            if text is None or job_id in self._kept:
                return
            kept, content = await self._in_thread(partial(kept_log, job_id, text))
            if not await self._stored(kept, content):
                return
        self._kept[job_id] = kept
        self._bytes += kept.size
        if not self._is_known(job_id):  # it was forgotten meanwhile
            self._drop([job_id])
        while self._bytes > self._most_bytes:
            self._drop([next(iter(self._kept))])

    async def _stored(self, kept: KeptLog, content: bytes) -> bool:
        for _ in range(_TRIES):
            try:
                await self._in_thread(partial(self._objects.create, kept.key, content))
            except StoreError as error:
                _log.warning("the output of a job is not kept: %s", error)
                if not error.retryable:
                    return False
                await asyncio.sleep(_AGAIN_S)
            else:
                return True
        return False

    def _drop(self, jobs: Iterable[str]) -> None:
        for job_id in jobs:
            kept = self._kept.pop(job_id, None)
            if kept is not None:
                self._bytes -= kept.size
                self._spawn(self._delete(kept))

    async def _delete(self, kept: KeptLog) -> None:
        try:
            await self._in_thread(partial(self._objects.delete, kept.key))
        except StoreError as error:  # the next registry deletes what is nobody's
            _log.info("the output of a job is left behind: %s", error)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(work)
        self._chores.add(task)
        task.add_done_callback(self._chores.discard)
        return task

    async def _in_thread(self, call: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._threads, call)
