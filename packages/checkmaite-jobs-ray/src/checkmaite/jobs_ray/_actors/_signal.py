"""Waking whoever waits, and gathering what comes in quick succession."""

from __future__ import annotations

import asyncio

_LEAST_GAP_S = 0.01
_MOST_GAP_S = 0.05
"""Between two answers to one listener is a gap. A lone piece of news goes at once; where more comes within the gap, it
doubles, so that under load each answer carries many jobs: an answer costs about as much as ten of them."""


class Bell:
    """Rung when there is news; all on one event loop."""

    def __init__(self) -> None:
        self._rung = asyncio.Event()
        self._answered_at = 0.0
        self._gap_s = _LEAST_GAP_S

    def ring(self) -> None:
        """There is news."""
        self._rung.set()

    def ring_soon(self, delay_s: float) -> None:
        """There is news that can wait a moment for more."""
        if not self._rung.is_set():
            asyncio.get_running_loop().call_later(delay_s, self._rung.set)

    async def wait(self, timeout_s: float) -> bool:
        """Wait until it rings; whether it did. It is silent again afterwards."""
        try:
            async with asyncio.timeout(timeout_s):
                await self._rung.wait()
        except TimeoutError:
            return False
        await self.gather()
        return True

    async def gather(self) -> None:
        """Wait until the last answer is a moment ago, so that this one carries what has come since."""
        loop = asyncio.get_running_loop()
        early = self._answered_at + self._gap_s - loop.time()
        if early > 0:
            await asyncio.sleep(early)
            self._gap_s = min(2 * self._gap_s, _MOST_GAP_S)
        else:
            self._gap_s = _LEAST_GAP_S
        self._answered_at = loop.time()
        self._rung.clear()
