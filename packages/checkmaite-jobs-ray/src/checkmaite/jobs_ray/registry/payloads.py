"""What jobs start from: in the memory of this process, in Ray's object store, or beside the journal."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from typing import Any

from attrs import define
from checkmaite.jobs import StoreError, StoreNotFoundError
from checkmaite.jobs_ray.journal.replay import payload_key
from checkmaite.jobs_ray.journal.steps import Create, Delete
from checkmaite.jobs_ray.registry.cluster import Cluster
from checkmaite.jobs_ray.registry.model.machine import RegistryMachine
from checkmaite.jobs_ray.registry.storage import Storage
from checkmaite.jobs_ray.wire import JobSpec, StoredPayload

_log = logging.getLogger("checkmaite.jobs")
MEMORY_BYTES = 16 * 2**20
"""Payloads of live jobs that the registry keeps in its memory; what is submitted beyond waits beside the journal."""
_LEAST_BYTES = 512
"""A smaller payload costs no more than saying where it is."""
_PACK_BYTES = 4 * 2**20
"""Payloads in one object: what is read for a few jobs is in memory as a whole."""
_PACKS_AT_ONCE = 4
_TRIES = 10
"""A payload that is nowhere but in a process's memory is lost when no controller could fetch it so many times."""


@define
class Reading:
    """The object that was read last: the payloads of jobs that follow each other are in one.

    Attributes:
        key: Its key; empty before the first.
        content: All of it.
    """

    key: str = ""
    content: bytes = b""


class Payloads:
    """Gives the payloads of jobs, from the journal where neither this process nor Ray has them.

    Args:
        cluster: Where small ones travel as they are, and large ones are kept.
        objects: Those beside the journal; None when there is none.
        is_live: Whether a job is one still.
    """

    def __init__(
        self,
        cluster: Cluster,
        objects: PayloadObjects | None,
        is_live: Callable[[str], bool],
    ) -> None:
        self._cluster = cluster
        self._objects = objects
        self._is_live = is_live
        self._missed: Counter[str] = Counter()

    @property
    def are_kept(self) -> bool:
        """Whether there is a journal."""
        return self._objects is not None

    def reading(self) -> Reading:
        """What remembers what was read, for as long as jobs are made ready one after the other."""
        return Reading()

    async def of(self, spec: JobSpec, reading: Reading) -> Any:
        """A spec's payload as a controller takes it.

        Raises:
            StoreError: It cannot be had; see `StoreError.retryable`.
        """
        payload, missed = spec.payload, self._missed[spec.job_id]
        if isinstance(payload, StoredPayload):
            if payload.ref is not None and not missed:
                return payload.ref
            assert self._objects is not None, "only a journal keeps payloads"
            if payload.key != reading.key:
                reading.content = await self._objects.load(payload.key)
                reading.key = payload.key
            return self._cluster.keep_payload(reading.content[payload.offset : payload.offset + payload.size])
        if payload is None or (missed >= _TRIES and self._cluster.is_elsewhere(payload)):
            raise StoreNotFoundError("what the job needs to start was lost with the process that had accepted it.")
        return payload

    def note(self, given: Collection[str], taken: Collection[str]) -> None:
        """A controller was given these jobs, and has taken those: the others' payloads did not come."""
        missed = [job_id for job_id in given if job_id not in taken]
        if self._missed or missed:
            for job_id in taken:
                self._missed.pop(job_id, None)
            self._missed.update(missed)
            for job_id in [each for each in self._missed if not self._is_live(each)]:
                del self._missed[job_id]


class PayloadObjects:
    """Payloads beside the journal. All methods run on one event loop.

    Args:
        storage: Where the journal is.
    """

    def __init__(self, storage: Storage) -> None:
        self._storage = storage
        self._chores: set[asyncio.Task[None]] = set()

    async def keep(self, payloads: Sequence[tuple[str, bytes | memoryview]]) -> list[StoredPayload]:
        """Keep payloads durably beside the journal, each with its job's id."""

        async def create(job_id: str, payload: bytes | memoryview) -> StoredPayload:
            key = payload_key(job_id, self._storage.new_nonce())
            await self._storage.ask(Create(key, payload))
            return StoredPayload(key, len(payload))

        return list(await asyncio.gather(*(create(job_id, payload) for job_id, payload in payloads)))

    async def keep_together(self, payloads: Sequence[tuple[str, bytes]]) -> dict[str, StoredPayload]:
        """Keep small payloads durably beside the journal, many in one object; those that could not be are left out.

        Args:
            payloads: Each with its job's id, in the order in which they will be needed.
        """
        found: dict[str, StoredPayload] = {}
        turns = asyncio.Semaphore(_PACKS_AT_ONCE)

        async def create(pack: Sequence[tuple[str, bytes]]) -> None:
            key, offset = payload_key(pack[0][0], self._storage.new_nonce()), 0
            async with turns:
                try:
                    await self._storage.ask(Create(key, b"".join(payload for _, payload in pack)))
                except StoreError as error:
                    _log.warning("%d payloads stay in memory, since they cannot be written: %s", len(pack), error)
                    return
            for job_id, payload in pack:
                found[job_id] = StoredPayload(key, len(payload), offset=offset)
                offset += len(payload)

        await asyncio.gather(*map(create, _packs(payloads)))
        return found

    async def load(self, key: str) -> bytes:
        """An object with payloads that were kept.

        Raises:
            StoreError: It cannot be read.
        """
        return await self._storage.read(key)

    def forget(self, keys: Iterable[str]) -> None:
        """Delete payloads that no start needs any more; one that cannot be deleted stays until the next beginning."""
        for key in keys:
            task = asyncio.get_running_loop().create_task(self._delete(key))
            self._chores.add(task)
            task.add_done_callback(self._chores.discard)

    async def _delete(self, key: str) -> None:
        try:
            await self._storage.ask(Delete([key]))
        except StoreError as error:
            _log.info("a payload is left behind: %s", error)


def _packs(payloads: Sequence[tuple[str, bytes]]) -> Iterator[Sequence[tuple[str, bytes]]]:
    """The same in their order, as many at a time as share an object."""
    pack: list[tuple[str, bytes]] = []
    size = 0
    for each in payloads:
        if pack and size + len(each[1]) > _PACK_BYTES:
            yield pack
            pack, size = [], 0
        pack.append(each)
        size += len(each[1])
    if pack:
        yield pack


async def keep_payloads(
    specs: Sequence[JobSpec], machine: RegistryMachine, cluster: Cluster, objects: PayloadObjects, memory_bytes: int
) -> list[JobSpec]:
    """The specs with payloads beside the journal: large ones, and all of a batch for which there is no room in memory.

    Args:
        specs: Those of one call.
        machine: What says which of them would be new jobs.
        cluster: Where a copy of a large one is kept.
        objects: Those beside the journal.
        memory_bytes: How much of small payloads may be in this process's memory.
    """
    places: dict[str, StoredPayload] = {}

    def is_large(spec: JobSpec) -> bool:
        return spec.job_id not in places and cluster.is_large(spec.payload)

    def is_small(spec: JobSpec) -> bool:
        return len(spec.payload) > _LEAST_BYTES and not cluster.is_large(spec.payload)

    if sum(len(each.payload) for each in specs if is_small(each)) > memory_bytes - machine.table.payload_bytes:
        small = _new(specs, machine, is_small)
        places = await objects.keep_together([(each.job_id, each.payload) for each in small])
    # While payloads are stored a job that stood for one of these runs may end, so that this one is a new job.
    while large := _new(specs, machine, is_large):
        kept = await objects.keep([(spec.job_id, spec.payload) for spec in large])
        for spec, where in zip(large, kept, strict=True):
            places[spec.job_id] = where._replace(ref=cluster.keep_payload(spec.payload))
    return [spec._replace(payload=places[spec.job_id]) if spec.job_id in places else spec for spec in specs]


def _new(specs: Sequence[JobSpec], machine: RegistryMachine, is_wanted: Callable[[JobSpec], bool]) -> list[JobSpec]:
    """Those of the wanted ones that would be new jobs now."""
    if not any(map(is_wanted, specs)):
        return []
    decisions = zip(specs, machine.decide(specs), strict=True)
    return [spec for spec, decision in decisions if decision.holder is None and is_wanted(spec)]
