"""What hooks are told of the registry's events, and how they are handed on."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import pytest
from attrs import evolve
from checkmaite.jobs import Reuse, ReuseKind
from checkmaite.jobs.spi import HookReport, JobEvent, JobEventKind, TraceContext, job_span
from checkmaite.jobs_ray.hooks.actor import JobHooks
from checkmaite.jobs_ray.registry import hook_feed
from checkmaite.jobs_ray.registry.hook_feed import HookFeed
from checkmaite.jobs_ray.registry.model.happenings import happenings

from tests.ray_registry.making import CRASH, ERROR, STARTED, completed, spec
from tests.ray_registry.rig import Rig


def told(rig: Rig) -> list[JobEvent]:
    """What has happened since this was asked last."""
    return happenings(rig.registry.table.take_events(), rig.registry.table)


def names(events: Sequence[JobEvent]) -> list[str]:
    return [each.event_id for each in events]


def test_a_job_is_told_from_its_submission_to_its_end() -> None:
    rig = Rig()
    rig.submit(spec("job", tags=(("team", "vision"),)))
    (submitted,) = told(rig)
    assert (submitted.kind, submitted.scope, submitted.backend, submitted.status) == (
        JobEventKind.SUBMITTED,
        "scope",
        "ray",
        "PENDING",
    )
    assert (submitted.job_name, submitted.tags) == ("name of job", {"team": "vision"})
    rig.go()
    assert told(rig) == []
    rig.start("job")
    (started,) = told(rig)
    assert (started.event_id, started.node, started.attempt) == ("job.started.1", "node-1", 1)
    rig.end("job")
    ended, idle = told(rig)
    assert (ended.kind, ended.status, ended.run_uid, ended.failure) == ("finished", "COMPLETED", "job", None)
    assert ended.started_at == started.at
    assert (idle.event_id, idle.scope, idle.job_id) == ("job.scope_idle", "scope", None)


def test_each_start_of_a_lost_job_is_told_and_how_it_ends() -> None:
    rig = Rig()
    rig.submit(spec("job"))
    events = told(rig)
    for _ in range(2):
        rig.go()
        rig.start("job")
        rig.end("job", CRASH, worker_lost=True)
        events += told(rig)
    assert names(events) == ["job.submitted", "job.started.1", "job.started.2", "job.finished", "job.scope_idle"]
    assert (events[3].failure, events[3].error_type) == (CRASH.kind, "WorkerDied")


def test_an_end_tells_what_its_spans_are_made_of() -> None:
    rig = Rig()
    trace = TraceContext(f"00-{'1' * 32}-{'2' * 16}-01", "vendor=1", "who=me")
    rig.submit(spec("origin", trace=trace), spec("job"))
    rig.go()
    rig.start("job")
    rig.end("job", CRASH, worker_lost=True)
    rig.go()
    rig.start("job")
    reuse = Reuse(kind=ReuseKind.REUSED, job_id="origin")
    rig.end("job", evolve(completed(), reuse=reuse))
    rig.end("origin")
    ended = {each.job_id: each for each in told(rig) if each.kind is JobEventKind.FINISHED}
    assert (ended["origin"].trace, ended["job"].trace) == (trace._replace(baggage=""), None)
    (lost,) = ended["job"].lost_attempts
    assert (lost.number, lost.started_at, lost.end) == (1, STARTED.at, "")
    assert lost.ended_at is not None
    assert ended["job"].reused_job_id == "origin"
    assert ended["job"].reused_span == job_span("origin", trace)


def test_what_an_exception_says_is_not_told() -> None:
    rig = Rig()
    rig.submit(spec("job"))
    rig.go()
    rig.end("job", ERROR)
    (*_, ended, _) = told(rig)
    assert (ended.error_type, "no" in ended.plain().values()) == ("ValueError", False)


def test_a_scope_is_idle_once_its_own_last_job_has_ended() -> None:
    rig = Rig()
    rig.submit(spec("one"), spec("two"), spec("other", scope="other"))
    rig.go()
    told(rig)
    rig.end("one")
    assert names(told(rig)) == ["one.finished"]
    rig.end("other")
    assert names(told(rig)) == ["other.finished", "other.scope_idle"]
    rig.end("two")
    assert names(told(rig)) == ["two.finished", "two.scope_idle"]


def test_the_end_of_several_at_once_makes_a_scope_idle_once() -> None:
    rig = Rig()
    rig.submit(spec("one"), spec("two"))
    rig.go()
    rig.end("one")
    rig.end("two")
    assert names(told(rig))[-3:] == ["one.finished", "two.finished", "two.scope_idle"]


def test_the_end_of_a_short_job_tells_its_start_too() -> None:
    rig = Rig()
    rig.submit(spec("job"))
    rig.go()
    told(rig)
    rig.registry._lifecycle.finish(rig.record("job"), ERROR, rig.now, STARTED)
    assert names(told(rig)) == ["job.started.1", "job.finished", "job.scope_idle"]


# -- handing them on --------------------------------------------------------------------------------------------------


class Hooks:
    """The hooks' actor, called as Ray calls one, and what it was told.

    Args:
        replies: What becomes of each call: "taken", "lost" when its reply is, "away" when it does not arrive, and
            "refused" when it raises.
    """

    def __init__(self, *replies: str) -> None:
        self.replies = list(replies)
        self.taken: list[tuple[str, int]] = []
        self.actor = JobHooks({"hooks": {}})
        self.actor._lines = self  # type: ignore[assignment]

    def tell(self, event: JobEvent) -> None:
        self.taken.append((event.event_id, event.missed))

    @property
    def take(self) -> Any:
        return _Call(self)

    @property
    def reports(self) -> Any:
        return _Asked(self)


class _Call:
    def __init__(self, hooks: Hooks) -> None:
        self._hooks = hooks

    async def remote(self, *given: Any) -> None:
        reply = self._hooks.replies.pop(0) if self._hooks.replies else "taken"
        if reply == "refused":
            raise ValueError("not to be unpickled")
        if reply != "away":
            await self._hooks.actor.take(*given)
        if reply != "taken":
            raise TimeoutError


class _Asked:
    def __init__(self, hooks: Hooks) -> None:
        self._hooks = hooks

    async def remote(self) -> list[HookReport]:
        if self._hooks.replies.pop(0) == "away":
            await asyncio.Event().wait()
        return [HookReport(name="webhook", where="there", told=len(self._hooks.taken))]


def events(count: int) -> list[JobEvent]:
    at = datetime.now(UTC)
    kind = JobEventKind.SUBMITTED
    return [JobEvent(kind=kind, event_id=str(each), at=at, backend="ray") for each in range(count)]


async def fed(feed: HookFeed) -> None:
    running = asyncio.get_running_loop().create_task(feed.run())
    async with asyncio.timeout(30):
        await feed._settled.wait()
    running.cancel()


@pytest.mark.parametrize("replies", [(), ("lost",), ("away",), ("away", "lost", "lost")], ids=str)
def test_every_event_is_handed_on_once_whatever_becomes_of_calls(
    replies: Sequence[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hook_feed, "_AGAIN_S", 0)
    hooks = Hooks(*replies)

    async def go() -> None:
        feed = HookFeed(hooks, {})
        feed.add(events(3))
        await fed(feed)

    asyncio.run(go())
    assert hooks.taken == [("0", 0), ("1", 0), ("2", 0)]


def test_what_there_is_no_room_for_is_told_as_missed() -> None:
    hooks = Hooks()

    async def go() -> None:
        feed = HookFeed(hooks, {}, waiting=2)
        feed.add(events(5))
        await fed(feed)
        feed.add(events(1))
        await fed(feed)

    asyncio.run(go())
    assert hooks.taken == [("0", 0), ("1", 0), ("0", 3)]


def test_what_their_process_does_not_take_is_told_as_missed() -> None:
    hooks = Hooks("refused")

    async def go() -> None:
        feed = HookFeed(hooks, {})
        feed.add(events(2))
        await fed(feed)
        feed.add(events(1))
        await fed(feed)

    asyncio.run(go())
    assert hooks.taken == [("0", 2)]


def test_numbers_do_not_wait_for_a_silent_process_of_hooks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hook_feed, "_KNOWN_S", 0.01)
    hooks = Hooks("away", "answers", "away")

    async def go() -> list[int]:
        feed = HookFeed(hooks, {})
        known = [await feed.latest_reports()]
        hooks.taken.append(("0", 0))
        monkeypatch.setattr(hook_feed, "_KNOWN_S", 30)
        known.append(await feed.latest_reports())
        monkeypatch.setattr(hook_feed, "_KNOWN_S", 0.01)
        return [sum(each.told for each in reports) for reports in [*known, await feed.latest_reports()]]

    assert asyncio.run(go()) == [0, 1, 1]
