"""Payloads too large for a registry's memory."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from functools import partial
from pickle import PickleBuffer
from typing import Any

import ray
from checkmaite.jobs_ray._messages import Start
from checkmaite.jobs_ray_simple.wall import carried, is_large

_log = logging.getLogger("checkmaite.jobs")
_AT_ONCE = 64
"""Payloads that are fetched at the same time: each is in the process's own memory for a moment."""
_HELD_S = 60.0
_LONGEST_S = 600.0


def arrived(payload: Any) -> Any:
    """What `carried` gave, as it comes with a call: a view of the shared memory, or bytes."""
    return payload if isinstance(payload, bytes) else memoryview(payload).cast("B")


def is_elsewhere(payload: Any) -> bool:
    """Whether this is a reference to a payload, which is lost with the process that owns it."""
    return isinstance(payload, ray.ObjectRef)


def keep_payload(payload: Any) -> Any:
    """The payload itself when it is small, else a reference to it in Ray's object store, owned by this process."""
    return ray.put(carried(payload)) if is_large(payload) else payload


class Arrivals:
    """Payloads on their way from the processes that own them to this one, on one event loop.

    One that takes longer than its caller waits comes on, and is there when the same start is brought again.
    """

    def __init__(self) -> None:
        self._coming: dict[Start, asyncio.Task[Any]] = {}
        self._turns = asyncio.Semaphore(_AT_ONCE)

    async def own(self, payloads: Mapping[Start, Any], patience_s: float) -> dict[Start, Any]:
        """The payloads, owned by this process; those that cannot be had, or not in time, are missing.

        Args:
            payloads: The payload, or the reference to it, of each start.
            patience_s: How long to wait for all of them.
        """
        found = {start: payload for start, payload in payloads.items() if not is_elsewhere(payload)}
        coming = {start: self._task(start, payloads[start]) for start in payloads.keys() - found.keys()}
        if coming:
            await asyncio.wait(coming.values(), timeout=patience_s)
        causes = set()
        for start, task in coming.items():
            if not task.done():
                causes.add(f"not within {patience_s:g} s")
                task.add_done_callback(partial(self._hold, start))
                continue
            self._drop(start, task)
            if _has_come(task):
                found[start] = task.result()
            else:
                causes.add("its lease is over" if task.cancelled() else type(task.exception()).__name__)
        if causes:
            missing, why = len(payloads) - len(found), ", ".join(sorted(causes))
            _log.warning("%d of %d jobs are not taken, since their payloads do not come: %s", missing, len(coming), why)
        return found

    def abandon(self) -> None:
        """Fetch none of them any more."""
        for task in self._coming.values():
            task.cancel()
        self._coming.clear()

    def _task(self, start: Start, reference: Any) -> asyncio.Task[Any]:
        task = self._coming.get(start)
        if task is None or (task.done() and not _has_come(task)):
            self._coming[start] = task = asyncio.get_running_loop().create_task(self._fetch(reference))
        return task

    async def _fetch(self, reference: Any) -> Any:
        async with self._turns, asyncio.timeout(_LONGEST_S):
            return ray.put(PickleBuffer(await reference))

    def _hold(self, start: Start, task: asyncio.Task[Any]) -> None:
        """It came when nobody waited: it is here for a while."""
        if _has_come(task):
            asyncio.get_running_loop().call_later(_HELD_S, self._drop, start, task)
        else:
            self._drop(start, task)

    def _drop(self, start: Start, task: asyncio.Task[Any]) -> None:
        if self._coming.get(start) is task:
            del self._coming[start]


def _has_come(task: asyncio.Task[Any]) -> bool:
    """Whether a task that is done gave what it was to give."""
    return not task.cancelled() and task.exception() is None
