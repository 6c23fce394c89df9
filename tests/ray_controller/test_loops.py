"""A loop outlives what fails in one of its turns."""

from __future__ import annotations

import asyncio
import logging

import pytest
from checkmaite.jobs_ray import loops


def test_a_turn_that_fails_is_told_and_followed_by_another(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def story() -> None:
        turns, third = 0, asyncio.Event()

        async def look_for_dead_workers() -> None:
            nonlocal turns
            turns += 1
            if turns == 2:
                raise ConnectionError("Ray does not answer")
            if turns == 3:
                third.set()
            await asyncio.sleep(0)

        loop = asyncio.get_running_loop().create_task(loops.take_turns(look_for_dead_workers))
        async with asyncio.timeout(60):
            await third.wait()
        loop.cancel()

    monkeypatch.setattr(loops, "_AGAIN_S", 0.0)
    with caplog.at_level(logging.ERROR, "checkmaite.jobs"):
        asyncio.run(story())
    assert "look_for_dead_workers failed" in caplog.text
