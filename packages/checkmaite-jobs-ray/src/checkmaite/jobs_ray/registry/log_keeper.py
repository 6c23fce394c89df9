"""Keeps the output of jobs beside the journal, so that it outlives workers, controllers and the cluster.

Of a job that is over it is kept once. Of one that runs it is kept now and then, as long as there is something new,
since nobody can ask a cluster that is gone; of one whose controller has died it is looked for on the worker's node.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Mapping, Sequence
from typing import Any

from checkmaite.jobs import StoreError
from checkmaite.jobs.spi import Failed, joined_output
from checkmaite.jobs_ray.journal.logs import KeptLog, kept_log, kept_logs, outdated_logs, text_of
from checkmaite.jobs_ray.journal.steps import Create, Delete
from checkmaite.jobs_ray.loops import take_turns
from checkmaite.jobs_ray.registry.model.events import Ended, Event, Forgotten, OwnerLost
from checkmaite.jobs_ray.registry.model.record import Ending, Final, JobRecord, Running, Stopping
from checkmaite.jobs_ray.registry.storage import Storage

_log = logging.getLogger("checkmaite.jobs")
_AT_ONCE = 4
"""Outputs that pass through this process at the same time: each may take some megabytes."""
_TRIES = 5
_AGAIN_S = 2.0
_ROUND_S = 30.0
"""The output of jobs that run is looked at so often."""
_ROUND_SHARE = 0.05
"""And takes at most so much of the time: of many jobs that print much it is kept less often."""

Lost = tuple[int, Awaitable[str | None]]
"""The number of an attempt, and what is found of its output."""


class LogKeeper:
    """The kept output of one registry's jobs. All methods run on one event loop.

    Args:
        storage: Where the journal is.
        names: What was in the folder of kept output before this registry led the journal.
        keeps_all: Whether the output of every job is kept, not only of those that failed.
        most_bytes: What all of it may take; then that of the oldest jobs is deleted.
        fetch: Gives a finished job's output; None where nobody has it any more.
        records: The jobs that are listed.
        look_for: Has the output of an attempt looked for whose controller has died; None where nothing can be found.
    """

    def __init__(
        self,
        storage: Storage,
        names: Iterable[str],
        *,
        keeps_all: bool,
        most_bytes: int,
        fetch: Callable[[str], Awaitable[str | None]],
        records: Mapping[str, JobRecord],
        look_for: Callable[[str], Lost | None],
    ) -> None:
        self._storage = storage
        self._keeps_all = keeps_all
        self._most_bytes = most_bytes
        self._fetch = fetch
        self._records = records
        self._look_for = look_for
        found = list(names)
        self._kept = {job_id: dict(of_job) for job_id, of_job in kept_logs(found).items()}
        self._printed: dict[str, int] = {}  # what a job had printed when it was kept last
        self._bytes = sum(each.size for of_job in self._kept.values() for each in of_job.values())
        self._pause_s = _ROUND_S
        self._turns = asyncio.Semaphore(_AT_ONCE)
        self._looks = asyncio.Semaphore(_AT_ONCE)  # each is a process on a node, and may take seconds
        self._chores: set[asyncio.Task[None]] = set()
        self._drop([job_id for job_id in self._kept if job_id not in records])
        for each in outdated_logs(found):
            self._spawn(self._delete(each))

    def catch_up(self, records: Iterable[JobRecord], since: float) -> None:
        """Keep what an earlier registry did not get to keep, as far as controllers have it.

        Args:
            records: The jobs.
            since: Of jobs that ended before this no controller has the output.
        """
        for record in records:
            state, job_id = record.state, record.spec.job_id
            is_wanted = isinstance(state, Final) and state.at >= since and self._wants(state.ending)
            if is_wanted and 0 not in self._kept.get(job_id, {}):
                self._spawn(self._keep(job_id))

    def note(self, events: Sequence[Event]) -> Mapping[str, asyncio.Task[None]]:
        """This has happened, and is durable; the jobs whose output is on its way, with what is done when it is kept."""
        under_way = {}
        for each in events:
            if isinstance(each, Ended):
                self._printed.pop(each.job_id, None)
                if self._wants(each.ending):
                    under_way[each.job_id] = self._spawn(self._keep(each.job_id))
                else:
                    self._drop_last(each.job_id)
            elif isinstance(each, OwnerLost) and (lost := self._look_for(each.job_id)) is not None:
                self._spawn(self._keep_lost(each.job_id, *lost))
            elif isinstance(each, Forgotten):
                self._drop([each.job_id])
        return under_way

    async def watch(self) -> None:
        """Keep the output of jobs that run, for as long as they do."""
        await take_turns(self._go_round)

    async def keep_running(self) -> None:
        """Keep what the jobs that run have printed by now."""
        running = [each for each in self._records.values() if isinstance(each.state, Running | Stopping)]
        await asyncio.gather(*(self._keep_running(each.spec.job_id, each.attempt) for each in running))

    async def read(self, job_id: str) -> str | None:
        """The output of a job that is listed; None when nobody has it any more.

        Raises:
            StoreError: It cannot be read, or is damaged.
        """
        logs, record = dict(self._kept.get(job_id, {})), self._records.get(job_id)
        over = logs.pop(0, None)
        last = await (self._fetch(job_id) if over is None else self._text(over))
        lost = {
            number: await self._text(each)
            for number, each in logs.items()
            if last is None or (record is not None and number < record.attempt)
        }
        return joined_output(lost, last) if lost or last is not None else None

    # -- inside -------------------------------------------------------------------------------------------------------

    async def _go_round(self) -> None:
        await asyncio.sleep(self._pause_s)
        began = time.monotonic()
        await self.keep_running()
        self._pause_s = max(_ROUND_S, (time.monotonic() - began) / _ROUND_SHARE)

    async def _text(self, log: KeptLog) -> str:
        content, uri = await self._storage.read(log.key), f"{self._storage.root}/{log.key}"
        return await asyncio.to_thread(text_of, content, uri)

    def _wants(self, ending: Ending) -> bool:
        return self._keeps_all or isinstance(ending, Failed)

    async def _keep(self, job_id: str) -> None:
        async with self._turns:
            text = await self._fetch(job_id)
            if text is not None and 0 not in self._kept.get(job_id, {}):
                await self._put(job_id, text, 0)

    async def _keep_running(self, job_id: str, attempt: int) -> None:
        """Keep what an attempt has printed by now, unless it is what is kept already."""
        async with self._turns:
            text = await self._fetch(job_id)
            if text and self._is_at(job_id, attempt) and self._printed.get(job_id) != (printed := hash(text)):
                self._printed[job_id] = printed
                await self._put(job_id, text, attempt)

    def _is_at(self, job_id: str, attempt: int) -> bool:
        record = self._records.get(job_id)
        return record is not None and record.attempt == attempt and isinstance(record.state, Running | Stopping)

    async def _keep_lost(self, job_id: str, attempt: int, found: Awaitable[str | None]) -> None:
        async with self._looks:
            text = await found
        if text:
            async with self._turns:
                await self._put(job_id, text, attempt)

    async def _put(self, job_id: str, text: str, attempt: int) -> None:
        """Keep a text, in the place of what was kept of the same attempt."""
        before = self._kept.get(job_id, {}).get(attempt)
        number = max(time.time_ns() // 1_000_000, before.number + 1 if before else 0)
        log, content = await asyncio.to_thread(kept_log, job_id, text, attempt, number)
        if not await self._stored(log, content):
            return
        of_job = self._kept.setdefault(job_id, {})
        if attempt in of_job:
            self._delete_all([of_job.pop(attempt)])
        of_job[attempt] = log
        self._bytes += log.size
        record = self._records.get(job_id)
        if record is None:  # it was forgotten meanwhile
            self._drop([job_id])
        elif attempt == 0 or (isinstance(record.state, Final) and not self._wants(record.state.ending)):
            self._drop_last(job_id)
        while self._bytes > self._most_bytes:
            self._drop([next(iter(self._kept))])

    def _drop_last(self, job_id: str) -> None:
        """Delete what was kept of a job's last attempt while it ran; that of attempts that were lost stays."""
        record, of_job = self._records.get(job_id), self._kept.get(job_id, {})
        if record is not None and record.attempt in of_job:
            self._delete_all([of_job.pop(record.attempt)])
        if not of_job:
            self._kept.pop(job_id, None)

    async def _stored(self, log: KeptLog, content: bytes) -> bool:
        for _ in range(_TRIES):
            try:
                await self._storage.ask(Create(log.key, content))
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
            self._delete_all(self._kept.pop(job_id, {}).values())

    def _delete_all(self, logs: Iterable[KeptLog]) -> None:
        for each in logs:
            self._bytes -= each.size
            self._spawn(self._delete(each))

    async def _delete(self, log: KeptLog) -> None:
        try:
            await self._storage.ask(Delete([log.key]))
        except StoreError as error:  # the next registry deletes what is nobody's
            _log.info("the output of a job is left behind: %s", error)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(work)
        self._chores.add(task)
        task.add_done_callback(self._chores.discard)
        return task
