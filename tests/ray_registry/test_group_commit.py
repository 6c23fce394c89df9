"""What is written together, and when."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence

import pytest
from checkmaite.jobs_ray.registry import group_commit
from checkmaite.jobs_ray.registry.group_commit import GroupCommit
from checkmaite.jobs_ray.registry.model.events import Event, Launched


def event(name: str) -> Event:
    return Launched(name, 0.0)


class Written:
    """A journal that notes what is written in one piece, and what was done once it was."""

    def __init__(self) -> None:
        self.pieces: list[list[str]] = []
        self.done: list[str] = []
        self.commits = GroupCommit(self._write)
        self._news = asyncio.Event()

    async def _write(self, events: Sequence[Event], *, are_all: bool) -> None:
        self.pieces.append([each.job_id for each in events if isinstance(each, Launched)])

    def add(self, name: str, *, can_wait: bool = False) -> None:
        def then() -> None:
            self.done.append(name)
            self._news.set()

        self.commits.add([event(name)], then, can_wait=can_wait)

    async def wait(self, done: int) -> None:
        async with asyncio.timeout(60):
            while len(self.done) < done:
                self._news.clear()
                await self._news.wait()


def story(act: Callable[[Written], Awaitable[None]]) -> None:
    async def told() -> None:
        written = Written()
        running = asyncio.get_running_loop().create_task(written.commits.run())
        await act(written)
        running.cancel()

    asyncio.run(told())


def test_what_nobody_waits_for_is_written_with_what_follows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(group_commit, "_SOON_S", 3_600.0)

    async def act(written: Written) -> None:
        written.add("launched", can_wait=True)
        for _ in range(10):
            await asyncio.sleep(0)
        assert written.pieces == written.done == []
        written.add("ended")
        await written.commits.durable()
        assert written.pieces == [["launched", "ended"]]
        assert written.done == ["launched", "ended"]

    story(act)


def test_who_waits_goes_on_before_what_follows() -> None:
    """Whoever has submitted a job has its answer before a controller is told of it."""

    async def act(written: Written) -> None:
        order, tasks = list[str](), list[asyncio.Task[None]]()

        async def give() -> None:
            order.append("given")

        written.commits.add([event("job")], lambda: tasks.append(asyncio.get_running_loop().create_task(give())))
        await written.commits.durable()
        order.append("answered")
        await tasks[0]
        assert order == ["answered", "given"]

    story(act)


def test_it_is_written_at_once_when_somebody_waits_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(group_commit, "_SOON_S", 3_600.0)

    async def act(written: Written) -> None:
        written.add("launched", can_wait=True)
        await asyncio.wait_for(written.commits.durable(), 60)
        assert written.pieces == [["launched"]]

    story(act)


def test_it_is_written_soon_and_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(group_commit, "_SOON_S", 0.01)

    async def act(written: Written) -> None:
        for number, name in enumerate(("first", "second"), 1):
            written.add(f"{name} 0", can_wait=True)
            written.add(f"{name} 1", can_wait=True)
            await written.wait(2 * number)
        assert written.pieces == [["first 0", "first 1"], ["second 0", "second 1"]]
        written.add("third")
        await written.commits.durable()
        await asyncio.sleep(0.05)
        assert written.pieces[2:] == [["third"]], "nothing is written when nothing has happened"

    story(act)


def test_what_fails_of_what_follows_keeps_nothing_else_back(caplog: pytest.LogCaptureFixture) -> None:
    def fails() -> None:
        raise KeyError("a client that is unknown")

    async def act(written: Written) -> None:
        written.commits.add([event("first")], fails)
        written.add("second")
        await written.wait(1)
        written.add("third")
        await written.wait(2)
        assert written.done == ["second", "third"]

    story(act)
    assert "not all carried out" in caplog.text
