"""What the registry calls: it hands events on, and asks how hooks are doing."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

from checkmaite.jobs.spi import HookLines, HookReport, HookSpec, JobEvent


class JobHooks:
    """The actor. Each call may be made again after a lost reply.

    Args:
        settings: ``hooks``, as `RegistrySettings` has them.
    """

    def __init__(self, settings: Mapping[str, Any]) -> None:
        self._given: Mapping[str, Any] = {}
        self._lines = HookLines(())
        self._last: tuple[str, int] = ("", 0)
        self._open(settings["hooks"])

    async def take(self, feed: str, number: int, events: Sequence[JobEvent], hooks: Mapping[str, Any]) -> None:
        """Have hooks told of events.

        Args:
            feed: Which registry's process hands them on.
            number: Of the batch, from 1; one that was taken before is taken no second time.
            events: In the order of what happened.
            hooks: What the registry runs with, which may be another one than made this actor.
        """
        if self._last[0] == feed and number <= self._last[1]:
            return
        self._last = feed, number
        if hooks != self._given:
            await asyncio.to_thread(self._lines.close)
            self._open(hooks)
        for event in events:
            self._lines.tell(event)

    async def reports(self) -> list[HookReport]:
        """How each of them is doing."""
        return self._lines.reports()

    async def settle(self, timeout_s: float) -> bool:
        """Wait until hooks have been told everything, at most so long; whether they have."""
        return await asyncio.to_thread(self._lines.settle, timeout_s)

    def _open(self, hooks: Mapping[str, Any]) -> None:
        self._given = hooks
        self._lines = HookLines([HookSpec(name, options) for name, options in hooks.items()])
