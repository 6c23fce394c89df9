"""Listings agree with a naive reading of all records, and do not read them all."""

from __future__ import annotations

import random
from collections.abc import Sequence
from functools import cache
from itertools import product
from typing import Any

import pytest
from attrs import evolve
from checkmaite.jobs import JobNotFoundError, JobStatus, PendingReason
from checkmaite.jobs.spi import Cancelled, JobQuery, Tags
from checkmaite.jobs_ray.registry.model.index import Groups, Timeline
from checkmaite.jobs_ray.registry.model.machine import RegistryMachine
from checkmaite.jobs_ray.wire import EndReport, JobFacts, StartReport

from tests.ray_registry.making import CONTEXTS, CRASH, ERROR, POLICY, STARTED, check_table, completed, limits, spec
from tests.ray_registry.rig import Rig

MANY = 3_000
OUTCOMES = (completed(), ERROR, Cancelled())


@pytest.fixture(scope="module")
def crowded() -> RegistryMachine:
    """Thousands of jobs in every status, accepted at uneven intervals; some given back, some forgotten."""
    random_ = random.Random(4)
    machine = RegistryMachine(limits(max_retained_terminal_jobs_per_scope=1_500))
    machine.grant("a", 0.0)
    now = 1000.0
    for number in range(MANY):
        now += random_.choice([0.0, 0.001, 1.0])
        scope = "other" if number % 10 == 0 else "scope"
        name, capability = f"name {number % 700}", f"capability {number % 3}"
        job = spec(f"job {number}", scope=scope, job_name=name, capability_id=capability, policy=POLICY)
        job = job._replace(submitted_by=(None, "ann", "bob@host")[number % 7 % 3])
        job = job._replace(tags=(("part", f"{number % 40}"), ("team", "vision"))[: number % 3])
        machine.submit([job], CONTEXTS, now)
        if random_.random() < 0.8:
            for assignment in machine.place(["a"], 1, 0.0):
                machine.confirm(assignment, [each.spec.job_id for each in assignment.launches], now)
        if random_.random() < 0.7 and machine.table.owned["a"]:
            job_id = random_.choice(list(machine.table.owned["a"]))
            attempt = machine.table.records[job_id].attempt
            reports: list[Any] = [StartReport(job_id, attempt, STARTED)]
            if random_.random() < 0.8:
                outcome = random_.choice([*OUTCOMES, CRASH])
                reports.append(EndReport(job_id, attempt, outcome, worker_lost=outcome == CRASH, at=now))
            machine.report("a", 1, reports, 0.0)
        machine.tick(now)
    check_table(machine.table)
    return machine


@cache
def everything(machine: RegistryMachine, scope: str) -> list[JobFacts]:
    """All jobs of a scope, newest first."""
    facts = [machine.table.facts(each) for each in machine.table.records.values() if each.spec.scope == scope]
    return sorted(facts, key=lambda each: each.created_at, reverse=True)


def naive(machine: RegistryMachine, scope: str, query: JobQuery) -> list[JobFacts]:
    found = [
        each
        for each in everything(machine, scope)
        if (query.statuses is None or each.status in query.statuses)
        and (query.submitted_before_ts is None or each.created_at < query.submitted_before_ts)
        and (query.submitted_after_ts is None or each.created_at >= query.submitted_after_ts)
        and query.job_name in (None, each.job_name)
        and query.capability_id in (None, each.capability_id)
        and query.submitted_by in (None, each.submitted_by)
        and {*query.tags} <= {*each.tags}
    ]
    return found[: query.limit]


STATUSES = (
    None,
    frozenset({JobStatus.RUNNING}),
    frozenset({JobStatus.FAILED, JobStatus.PENDING}),
    frozenset(JobStatus),
)


def test_every_filter_finds_what_a_naive_reading_finds(crowded: RegistryMachine) -> None:
    times = sorted(each.created_at for each in crowded.table.records.values())
    edges = (None, times[0], times[len(times) // 2], times[-1] + 1)
    names, capabilities, users = (None, "name 7", "nothing"), (None, "capability 1"), (None, "ann")
    tags: Sequence[Tags] = [(), (("team", "vision"),), (("part", "7"), ("team", "vision")), (("part", "none"),)]
    found = 0
    for limit, statuses, name, capability, user in product((1, 100, None), STATUSES, names, capabilities, users):
        for before, after in product(edges, edges):
            query = JobQuery(
                limit=limit,
                statuses=statuses,
                job_name=name,
                capability_id=capability,
                submitted_by=user,
                submitted_before_ts=before,
                submitted_after_ts=after,
            )
            if user is None:
                query = evolve(query, tags=tags[found % len(tags)])
            answer = crowded.list_jobs("scope", query)
            assert answer == naive(crowded, "scope", query), query
            found += len(answer)
    assert found > 10_000
    assert len({each.status for each in crowded.list_jobs("scope", JobQuery(limit=MANY))}) == len(JobStatus)


@pytest.mark.parametrize("statuses", STATUSES)
def test_pages_follow_each_other_without_gap_or_overlap(crowded: RegistryMachine, statuses: Any) -> None:
    pages: list[JobFacts] = []
    before = None
    while page := crowded.list_jobs("scope", JobQuery(limit=70, statuses=statuses, submitted_before_ts=before)):
        pages += page
        before = page[-1].created_at
    assert pages == naive(crowded, "scope", JobQuery(limit=MANY, statuses=statuses))


def test_scopes_are_listed_apart(crowded: RegistryMachine) -> None:
    all_of_them = JobQuery(limit=MANY)
    assert crowded.list_jobs("nobody's", all_of_them) == []
    assert crowded.list_jobs("other", all_of_them) == everything(crowded, "other")
    with pytest.raises(JobNotFoundError):
        crowded.facts("other", crowded.list_jobs("scope", all_of_them)[0].job_id)


@pytest.mark.parametrize(
    "query",
    [
        JobQuery(),
        JobQuery(submitted_before_ts=1500.0),
        JobQuery(submitted_after_ts=1e9),
        JobQuery(statuses=frozenset({JobStatus.COMPLETED})),
        JobQuery(statuses=frozenset({JobStatus.RUNNING})),
        JobQuery(job_name="name of job 77"),
        JobQuery(tags=(("part", "77"),)),
        JobQuery(capability_id="capability", statuses=frozenset({JobStatus.CANCELLED})),
    ],
)
def test_a_page_reads_few_of_many_records(query: JobQuery) -> None:
    machine = RegistryMachine(limits(window=MANY))
    specs = [spec(f"job {number}", tags=(("part", f"{number}"),)) for number in range(MANY)]
    machine.submit(specs, CONTEXTS, 1000.0)
    token = machine.grant("a", 0.0)
    (assignment,) = machine.place(["a"], MANY - 20, 0.0)
    jobs = [launch.spec.job_id for launch in assignment.launches]
    machine.confirm(assignment, jobs, 0.0)
    machine.report("a", token, [StartReport(job_id, 1, STARTED) for job_id in jobs[:20]], 0.0)
    ends = [EndReport(job_id, 1, completed(), worker_lost=False, at=1.0) for job_id in jobs[20:]]
    machine.report("a", token, ends, 0.0)
    reads: list[str] = []

    def find(job_id: str) -> Any:
        reads.append(job_id)
        return machine.table.records[job_id]

    found = machine.table.scopes["scope"].matching(query, find)
    assert [machine.table.facts(each) for each in found] == naive(machine, "scope", query)
    assert len(reads) <= 2 * query.limit


def test_a_timeline_keeps_its_order_when_older_jobs_come_later_and_many_leave() -> None:
    random_ = random.Random(5)
    timeline, expected = Timeline(), {}
    for number in range(600):
        at = float(random_.randrange(100))  # many at the same instant: two registries may have had one clock
        timeline.add(f"job {number}", at)
        expected[f"job {number}"] = at
        if number % 3:
            leaves = random_.choice(list(expected))
            timeline.discard(leaves, expected.pop(leaves))
    listed = list(timeline.newest_first(None))
    assert sorted(listed) == sorted(expected)
    assert [expected[each] for each in listed] == sorted(expected.values(), reverse=True)
    assert list(timeline.newest_first(50.0)) == [each for each in listed if expected[each] < 50.0]
    assert (len(timeline), len(timeline._ids) < 500) == (len(expected), True)


def test_a_group_grows_from_one_and_shrinks_to_none() -> None:
    groups = Groups()
    for job_id in ("one", "two", "two", "three"):
        groups.add("name", job_id)
    assert list(groups["name"]) == ["one", "two", "three"]
    for number, job_id in enumerate(("two", "one", "three")):
        assert len(groups["name"]) == 3 - number
        groups.discard("name", job_id)
    assert (list(groups["name"]), groups._of) == ([], {})


def test_an_explanation_says_where_a_job_stands() -> None:
    rig = Rig()
    for number in range(7):
        rig.submit(spec(f"job {number}", job_name=f"name {number}"))
    said, waiting = rig.registry.explain("scope", "job 2")
    assert said == "It is number 3 in the queue of its scope; no controller has taken it yet."
    assert waiting is not None
    assert waiting.job_id == "job 2"
    rig.go()
    for number in range(5):
        rig.start(f"job {number}")
    said, _ = rig.registry.explain("scope", "job 6")
    expected = "It is number 2 in the queue of its scope; Ray has it. Running now: name 0, name 1, name 2 and 2 more."
    assert said == expected
    assert rig.registry.explain("scope", "job 0") == ("", None)


def test_what_a_job_waits_for_has_a_name() -> None:
    rig = Rig()
    rig.submit(spec("job"))

    def reason(*obstacles: PendingReason) -> PendingReason | None:
        return rig.registry.pending_reason("scope", "job", obstacles)

    assert reason() is PendingReason.BUSY
    assert reason(PendingReason.NO_NODE, PendingReason.JOURNAL_SILENT) is PendingReason.NO_NODE
    rig.go()
    assert reason(PendingReason.NO_PROGRAM) is PendingReason.NO_PROGRAM
    rig.start("job")
    assert reason(PendingReason.JOURNAL_SILENT) is None
    rig.registry.lose("a", "it died", rig.now)
    assert reason(PendingReason.NO_NODE) is PendingReason.STORE_ASKED
