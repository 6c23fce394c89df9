"""Registries come and go, controllers stay: what each learns from the other, and what it refuses."""

from __future__ import annotations

import pytest
from attrs import evolve
from checkmaite.jobs import JobStatus
from checkmaite.jobs.spi import Cancelled
from checkmaite.jobs_ray.registry.model.events import Event
from checkmaite.jobs_ray.registry.model.machine import RegistryMachine
from checkmaite.jobs_ray.wire import EndReport, StartReport, Stop

from tests.ray_registry.making import CONTEXTS, CRASH, ERROR, POLICY, STARTED, check_table, completed, limits, spec
from tests.ray_registry.rig import Rig


def test_a_new_registry_learns_jobs_as_they_are() -> None:
    rig = Rig(2)
    jobs = ["scheduling", "running", "completed", "failed", "cancelled", "cancelling"]
    for job_id in jobs:
        rig.submit(spec(job_id))
    rig.submit(spec("forced", "key of forced"))
    rig.go()
    for job_id in ("running", "cancelling"):
        rig.start(job_id)
    rig.end("completed")
    rig.end("failed", ERROR)
    for job_id in ("cancelled", "cancelling"):
        rig.cancel(job_id)
        for name, stop in rig.stops():
            rig.controllers[name].stop(rig.tokens[name], [stop], rig.now)
    rig.end("cancelled")
    # When Ray had a job is in the journal alone, and here is none.
    before = {job_id: rig.registry.facts("scope", job_id)._replace(queued_at=None) for job_id in jobs}

    rig.begin_registry(epoch=100)
    assert {job_id: rig.registry.facts("scope", job_id) for job_id in jobs} == before
    assert rig.stops() == []
    rig.end("cancelling")
    assert rig.outcome("cancelling") == Cancelled()
    rig.end("running")
    assert rig.status("running") is JobStatus.COMPLETED
    assert not rig.registry.submit([spec("again", "key of completed")], CONTEXTS, rig.now)[0].is_new
    assert rig.registry.submit([spec("retry", "key of failed")], CONTEXTS, rig.now)[0].is_new


def test_what_was_superseded_and_lost_before_is_known_to_the_next() -> None:
    rig = Rig()
    rig.run(spec("one", "run"))
    rig.submit(spec("two", "run", force=True, policy=POLICY._replace(max_retries=1, max_attempts=9)))
    rig.go()
    rig.lose_worker("two")
    rig.go()
    rig.begin_registry(epoch=100)
    assert (rig.record("two").supersedes, rig.record("two").losses, rig.record("two").attempt) == ("one", 1, 2)
    rig.lose_worker("two")
    lost = evolve(CRASH, exit_cause=f"{CRASH.exit_cause}; starts: 2")
    assert rig.outcome("two") == lost
    rig.begin_registry(epoch=200)
    assert rig.outcome("two") == lost
    assert rig.submit(spec("three", "run"))[0].job_id == "one"


def test_a_lost_worker_that_the_old_registry_never_heard_of_is_replaced_by_the_next() -> None:
    rig = Rig()
    rig.submit(spec("job"))
    rig.go()
    rig.controllers["a"].ended(("job", 1), CRASH, worker_lost=True, now=rig.now)
    rig.begin_registry(epoch=100)
    (assignment,) = rig.place()
    (launch,) = assignment.launches
    assert (launch.attempt, launch.losses, launch.spec.payload) == (2, 1, b"payload")


def test_a_timeout_is_still_a_timeout_for_the_next() -> None:
    rig = Rig()
    rig.submit(spec("job", policy=POLICY._replace(scheduling_timeout_s=10.0)))
    rig.go()
    rig.pass_time(11.0)
    for name, stop in rig.stops():
        rig.controllers[name].stop(rig.tokens[name], [stop], rig.now)
    rig.begin_registry(epoch=100)
    assert not rig.record("job").is_cancelling
    rig.end("job", Cancelled())
    assert rig.outcome("job").error_type == "SchedulingTimeout"


def test_an_adopted_job_must_find_its_worker_in_time_too() -> None:
    rig = Rig()
    for job_id in ("waits", "runs"):
        rig.submit(spec(job_id, policy=POLICY._replace(scheduling_timeout_s=10.0)))
    rig.go()
    rig.start("runs")
    rig.begin_registry(epoch=100)
    rig.pass_time(11.0)
    assert [stop.job_id for _, stop in rig.stops()] == ["waits"]


def test_statuses_and_times_survive_in_any_order_of_controllers() -> None:
    rig = Rig(2)
    for number in range(6):
        rig.submit(spec(f"job {number}"))
        rig.go("ab"[number % 2])
    before = [rig.record(f"job {number}").created_at for number in range(6)]
    rig.begin_registry(epoch=100)
    assert [rig.record(f"job {number}").created_at for number in range(6)] == before
    assert rig.registry.submit([spec("new")], CONTEXTS, 0.0)[0].is_new
    assert rig.record("new").created_at > before[-1]


def test_the_later_start_of_a_job_is_the_one_that_counts() -> None:
    rig = Rig(2)
    rig.submit(spec("job"))
    rig.go("a")
    rig.lose("a", "it was paused")
    rig.go("b")
    rig.begin_registry(epoch=100)  # hears of a first, which did not hear that its lease was over
    assert (rig.record("job").attempt, rig.record("job").controller) == (2, "b")
    assert rig.stops() == [("a", Stop("job", 1, 0.0, Cancelled()))]
    rig.controllers = dict(reversed(rig.controllers.items()))
    rig.begin_registry(epoch=200)
    assert (rig.record("job").attempt, rig.record("job").controller) == (2, "b")
    assert rig.controllers["a"]._live(("job", 1)) is None


def test_a_cancelled_job_stays_cancelled_when_a_later_start_turns_up() -> None:
    rig = Rig(2)
    rig.submit(spec("job"))
    rig.go("a")
    rig.lose("a", "it was paused")
    rig.go("b")
    b = rig.controllers.pop("b")
    rig.begin_registry(epoch=100)
    rig.cancel("job")
    rig.stops()
    rig.controllers["b"] = b
    rig.session("b")
    assert rig.stops() == [("a", Stop("job", 1, 0.0, Cancelled())), ("b", Stop("job", 2, 0.0, Cancelled()))]
    rig.end("job")
    assert rig.outcome("job") == Cancelled()


def test_a_controller_that_was_away_does_not_bring_a_second_live_job() -> None:
    rig = Rig(2)
    for job_id in ("lives", "completed"):
        rig.submit(spec(job_id))
    rig.go("a")
    rig.controllers["a"].ended(("completed", 1), completed(), worker_lost=False, now=rig.now)
    away = rig.controllers.pop("a")
    rig.begin_registry(epoch=100)
    rig.submit(spec("again", "key of lives"), spec("once more", "key of completed"))
    rig.controllers["a"] = away
    rig.session("a")
    outcome = rig.outcome("lives")
    assert (outcome.lost, outcome.remedy) == (True, "Use again.")
    assert away._live(("lives", 1)) is None
    assert rig.status("completed") is JobStatus.COMPLETED
    assert rig.submit(spec("third", "key of completed"))[0].job_id == "once more"
    rig.cancel("once more")
    assert rig.submit(spec("fourth", "key of completed"))[0].job_id == "completed"


def test_what_is_too_old_to_be_listed_is_not_learned() -> None:
    rig = Rig(within=limits(terminal_job_retention_s=50.0))
    rig.run(spec("job"))
    rig.now += 100.0
    rig.begin_registry(epoch=100)
    assert rig.registry.table.records == {}
    assert rig.controllers["a"].logs("job") is None


def test_a_controller_that_comes_back_keeps_finished_jobs_and_ends_the_rest() -> None:
    rig = Rig(2)
    for job_id in ("done", "runs", "ends unheard"):
        rig.submit(spec(job_id))
    rig.go("a")
    rig.end("done")
    a = rig.controllers["a"]
    rig.lose("a", "it was silent")
    a.ended(("ends unheard", 1), completed(), worker_lost=False, now=rig.now)
    rig.go("b")
    rig.session("a")
    assert a.logs("done") == ""
    assert a.logs("runs") is None
    assert a.logs("ends unheard") is None
    assert {rig.record(job_id).controller for job_id in ("runs", "ends unheard")} == {"b"}


def test_work_that_goes_on_after_its_job_was_given_up_is_ended() -> None:
    rig = Rig()
    rig.submit(spec("job", policy=POLICY._replace(resubmit=False)))
    rig.go()
    rig.lose("a", "it was silent")
    rig.controllers["a"].ended(("job", 1), completed(), worker_lost=False, now=rig.now + 1)
    rig.session("a")
    assert rig.controllers["a"].logs("job") is None
    assert rig.outcome("job").lost
    rig.begin_registry(epoch=100)
    assert rig.registry.table.records == {}


def lost_and_given(rig: Rig) -> list[Event]:
    """One job that "a" had under its first lease and has again under its second."""
    rig.submit(spec("job"))
    rig.go("a")
    rig.session("a")
    rig.go("a")
    return rig.registry.table.take_events()


@pytest.mark.parametrize("stale", ["before", "never granted", "another's"])
def test_a_stale_controller_can_change_nothing(stale: str) -> None:
    rig = Rig(2)
    first = rig.tokens["a"]
    lost_and_given(rig)
    token = {"before": first, "never granted": 99, "another's": rig.tokens["b"]}[stale]
    reports = [StartReport("job", 2, STARTED), EndReport("job", 2, ERROR, worker_lost=False, at=rig.now)]
    assert not rig.registry.report("a", token, reports, rig.now)
    assert not rig.registry._leases.renew("a", token, rig.now)
    assert not rig.registry.report("unknown", token, reports, rig.now)
    found = rig.controllers["a"].attach(rig.tokens["a"] + 1, rig.now)
    assert rig.registry.adopt("a", token, found.jobs, rig.now) == []
    assert rig.registry.table.take_events() == []


def test_another_controller_cannot_speak_for_a_job() -> None:
    rig = Rig(2)
    lost_and_given(rig)
    assert rig.registry.report("b", rig.tokens["b"], [EndReport("job", 2, ERROR, False, rig.now)], rig.now)
    assert rig.registry.table.take_events() == []


def test_an_earlier_start_cannot_speak_for_a_later_one() -> None:
    rig = Rig()
    lost_and_given(rig)
    early = [StartReport("job", 1, STARTED), EndReport("job", 1, ERROR, worker_lost=False, at=rig.now)]
    assert rig.registry.report("a", rig.tokens["a"], early, rig.now)
    assert rig.registry.table.take_events() == []


def test_a_confirmation_that_comes_too_late_or_twice_changes_nothing() -> None:
    rig = Rig(2)
    rig.submit(spec("job"))
    (assignment,) = rig.place("a")
    rig.registry.confirm(assignment, ["job"], rig.now)
    rig.registry.table.take_events()
    for taken in (["job"], []):
        rig.registry.confirm(assignment, taken, rig.now)
    assert rig.registry.table.take_events() == []
    rig.lose("a")
    rig.go("b")
    rig.registry.table.take_events()
    for taken in (["job"], []):
        rig.registry.confirm(assignment, taken, rig.now)
    assert rig.registry.table.take_events() == []


def test_a_launch_that_the_old_registry_sent_is_found_by_the_next() -> None:
    rig = Rig()
    rig.submit(spec("job"))
    (assignment,) = rig.place()
    rig.controllers["a"].launch(assignment.token, assignment.launches)
    rig.begin_registry(epoch=100)
    assert rig.status("job") is JobStatus.SCHEDULING


def test_events_alone_give_the_same_book() -> None:
    rig = Rig(2)
    for number in range(12):
        rig.submit(spec(f"job {number}", f"run {number % 5}", force=number > 9))
        rig.go("ab"[number % 2])
    for number in (0, 1, 2):
        rig.start(f"job {number}")
    rig.end("job 0")
    rig.end("job 1", ERROR)
    rig.lose_worker("job 2")
    rig.cancel("job 3")
    rig.lose("b")
    rig.submit(spec("forced", "run 0", force=True))
    rig.go("a")
    again = RegistryMachine(limits()).table
    for event in rig.registry.table.take_events():
        again.apply(event)
    assert again.records == rig.registry.table.records
    check_table(again)
