"""Which short jobs a runner gets, and what becomes of them when it says nothing more."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from attrs import evolve
from checkmaite.jobs import Resources
from checkmaite.jobs.spi import Cancelled, EndedShortJob, Finished, LeftPackNews, Outcome, Printed, RunnerNews
from checkmaite.jobs_ray.controller.actor import JobController
from checkmaite.jobs_ray.controller.machine import ControllerMachine
from checkmaite.jobs_ray.controller.packing import Packing, is_packed
from checkmaite.jobs_ray.wire import EndReport, Launch, Stop

from tests.ray_registry.making import CONTEXT, CRASH, ERROR, POLICY, STARTED, completed, spec

SHORT = Resources(short=True)


class Controller:
    """A machine with its short jobs."""

    def __init__(self) -> None:
        self.machine = ControllerMachine("first", retention_s=60.0, max_retained=1_000, max_log_characters=1_000)
        self.machine.attach(1, 0.0)
        self.packing = Packing("runner", self.machine)

    def brings(self, *job_ids: str, **changed: Any) -> None:
        launches = [
            Launch(spec(job_id, **{"resources": SHORT, **changed}), CONTEXT, 1, 1.0, None, 0) for job_id in job_ids
        ]
        for launch in self.machine.launch(1, launches):
            self.packing.add(launch)

    def begins(self) -> list[str]:
        """The runners that Ray is asked for."""
        return [order.runner for order in self.packing.orders()]

    def gives(self, runner: str) -> list[str]:
        return [each.spec.job_id for each in self.packing.give(runner, STARTED, 0.0)]

    def hears(self, runner: str, number: int, *unbegun: str, took_s: float = 0.001, **ended: Outcome) -> None:
        told = [EndedShortJob((job_id, 1), took_s, Finished(outcome=outcome)) for job_id, outcome in ended.items()]
        self.packing.take(runner, RunnerNews(STARTED, number, told, [(job_id, 1) for job_id in unbegun]), 0.0)

    def ended(self) -> dict[str, tuple[type, bool, bool]]:
        """What the registry is told: how each job ended, whether its worker was lost, whether that counts."""
        _, reports = self.machine.reports(1, 0)
        ends = [each for each in reports if isinstance(each, EndReport)]
        return {each.job_id: (type(each.outcome), each.worker_lost, each.counts) for each in ends}


DONE = completed()
COMPLETED, FAILED, CANCELLED = ((type(each), False, True) for each in (DONE, ERROR, Cancelled()))


@pytest.fixture
def controller() -> Controller:
    return Controller()


def test_a_job_that_is_stopped_before_it_comes_to_a_queue_waits_in_none(controller: Controller) -> None:
    """It would wait there for a runner, though it needs none."""
    launches = [Launch(spec(name, resources=SHORT), CONTEXT, 1, 1.0, None, 0) for name in "ab"]
    taken = controller.machine.launch(1, launches)
    controller.machine.stop(1, [Stop("a", 1, 4.0, Cancelled())], 1.0)
    actor: Any = SimpleNamespace(_machine=controller.machine, _packing=controller.packing, _notify=lambda: None)
    for each in taken:
        JobController._launch(actor, each)
    assert controller.ended() == {"a": CANCELLED}
    (runner,) = controller.begins()
    assert controller.gives(runner) == ["b"]


def test_jobs_that_are_short_share_a_runner_and_no_others() -> None:
    def launch(*, is_short: bool = False, **changed: Any) -> Launch:
        return Launch(spec("a", **changed), CONTEXT, 1, 1.0, None, 0, is_short=is_short)

    assert is_packed(launch(resources=SHORT))
    assert is_packed(launch(is_short=True)), "its capability has been short so far"
    assert not is_packed(launch(is_short=True, resources=Resources(num_gpus=1)))
    for changed in (
        {"resources": Resources()},
        {"resources": evolve(SHORT, num_gpus=0.5)},
        {"resources": evolve(SHORT, share_gpus=True)},
        {"resources": evolve(SHORT, custom={"TPU": 1})},
        {"policy": POLICY._replace(isolation="process")},
        {"payload": bytes(2**20 + 1)},
        {"payload": object()},
    ):
        assert not is_packed(launch(**{"resources": SHORT, **changed})), changed


def test_a_pack_takes_as_long_as_it_is_to(controller: Controller) -> None:
    controller.brings(*(f"a{number}" for number in range(1_000)))
    first, *others = controller.begins()
    assert len(others) == 3
    assert controller.begins() == []
    pack = controller.gives(first)
    assert len(pack) == 8
    for number, took_s, size in ((1, 0.0021, 23), (2, 0.0, 200), (3, 5.0, 1)):
        controller.hears(first, number, took_s=took_s, **dict.fromkeys(pack, DONE))
        pack = controller.gives(first)
        assert len(pack) == size
    assert len(controller.begins()) == 1, "one more for the one that has begun"


def test_what_jobs_of_one_kind_take_says_nothing_of_others(controller: Controller) -> None:
    controller.brings("a1", "b1", capability_id="a")
    (runner,) = controller.begins()
    controller.gives(runner)
    controller.hears(runner, 1, took_s=1.0, a1=DONE, b1=DONE)
    controller.brings("a2", "a3", capability_id="a")
    assert controller.gives(runner) == ["a2"]
    controller.brings(*(f"c{number}" for number in range(10)), capability_id="c")
    controller.brings("d", resources=evolve(SHORT, num_cpus=2))
    assert [order.pattern.spec.job_id for order in controller.packing.orders()].count("d") == 1
    controller.hears(runner, 2, a2=DONE)
    assert "d" not in controller.gives(runner)


def test_what_is_given_back_is_run_by_another_and_the_first_has_no_say_in_it(controller: Controller) -> None:
    controller.brings("long", "b", "c")
    (first,) = controller.begins()
    assert controller.gives(first) == ["long", "b", "c"]
    controller.hears(first, 1, "b", "c")
    (second,) = controller.begins()
    assert controller.gives(second) == ["b", "c"]
    controller.hears(first, 1, "b", "c", b=ERROR, c=ERROR)  # it is told again
    controller.hears(second, 1, b=DONE, c=DONE)
    controller.hears(first, 1, "b", "c", long=DONE)
    assert controller.ended() == dict.fromkeys(("b", "c", "long"), COMPLETED)


def test_what_comes_late_of_an_earlier_pack_counts_for_nothing(controller: Controller) -> None:
    controller.brings("a", "b")
    (runner,) = controller.begins()
    controller.gives(runner)
    controller.hears(runner, 1, "b", a=DONE)
    assert controller.gives(runner) == ["b"]
    controller.hears(runner, 1, "b", a=DONE)
    (other,) = controller.begins() or ["none"]
    assert controller.gives(other) == []


def test_a_death_costs_the_job_that_was_running_and_no_other(controller: Controller) -> None:
    controller.brings("a", "b", "kills", "d")
    (runner,) = controller.begins()
    controller.gives(runner)
    left = LeftPackNews({("a", 1): Finished(outcome=DONE), ("b", 1): Finished(outcome=ERROR)}, ("kills", 1))
    assert controller.packing.over(runner, left, CRASH, 0.0) == [("kills", 1)]
    assert controller.ended() == {"a": COMPLETED, "b": FAILED}
    (other,) = controller.begins()
    assert controller.gives(other) == ["d"]


def test_of_a_pack_that_left_nothing_all_may_have_begun_and_none_is_to_blame(controller: Controller) -> None:
    controller.brings("a", "b")
    (runner,) = controller.begins()
    controller.gives(runner)
    assert controller.packing.over(runner, None, CRASH, 0.0) == []
    assert controller.ended() == dict.fromkeys("ab", (type(CRASH), True, False))
    controller.brings("alone")
    (runner,) = controller.begins()
    controller.gives(runner)
    assert controller.packing.over(runner, None, CRASH, 0.0) == [("alone", 1)]


def test_a_runner_that_ends_has_not_begun_what_it_does_not_tell_of(controller: Controller) -> None:
    controller.brings("a")
    (runner,) = controller.begins()
    controller.gives(runner)  # the answer never came
    assert controller.packing.over(runner, LeftPackNews({}, None), CRASH, 0.0) == []
    (other,) = controller.begins()
    assert (controller.gives(runner), controller.gives(other)) == ([], ["a"])


def test_a_job_is_stopped_where_it_is(controller: Controller) -> None:
    controller.brings("runs", "given back")
    (runner,) = controller.begins()
    controller.gives(runner)
    controller.brings("waits")
    stops = [Stop(job_id, 1, 5.0, Cancelled()) for job_id in ("runs", "given back", "waits")]
    told = [controller.packing.stop(each.attempt_id, 0.0) for each in controller.machine.stop(1, stops, 0.0)]
    assert told == [runner, runner, None]
    assert controller.ended() == {"waits": CANCELLED}
    assert set(controller.packing.stops_of(runner)) == {("runs", 1), ("given back", 1)}
    controller.hears(runner, 1, "given back")
    assert controller.ended().keys() == {"waits", "given back"}
    assert controller.packing.stops_of(runner) == [("runs", 1)]
    controller.hears(runner, 1, "given back", runs=Cancelled())
    assert controller.ended() == dict.fromkeys(("waits", "given back", "runs"), CANCELLED)
    assert (controller.packing.stops_of(runner), controller.begins()) == ([], [])


def test_a_runner_that_ray_does_not_start_is_told_with_the_jobs_that_wait_for_it(controller: Controller) -> None:
    controller.brings("a", "b")
    (runner,) = controller.begins()
    assert controller.packing.refused(runner) == [("a", 1), ("b", 1)]
    assert controller.begins() == []
    controller.brings("c", "d")
    (runner,) = controller.begins()
    assert controller.gives(runner) == ["c", "d"]
    assert controller.packing.refused(runner) == [], "it has begun"


def test_workers_that_die_before_they_begin_cost_a_job_a_start_each(controller: Controller) -> None:
    controller.brings("a", "b")
    (runner,) = controller.begins()
    assert controller.packing.over(runner, None, CRASH, 0.0) == [("a", 1)]
    (runner,) = controller.begins()
    assert controller.packing.over(runner, None, CRASH, 0.0) == [("b", 1)]
    assert controller.begins() == []


def test_a_job_says_through_its_runner_what_it_has_printed(controller: Controller) -> None:
    controller.brings("a")
    (runner,) = controller.begins()
    controller.gives(runner)
    finished = Finished(outcome=DONE, printed=Printed(start=0, text="hello"))
    controller.packing.take(runner, RunnerNews(STARTED, 1, [EndedShortJob(("a", 1), 0.0, finished)], ()), 0.0)
    assert controller.machine.logs("a") == "hello"
