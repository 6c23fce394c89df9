"""Keeps what jobs were given beyond their end, so that they can be run again from anywhere.

Beside the journal where there is one: an object for each job, and a payload that is an object already stays where it
is. Else in this process's memory. All of it is bounded; what is beyond is that of the oldest jobs.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter, deque
from collections.abc import Coroutine, Iterable, Mapping, Sequence
from typing import Any

from checkmaite.jobs import JobStatus, StoreError, StoreNotFoundError
from checkmaite.jobs_ray.config import RegistrySettings
from checkmaite.jobs_ray.journal.inputs import (
    KeptInputs,
    all_kept_inputs,
    inputs_of,
    kept_inputs,
    payload_object,
)
from checkmaite.jobs_ray.journal.steps import Create, Delete, Steps
from checkmaite.jobs_ray.registry.model.contexts import RedactedContext
from checkmaite.jobs_ray.registry.model.events import Event, Forgotten
from checkmaite.jobs_ray.registry.model.job_table import JobTable
from checkmaite.jobs_ray.registry.storage import Storage
from checkmaite.jobs_ray.wire import JobSpec, StoredPayload

_log = logging.getLogger("checkmaite.jobs")
IN_MEMORY_BYTES = 64 * 2**20
"""What may be kept where there is no journal."""
_ABOUT_BYTES = 2 * 2**10
"""What one takes in memory beside its payload, about."""
_AT_ONCE = 4
_TRIES = 5
_AGAIN_S = 2.0
_DELETED_AT_ONCE = 200

Inputs = tuple[JobSpec, RedactedContext]
"""A submission as it was while its job was live, and its context without secrets."""


class InputKeeper:
    """What the finished jobs of one registry were given. All methods run on one event loop.

    Args:
        settings: The registry's.
        table: Its jobs.
        storage: Where the journal is; None when there is none.
        names: What was in the folder of kept inputs before this registry led the journal.
    """

    def __init__(
        self, settings: RegistrySettings, table: JobTable, storage: Storage | None, names: Iterable[str] = ()
    ) -> None:
        self._storage = storage
        self._table = table
        self._keeps_all = settings.keep_inputs == "all"
        most = settings.max_kept_input_bytes
        self._most_bytes = most if storage is not None else min(most, IN_MEMORY_BYTES)
        self._kept: dict[str, KeptInputs] = dict(all_kept_inputs(names))
        self._here: dict[str, Inputs] = {}  # those of them that are in no object yet, or never will be
        self._needing = Counter(each.payload for each in self._kept.values() if each.payload)
        self._sizes = {each.payload: each.payload_size for each in self._kept.values() if each.payload}
        self._ours = {key for key in self._needing if not table.needs(key)}  # no live job needs them
        self._bytes = sum(each.size for each in self._kept.values()) + sum(self._sizes.values())
        self._here_bytes = 0
        self._unwritten: deque[str] = deque()
        self._under_way: dict[str, asyncio.Future[None]] = {}  # those that are being written, or wait for it
        self._writers = 0
        self._unneeded: deque[str] = deque()
        self._is_deleting = False
        self._chores: set[asyncio.Task[None]] = set()
        for job_id in [each for each in self._kept if each not in table.records or table.goes_on(each)]:
            self._drop(job_id)
        self._shrink()

    def note(self, ended: Iterable[Inputs], events: Sequence[Event]) -> Mapping[str, asyncio.Future[None]]:
        """These jobs have ended, and all this has happened; it is durable.

        Returns:
            The failed jobs whose inputs are on their way, with what is done once they are written or given up.
        """
        under_way: dict[str, asyncio.Future[None]] = {}
        for spec, redacted in ended:
            if self._wants(spec):
                self._keep(spec, redacted)
                if self._table.records[spec.job_id].status is JobStatus.FAILED and spec.job_id in self._under_way:
                    under_way[spec.job_id] = self._under_way[spec.job_id]
        for each in events:
            if isinstance(each, Forgotten):
                self._drop(each.job_id)
        return under_way

    def released(self, payloads: Iterable[str]) -> list[str]:
        """Keys of payloads that no live job needs any more; those of them that nothing here needs."""
        payloads = [*payloads]
        self._ours.update(key for key in payloads if key in self._needing)
        return [key for key in payloads if key not in self._needing]

    async def read(self, job_id: str) -> Inputs | None:
        """What a job was given, its payload as bytes; None when it is not kept.

        Raises:
            StoreError: It is kept, and cannot be read.
        """
        kept = self._kept.get(job_id)
        if kept is None:
            return None
        try:
            spec, redacted = self._here.get(job_id) or await self._stored(kept)
            if isinstance(spec.payload, StoredPayload):
                assert self._storage is not None, "only a journal keeps payloads"
                content, begin = await self._storage.read(spec.payload.key), spec.payload.offset
                spec = spec._replace(payload=content[begin : begin + spec.payload.size])
        except StoreNotFoundError:
            return None
        return spec, redacted

    def close(self) -> None:
        """Another registry leads now, and has looked at what is there: change nothing any more."""
        for each in [*self._chores]:
            each.cancel()

    # -- inside -------------------------------------------------------------------------------------------------------

    async def _stored(self, kept: KeptInputs) -> Inputs:
        assert self._storage is not None, "what is not here is beside a journal"
        content = await self._storage.read(kept.key)
        return await asyncio.to_thread(inputs_of, content, f"{self._storage.root}/{kept.key}")

    def _wants(self, spec: JobSpec) -> bool:
        record = self._table.records.get(spec.job_id)
        if record is None or not isinstance(spec.payload, bytes | StoredPayload):  # a reference dies with its owner
            return False
        return self._keeps_all or record.status is not JobStatus.COMPLETED

    def _keep(self, spec: JobSpec, redacted: RedactedContext) -> None:
        spec = spec._replace(trace=None)  # who has it run again is in another one
        payload, payload_size = payload_object(spec)
        if isinstance(spec.payload, StoredPayload):
            spec, size = spec._replace(payload=spec.payload._replace(ref=None)), _ABOUT_BYTES
        else:
            size = len(spec.payload) + _ABOUT_BYTES
        if size + payload_size > self._most_bytes:
            return  # nothing else is given up for it
        if self._storage is not None and self._here_bytes + size > IN_MEMORY_BYTES:
            return  # jobs end faster than that is written
        job_id = spec.job_id
        self._kept[job_id] = KeptInputs("", size, payload, payload_size)
        self._here[job_id] = spec, redacted
        self._here_bytes += size
        self._bytes += size
        if payload:
            self._needing[payload] += 1
            self._bytes += 0 if payload in self._sizes else payload_size
            self._sizes[payload] = payload_size
        if self._storage is not None:
            self._unwritten.append(job_id)
            self._under_way[job_id] = asyncio.get_running_loop().create_future()
            if self._writers < _AT_ONCE:
                self._writers += 1
                self._spawn(self._write_all(self._storage))
        self._shrink()

    async def _write_all(self, storage: Storage) -> None:
        try:
            while self._unwritten:
                job_id = self._unwritten.popleft()
                try:
                    await self._write(job_id, storage)
                finally:
                    self._under_way.pop(job_id).set_result(None)
        finally:
            self._writers -= 1

    async def _write(self, job_id: str, storage: Storage) -> None:
        for _ in range(_TRIES):
            if (inputs := self._here.get(job_id)) is None:  # it was dropped meanwhile
                return
            try:
                stored = await storage.run(_created(*inputs))
            except StoreError as error:
                _log.warning("what a job was given is not kept beside the journal: %s", error)
                if not error.retryable:
                    break
                await asyncio.sleep(_AGAIN_S)
            else:
                self._note_stored(job_id, stored)
                return
        self._drop(job_id)

    def _note_stored(self, job_id: str, stored: KeptInputs) -> None:
        if self._here.pop(job_id, None) is None:  # likewise
            self._delete([stored.key])
            return
        self._here_bytes -= self._kept[job_id].size
        self._bytes += stored.size - self._kept[job_id].size
        self._kept[job_id] = stored
        self._shrink()

    def _shrink(self) -> None:
        while self._bytes > self._most_bytes and self._kept:
            self._drop(next(iter(self._kept)))

    def _drop(self, job_id: str) -> None:
        kept = self._kept.pop(job_id, None)
        if kept is None:
            return
        if self._here.pop(job_id, None) is not None:
            self._here_bytes -= kept.size
        self._bytes -= kept.size
        unneeded = [kept.key] if kept.key else []
        if kept.payload:
            self._needing[kept.payload] -= 1
            if not self._needing[kept.payload]:
                del self._needing[kept.payload]
                self._bytes -= self._sizes.pop(kept.payload)
                if kept.payload in self._ours:  # else it is released, once the end of its last live job is durable
                    self._ours.discard(kept.payload)
                    unneeded.append(kept.payload)
        self._delete(unneeded)

    def _delete(self, keys: Sequence[str]) -> None:
        self._unneeded.extend(keys)
        if self._unneeded and not self._is_deleting:
            assert self._storage is not None, "only a journal has objects"
            self._is_deleting = True
            self._spawn(self._delete_all(self._storage))

    async def _delete_all(self, storage: Storage) -> None:
        """One request after the other, so that what else is asked of the storage comes between."""
        try:
            while self._unneeded:
                keys = [self._unneeded.popleft() for _ in range(min(_DELETED_AT_ONCE, len(self._unneeded)))]
                try:
                    await storage.ask(Delete(keys))
                except StoreError as error:  # the next registry deletes what is nobody's
                    _log.info("what a job was given is left behind: %s", error)
        finally:
            self._is_deleting = False

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._chores.add(task)
        task.add_done_callback(self._chores.discard)


def _created(spec: JobSpec, redacted: RedactedContext) -> Steps[KeptInputs]:
    """Keep it. It is made into bytes where the steps are carried out, not on the event loop."""
    kept, content = kept_inputs(spec, redacted)
    yield Create(kept.key, content)
    return kept
