"""What the tests of the machines are made of: specs, outcomes, and checks that recompute what an index knows."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

from checkmaite.jobs import CapabilityRunRef, JobStatus, Resources
from checkmaite.jobs._shared.comparing import prints_of
from checkmaite.jobs._submitters.fingerprint import fingerprints_of
from checkmaite.jobs.spi import Completed, Failed, LogTail, Started, StoreSpec, Terms
from checkmaite.jobs_ray.controller.machine import ControllerMachine
from checkmaite.jobs_ray.registry.model.events import Adopted, Event, Introduced, Submitted
from checkmaite.jobs_ray.registry.model.job_table import JobTable
from checkmaite.jobs_ray.registry.model.placement import Limits
from checkmaite.jobs_ray.registry.model.record import Final, Placed, Unresolved, Waiting
from checkmaite.jobs_ray.wire import Basis, Change, Context, JobFacts, JobSpec, Order, Policy, lost_starts

POLICY = Policy(max_retries=1, max_attempts=3, scheduling_timeout_s=None, resubmit=True)
STARTED = Started(node="node-1", pid=4711, at=datetime.fromtimestamp(100.5, UTC))
CONTEXT = Context(Terms(store=StoreSpec("parquet", {"uri": "/store", "storage_options": {}}), facts={}), None)
CONTEXTS = {"context": CONTEXT}
PRINTS = prints_of(fingerprints_of(Completed, config={}))
OTHER_PRINTS = prints_of(fingerprints_of(Completed, config={"alpha": 2}))
CRASH = Failed(error_type="WorkerDied", error_message="gone", phase="lost", exit_cause="signal 9", lost=True)
ERROR = Failed(error_type="ValueError", error_message="no")


def limits(**changed: Any) -> Limits:
    wide: dict[str, Any] = {
        "lease_ttl_s": 30.0,
        "max_active_jobs_per_scope": 1_000_000,
        "max_backlog": 1_000_000,
        "terminal_job_retention_s": 1e6,
        "max_retained_terminal_jobs_per_scope": 1_000_000,
    }
    return Limits(**{**wide, **changed})


def spec(job_id: str, run_key: str | None = None, *, force: bool = False, **changed: Any) -> JobSpec:
    reuse = "never" if force else "auto"
    made = JobSpec(
        job_id=job_id,
        scope="scope",
        run_key=f"key of {job_id}" if run_key is None else run_key,
        job_name=f"name of {job_id}",
        capability_id="capability",
        resources=Resources(),
        order=Order(1000.5),
        payload=b"payload",
        context="context",
        policy=POLICY,
        basis=Basis(prints=PRINTS, policy=reuse),
    )
    return made._replace(**changed)


def completed(run_uid: str = "run") -> Completed:
    return Completed(ref=CapabilityRunRef(run_uid=run_uid, capability_id="capability"))


def job_of(event: Event) -> str:
    if isinstance(event, Introduced):
        return event.context
    return event.spec.job_id if isinstance(event, Submitted | Adopted) else event.job_id


def story(events: Iterable[Event], job_id: str) -> str:
    """One job's events, one to a line."""
    return "\n".join(f"  {event}" for event in events if job_of(event) == job_id)


def check_table(table: JobTable, *, is_torn: bool = False) -> None:
    """Every index says what the records say. In one that was torn off more contexts may be without a job."""
    records = table.records
    assert list(table.waiting) == [each for each in table.waiting if isinstance(records[each].state, Waiting)]
    unresolved = {job_id for job_id, record in records.items() if isinstance(record.state, Unresolved)}
    assert set(table.unresolved) == unresolved
    contexts = {record.spec.context for record in records.values() if record.is_live}
    introduced = {name for name, _ in table.redacted_contexts.items()}
    assert {each for each in introduced if table.redacted_contexts.is_used(each)} == contexts
    assert len(introduced - contexts) <= 8 or is_torn
    assert len(table.waiting) == sum(isinstance(record.state, Waiting) for record in records.values())
    assert table.unconfirmed == sum(isinstance(record.state, Placed) for record in records.values())
    assert set(table.progress) <= {job_id for job_id, record in records.items() if record.owner is not None}
    owned: dict[str, set[str]] = defaultdict(set)
    for job_id, record in records.items():
        assert job_id == record.spec.job_id
        assert record.is_live == (not record.status.is_final), f"{job_id}: {record}"
        if record.owner is not None:
            assert record.controller == record.owner.controller
            owned[record.owner.controller].add(job_id)
    assert {name: set(jobs) for name, jobs in table.owned.items() if jobs} == owned
    assert set(table.scopes) == {record.spec.scope for record in records.values()}
    for scope in table.scopes:
        _check_scope(table, scope)


def _check_scope(table: JobTable, scope: str) -> None:
    index = table.scopes[scope]
    records = {job_id: record for job_id, record in table.records.items() if record.spec.scope == scope}
    by_time = sorted(records, key=lambda job_id: records[job_id].created_at, reverse=True)
    assert list(index._timeline.newest_first(None)) == by_time
    assert len(index) == len(records)
    assert set(index.finished) == {job_id for job_id, record in records.items() if not record.is_live}
    assert len(index.finished) == len(set(index.finished))
    live = [(record.spec.identity, job_id) for job_id, record in records.items() if record.is_live]
    assert len(live) == len(dict(live)), f"two live jobs for one run: {live}"
    assert index.live == dict(live)
    for run_key in {key for (key, _), _ in live}:
        assert {*index.live_of(run_key)} == {job_id for (key, _), job_id in live if key == run_key}
    last = {}
    for job_id in index.finished:
        if records[job_id].status is JobStatus.COMPLETED:
            last[records[job_id].spec.run_key] = job_id
    assert index.completed == last
    for status in JobStatus:
        assert set(index.with_status(status)) == {each for each, record in records.items() if record.status is status}
    for label, groups in index._labels.items():
        expected: dict[str, set[str]] = defaultdict(set)
        for job_id, record in records.items():
            if (value := getattr(record.spec, label)) is not None:
                expected[value].add(job_id)
        assert {value: set(groups[value]) for value in groups._of} == expected


def follows(before: JobFacts | Change, now: JobFacts) -> bool:
    """Whether what is told of a job may be told after that: its status goes back only with a start that was lost."""
    is_later = before.status is now.status or before.status.may_become(now.status)
    return is_later or (not before.status.is_final and lost_starts(before) < lost_starts(now))


def _tails(machine: ControllerMachine) -> list[tuple[str, LogTail]]:
    return [(job_id, task.printed) for job_id, task in machine._tasks.items() if task.printed is not None]


def check_controller(machine: ControllerMachine) -> None:
    """A controller forgets no end that the registry may not have heard of."""
    waiting = {(each.job_id, each.attempt) for each in machine._reports}
    for job_id, task in machine._tasks.items():
        ended = task.end is not None
        assert ended == (job_id in machine._finished)
        heard = task.end_number <= max(machine._acknowledged, machine._declared[0])
        assert not ended or heard or (job_id, task.launch.attempt) in waiting
    assert set(machine._finished) <= set(machine._tasks)
    assert all(tail.ended == (job_id in machine._finished) for job_id, tail in _tails(machine))
    most = machine._budget._characters
    lost = sum(task.lost.size for task in machine._tasks.values() if task.lost is not None)
    assert sum(tail.size for _, tail in _tails(machine)) + lost <= most + most // 16 + 1


def finished(table: JobTable, job_id: str) -> Final:
    state = table.records[job_id].state
    assert isinstance(state, Final), state
    return state
