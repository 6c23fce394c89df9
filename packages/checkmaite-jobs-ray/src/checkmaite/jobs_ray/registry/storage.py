"""Carries out, beside the registry's event loop, what its shell asks of the storage of its journal.

The shell decides what is asked for, and in which order; here are the threads, and what depends on the machine.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from checkmaite.jobs import StoreNotFoundError
from checkmaite.jobs.spi import ObjectStore
from checkmaite.jobs_ray.journal.leader import Leader
from checkmaite.jobs_ray.journal.runner import leader_here, new_nonce, perform, probe, reply_of
from checkmaite.jobs_ray.journal.steps import Create, Delete, Exists, Names, Pause, Read, Steps

T = TypeVar("T")
_THREADS = 16
_TITLE = b"JobRegistry"
_NOT_RUNNING = "ZTXt"
"""States in /proc: a zombie, stopped, dead, traced. A stopped one is fenced when it goes on."""


class Storage:
    """The objects of one journal. All methods run on one event loop.

    Args:
        objects: Where they are.
        paused: Told of each pause, in a thread, before it begins.
    """

    def __init__(self, objects: ObjectStore, paused: Callable[[Pause], object] = lambda _: None) -> None:
        self._objects = objects
        self.paused = paused
        self._writer = ThreadPoolExecutor(1, "checkmaite-journal-writer")
        self._others = ThreadPoolExecutor(_THREADS, "checkmaite-journal")

    @property
    def root(self) -> str:
        """The absolute path or URL that keys are relative to."""
        return self._objects.root

    @property
    def is_local(self) -> bool:
        """Whether the objects are files of this machine."""
        return self._objects.is_local

    async def write(self, steps: Steps[T]) -> T:
        """Carry out steps that take their turn: no two of them at once."""
        return await self._in(self._writer, partial(perform, steps, self._objects, self._pause))

    async def run(self, steps: Steps[T]) -> T:
        """Carry out steps beside whatever else there is."""
        return await self._in(self._others, partial(perform, steps, self._objects, self._pause))

    async def ask(self, request: Create | Read | Exists | Names | Delete) -> Any:
        """The reply to one request.

        Raises:
            StoreError: See `reply_of`.
        """
        return await self._in(self._others, partial(reply_of, request, self._objects))

    async def read(self, key: str) -> bytes:
        """An object that must be there.

        Raises:
            StoreNotFoundError: It is not.
            StoreError: It cannot be read.
        """
        content: bytes | None = await self.ask(Read(key))
        if content is None:
            raise StoreNotFoundError(f"{self.root}/{key}: it does not exist.", uri=f"{self.root}/{key}")
        return content

    async def probe(self) -> None:
        """See whether a journal can be held here; see `checkmaite.jobs_ray.journal.runner.probe`."""
        await self._in(self._writer, partial(probe, self._objects))

    async def sweep(self) -> int:
        """Delete what registries that were killed a day ago were creating; see `ObjectStore.sweep`."""
        return await self._in(self._others, self._objects.sweep)

    def leader(self, address: str) -> Leader:
        """A new leader: this process, from now on."""
        return leader_here(address)

    def is_running(self, leader: Leader) -> bool:
        """Whether a registry runs on this machine; False where that cannot be told, as of another machine's."""
        here = leader_here("")
        same = (leader.host, leader.boot_id) == (here.host, here.boot_id)
        if not same or not here.boot_id or leader.pid == here.pid:
            return False
        process = Path("/proc") / str(leader.pid)
        try:
            state = (process / "stat").read_text().rpartition(")")[2].split()[0]
            return state not in _NOT_RUNNING and _TITLE in (process / "cmdline").read_bytes()
        except OSError:
            return False

    def new_nonce(self) -> str:
        """What no other object carries."""
        return new_nonce()

    def _pause(self, pause: Pause) -> None:
        self.paused(pause)
        time.sleep(pause.seconds)

    async def _in(self, threads: ThreadPoolExecutor, call: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(threads, call)
