"""Wakes whoever waits, and gathers what comes in quick succession; in registries and controllers."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

_LEAST_GAP_S = 0.01
_MOST_GAP_S = 0.05
_GAP_S_PER_JOB = 0.0005
"""Between two answers to one client is a gap, which grows with the jobs that may end meanwhile. One job alone keeps
nobody waiting; of a hundred, several share an answer, which costs about as much as ten of them."""


class Notifier:
    """Told when there is news; all on one event loop.

    Args:
        jobs: How many jobs there may be news of.
    """

    def __init__(self, jobs: Callable[[], int]) -> None:
        self._jobs = jobs
        self._notified = asyncio.Event()
        self._later: asyncio.TimerHandle | None = None
        self._answered_at = 0.0

    def notify(self) -> None:
        """There is news."""
        self._notified.set()

    def notify_soon(self, delay_s: float) -> None:
        """There is news that can wait a moment for more."""
        if self._later is None and not self._notified.is_set():
            self._later = asyncio.get_running_loop().call_later(delay_s, self._notified.set)

    async def wait(self, timeout_s: float) -> bool:
        """Wait until there is news; whether there was. What has been waited for is old afterwards."""
        try:
            async with asyncio.timeout(timeout_s):
                await self._notified.wait()
        except TimeoutError:
            return False
        await self.gather()
        return True

    async def gather(self) -> None:
        """Wait until the last answer is a moment ago, so that this one carries what has come since."""
        loop = asyncio.get_running_loop()
        gap_s = min(max(_LEAST_GAP_S, self._jobs() * _GAP_S_PER_JOB), _MOST_GAP_S)
        early = self._answered_at + gap_s - loop.time()
        if early > 0:
            await asyncio.sleep(early)
        self._answered_at = loop.time()
        self._notified.clear()
        if self._later is not None:
            self._later.cancel()
            self._later = None
