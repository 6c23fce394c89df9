"""Packs that are started with their jobs: how many at once, and what becomes of those that say nothing.

What runners that ask for packs get is in `tests/ray_controller/test_packing.py`.
"""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from attrs import define, field
from checkmaite.jobs.spi import (
    NOTHING_BEGUN,
    Cancelled,
    EndedShortJob,
    Failed,
    Finished,
    LeftPackNews,
    Packing,
    RunnerNews,
    ShortJob,
    Started,
)

DONE = Finished(outcome=Cancelled())  # any end will do
LOST = Failed(error_type="WorkerDied", error_message="gone")
STARTED = Started(node="node-1", pid=4711, at=datetime.fromtimestamp(100.5, UTC))


@define
class Backend:
    """Its jobs are texts, of the kind and capability that their first letter says, and start once."""

    over: dict[str, str] = field(factory=dict)
    cancelling: set[str] = field(factory=set)

    def described(self, job: str) -> ShortJob[str]:
        return ShortJob((job, 1), job[0], job[0], 1, job)

    def begins(self, start: tuple[str, int], now: float) -> bool:
        if start[0] in self.cancelling:
            self.over[start[0]] = "cancelled"
        return start[0] not in self.over

    def ended(self, start: tuple[str, int], finished: Finished, now: float) -> None:
        self.over[start[0]] = "ended"

    def cancelled(self, start: tuple[str, int], now: float) -> None:
        self.over[start[0]] = "cancelled"

    def doubted(self, start: tuple[str, int], failed: Failed, now: float) -> None:
        self.over[start[0]] = "doubted"


class Owner:
    """Starts packs."""

    def __init__(self, ahead: int = 3) -> None:
        self.backend = Backend()
        self.packing = Packing("runner", self.backend, ahead=ahead)

    def brings(self, *jobs: str) -> list[list[str]]:
        """Jobs come; the packs that are started then."""
        for each in jobs:
            self.packing.add(each)
        return [pack for _, pack in self.packing.packs(0.0)]

    def hears(self, runner: str, *ended: str, unbegun: str = "", took_s: float = 0.001) -> None:
        told = [EndedShortJob((job, 1), took_s, DONE) for job in ended]
        self.packing.take(runner, RunnerNews(STARTED, 1, told, [(job, 1) for job in unbegun.split()]), 0.0)

    def is_over(self, runner: str, left: LeftPackNews | None = NOTHING_BEGUN) -> list[str]:
        """A runner has ended; the jobs that were lost with it."""
        return [job for job, _ in self.packing.over(runner, left, LOST, 0.0)]


@pytest.fixture
def owner() -> Owner:
    return Owner()


def test_so_many_packs_of_a_kind_are_started_before_one_says_anything(owner: Owner) -> None:
    packs = owner.brings(*(f"a{number}" for number in range(40)), "b")
    assert [len(pack) for pack in packs] == [8, 8, 8, 1]
    assert owner.brings() == []
    owner.hears("runner-1", *packs[0])
    owner.is_over("runner-1")
    assert [len(pack) for pack in owner.brings()] == [16], "they have turned out short"
    assert owner.brings() == []


def test_a_pack_that_has_begun_keeps_no_other_waiting(owner: Owner) -> None:
    packs = owner.brings(*(f"a{number}" for number in range(25)))
    assert sum(map(len, packs)) == 24
    owner.packing.began("runner-1", STARTED)
    assert owner.brings() == [["a24"]]
    assert owner.packing.begun() == {"runner-1": STARTED}


def test_what_is_given_back_goes_out_with_another_and_the_first_has_no_say_in_it() -> None:
    owner = Owner(ahead=1)
    owner.brings("along", "a1", "a2")
    owner.hears("runner-1", unbegun="a1 a2")
    assert owner.brings() == [["a1", "a2"]]
    owner.hears("runner-1", "a1", unbegun="a2")
    assert owner.backend.over == {}
    owner.hears("runner-2", "a1", "a2")
    owner.hears("runner-1", "along")
    assert owner.backend.over == dict.fromkeys(("a1", "a2", "along"), "ended")


def test_a_job_that_stops_in_a_pack_that_has_not_begun_lets_its_neighbours_go_out_anew(owner: Owner) -> None:
    owner.brings("a1", "a2", "a3")
    owner.backend.cancelling.add("a2")
    assert owner.packing.stop(("a2", 1), 0.0) == "runner-1"
    assert owner.packing.stops_of("runner-1") == [("a2", 1)]
    owner.is_over("runner-1")
    assert owner.backend.over == {"a2": "cancelled"}
    assert owner.brings() == [["a1", "a3"]]


def test_where_all_that_wait_are_to_stop_no_pack_is_started() -> None:
    owner = Owner(ahead=1)
    owner.backend.cancelling.update(("a1", "a2"))
    assert owner.brings("a1", "a2") == []
    assert owner.backend.over == dict.fromkeys(("a1", "a2"), "cancelled")
    assert owner.brings("a3") == [["a3"]]


def test_a_death_costs_the_job_that_was_running_whether_or_not_its_process_has_said_anything(owner: Owner) -> None:
    owner.brings("a1", "akills", "a2")
    left = LeftPackNews({("a1", 1): DONE}, ("akills", 1))
    assert owner.is_over("runner-1", left) == ["akills"]
    assert owner.backend.over == {"a1": "ended"}
    assert owner.brings() == [["a2"]]


def test_of_a_pack_that_left_nothing_all_may_have_begun(owner: Owner) -> None:
    owner.brings("a1", "a2")
    assert owner.is_over("runner-1", None) == []
    assert owner.backend.over == dict.fromkeys(("a1", "a2"), "doubted")
    owner.brings("b1")
    assert owner.is_over("runner-2", None) == ["b1"], "nobody else can have caused it"


def test_a_pack_that_is_refused_fails_with_all_that_wait_for_such_a_runner() -> None:
    owner = Owner(ahead=1)
    owner.brings(*(f"a{number}" for number in range(10)), "b")
    assert [job for job, _ in owner.packing.refused("runner-1")] == [f"a{number}" for number in range(10)]
    assert owner.packing.refused("runner-1") == []
    assert owner.packing.runner_of(("a0", 1)) is None
    assert owner.packing.runner_of(("b", 1)) == "runner-2"
