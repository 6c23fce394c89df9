"""What has happened and is not durable yet, and what may be done once it is."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from itertools import islice
from typing import Protocol

from checkmaite.jobs import JobsError
from checkmaite.jobs_ray.registry.model.events import Event


class Write(Protocol):
    """Makes events durable."""

    def __call__(self, events: Sequence[Event], *, are_all: bool) -> Awaitable[None]:
        """Write these events; `are_all` says that none have happened after them."""
        ...


_log = logging.getLogger("checkmaite.jobs")
_MOST = 5_000
"""Events that are written in one piece."""
_SOON_S = 0.1
"""What nobody waits for is written with what follows it, or after so long."""


class GroupCommit:
    """Group commit: while one batch of events is written, the next one gathers. All on one event loop.

    Nobody is told of anything, and nothing is done outside, before the events that it follows from are durable.

    Args:
        write: Makes events durable. It tries for as long as it takes, and raises a `JobsError` when this process may
            never write again. None keeps nothing: everything counts as durable at once.
    """

    def __init__(self, write: Write | None) -> None:
        self._write = write
        self._events: deque[Event] = deque()
        self._happened = 0
        self._durable = 0
        self._then: deque[tuple[int, Callable[[], object]]] = deque()
        self._waiting: deque[tuple[int, asyncio.Future[None]]] = deque()
        self._wanted = asyncio.Event()
        self._later: asyncio.TimerHandle | None = None
        self._ended_by: JobsError | None = None

    def add(self, events: Sequence[Event], then: Callable[[], object], *, can_wait: bool = False) -> None:
        """Have these written, and `then` called when they, and all before them, are durable.

        Args:
            events: What has happened.
            then: What follows from it.
            can_wait: Nobody waits for that, so that it need not be written by itself.
        """
        if self._ended_by is not None:
            return
        if self._write is not None:
            self._events.extend(events)
            self._happened += len(events)
        if self._happened == self._durable:
            _carry_out(then)
        else:
            self._then.append((self._happened, then))
            if not can_wait:
                self._wanted.set()
            elif self._later is None:
                self._later = asyncio.get_running_loop().call_later(_SOON_S, self._write_what_waits)

    def check(self) -> None:
        """See that this process may still write.

        Raises:
            JobsError: It may not.
        """
        if self._ended_by is not None:
            raise self._ended_by

    async def durable(self) -> None:
        """Wait until everything that has happened so far is durable.

        Raises:
            JobsError: It never will be.
        """
        self.check()
        if self._happened > self._durable:
            future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiting.append((self._happened, future))
            self._wanted.set()
            await future

    async def prove(self) -> None:
        """Write nothing, to see whether this process may still write.

        Raises:
            JobsError: It may not.
        """
        self.check()
        if self._write is not None:
            future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiting.append((self._happened, future))
            self._wanted.set()
            await future

    async def run(self) -> None:
        """Write, until this process may not any more."""
        assert self._write is not None, "there is nothing to run without a journal"
        while True:
            await self._wanted.wait()
            batch = list(islice(self._events, _MOST))
            try:
                await self._write(batch, are_all=len(batch) == len(self._events))
            except JobsError as error:
                self._end(error)
                return
            except Exception as error:
                self._end(JobsError(f"The journal cannot be written any more: {type(error).__name__}: {error}"))
                raise
            for _ in batch:
                self._events.popleft()
            self._durable += len(batch)
            if not self._events:
                self._wanted.clear()
            while self._waiting and self._waiting[0][0] <= self._durable:  # first: somebody waits for an answer
                _resolve(self._waiting.popleft()[1], None)
            while self._then and self._then[0][0] <= self._durable:
                _carry_out(self._then.popleft()[1])

    def _write_what_waits(self) -> None:
        self._later = None
        if self._events:
            self._wanted.set()

    def _end(self, error: JobsError) -> None:
        self._ended_by = error
        self._then.clear()
        for _, future in self._waiting:
            _resolve(future, error)


def _carry_out(then: Callable[[], object]) -> None:
    """Do what follows. What fails there is logged: nothing else would be written any more if it ended the writing."""
    try:
        then()
    except Exception:  # noqa: BLE001 - whatever it was, the journal is written on
        _log.exception("what follows from what is durable was not all carried out")


def _resolve(future: asyncio.Future[None], error: JobsError | None) -> None:
    if future.done():  # who waited has been cancelled
        return
    if error is None:
        future.set_result(None)
    else:
        future.set_exception(error)
