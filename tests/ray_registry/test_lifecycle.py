"""Cancelling, retries, lost controllers, timeouts and retention."""

from __future__ import annotations

import pytest
from attrs import evolve
from checkmaite.jobs import FailureKind, JobProgress, JobStatus
from checkmaite.jobs.spi import Cancelled, Completed
from checkmaite.jobs_ray.wire import EndReport, PastAttempt, Policy, ProgressReport, StartReport, Stop

from tests.ray_registry.making import CONTEXTS, CRASH, ERROR, POLICY, STARTED, completed, finished, limits, spec
from tests.ray_registry.rig import Rig

CANCEL = Stop("job", 1, 5.0, Cancelled())


def a_job_that_is(status: str, policy: Policy = POLICY) -> Rig:
    """A rig with one job of this status."""
    rig = Rig()
    rig.submit(spec("job", policy=policy))
    if status == "placed":
        rig.place()
    elif status != "waiting":
        rig.go()
        if status == "running":
            rig.start("job")
    return rig


# -- cancel -----------------------------------------------------------------------------------------------------------


def test_a_waiting_job_is_cancelled_at_once() -> None:
    rig = a_job_that_is("waiting")
    assert rig.cancel("job")
    assert (rig.status("job"), rig.stops()) == (JobStatus.CANCELLED, [])


@pytest.mark.parametrize("status", ["placed", "scheduling", "running"])
def test_a_job_of_a_controller_is_cancelled_when_its_work_has_stopped(status: str) -> None:
    rig = a_job_that_is(status)
    before = rig.status("job")
    assert rig.cancel("job")
    assert rig.stops() == [("a", CANCEL)]
    facts = rig.registry.facts("scope", "job")
    assert (rig.record("job").is_cancelling, facts.outcome) == (True, None)
    assert facts.status is before or before.may_become(facts.status)
    assert not rig.registry.submit([spec("other", "key of job")], CONTEXTS, rig.now)[0].is_new
    rig.controllers["a"].stop(rig.tokens["a"], [CANCEL], rig.now)
    if status == "placed":
        rig.hear()
    else:
        rig.end("job", ERROR)
    assert rig.outcome("job") == Cancelled()


@pytest.mark.parametrize("status", ["scheduling", "running"])
def test_a_late_success_of_a_cancelled_job_is_not_accepted(status: str) -> None:
    rig = a_job_that_is(status)
    rig.cancel("job")
    rig.end("job")
    assert rig.outcome("job") == Cancelled()


def test_a_cancelled_job_is_not_retried() -> None:
    rig = a_job_that_is("running")
    rig.cancel("job")
    rig.lose_worker("job")
    assert rig.outcome("job") == Cancelled()


def test_a_second_cancel_is_told_again_and_one_of_a_final_job_is_not() -> None:
    rig = a_job_that_is("running")
    assert rig.cancel("job")
    assert rig.cancel("job")
    assert len(rig.stops()) == 2
    rig.end("job")
    assert rig.cancel("job"), "it is cancelled: the answer to the first call may be lost"
    assert rig.stops() == []


def test_a_job_that_completed_is_not_cancelled() -> None:
    rig = a_job_that_is("running")
    rig.end("job")
    assert not rig.cancel("job")
    assert rig.stops() == []


def test_a_job_that_starts_while_it_is_cancelled_runs() -> None:
    rig = a_job_that_is("scheduling")
    rig.cancel("job")
    rig.start("job")
    assert (rig.status("job"), rig.record("job").is_cancelling) == (JobStatus.RUNNING, True)


def test_a_cancelled_job_ends_when_its_controller_refuses_it() -> None:
    rig = Rig()
    rig.submit(spec("job"))
    (assignment,) = rig.place()
    rig.cancel("job")
    rig.registry.confirm(assignment, [], rig.now)
    assert rig.outcome("job") == Cancelled()


def test_a_cancelled_job_ends_when_its_controller_is_lost() -> None:
    rig = a_job_that_is("running")
    rig.cancel("job")
    rig.lose("a")
    assert rig.outcome("job") == Cancelled()


# -- retries ----------------------------------------------------------------------------------------------------------


def test_a_lost_worker_is_followed_by_another_start() -> None:
    rig = a_job_that_is("running", POLICY._replace(max_retries=2, max_attempts=9))
    for attempt in (1, 2):
        rig.registry.table.note_progress("job", JobProgress(done=1, total=2))
        rig.lose_worker("job")
        facts = rig.registry.facts("scope", "job")
        assert (facts.status, facts.attempt, facts.started) == (JobStatus.PENDING, attempt, None), "no worker has it"
        assert facts.progress is None
        assert f"Start {attempt} was lost: signal 9." in rig.notes("job")
        rig.go()
        assert (rig.record("job").attempt, rig.status("job")) == (attempt + 1, JobStatus.SCHEDULING)
        assert f"start number {attempt + 1}" in rig.notes("job")
    rig.lose_worker("job")
    assert rig.outcome("job") == evolve(CRASH, exit_cause="signal 9; starts: 3")
    past = rig.registry.facts("scope", "job").past
    assert [(each.number, each.started, each.end) for each in past] == [
        (1, STARTED, "Start 1 was lost: signal 9."),
        (2, None, "Start 2 was lost: signal 9."),  # its worker had not spoken
    ]
    assert all(each.ended_at is not None for each in past)


def test_a_start_that_was_killed_for_anothers_memory_does_not_count() -> None:
    rig = a_job_that_is("running", POLICY._replace(max_retries=0, max_attempts=3))
    for attempt in (1, 2):
        rig.lose_worker("job", counts=False)
        assert f"Start {attempt} was lost: signal 9. It does not count" in rig.notes("job")
        rig.go()
        assert rig.record("job").losses == 0
    rig.lose_worker("job", counts=False)
    assert rig.status("job") is JobStatus.FAILED, "the number of starts is bounded all the same"


@pytest.mark.parametrize("resubmit", [True, False])
def test_where_nobody_knows_how_far_a_lost_start_came_the_store_is_asked(resubmit: bool) -> None:
    policy = POLICY._replace(max_retries=0, max_attempts=2, resubmit=resubmit)
    rig = a_job_that_is("running", policy)
    rig.lose_worker("job", counts=False, in_doubt=True)
    assert rig.asked() == ["job"]
    assert rig.record("job").is_live
    rig.answer({})
    assert "Start 1 ended when its node was lost" in rig.notes("job")
    rig.go()
    assert (rig.record("job").attempt, rig.record("job").losses) == (2, 0)
    rig.lose_worker("job", counts=False, in_doubt=True)
    rig.answer({})
    assert rig.outcome("job").kind is FailureKind.NODE_LOST, "the number of starts is bounded all the same"
    rig = a_job_that_is("running", policy)
    rig.lose_worker("job", counts=False, in_doubt=True)
    rig.answer({"job": completed("stored")})
    assert rig.outcome("job") == completed("stored")
    rig = a_job_that_is("running", policy)
    rig.cancel("job")
    rig.lose_worker("job", counts=False, in_doubt=True)
    assert (rig.asked(), rig.status("job")) == ([], JobStatus.CANCELLED)


def test_of_many_lost_starts_the_first_and_the_newest_are_told() -> None:
    rig = a_job_that_is("running", POLICY._replace(max_retries=-1, max_attempts=99))
    for _ in range(40):
        rig.lose_worker("job")
        rig.go()
    notes = rig.record("job").notes
    assert [note.split()[1] for note in (*notes[:2], notes[-1])] == ["1", "22", "40"]
    assert [each.number for each in rig.record("job").past][:2] == [1, 22]


@pytest.mark.parametrize(("max_retries", "max_attempts", "starts"), [(0, 5, 1), (1, 5, 2), (-1, 4, 4), (9, 3, 3)])
def test_retries_and_attempts_are_bounded(max_retries: int, max_attempts: int, starts: int) -> None:
    rig = a_job_that_is("waiting", POLICY._replace(max_retries=max_retries, max_attempts=max_attempts))
    for _ in range(starts):
        assert rig.record("job").is_live
        rig.go()
        rig.lose_worker("job")
    assert rig.status("job") is JobStatus.FAILED


def test_an_exception_of_the_job_is_not_retried() -> None:
    rig = a_job_that_is("running")
    rig.end("job", ERROR)
    assert rig.outcome("job") == ERROR


def test_a_refused_job_has_not_been_started() -> None:
    rig = Rig()
    rig.submit(spec("job", policy=POLICY._replace(max_attempts=1)))
    (assignment,) = rig.place()
    rig.registry.confirm(assignment, [], rig.now)
    assert (rig.record("job").attempt, rig.status("job")) == (0, JobStatus.PENDING)
    rig.go()
    rig.end("job")
    assert rig.status("job") is JobStatus.COMPLETED


# -- lost controllers -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", ["placed", "scheduling", "running"])
def test_jobs_of_a_lost_controller_are_started_elsewhere(status: str) -> None:
    rig = Rig(2)
    rig.submit(spec("job"))
    if status == "placed":
        rig.place("a")
    else:
        rig.go("a")
        if status == "running":
            rig.start("job")
    rig.lose("a")
    assert rig.status("job") is JobStatus.PENDING
    assert "Start 1 ended when it died." in rig.notes("job")
    assert rig.place("a") == []  # it has no lease
    rig.go("b")
    assert (rig.record("job").attempt, rig.record("job").controller) == (2, "b")
    assert rig.record("job").losses == 0


@pytest.mark.parametrize("status", ["placed", "scheduling", "running"])
@pytest.mark.parametrize("why", ["fail", "attempts"])
def test_jobs_of_a_lost_controller_end_where_the_policy_says_so(status: str, why: str) -> None:
    changed = {"resubmit": False} if why == "fail" else {"max_attempts": 1}
    rig = a_job_that_is(status, POLICY._replace(**changed))
    rig.lose("a")
    outcome = rig.outcome("job")
    assert (outcome.lost, outcome.exit_cause) == (True, "it died")
    worker = (STARTED.node, STARTED.pid, STARTED) if status == "running" else (None, None, None)
    assert (outcome.node, outcome.pid, rig.record("job").started) == worker


@pytest.mark.parametrize("policy", [POLICY, POLICY._replace(resubmit=False), POLICY._replace(max_attempts=1)])
def test_a_run_that_was_stored_before_its_controller_was_lost_is_completed(policy: Policy) -> None:
    rig = a_job_that_is("running", policy)
    rig.lose("a", stored={"job": completed("made by run()")})
    facts = rig.registry.facts("scope", "job")
    assert (facts.status, facts.outcome, facts.attempt) == (JobStatus.COMPLETED, completed("made by run()"), 1)
    assert facts.started == STARTED


def test_a_job_in_doubt_is_not_started_before_the_store_has_answered() -> None:
    rig = a_job_that_is("running")
    rig.registry.lose("a", "it died", rig.now)
    rig.tokens["a"] = rig.registry.grant("a", rig.now)
    for answers in (None, None, {}):
        facts = rig.registry.facts("scope", "job")
        assert (facts.status, facts.attempt, facts.started) == (JobStatus.PENDING, 1, None)
        assert facts.past == (PastAttempt(1, STARTED, None, "Start 1 ended when it died."),)
        assert "It died; the store is asked" in rig.notes("job")
        assert rig.place() == []
        assert rig.asked() == ["job"]
        rig.answer(answers)
        rig.registry.ask()
    assert rig.asked() == []
    assert [each.launches[0].attempt for each in rig.place()] == [2]


def test_a_job_in_doubt_is_cancelled_at_once() -> None:
    rig = a_job_that_is("running")
    rig.registry.lose("a", "it died", rig.now)
    rig.cancel("job")
    rig.answer({"job": completed()})
    assert (rig.outcome("job"), rig.record("job").started) == (Cancelled(), STARTED)


def test_waiting_jobs_and_those_of_others_do_not_care_for_a_lost_controller() -> None:
    rig = Rig(2)
    rig.submit(spec("of b"))
    rig.go("b")
    rig.submit(spec("waiting"))
    rig.lose("a")
    assert rig.record("of b").owner is not None
    assert list(rig.registry.table.waiting) == ["waiting"]


def test_a_silent_controller_gets_nothing() -> None:
    rig = Rig(within=limits(lease_ttl_s=10.0))
    rig.submit(spec("job"))
    rig.pass_time(10.0)
    assert rig.place() == []
    assert rig.registry._leases.renew("a", rig.tokens["a"], rig.now)
    assert len(rig.place()) == 1


# -- time -------------------------------------------------------------------------------------------------------------

HURRIED = POLICY._replace(scheduling_timeout_s=10.0)


def test_a_job_that_no_controller_takes_in_time_fails() -> None:
    rig = a_job_that_is("waiting", HURRIED)
    rig.pass_time(9.5)
    assert rig.status("job") is JobStatus.PENDING
    rig.pass_time(1.0)
    outcome = rig.outcome("job")
    assert (outcome.error_type, outcome.phase) == ("SchedulingTimeout", "schedule")
    assert "10 s" in outcome.error_message


@pytest.mark.parametrize("status", ["placed", "scheduling"])
def test_a_job_that_finds_no_worker_in_time_is_stopped_and_fails(status: str) -> None:
    rig = a_job_that_is(status, HURRIED)
    rig.pass_time(11.0)
    assert rig.record("job").is_live
    assert not rig.record("job").is_cancelling
    ((name, stop),) = rig.stops()
    assert (name, stop.attempt, stop.grace_s) == ("a", 1, 0.0)
    rig.controllers["a"].stop(rig.tokens["a"], [stop], rig.now)
    rig.hear() if status == "placed" else rig.end("job", Cancelled())
    assert rig.outcome("job").error_type == "SchedulingTimeout"


def test_a_job_that_is_stopped_for_its_timeout_may_still_complete_or_be_cancelled() -> None:
    rig = a_job_that_is("scheduling", HURRIED)
    rig.pass_time(11.0)
    rig.end("job")
    assert isinstance(rig.outcome("job"), Completed)
    rig = a_job_that_is("scheduling", HURRIED)
    rig.pass_time(11.0)
    rig.cancel("job")
    rig.end("job")
    assert rig.outcome("job") == Cancelled()


def test_a_running_job_has_found_its_worker_and_another_start_has_its_own_time() -> None:
    rig = a_job_that_is("running", HURRIED)
    rig.pass_time(30.0)
    assert rig.status("job") is JobStatus.RUNNING
    rig.lose_worker("job")
    rig.pass_time(9.0)
    assert rig.record("job").is_live
    rig.pass_time(2.0)
    assert rig.outcome("job").error_type == "SchedulingTimeout"


def test_the_time_to_find_a_worker_does_not_pass_while_the_store_is_asked() -> None:
    rig = a_job_that_is("scheduling", HURRIED)
    rig.pass_time(9.0)
    rig.registry.lose("a", "it died", rig.now)
    rig.pass_time(60.0)
    rig.answer()
    rig.pass_time(9.0)
    assert rig.record("job").is_live
    rig.pass_time(2.0)
    assert rig.outcome("job").error_type == "SchedulingTimeout"


def test_deadlines_of_finished_jobs_are_not_kept() -> None:
    rig = Rig()
    rig.submit(spec("waits", policy=HURRIED))
    for number in range(5):
        jobs = [spec(f"{number} {each}", policy=POLICY._replace(scheduling_timeout_s=1e6)) for each in range(200)]
        rig.registry.submit(jobs, CONTEXTS, rig.now)
        for job in jobs:
            rig.registry.cancel("scope", job.job_id, 1.0, rig.now)
    rig.pass_time(1.0)
    assert len(rig.registry._lifecycle._deadlines) == 1
    rig.pass_time(10.0)
    assert rig.outcome("waits").error_type == "SchedulingTimeout"


def test_finished_jobs_are_forgotten_by_number_and_by_age() -> None:
    rig = Rig(within=limits(max_retained_terminal_jobs_per_scope=3, terminal_job_retention_s=100.0))
    rig.submit(spec("lives"))
    for number in range(5):
        rig.run(spec(f"job {number}"))
    rig.pass_time(0.0)
    assert set(rig.registry.table.records) == {"lives", "job 2", "job 3", "job 4"}
    assert rig.submit(spec("again", "key of job 4"))[0].job_id == "job 4"
    assert rig.submit(spec("new", "key of job 0"))[0].is_new
    assert rig.registry.change("job 0") is None
    rig.pass_time(95.0)
    assert len(rig.registry.table.records) == 5
    rig.pass_time(10.0)
    assert set(rig.registry.table.records) == {"lives", "new"}
    rig.cancel("lives")
    rig.end("lives")
    rig.cancel("new")
    rig.pass_time(101.0)
    assert rig.registry.table.scopes == {}


def test_a_sweep_forgets_a_bounded_number() -> None:
    rig = Rig(within=limits(max_retained_terminal_jobs_per_scope=0))
    jobs = [spec(f"job {number}") for number in range(1_200)]
    rig.registry.submit(jobs, CONTEXTS, rig.now)
    for job in jobs:
        rig.registry.cancel("scope", job.job_id, 1.0, rig.now)
    for left in (700, 200, 0):
        rig.pass_time(0.5)
        assert len(rig.registry.table.records) == left


def test_the_end_is_the_end() -> None:
    rig = a_job_that_is("running")
    rig.end("job")
    state = finished(rig.registry.table, "job")
    late = EndReport("job", 1, ERROR, worker_lost=False, at=rig.now + 1)
    more = StartReport("job", 1, STARTED), ProgressReport("job", 1, JobProgress(done=1, total=2))
    assert rig.registry.report("a", rig.tokens["a"], [late, *more], rig.now + 5)
    rig.lose("a")
    assert finished(rig.registry.table, "job") == state
    assert not rig.registry.table.progress
