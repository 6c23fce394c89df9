"""Of each kind of job the next ones to begin are given away, and the others wait as records alone."""

from __future__ import annotations

from typing import Any

import pytest
from checkmaite.jobs import BackpressureError, JobStatus, Resources
from checkmaite.jobs_ray.registry.model.record import Scheduling
from checkmaite.jobs_ray.wire import JobSpec

from tests.ray_registry.making import limits, spec
from tests.ray_registry.rig import Rig

GPU = Resources(num_gpus=1)


def named(*jobs: str, **changed: Any) -> list[JobSpec]:
    return [spec(each, **changed) for each in jobs]


def numbered(count: int, **changed: Any) -> list[JobSpec]:
    return named(*(f"job {number}" for number in range(count)), **changed)


def with_a_controller(rig: Rig) -> list[str]:
    return [job_id for job_id, record in rig.registry.table.records.items() if isinstance(record.state, Scheduling)]


def test_only_a_window_is_given_and_others_follow_many_at_a_time() -> None:
    rig = Rig(within=limits(window=4))
    rig.submit(*numbered(10))
    rig.go()
    assert with_a_controller(rig) == ["job 0", "job 1", "job 2", "job 3"]
    rig.start("job 0")
    rig.go()
    assert len(rig.registry.table.waiting) == 6, "each call costs more than the jobs in it"
    rig.end("job 1")  # of a short job nothing else is told
    rig.go()
    assert with_a_controller(rig) == ["job 2", "job 3", "job 4", "job 5"]
    for number in range(10):
        rig.go()
        rig.end(f"job {number}")
    assert {rig.status(f"job {number}") for number in range(10)} == {JobStatus.COMPLETED}


def test_a_kind_that_ray_has_no_room_for_holds_up_no_other() -> None:
    rig = Rig(within=limits(window=2))
    rig.submit(*numbered(6, resources=GPU))
    rig.go()
    rig.submit(spec("light"), spec("apart", policy=spec("any").policy._replace(isolation="process")))
    rig.go()
    assert with_a_controller(rig) == ["job 0", "job 1", "light", "apart"]


def test_jobs_of_several_kinds_go_in_the_order_of_their_acceptance() -> None:
    rig = Rig()
    rig.submit(*named("a", resources=GPU), *named("b"), *named("c", resources=GPU), *named("d"))
    (assignment,) = rig.place()
    assert [launch.spec.job_id for launch in assignment.launches] == ["a", "b", "c", "d"]


def test_a_kind_that_came_too_short_is_the_first_the_next_time() -> None:
    rig = Rig()
    rig.submit(*numbered(10, resources=GPU), *named("light"))
    given = [[launch.spec.job_id for each in rig.place(limit=4) for launch in each.launches] for _ in range(2)]
    assert given == [["job 0", "job 1", "job 2", "job 3"], ["job 4", "job 5", "job 6", "light"]]


def test_whoever_ends_otherwise_makes_room_too() -> None:
    rig = Rig(2, within=limits(window=2))
    rig.submit(*numbered(8))
    rig.go("a")
    rig.cancel("job 0")
    rig.cancel("job 1")
    rig.go("a")
    assert with_a_controller(rig) == ["job 2", "job 3"], "what is being stopped waits for no worker"
    rig.lose("a")
    rig.go("b")
    assert with_a_controller(rig) == ["job 4", "job 5"], "what is started again waits behind the others"


def test_another_registry_goes_on_within_the_window() -> None:
    rig = Rig(within=limits(window=2))
    rig.submit(*numbered(5))
    rig.go()
    rig.take_over(epoch=200)
    rig.go()
    assert len(rig.registry.table.waiting) == 3
    rig.end("job 0")
    rig.end("job 1")
    rig.go()
    assert len(rig.registry.table.waiting) == 1


def test_a_queue_behind_the_window_is_no_backlog() -> None:
    rig = Rig(within=limits(window=2, max_backlog=2))
    rig.submit(*numbered(5))
    with pytest.raises(BackpressureError, match="wait for a controller to take them: 2;"):
        rig.submit(spec("more"))
    rig.go()
    rig.submit(spec("more"))
    assert len(rig.registry.table.waiting) == 4


def test_an_explanation_says_that_others_like_it_are_next() -> None:
    rig = Rig(within=limits(window=2))
    rig.submit(*numbered(3))
    assert "no controller has taken it yet" in rig.notes("job 2")
    rig.go()
    assert "It is number 3 in the queue of its scope; Ray has the 2 jobs like it that begin next." in rig.notes("job 2")
