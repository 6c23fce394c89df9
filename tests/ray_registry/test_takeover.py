"""A registry begins with its journal: what it believes of a controller that lives, and of one that is gone."""

from __future__ import annotations

import pytest
from checkmaite.jobs import JobStatus
from checkmaite.jobs.spi import Cancelled
from checkmaite.jobs_ray.client.history import _row
from checkmaite.jobs_ray.journal.snapshot import restore
from checkmaite.jobs_ray.registry.model.job_table import ReplayState
from checkmaite.jobs_ray.registry.model.record import Unresolved, Waiting
from checkmaite.jobs_ray.wire import Policy

from tests.ray_registry.making import POLICY, STARTED, completed, spec
from tests.ray_registry.rig import Rig, new_controller

ONCE = POLICY._replace(max_attempts=1)
FAIL = POLICY._replace(resubmit=False)


def placed(policy: Policy = POLICY) -> Rig:
    """A rig whose registry dies between giving a job and telling the controller."""
    rig = Rig()
    rig.submit(spec("job", policy=policy))
    rig.place()
    return rig


def running(policy: Policy = POLICY) -> Rig:
    """A rig whose registry and controller die while a job runs."""
    rig = Rig()
    rig.submit(spec("job", policy=policy))
    rig.go()
    rig.start("job")
    rig.controllers["a"] = new_controller("another")
    rig.take_over(epoch=100)
    return rig


# -- starts that never reached their controller -----------------------------------------------------------------------


@pytest.mark.parametrize("policy", [POLICY, ONCE, FAIL])
def test_a_start_that_never_reached_its_controller_does_not_count(policy: Policy) -> None:
    rig = placed(policy)
    rig.take_over(epoch=100)
    assert (rig.record("job").state, rig.record("job").attempt, rig.record("job").notes) == (Waiting(), 0, ())
    assert rig.asked() == []
    rig.go()
    rig.start("job")
    rig.end("job")
    assert (rig.status("job"), rig.record("job").attempt) == (JobStatus.COMPLETED, 1)


def test_that_is_known_also_when_more_than_one_registry_has_died_since() -> None:
    rig = placed(ONCE)
    rows = rig.rows()
    for epoch in (100, 200):  # what the first of them found is not durable
        rig.take_over(epoch, rows)
    assert (rig.record("job").state, rig.record("job").attempt) == (Waiting(), 0)


def test_a_later_start_that_never_arrived_leaves_the_earlier_ones_counted() -> None:
    rig = Rig()
    rig.submit(spec("job"))
    rig.go()
    rig.start("job")
    rig.lose_worker("job")
    rig.place()
    rig.take_over(epoch=100)
    assert (rig.record("job").attempt, rig.record("job").losses) == (1, 1)
    assert rig.status("job") is JobStatus.PENDING
    assert [launch.attempt for each in rig.place() for launch in each.launches] == [2]


def test_its_time_to_find_a_worker_goes_on() -> None:
    rig = placed(POLICY._replace(scheduling_timeout_s=10.0))
    rig.take_over(epoch=100)
    rig.pass_time(9.0)
    assert rig.record("job").is_live
    rig.pass_time(2.0)
    assert rig.outcome("job").error_type == "SchedulingTimeout"


def test_a_start_that_reached_its_controller_unconfirmed_goes_on() -> None:
    rig = Rig()
    rig.submit(spec("job", policy=ONCE))
    (assignment,) = rig.place()
    rig.controllers["a"].launch(assignment.token, assignment.launches)
    rig.take_over(epoch=100)
    assert (rig.status("job"), rig.record("job").attempt) == (JobStatus.SCHEDULING, 1)


def test_one_that_another_process_may_have_had_is_in_doubt() -> None:
    rig = placed(FAIL)
    rig.controllers["a"] = new_controller("another")
    rig.take_over(epoch=100)
    assert rig.asked() == ["job"]
    rig.answer()
    assert rig.outcome("job").lost


def test_a_cancelled_one_is_cancelled() -> None:
    rig = placed()
    rig.cancel("job")
    rig.take_over(epoch=100)
    assert rig.outcome("job") == Cancelled()


# -- starts that were lost --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("is_stored", [True, False])
def test_the_place_and_the_time_of_a_start_in_doubt_are_kept(is_stored: bool) -> None:
    rig = running(FAIL)
    assert rig.record("job").started == STARTED
    rig.take_over(epoch=200)  # the doubt is in the journal now
    assert rig.record("job").state == Unresolved("it was lost", STARTED)
    assert _row(rig.record("job"))["node"] is None, "that start is over, and another may follow"
    assert rig.asked() == ["job"]
    rig.answer({"job": completed()} if is_stored else {})
    row = _row(rig.record("job"))
    assert (row["status"], row["node"]) == ("COMPLETED" if is_stored else "FAILED", STARTED.node)
    assert row["started_at"] == STARTED.at
    assert is_stored or (rig.outcome("job").node, rig.outcome("job").pid) == (STARTED.node, STARTED.pid)


def test_another_start_begins_without_the_place_of_the_lost_one() -> None:
    rig = running()
    rig.answer()
    assert (rig.record("job").started, rig.record("job").attempt) == (None, 1)
    rig.go()
    assert (rig.record("job").started, rig.record("job").attempt) == (None, 2)


def test_a_row_without_a_place_is_read() -> None:
    rig = running()
    rows = rig.rows()
    (state,) = [said["state"] for word, said in rows if word == "record"]
    assert state == ["doubtful", {"reason": "it was lost", "where": {"node": "node-1", "pid": 4711, "at": 100.5}}]
    del state[1]["where"]
    replayed = ReplayState()
    restore(replayed, rows)
    assert replayed.records["job"].state == Unresolved("it was lost", None)
