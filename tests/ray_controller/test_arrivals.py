"""Payloads that come from other processes: all at once, not for ever, and none fetched twice."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
import ray
import ray.exceptions as rx
from checkmaite.jobs_ray import cluster
from checkmaite.jobs_ray.cluster import Arrivals


class Reference:
    """To a payload that comes when it is told to."""

    def __init__(self) -> None:
        self.coming: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        self.fetches = 0

    def __await__(self) -> Any:
        self.fetches += 1
        return asyncio.shield(self.coming).__await__()


@pytest.fixture(autouse=True)
def _no_ray(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster, "is_elsewhere", lambda payload: isinstance(payload, Reference))
    monkeypatch.setattr(ray, "put", lambda payload: ("owned", bytes(payload)))


def test_what_cannot_be_had_keeps_nothing_else_and_what_is_late_is_not_fetched_again() -> None:
    async def story() -> None:
        arrivals, lost, late, there = Arrivals(), Reference(), Reference(), Reference()
        lost.coming.set_exception(rx.ObjectLostError("00", None, ""))
        there.coming.set_result(b"there")
        asked = {("small", 1): b"small", ("lost", 1): lost, ("late", 1): late, ("there", 1): there}
        assert await arrivals.own(asked, 0.01) == {("small", 1): b"small", ("there", 1): ("owned", b"there")}
        late.coming.set_result(b"late")
        anew = Reference()
        anew.coming.set_result(b"anew")
        again = {("lost", 1): anew, ("late", 1): Reference()}
        assert await arrivals.own(again, 60) == {("lost", 1): ("owned", b"anew"), ("late", 1): ("owned", b"late")}
        assert [each.fetches for each in (lost, late, there, anew)] == [1, 1, 1, 1]

    asyncio.run(story())


def test_two_calls_wait_for_one_fetch_until_their_lease_is_over() -> None:
    async def story() -> None:
        arrivals, reference = Arrivals(), Reference()
        calls = [asyncio.create_task(arrivals.own({("job", 1): reference}, 60)) for _ in range(2)]
        await asyncio.sleep(0.01)
        reference.coming.set_result(b"payload")
        assert await asyncio.gather(*calls) == [{("job", 1): ("owned", b"payload")}] * 2
        assert reference.fetches == 1
        never = asyncio.create_task(arrivals.own({("other", 1): Reference()}, 60))
        await asyncio.sleep(0.01)
        arrivals.abandon()
        assert await asyncio.wait_for(never, 60) == {}

    asyncio.run(story())
