"""How long news waits for more: not at all when it is alone, a moment when many jobs are under way."""

from __future__ import annotations

import asyncio

import pytest
from checkmaite.jobs_ray.notifier import Notifier


@pytest.mark.parametrize(("jobs", "gap_s"), [(0, 0.01), (1, 0.01), (60, 0.03), (100, 0.05), (10_000, 0.05)])
def test_the_gap_grows_with_the_jobs(jobs: int, gap_s: float, monkeypatch: pytest.MonkeyPatch) -> None:
    slept: list[float] = []
    sleep = asyncio.sleep

    async def noted(delay: float) -> None:
        slept.append(delay)
        await sleep(0)

    async def ring_twice() -> None:
        monkeypatch.setattr(asyncio.get_running_loop(), "time", lambda: 1.0)  # a busy machine takes longer than the gap
        notifier = Notifier(lambda: jobs)
        for _ in range(2):
            notifier.notify()
            assert await notifier.wait(1)
            assert not await notifier.wait(0)

    monkeypatch.setattr(asyncio, "sleep", noted)
    asyncio.run(ring_twice())
    (waited,) = slept  # the first answer waits for nothing
    assert waited == pytest.approx(gap_s)


def test_news_that_can_wait_rings_once() -> None:
    async def story() -> None:
        notifier = Notifier(lambda: 1)
        for _ in range(3):
            notifier.notify_soon(0.02)
        notifier.notify()
        assert await notifier.wait(10)
        assert not await notifier.wait(0.1), "it came with the other"
        notifier.notify_soon(0.02)
        assert await notifier.wait(10)

    asyncio.run(story())
