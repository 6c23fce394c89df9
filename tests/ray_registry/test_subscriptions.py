"""Parked calls: a lost answer is given again, one that nobody hears takes nothing away, what is over is dropped."""

from __future__ import annotations

import asyncio

import pytest
from checkmaite.jobs import JobStatus
from checkmaite.jobs.spi import Cancelled, Failed
from checkmaite.jobs_ray.registry import subscriptions
from checkmaite.jobs_ray.registry.subscriptions import Subscriptions
from checkmaite.jobs_ray.wire import Change, Cursor


class Jobs:
    """Jobs by id, each final or not; one that is neither is not known."""

    def __init__(self) -> None:
        self.final: dict[str, bool] = {}
        self.subscriptions = Subscriptions(self._change_of, lambda job_id: not self.final.get(job_id, True))
        self.subscription = ""

    def _change_of(self, job_id: str) -> Change | None:
        if job_id not in self.final:
            return None
        done = self.final[job_id]
        status = JobStatus.CANCELLED if done else JobStatus.RUNNING
        return Change(job_id, status, 1, None, None, Cancelled() if done else None, None)

    def become(self, *jobs: str, final: bool = False) -> None:
        self.final |= dict.fromkeys(jobs, final)
        self.subscriptions.tell(jobs)

    def follow(self, *jobs: str) -> None:
        self.subscription = self.subscriptions.follow("client", jobs)

    async def asked(self, received: int, wait_s: float = 0.0) -> tuple[int, list[str]] | None:
        answer = await self.subscriptions.changes("client", Cursor(self.subscription, received), wait_s)
        return None if answer is None else (answer[0].number, [each.job_id for each in answer[1]])


def test_a_lost_answer_is_given_again() -> None:
    async def story() -> None:
        jobs = Jobs()
        jobs.follow("a", "b")
        jobs.become("a")
        number, told = await jobs.asked(0) or (0, [])
        assert told == ["a"]
        jobs.become("b")
        again, told = await jobs.asked(0) or (0, [])
        assert sorted(told) == ["a", "b"]
        assert again > number
        assert await jobs.asked(again) == (again + 1, [])

    asyncio.run(story())


def test_what_is_over_is_followed_no_more_once_the_client_knows_it() -> None:
    async def story() -> None:
        jobs = Jobs()
        jobs.follow("ends", "goes on", "is forgotten")
        jobs.become("ends", final=True)
        jobs.become("goes on")
        jobs.subscriptions.tell(["is forgotten"])
        number, told = await jobs.asked(0) or (0, [])
        assert sorted(told) == ["ends", "goes on", "is forgotten"]
        assert set(jobs.subscriptions._followed._of_job) == {"ends", "goes on", "is forgotten"}
        await jobs.asked(number)
        assert set(jobs.subscriptions._followed._of_job) == {"goes on"}

    asyncio.run(story())


def test_a_parked_call_that_was_repeated_takes_nothing_away() -> None:
    async def story() -> None:
        jobs = Jobs()
        jobs.follow("a")
        first = asyncio.create_task(jobs.asked(0, 10))
        await asyncio.sleep(0)
        second = asyncio.create_task(jobs.asked(0, 10))
        await asyncio.sleep(0)
        jobs.become("a", final=True)
        assert await first == (0, [])
        assert await second == (1, ["a"])

    asyncio.run(story())


def test_how_a_job_goes_on_is_told_with_its_end_if_that_is_near(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subscriptions, "_SOON_S", 3_600.0)

    async def story() -> None:
        jobs = Jobs()
        jobs.follow("a", "b")
        asked = asyncio.create_task(jobs.asked(0, 10))
        await asyncio.sleep(0)
        jobs.become("a", "b")
        for _ in range(10):
            await asyncio.sleep(0)
        assert not asked.done(), "nothing is over"
        jobs.become("b", final=True)
        assert await asked == (1, ["a", "b"])
        assert await jobs.asked(1, 0.05) == (2, []), "nothing is told twice"

    asyncio.run(story())


def test_how_a_job_goes_on_is_told_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subscriptions, "_SOON_S", 0.01)

    async def story() -> None:
        jobs = Jobs()
        jobs.follow("a")
        for number in range(3):
            jobs.become("a")
            assert await jobs.asked(number, 60) == (number + 1, ["a"])

    asyncio.run(story())


def test_a_client_that_is_not_known_must_follow_again() -> None:
    assert asyncio.run(Jobs().asked(0)) is None


@pytest.mark.parametrize("heard", [0, 1, 17])
@pytest.mark.parametrize("before", ["", "of the registry that died"])
def test_a_client_whose_next_job_came_first_must_follow_the_earlier_ones_again(before: str, heard: int) -> None:
    async def story() -> None:
        jobs = Jobs()
        jobs.follow("new")
        of_new, jobs.subscription = jobs.subscription, before
        jobs.become("new")
        assert await jobs.asked(heard) is None
        jobs.subscription = of_new
        assert await jobs.asked(0) == (1, ["new"])
        jobs.subscription = before
        assert await jobs.asked(1) is None, "numbers may coincide"

    asyncio.run(story())


def test_a_client_that_was_forgotten_has_another_subscription(monkeypatch: pytest.MonkeyPatch) -> None:
    async def story() -> None:
        jobs = Jobs()
        jobs.follow("old")
        before = jobs.subscription
        monkeypatch.setattr(subscriptions, "_SILENT_S", -1.0)
        jobs.subscriptions.forget_silent()
        jobs.follow("new")
        assert jobs.subscription != before
        jobs.subscription = before
        assert await jobs.asked(0) is None

    asyncio.run(story())


def test_a_job_that_is_forgotten_before_its_client_was_told_is_lost_to_it() -> None:
    async def story() -> None:
        jobs = Jobs()
        jobs.follow("is forgotten")
        jobs.subscriptions.tell(["is forgotten"])
        answer = await jobs.subscriptions.changes("client", Cursor(jobs.subscription, 0), 0.0)
        assert answer is not None
        (change,) = answer[1]
        assert change.status is JobStatus.FAILED
        assert isinstance(change.outcome, Failed)
        assert change.outcome.lost
        assert "terminal_job_retention_s" in change.outcome.error_message

    asyncio.run(story())
