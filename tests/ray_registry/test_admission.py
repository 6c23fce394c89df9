"""What becomes of a spec: a new job, the job that stands for its run, or a refusal of the whole batch."""

from __future__ import annotations

import pickle

import pytest
from checkmaite.jobs import BackpressureError, JobNotFoundError, JobStatus, JobSubmissionError, ReuseKind
from checkmaite.jobs.spi import Cancelled, Prints, TraceContext
from checkmaite.jobs_ray.wire import Basis, JobSpec

from tests.ray_registry.making import CONTEXTS, ERROR, OTHER_PRINTS, check_table, limits, spec
from tests.ray_registry.rig import Rig


def ids(admissions: object) -> list[tuple[str, bool]]:
    return [(each.job_id, each.is_new) for each in admissions]  # type: ignore[attr-defined]


def test_a_job_goes_through_its_statuses_and_keeps_no_payload() -> None:
    rig = Rig()
    rig.submit(spec("job"))
    assert (rig.status("job"), rig.record("job").controller) == (JobStatus.PENDING, None)
    (assignment,) = rig.place()
    assert rig.status("job") is JobStatus.PENDING
    rig.controllers["a"].launch(assignment.token, assignment.launches)
    rig.registry.confirm(assignment, ["job"], rig.now)
    assert (rig.status("job"), rig.record("job").controller) == (JobStatus.SCHEDULING, "a")
    rig.start("job")
    facts = rig.registry.facts("scope", "job")
    assert (facts.status, facts.attempt, facts.started) == (JobStatus.RUNNING, 1, assignment and facts.started)
    assert facts.started is not None
    assert facts.started.node == "node-1"
    rig.end("job")
    facts = rig.registry.facts("scope", "job")
    assert (facts.status, facts.finished_at, facts.started) == (JobStatus.COMPLETED, rig.now, facts.started)
    kept = rig.record("job").spec
    assert (kept.payload, kept.order) == (None, ())


def test_the_trace_of_a_submission_is_kept_and_is_no_part_of_what_a_run_is() -> None:
    rig = Rig()
    trace = TraceContext(f"00-{'1' * 32}-{'2' * 16}-01", "vendor=1", "who=me")
    other = trace._replace(traceparent=f"00-{'3' * 32}-{'4' * 16}-01")
    rig.submit(spec("one", "run", trace=trace), spec("bad", trace=("a" * 10_000_000,)))  # type: ignore[arg-type]
    assert ids(rig.submit(spec("two", "run", trace=other))) == [("one", False)]
    told = rig.registry.facts("scope", "one").trace
    assert told == trace._replace(baggage=""), "of the job's own submission; baggage is for its worker"
    assert rig.record("bad").spec.trace is None
    rig.go()
    assert rig.record("one").spec.work_order(b"")[-1] == tuple(trace)
    rig.end("one")
    assert rig.record("one").spec.trace == trace


def test_a_report_may_come_before_the_confirmation() -> None:
    rig = Rig()
    rig.submit(spec("one"), spec("two"))
    (assignment,) = rig.place()
    rig.controllers["a"].launch(assignment.token, assignment.launches)
    rig.start("one")
    rig.end("two")
    rig.registry.confirm(assignment, ["one", "two"], rig.now)
    assert (rig.status("one"), rig.status("two")) == (JobStatus.RUNNING, JobStatus.COMPLETED)


def test_live_and_completed_jobs_stand_for_their_run() -> None:
    rig = Rig()
    assert ids(rig.submit(spec("one", "run"))) == [("one", True)]
    assert ids(rig.submit(spec("two", "run"))) == [("one", False)]
    rig.go()
    rig.end("one")
    assert ids(rig.submit(spec("three", "run"))) == [("one", False)]


@pytest.mark.parametrize("outcome", [ERROR, Cancelled()], ids=["failed", "cancelled"])
def test_failed_and_cancelled_jobs_release_their_run(outcome: object) -> None:
    rig = Rig()
    rig.run(spec("one", "run"), outcome)  # type: ignore[arg-type]
    assert ids(rig.submit(spec("two", "run"))) == [("two", True)]


def test_scopes_do_not_share_jobs() -> None:
    rig = Rig()
    rig.submit(spec("one", "run"))
    assert ids(rig.submit(spec("two", "run", scope="other"))) == [("two", True)]
    with pytest.raises(JobNotFoundError, match="'other'"):
        rig.registry.facts("other", "one")
    for ask in (rig.registry.explain, rig.registry.table.of_scope):
        with pytest.raises(JobNotFoundError):
            ask("other", "one")
    with pytest.raises(JobNotFoundError):
        rig.registry.cancel("other", "one", 1.0, rig.now)


def test_a_batch_stands_for_itself() -> None:
    rig = Rig()
    answers = rig.submit(spec("one", "run"), spec("two", "run"), spec("one", "run"), spec("three"))
    assert ids(answers) == [("one", True), ("one", False), ("one", False), ("three", True)]


def test_the_same_call_again_is_the_same_jobs() -> None:
    rig = Rig()
    batch = spec("one", "run"), spec("two", force=True)
    rig.submit(*batch)
    rig.go()
    rig.end("one", ERROR)
    rig.end("two")
    assert ids(rig.submit(*batch)) == [("one", False), ("two", False)]


def test_force_runs_past_a_completed_job_and_says_so() -> None:
    rig = Rig()
    rig.run(spec("one", "run"))
    assert ids(rig.submit(spec("two", "run", force=True))) == [("two", True)]
    assert rig.record("two").supersedes == "one"
    assert "supersedes one" in rig.notes("two")
    rig.go()
    rig.end("two")
    assert ids(rig.submit(spec("three", "run"))) == [("two", False)]


def test_force_does_not_run_beside_a_live_job() -> None:
    rig = Rig()
    rig.submit(spec("one", "run"))
    for number in range(3):
        assert ids(rig.submit(spec(f"more {number}", "run", force=True))) == [("one", False)]
    assert len(rig.record("one").notes) == 1
    assert "force=True while it was live" in rig.notes("one")


def test_a_completed_job_stands_for_its_run_again_when_the_forced_one_fails() -> None:
    rig = Rig()
    rig.run(spec("one", "run"))
    rig.run(spec("two", "run", force=True), ERROR)
    assert ids(rig.submit(spec("three", "run"))) == [("one", False)]


def test_a_forced_job_stands_for_its_run_in_its_own_batch() -> None:
    rig = Rig()
    rig.run(spec("one", "run"))
    answers = rig.submit(spec("two", "run"), spec("three", "run", force=True), spec("four", "run"))
    assert ids(answers) == [("one", False), ("three", True), ("three", False)]


def test_no_two_jobs_are_accepted_at_one_instant() -> None:
    rig = Rig()
    admissions = rig.registry.submit([spec(f"job {number}") for number in range(100)], CONTEXTS, 1000.0)
    admissions += rig.registry.submit([spec("late")], CONTEXTS, 999.0)
    times = [rig.record(each.job_id).created_at for each in admissions]
    assert sorted(set(times)) == times


def test_a_full_scope_refuses_all_or_nothing() -> None:
    rig = Rig(within=limits(max_active_jobs_per_scope=3))
    rig.submit(spec("one"), spec("two"))
    with pytest.raises(BackpressureError, match="max_active_jobs_per_scope=3") as refused:
        rig.submit(spec("three"), spec("four"))
    assert refused.value.retry_after_s > 0
    assert set(rig.registry.table.records) == {"one", "two"}
    rig.submit(spec("three"), spec("one"), spec("again", "key of two"))
    rig.submit(spec("elsewhere", scope="other"))
    rig.go()
    rig.end("one")
    rig.submit(spec("four"))


def test_a_batch_that_never_fits_its_scope_is_not_said_to_be_retryable() -> None:
    rig = Rig(within=limits(max_active_jobs_per_scope=2))
    rig.submit(spec("one"))
    with pytest.raises(JobSubmissionError) as refused:
        rig.submit(spec("elsewhere", scope="other"), *(spec(f"job {number}") for number in range(3)))
    said = pickle.loads(pickle.dumps(refused.value))
    assert not said.retryable
    assert said.problems == refused.value.problems
    (problem,) = said.problems
    assert "3 new jobs in one batch" in problem.cause
    assert "several calls" in problem.remedy
    assert "max_active_jobs_per_scope" in problem.remedy
    assert set(rig.registry.table.records) == {"one"}
    fits = spec("two"), spec("again", "key of two"), spec("more", "key of one")  # only new jobs count
    assert ids(rig.submit(*fits)) == [("two", True), ("two", False), ("one", False)]


def test_a_backlog_refuses_all_or_nothing() -> None:
    rig = Rig(within=limits(max_backlog=2))
    rig.submit(*(spec(f"job {number}") for number in range(5)))  # a batch of any size, when nothing waits
    with pytest.raises(BackpressureError, match="wait for a controller to take them: 5;"):
        rig.submit(spec("more"))
    assert rig.submit(spec("again", "key of job 1"))[0].job_id == "job 1"
    (assignment,) = rig.place(limit=4)
    with pytest.raises(BackpressureError):  # given is not confirmed
        rig.submit(spec("more"))
    rig.registry.confirm(assignment, [launch.spec.job_id for launch in assignment.launches], rig.now)
    rig.submit(spec("more"))


def other(job_id: str, run_key: str = "run", policy: str = "auto", prints: Prints | None = OTHER_PRINTS) -> JobSpec:
    """A spec that stands on something else than `spec` makes."""
    return spec(job_id, run_key, basis=Basis(prints=prints, policy=policy), submitted_by="ann")


def test_a_completed_job_does_not_stand_for_a_run_of_something_else() -> None:
    rig = Rig()
    rig.run(spec("one", "run"))
    assert ids(rig.submit(other("two"))) == [("two", True)]
    facts = rig.registry.facts("scope", "two")
    assert (facts.reuse.kind, facts.reuse.job_id, facts.reuse.differences) == (
        ReuseKind.STALE,
        "one",
        ("config: alpha",),
    )
    assert rig.record("two").supersedes == "one"
    rig.go()
    rig.end("two")
    assert ids(rig.submit(other("three"))) == [("two", False)]
    assert ids(rig.submit(spec("four", "run"))) == [("four", True)], "the newest result is of something else"


def test_live_jobs_of_one_run_that_differ_run_beside_each_other() -> None:
    rig = Rig()
    rig.submit(spec("one", "run"), other("two"))
    assert ids(rig.submit(spec("three", "run"), other("four"))) == [("one", False), ("two", False)]
    check_table(rig.registry.table)
    rig.go()
    rig.end("two")
    assert ids(rig.submit(spec("five", "run"), other("six", policy="never"))) == [("one", False), ("six", True)]
    rig.take_over(epoch=200)
    check_table(rig.registry.table)
    assert rig.registry.facts("scope", "two").reuse.kind is ReuseKind.STALE


def test_what_is_unknown_counts_as_equal_and_is_said() -> None:
    rig = Rig()
    rig.run(other("one", prints=None))
    (admission,) = rig.submit(other("two"))
    assert (admission.job_id, admission.reuse.unknown) == ("one", ("all content: no fingerprint was recorded",))


def test_always_looks_at_the_key_alone() -> None:
    rig = Rig()
    rig.run(spec("one", "run"))
    assert ids(rig.submit(other("two", policy="always"))) == [("one", False)]


def test_a_job_of_an_earlier_versions_key_stands_for_its_run() -> None:
    rig = Rig()
    rig.run(other("one", "former", prints=None))
    new = spec("two", "new", basis=Basis(prints=OTHER_PRINTS, former_key="former"))
    (admission,) = rig.submit(new)
    assert (admission.job_id, admission.is_new) == ("one", False)
    assert "the run key: that job has the one that earlier versions gave to this run" in admission.reuse.unknown


def test_a_job_is_not_kept_with_the_former_key_of_its_run() -> None:
    rig = Rig()
    rig.submit(spec("one", "new", basis=Basis(prints=OTHER_PRINTS, former_key="former")))
    assert rig.registry.table.records["one"].spec.basis == Basis(prints=OTHER_PRINTS)


def test_a_plan_is_what_submitting_would_decide_and_changes_nothing() -> None:
    rig = Rig()
    rig.run(other("one", "known"))
    wanted = [other("a", "known"), spec("b", "known"), spec("c", "new"), other("d", "known", "never")]
    before = dict(rig.registry.table.records)
    plan = rig.registry.plan(wanted)
    assert rig.registry.table.records == before
    assert plan[2] is None
    assert [each.kind for each in plan if each] == [ReuseKind.REUSED, ReuseKind.STALE, ReuseKind.RUN]
    assert [(each.job_id, each.by) for each in plan if each] == [("one", "ann")] * 3
    assert ids(rig.submit(*wanted)) == [("one", False), ("b", True), ("c", True), ("d", True)]
