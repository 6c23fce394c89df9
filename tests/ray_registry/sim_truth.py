"""What the journal's objects amount to, kept beside them: what nobody may contradict."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any

from attrs import define, field
from checkmaite.jobs import JobStatus, ReuseKind
from checkmaite.jobs.spi import Completed, Failed
from checkmaite.jobs_ray.journal.snapshot import restore, snapshot_rows
from checkmaite.jobs_ray.registry.model.events import (
    Assigned,
    Ended,
    Event,
    Forgotten,
    Introduced,
    OwnerLost,
    Requeued,
    Submitted,
)
from checkmaite.jobs_ray.registry.model.job_table import JobTable, ReplayState
from checkmaite.jobs_ray.registry.model.record import JobRecord, Stopping, Unresolved, Waiting, outcome_of
from checkmaite.jobs_ray.wire import Change, JobFacts, JobSpec, StoredPayload

from tests.ray_registry.making import follows, job_of
from tests.ray_registry.sim_cluster import Analytics, run_of


class ViolationError(AssertionError):
    """Something that must never be; the jobs that it is about."""

    def __init__(self, message: str, jobs: Iterable[str] = ()) -> None:
        self.jobs = frozenset(jobs)
        super().__init__(message)


@define(eq=False)
class Truth:
    """The fold of all events that are durable, in the order of the segments that hold them.

    Attributes:
        analytics: The analytics store.
        forgotten: Jobs that retention has let go.
        anew: Those of them that came back: a client has proposed them again, or a controller still remembered them.
        stored: Jobs whose run was stored before they were lost: they must complete without another start.
        published: Runs that a job has brought into the store, and which job that was.
        steps: From which state to which, by which event, jobs have gone.
    """

    analytics: Analytics
    table: JobTable = field(factory=JobTable)
    forgotten: set[str] = field(factory=set)
    anew: set[str] = field(factory=set)
    created: dict[str, tuple[float, str]] = field(factory=dict)
    stored: dict[str, int] = field(factory=dict)
    published: dict[str, str] = field(factory=dict)
    steps: set[tuple[str, str, str]] = field(factory=set)

    def apply(self, events: Sequence[Event]) -> None:
        """These have become durable."""
        for event in events:
            job_id = job_of(event)
            before = self.table.records.get(job_id)
            self.table.apply(event)
            if not isinstance(event, Introduced):
                self._check(event, job_id, before, self.table.records.get(job_id))
        self.table.take_events()
        self.table.take_changed()
        self.table.take_unneeded()

    def all_is_lost(self) -> None:
        """A cluster is gone, with all that was not durable: what its jobs have stored must be found."""
        for record in self.table.live():
            if record.owner is not None:
                self._expect_stored(record)

    def check_unneeded(self, key: str) -> None:
        """A payload was deleted: no job needs it any more."""
        for record in self.table.live():
            payload = record.spec.payload
            if isinstance(payload, StoredPayload) and payload.key == key:
                raise ViolationError(f"{key} was deleted, and {record.spec.job_id} needs it", [record.spec.job_id])

    # -- what is told -------------------------------------------------------------------------------------------------

    def check_known(self, job_id: str) -> None:
        """A job that was accepted is there, unless retention let it go."""
        if job_id not in self.table.records and job_id not in self.forgotten:
            raise ViolationError(f"{job_id} was accepted, and is not in the journal", [job_id])

    def check_stands(self, proposed: JobSpec, facts: JobFacts) -> None:
        """The answer to a spec is the job that stands for its run."""
        self.check_known(facts.job_id)
        record = self.table.records.get(facts.job_id)
        if record is not None and (record.spec.scope, record.spec.run_key) != (proposed.scope, proposed.run_key):
            raise ViolationError(
                f"{facts.job_id} was told to stand for {proposed.job_id}", [facts.job_id, proposed.job_id]
            )
        if record is not None and record.spec.basis.prints != proposed.basis.prints:
            raise ViolationError(
                f"{facts.job_id} stands for {proposed.job_id}, which is made of something else",
                [facts.job_id, proposed.job_id],
            )

    def check_told(self, facts: JobFacts) -> None:
        """What somebody is told is durable, and nothing durable contradicts it."""
        job_id = facts.job_id
        self.check_known(job_id)
        record = self.table.records.get(job_id)
        if record is None or job_id in self.anew:
            return
        if (facts.created_at, facts.job_name) != self.created[job_id]:
            raise ViolationError(f"{facts} was told of a job that was accepted as {self.created[job_id]}", [job_id])
        now = self.table.facts(record)
        if not follows(facts, now):
            raise ViolationError(f"{facts} was told when {now} was durable", [job_id])
        if facts.status.is_final and facts._replace(reuse=now.reuse) != now:
            raise ViolationError(f"the end was told as {facts} and is {now}", [job_id])

    def check_change(self, change: Change) -> None:
        """What a client is told of a job that it follows is durable, and nothing durable contradicts it."""
        job_id = change.job_id
        self.check_known(job_id)
        record = self.table.records.get(job_id)
        if record is None or job_id in self.anew:
            return
        now = self.table.facts(record)
        if not follows(change, now):
            raise ViolationError(f"{change} was told when {now} was durable", [job_id])
        if change.outcome is not None and change != self.table.change(job_id):
            raise ViolationError(f"the end was told as {change} and is {now}", [job_id])

    def check_cancelled(self, job_id: str) -> None:
        """Somebody is told that a job will be cancelled: that must be durable."""
        self.check_known(job_id)
        record = self.table.records.get(job_id)
        if record is None or job_id in self.anew:
            return
        if not record.is_cancelling and record.status is not JobStatus.CANCELLED:
            raise ViolationError(f"{job_id} was said to be cancelled, and is {record.state}", [job_id])

    # -- inside -------------------------------------------------------------------------------------------------------

    def _check(self, event: Event, job_id: str, before: JobRecord | None, record: JobRecord | None) -> None:
        self.steps.add((_name_of(before and before.state), _name_of(event), _name_of(record and record.state)))
        if record is None:
            assert isinstance(event, Forgotten), event
            self.forgotten.add(job_id)
            if before is None or before.is_live:
                raise ViolationError(f"a job was forgotten that was not final: {before}", [job_id])
            return
        if before is not None:
            _check_later(before, record)
        elif job_id in self.forgotten:
            self.anew.add(job_id)
            self.created.pop(job_id, None)
        accepted = record.created_at, record.spec.job_name
        if self.created.setdefault(job_id, accepted) != accepted:
            raise ViolationError(f"{job_id} was accepted as {self.created[job_id]}, and is {record}", [job_id])
        self._check_kind(event, job_id, record)

    def _check_kind(self, event: Event, job_id: str, record: JobRecord) -> None:
        match event:
            case Submitted():
                live = self.table.scopes[record.spec.scope].live.get(record.spec.identity)
                if live != job_id:
                    raise ViolationError(f"{job_id} and {live} are live for one run", [job_id, str(live)])
            case OwnerLost():
                self._expect_stored(record)
            case Assigned(attempt=attempt):
                if attempt > record.spec.policy.max_attempts:
                    raise ViolationError(f"{job_id} is started for the {attempt}. time", [job_id])
                if attempt > self.stored.get(job_id, attempt):
                    raise ViolationError(f"{job_id} is started again though its run was stored before", [job_id])
            case Requeued(lost=False, attempted=True):
                self._check_given_up(job_id)
            case Requeued(attempted=False):
                self._check_given_up(job_id, after=record.attempt)
            case Ended(ending=ending):
                self._check_end(job_id, record, outcome_of(ending))
            case _:
                pass

    def _check_end(self, job_id: str, record: JobRecord, outcome: Any) -> None:
        if isinstance(outcome, Failed) and outcome.error_type == "StoreNotFoundError":
            raise ViolationError(f"{job_id} was accepted, and what it needs to start is lost", [job_id])
        if isinstance(outcome, Failed) and outcome.error_type == "ControllerLost":
            self._check_given_up(job_id)
        expected = self.stored.pop(job_id, None)
        if expected is not None and isinstance(outcome, Failed) and outcome.error_type != "SchedulingTimeout":
            raise ViolationError(f"{job_id} ended as {outcome} though its run was stored before", [job_id])
        if isinstance(outcome, Completed):
            run = outcome.ref.run_uid
            if run not in self.analytics.first or run not in (run_of(record.spec), *self.analytics.runs[job_id]):
                raise ViolationError(f"{job_id} is COMPLETED, and its run is not stored", [job_id])
            if outcome.reuse.kind is ReuseKind.RUN and self.published.setdefault(run, job_id) != job_id:
                raise ViolationError(f"{run} was published by {self.published[run]} and {job_id}", [job_id])

    def _check_given_up(self, job_id: str, *, after: int = 0) -> None:
        """A job's start counts as lost with its controller, or as none: no start after number `after` is stored."""
        start = self.analytics.found.get(job_id, 0)
        if start > after:
            raise ViolationError(f"{job_id} is given up though its start {start} has stored its run", [job_id])

    def _expect_stored(self, record: JobRecord) -> None:
        if not isinstance(record.state, Stopping) and self.analytics.holds(record.spec) is not None:
            self.stored.setdefault(record.spec.job_id, record.attempt)


def _name_of(thing: object) -> str:
    return "-" if thing is None else type(thing).__name__


def _check_later(before: JobRecord, now: JobRecord) -> None:
    job_id = now.spec.job_id
    lost = isinstance(now.state, Waiting | Unresolved) or now.attempt > before.attempt  # the latter: it was adopted
    if not (before.status is now.status or before.status.may_become(now.status) or lost):
        raise ViolationError(f"the status of {job_id} went back from {before.status} to {now.status}", [job_id])
    if before.started is not None and now.started is None and not isinstance(now.state, Waiting):
        raise ViolationError(f"where {job_id} runs was forgotten between {before} and {now}", [job_id])
    if not before.is_live and (before.state, before.attempt) != (now.state, now.attempt):
        raise ViolationError(f"the end of {job_id} changed from {before} to {now}", [job_id])


def said_by(rows: Iterable[Any]) -> tuple[dict[str, list[str]], dict[str, Any], dict[str, Any]]:
    """What a table's rows say, so that two can be compared: the final jobs by scope in order, all jobs, contexts."""
    replayed = ReplayState()
    restore(replayed, json.loads(json.dumps(list(rows))))
    final: defaultdict[str, list[str]] = defaultdict(list)
    for job_id, record in replayed.records.items():
        if not record.is_live:
            final[record.spec.scope].append(job_id)
    return final, replayed.records, dict(replayed.redacted_contexts.items())


def check_same(expected: Iterable[Any], table: JobTable, who: str) -> None:
    """A table is what the journal's objects amount to."""
    wanted, found = said_by(expected), said_by(snapshot_rows(table))
    if wanted != found:
        parts = [f"  {one}\n  {other}" for one, other in zip(wanted, found, strict=True) if one != other]
        raise ViolationError(f"{who} knows something else than is durable:\n" + "\n".join(parts))
