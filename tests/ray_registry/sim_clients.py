"""What clients ask, what they were told, and what must be true of that."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from attrs import define, field
from checkmaite.jobs import JobStatus, Resources
from checkmaite.jobs.spi import StoreSpec, Terms
from checkmaite.jobs_ray.wire import Basis, Change, Context, Cursor, JobFacts, JobSpec, Order, Policy, lost_starts

from tests.ray_registry.making import OTHER_PRINTS, PRINTS, follows, spec
from tests.ray_registry.sim_cluster import content_of, run_of
from tests.ray_registry.sim_disk import SECRET
from tests.ray_registry.sim_truth import Truth, ViolationError

PLAIN, HIDDEN, VARIABLES = "plain", "hidden", "variables"
CONTEXTS: Mapping[str, Context] = {
    PLAIN: Context(Terms(store=StoreSpec("parquet", {"uri": "/store", "storage_options": {}}), facts={}), None),
    HIDDEN: Context(
        Terms(store=StoreSpec("parquet", {"uri": "s3://x", "storage_options": {"key": SECRET}}), facts={}), None
    ),
    VARIABLES: Context(
        Terms(store=StoreSpec("parquet", {"uri": "/store", "storage_options": {}}), facts={"user_id": "u"}),
        {"env_vars": {"TOKEN": SECRET}, "pip": ["numpy"]},
    ),
}
SCHEDULING_S = 40.0
POLICIES = (
    Policy(max_retries=1, max_attempts=3, scheduling_timeout_s=None, resubmit=True),
    Policy(max_retries=-1, max_attempts=5, scheduling_timeout_s=None, resubmit=True),
    Policy(max_retries=0, max_attempts=1, scheduling_timeout_s=None, resubmit=True),
    Policy(max_retries=0, max_attempts=3, scheduling_timeout_s=None, resubmit=False),
    Policy(max_retries=1, max_attempts=2, scheduling_timeout_s=SCHEDULING_S, resubmit=True),
)


@define(frozen=True)
class Refused:
    """The answer to a client is an error."""

    error: Exception


@define(eq=False)
class Client:
    """One that waits for its jobs, as `checkmaite.jobs_ray.client.subscription` does.

    Attributes:
        live: Jobs that it waits for.
        over: Jobs whose end it has heard: an answer that was given before, and comes later, knows less.
        unsure: Those of them that a registry may have been told to follow before it began anew.
        cursor: How far it has heard.
        told_by: The registry that has that subscription.
        turn: Of its last parked call: an earlier one is not heard any more.
        parked_at: The registry where that is.
    """

    name: str
    live: set[str] = field(factory=set)
    over: set[str] = field(factory=set)
    unsure: set[str] = field(factory=set)
    cursor: Cursor = field(factory=lambda: Cursor("", 0))
    told_by: Any = None
    turn: int = 0
    parked_at: Any = None

    def waits_for(self, job_id: str, subscription: str) -> None:
        """A registry has said that a job goes on; which subscription this client had when it asked."""
        if job_id not in self.live and job_id not in self.over:
            self.live.add(job_id)
            if subscription != self.cursor.subscription:
                self.unsure.add(job_id)

    def hears_the_end(self, job_id: str) -> None:
        """A registry has said how a job ended."""
        self.over.add(job_id)
        self.drop([job_id])

    def drop(self, jobs: Sequence[str]) -> None:
        """Wait for these no more."""
        self.live.difference_update(jobs)
        self.unsure.difference_update(jobs)

    def followed(self, jobs: Sequence[str], subscription: str, unknown: Sequence[str]) -> None:
        """A registry follows these for it from now on, but for those that it does not know."""
        self.drop(unknown)
        if subscription == self.cursor.subscription:
            self.unsure.difference_update(jobs)

    def followed_all(self, registry: Any, jobs: Sequence[str], subscription: str, unknown: Sequence[str]) -> None:
        """Another subscription tells it from now on."""
        self.told_by, self.cursor = registry, Cursor(subscription, 0)
        self.unsure = self.live.difference(jobs)
        self.drop(unknown)


@define(eq=False)
class Ask:
    """What a client asks of a registry.

    Attributes:
        job_id: The job, or the context that is offered.
        before: What clients had been told of jobs when the registry looked at it.
        was_led: Whether that registry led the journal then.
        subscription: Which one told the client of its jobs when it asked.
    """

    kind: str
    client: Client
    scope: str = ""
    job_id: str = ""
    specs: Sequence[JobSpec] = ()
    contexts: Mapping[str, Context] = CONTEXTS
    before: Mapping[str, JobFacts] = field(factory=dict)
    was_led: bool = True
    subscription: str = ""


@define(eq=False)
class Clients:
    """All clients together: what they have proposed, and what was promised to them."""

    truth: Truth
    batches: list[list[JobSpec]] = field(factory=list)
    told: dict[str, JobFacts] = field(factory=dict)
    accepted: set[str] = field(factory=set)
    cancelled: set[str] = field(factory=set)
    proposed: int = 0
    all: Sequence[Client] = field(factory=lambda: (Client("client x"), Client("client y")))
    stale_answers: int = 0

    def new_batch(self, dice: Any) -> list[JobSpec]:
        """Some jobs that nobody has proposed yet; their runs may have been."""
        batch = [self._new_draft(dice) for _ in range(dice.choice((1, 1, 2, 3)))]
        self.batches.append(batch)
        return batch

    def answered(self, ask: Ask, answer: Any) -> None:
        """A client hears an answer."""
        if ask.kind == "cancel":
            if answer:
                self.truth.check_cancelled(ask.job_id)
                self.cancelled.add(ask.job_id)
            return
        if not ask.was_led:
            self.stale_answers += 1
        for facts in answer:
            self._hear(facts, ask)
            if facts.outcome is not None:
                ask.client.hears_the_end(facts.job_id)
            elif ask.kind != "list":
                ask.client.waits_for(facts.job_id, ask.subscription)
        if ask.kind == "submit":
            if len(answer) != len(ask.specs):
                raise ViolationError("a batch was answered in part", [each.job_id for each in ask.specs])
            for proposed, facts in zip(ask.specs, answer, strict=True):
                self.truth.check_stands(proposed, facts)
                self.accepted.add(facts.job_id)

    def told_of(self, client: Client, cursor: Cursor, changes: Sequence[Change]) -> None:
        """A client hears the news."""
        client.cursor = cursor
        for each in changes:
            self.truth.check_change(each)
            if each.outcome is not None:
                client.hears_the_end(each.job_id)

    def check_final(self) -> None:
        """In the end everything that was promised is so."""
        for job_id in sorted(self.accepted):
            self.truth.check_known(job_id)
        for job_id, facts in sorted(self.told.items()):
            self.truth.check_told(facts)
            assert facts.job_id == job_id
        for job_id in sorted(self.cancelled):
            record = self.truth.table.records.get(job_id)
            if record is not None and job_id not in self.truth.anew and record.status is not JobStatus.CANCELLED:
                raise ViolationError(f"a cancelled job is {record.status}", [job_id])

    def _hear(self, facts: JobFacts, ask: Ask) -> None:
        self.truth.check_told(facts)
        if facts.job_id in self.truth.anew:
            return
        if ask.was_led and (before := ask.before.get(facts.job_id)) is not None:
            _check_later(before, facts)
        known = self.told.get(facts.job_id)
        if known is None or _rank(known) <= _rank(facts):
            self.told[facts.job_id] = facts

    def _new_draft(self, dice: Any) -> JobSpec:
        self.proposed += 1
        job_id = f"job-{self.proposed}"
        scope, run_key = dice.choice("st"), f"key {dice.randrange(5)}"
        context = dice.choice((PLAIN, PLAIN, PLAIN, HIDDEN, VARIABLES))
        force = dice.random() < 0.15
        made = spec(
            job_id,
            run_key,
            scope=scope,
            basis=Basis(prints=dice.choice((PRINTS, PRINTS, OTHER_PRINTS)), policy="never" if force else "auto"),
            policy=dice.choice(POLICIES),
            context=context,
            payload=content_of(job_id, large=dice.random() < 0.4),
        )
        uid = run_of(made) if dice.random() < 0.7 else None
        resources = Resources(short=dice.random() < 0.5)
        return made._replace(order=Order(1000.5, uid), resources=resources)


def _rank(facts: JobFacts) -> tuple[bool, int, int]:
    return facts.status.is_final, lost_starts(facts), list(JobStatus).index(facts.status)


def _check_later(before: JobFacts, now: JobFacts) -> None:
    """What was told later must go on from what was told before."""
    # A start that never reached its controller is not counted any more.
    if not follows(before, now) or now.attempt < before.attempt - 1 or now.created_at != before.created_at:
        raise ViolationError(f"what was told went back from {before} to {now}", [now.job_id])
    if before.status.is_final and before._replace(reuse=now.reuse) != now:
        raise ViolationError(f"what was final changed from {before} to {now}", [now.job_id])
