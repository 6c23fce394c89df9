"""Hands events on to the hooks' process, one batch at a time. Nobody waits for it, and it keeps a bounded number."""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections import deque
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

from attrs import evolve
from checkmaite.jobs import BackendUnavailableError
from checkmaite.jobs.spi import HookReport, JobEvent
from checkmaite.jobs_ray.cluster import Unreachable, answer

_log = logging.getLogger("checkmaite.jobs")
_WAITING = 10_000
"""Events that wait for the hooks' process at most, for example while Ray starts it anew."""
_BATCH = 500
_ANSWER_S = 30.0
_AGAIN_S = 1.0
_KNOWN_S = 2.0


class HookFeed:
    """The registry's end of its hooks, on its event loop.

    Args:
        actor: Theirs.
        hooks: What the registry's settings say of them.
        waiting: Events that wait at most; of more the newest are dropped, and hooks are told how many.
    """

    def __init__(self, actor: Any, hooks: Mapping[str, Any], *, waiting: int = _WAITING) -> None:
        self._actor, self._hooks, self._limit = actor, hooks, waiting
        self._waiting: deque[JobEvent] = deque()
        self._missed = 0
        self._number = 0
        self._reports: list[HookReport] = []
        self._name = secrets.token_hex(8)
        self._more, self._settled = asyncio.Event(), asyncio.Event()
        self._settled.set()

    def add(self, events: Sequence[JobEvent]) -> None:
        """Have hooks told of events that are durable."""
        for event in events:
            if len(self._waiting) >= self._limit:
                self._missed += 1
                continue
            self._waiting.append(evolve(event, missed=self._missed) if self._missed else event)
            self._missed = 0
        self._settled.clear()
        self._more.set()

    async def run(self) -> None:
        """Hand on what is added, for ever."""
        while True:
            await self._more.wait()
            batch = [self._waiting.popleft() for _ in range(min(_BATCH, len(self._waiting)))]
            self._number += 1
            await self._hand_on(batch)
            if not self._waiting:
                self._more.clear()
                self._settled.set()

    async def reports(self) -> list[HookReport]:
        """How each hook is doing.

        Raises:
            BackendUnavailableError: Their process does not answer.
        """
        try:
            self._reports = await answer(self._actor.reports.remote(), _ANSWER_S)
        except (TimeoutError, *Unreachable) as error:
            raise BackendUnavailableError(f"The process of the hooks does not answer: {error}") from None
        return self._reports

    async def latest_reports(self) -> list[HookReport]:
        """The same, soon: the last ones that are known where their process is silent."""
        with suppress(TimeoutError, BackendUnavailableError):
            async with asyncio.timeout(_KNOWN_S):
                return await self.reports()
        return self._reports

    async def settle(self, timeout_s: float) -> bool:
        """Wait until hooks have been told everything, at most so long; whether they have."""
        try:
            async with asyncio.timeout(timeout_s):
                await self._settled.wait()
                return bool(await self._actor.settle.remote(timeout_s))
        except (TimeoutError, *Unreachable):
            return False

    async def _hand_on(self, batch: Sequence[JobEvent]) -> None:
        while True:
            try:
                call = self._actor.take.remote(self._name, self._number, batch, self._hooks)
                await answer(call, _ANSWER_S)
            except (TimeoutError, *Unreachable):
                await asyncio.sleep(_AGAIN_S)  # Ray starts it anew; what was in its queues is lost
            except Exception:  # noqa: BLE001 - whatever Ray raises about this batch, those after it may be taken
                _log.warning("%d events were not told to hooks", len(batch), exc_info=True)
                self._missed += len(batch)
                return
            else:
                return
