"""The simulation finds defects of what ships: each of these is put into it, and is seen within 2,000 seeds."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence

import pytest
from checkmaite.jobs.spi import Failed, LeftPackNews, RunnerNews
from checkmaite.jobs_ray.controller.packing import Packing
from checkmaite.jobs_ray.registry.group_commit import GroupCommit
from checkmaite.jobs_ray.registry.input_keeper import InputKeeper
from checkmaite.jobs_ray.registry.model.machine import Assignment
from checkmaite.jobs_ray.registry.session import ControllerSession
from checkmaite.jobs_ray.wire import AttemptId, Launch, Report

from tests.ray_registry.simulation import story_of

SEEDS = 2_000


def acknowledges_before_the_commit(monkeypatch: pytest.MonkeyPatch) -> None:
    async def durable(commits: GroupCommit) -> None:
        commits.check()

    monkeypatch.setattr(GroupCommit, "durable", durable)


def applies_a_reply_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a controller has taken is taken for its answer to the next call, too."""
    confirm, give = ControllerSession._confirm, ControllerSession.give
    last: dict[ControllerSession, Collection[str]] = {}

    def remembered(session: ControllerSession, assignment: Assignment, taken: Collection[str]) -> None:
        confirm(session, assignment, taken)
        last[session] = taken

    def after_the_last_reply(session: ControllerSession, assignment: Assignment) -> None:
        give(session, assignment)
        if session in last:
            confirm(session, assignment, last.pop(session))

    monkeypatch.setattr(ControllerSession, "_confirm", remembered)
    monkeypatch.setattr(ControllerSession, "give", after_the_last_reply)


def renews_no_lease_without_news(monkeypatch: pytest.MonkeyPatch) -> None:
    hear = ControllerSession._hear

    def with_news(session: ControllerSession, reports: Sequence[Report]) -> None:
        if reports:
            hear(session, reports)

    monkeypatch.setattr(ControllerSession, "_hear", with_news)


def hears_late_what_a_runner_said_of_an_earlier_pack(monkeypatch: pytest.MonkeyPatch) -> None:
    take = Packing.take

    def late(packing: Packing, runner: str, news: RunnerNews, now: float) -> list[Launch]:
        mine = packing._runners.get(runner)
        return take(packing, runner, news._replace(number=mine.number if mine else 0), now)

    monkeypatch.setattr(Packing, "take", late)


def gives_a_job_away_that_was_running_when_its_runner_died(monkeypatch: pytest.MonkeyPatch) -> None:
    over = Packing.over

    def forgetful(
        packing: Packing, runner: str, left: LeftPackNews | None, failed: Failed, now: float
    ) -> list[AttemptId]:
        return over(packing, runner, left and left._replace(running=None), failed, now)

    monkeypatch.setattr(Packing, "over", forgetful)


def deletes_with_what_is_kept_of_a_job_the_payload_of_a_live_one(monkeypatch: pytest.MonkeyPatch) -> None:
    drop = InputKeeper._drop

    def careless(keeper: InputKeeper, job_id: str) -> None:
        keeper._ours.update(keeper._needing)
        drop(keeper, job_id)

    monkeypatch.setattr(InputKeeper, "_drop", careless)


@pytest.mark.parametrize(
    "defect",
    [
        acknowledges_before_the_commit,
        applies_a_reply_twice,
        renews_no_lease_without_news,
        hears_late_what_a_runner_said_of_an_earlier_pack,
        gives_a_job_away_that_was_running_when_its_runner_died,
        deletes_with_what_is_kept_of_a_job_the_payload_of_a_live_one,
    ],
)
def test_a_defect_is_found(defect: Callable[[pytest.MonkeyPatch], None], monkeypatch: pytest.MonkeyPatch) -> None:
    defect(monkeypatch)
    story = next((story for seed in range(SEEDS) if (story := story_of(seed)) is not None), "nothing was found")
    assert "ViolationError" in story
