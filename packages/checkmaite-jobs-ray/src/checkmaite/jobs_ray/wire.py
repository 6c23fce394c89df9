"""What travels between client, registry and controllers. Plain tuples: thousands of them cross each border at once.

User objects travel as opaque bytes in `JobSpec.payload`; only workers unpickle them.
"""

from __future__ import annotations

import pickle
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple, TypeVar

from checkmaite.jobs import JobProgress, JobStatus, Resources, Reuse
from checkmaite.jobs.spi import (
    RUN,
    Cancelled,
    Failed,
    Outcome,
    Prints,
    ReusePolicy,
    Started,
    Tags,
    Terms,
    TraceContext,
    Used,
    Wire,
    order_wire,
)

REGISTRY_PROTOCOL = 6
"""Number of the language that clients, registry and controllers speak; raised when an older side could misread it."""

_T = TypeVar("_T")


class Bundle(list[_T]):
    """Many values that travel as one pickle: who gets it has a plain list.

    Ray's own pickler asks functions of Python about each object, which takes longer than the pickling itself. There
    must be no reference of Ray's among them, and no large payload, which would be copied. It is made by registries and
    controllers alone: a client's own classes are known to its Python by a name that nobody else knows.
    """

    def __reduce__(self) -> tuple[Any, ...]:
        values = list(self)
        try:
            return pickle.loads, (pickle.dumps(values),)
        except Exception:  # noqa: BLE001 - a name, say, of a class of the user's that came by value, and has to go so
            return list, (values,)


def bundled(values: Iterable[_T], payloads: Iterable[Any]) -> list[_T]:
    """Values that carry these payloads, bundled if all of these are plain bytes."""
    return Bundle(values) if all(type(each) is bytes for each in payloads) else list(values)


class Policy(NamedTuple):
    """How a job is run, and what to do when the machinery around it fails it.

    Attributes:
        max_retries: Starts that may be lost with their worker before the job fails; -1 for without limit.
        max_attempts: Starts in all, for whatever reason.
        scheduling_timeout_s: Seconds that a job may wait for a worker; None waits for ever.
        resubmit: Whether a job is started again when the controller that owned it is lost.
        isolation: "reuse" or "process": whether other jobs share its worker process.
    """

    max_retries: int
    max_attempts: int
    scheduling_timeout_s: float | None
    resubmit: bool
    isolation: str = "reuse"

    def allows_retry(self, attempt: int, losses: int, *, counts: bool = True) -> bool:
        """Whether start number `attempt`, lost with its worker as `losses` before it were, is followed by another.

        Args:
            attempt: Its number.
            losses: The losses before it that count.
            counts: Whether it counts itself.
        """
        return attempt < self.max_attempts and (not counts or self.max_retries < 0 or losses < self.max_retries)


class Context(NamedTuple):
    """What the jobs of one client have in common. It may hold secrets, so it is never written down.

    Attributes:
        terms: What their orders have in common: the store to write to, provenance, versions.
        runtime_env: As Ray takes it for a task, uploads resolved; None for none.
    """

    terms: Terms
    runtime_env: Mapping[str, Any] | None


class Basis(NamedTuple):
    """What decides, beside the run key, which result stands for a job's run.

    Attributes:
        prints: Fingerprints of what it stands on; None where an earlier version submitted it.
        policy: When a result that is there stands for it.
        former_key: The run key that earlier versions gave to this run, when it was another one and stands for no other
            run; a completed job of that key stands for it too.
        decided: What was decided when it was accepted: that it replaces a stale result, or a good one on purpose.
    """

    prints: Prints | None = None
    policy: ReusePolicy = "auto"
    former_key: str | None = None
    decided: Reuse = RUN


Identity = tuple[str, Prints | None]
"""A run key, and fingerprints."""


class Order(NamedTuple):
    """What the work order of a job says that is neither in its spec nor in its context.

    Attributes:
        submitted_at: When it was handed in, in seconds since the epoch by the submitter's clock.
        run_uid: The uid that the run will have, when it is known before.
        report_threshold: Given to ``collect_md_report``.
    """

    submitted_at: float
    run_uid: str | None = None
    report_threshold: float = 0.5


class JobSpec(NamedTuple):
    """One job as a client proposes it.

    Attributes:
        job_id: The client's proposal; the same one again is the same job, so that a call may be repeated.
        scope: Its idempotency scope.
        run_key: Identity of the run within the scope.
        job_name: For people.
        capability_id: The capability.
        resources: What it needs.
        order: What only its worker has to know; nothing once it will not be started again.
        payload: The pickled arguments, an object reference to them, or the `StoredPayload` that says where they are.
        context: Which `Context` it has.
        policy: What to do when the machinery fails it.
        basis: What decides which result stands for its run.
        submitted_by: Who submitted it; None where an earlier version did.
        tags: What it can be found by beside that.
        trace: What it was submitted in; no part of its identity.
    """

    job_id: str
    scope: str
    run_key: str
    job_name: str
    capability_id: str
    resources: Resources
    order: Order | tuple[()]
    payload: Any
    context: str
    policy: Policy
    basis: Basis
    submitted_by: str | None = None
    tags: Tags = ()
    trace: TraceContext | None = None

    @property
    def identity(self) -> Identity:
        """The run and what it stands on: of two live jobs that agree in both, one would be superfluous."""
        return self.run_key, self.basis.prints

    def work_order(self, written_terms: bytes) -> Wire:
        """What core's `execute` takes. The terms are those of the context, as bytes."""
        assert self.order, f"{self.job_id} is not started again"
        submitted_at, run_uid, report_threshold = self.order
        return order_wire(
            written_terms,
            job_id=self.job_id,
            submitted_at=submitted_at,
            run_uid=run_uid,
            reuse=self.basis.policy,
            report_threshold=report_threshold,
            prints=self.basis.prints,
            trace=self.trace,
        )

    def slim(self) -> JobSpec:
        """What is worth keeping of it when the job will not be started again."""
        return self._replace(order=(), payload=None)


class StoredPayload(NamedTuple):
    """A payload that is kept beside the journal.

    Attributes:
        key: The object that has it, perhaps with those of other jobs.
        size: In bytes.
        ref: To a copy in Ray's object store, while there is one.
        offset: Where in the object it begins.
    """

    key: str
    size: int
    ref: Any = None
    offset: int = 0


class PastAttempt(NamedTuple):
    """A start of a job that was followed by another.

    Attributes:
        number: 1 for the first.
        started: What its worker has said of itself, when one has spoken.
        ended_at: When it was known to be lost, in seconds since the epoch.
        end: How it was lost.
    """

    number: int
    started: Started | None
    ended_at: float | None
    end: str


class JobFacts(NamedTuple):
    """What is known of one job, as a client sees it.

    Attributes:
        created_at: When it was accepted, in seconds since the epoch; unique within a registry.
        attempt: Number of the present or last attempt; 0 before the first.
        finished_at: When it became final; None before.
        reuse: What was decided about the submission that is answered with it, else about the job's own.
        resources: What it asks for.
        queued_at: When Ray had its last start.
        past: Starts that others followed.
        used: What its worker has used at most.
        trace: What it was submitted in, without the baggage.
    """

    job_id: str
    job_name: str
    capability_id: str
    created_at: float
    status: JobStatus
    attempt: int
    started: Started | None
    progress: JobProgress | None
    outcome: Outcome | None
    finished_at: float | None
    reuse: Reuse = RUN
    submitted_by: str | None = None
    tags: Tags = ()
    resources: Resources | None = None
    queued_at: float | None = None
    past: Sequence[PastAttempt] = ()
    used: Used | None = None
    trace: TraceContext | None = None


class Change(NamedTuple):
    """What a client that knows a job needs to bring its handle up to date; the fields are those of `JobFacts`."""

    job_id: str
    status: JobStatus
    attempt: int
    started: Started | None
    progress: JobProgress | None
    outcome: Outcome | None
    finished_at: float | None
    queued_at: float | None = None
    past: Sequence[PastAttempt] = ()
    used: Used | None = None


def lost_starts(told: JobFacts | Change) -> int:
    """Number of the last start that is known to be lost, 0 for none: whoever tells a larger one knows more."""
    return told.past[-1].number if told.past else 0


class ScopeFacts(NamedTuple):
    """What is known of a scope as a whole.

    Attributes:
        jobs: How many are listed, by status.
        last_at: When something has happened to one of them last, in seconds since the epoch.
        has_key: Whether it has one: then nothing is told of its jobs.
    """

    scope: str
    jobs: Mapping[JobStatus, int]
    last_at: float | None
    has_key: bool


class Cursor(NamedTuple):
    """How far a client has heard the changes of one subscription.

    A registry makes a subscription when it first hears of a client, and another one when it has begun anew or has
    forgotten the client in between. Only the one that the client followed all its jobs with tells it of all of them.

    Attributes:
        subscription: Which; another one after each time.
        number: Of its last answer that the client has, 0 before the first.
    """

    subscription: str
    number: int


AttemptId = tuple[str, int]
"""A job's id and the number of the attempt: one start of the job."""


class Launch(NamedTuple):
    """An order to a controller to start one job, with all that a new registry would have to know of it.

    Attributes:
        context: The spec's.
        losses: Starts before this one that were lost with their worker.
        past: See `JobFacts`.
        is_short: Whether the jobs of its capability have been short so far.
    """

    spec: JobSpec
    context: Context
    attempt: int
    created_at: float
    supersedes: str | None
    losses: int
    past: Sequence[PastAttempt] = ()
    is_short: bool = False


class LostAttempt(NamedTuple):
    """What a controller knows of an attempt whose worker was lost.

    Attributes:
        started: What the worker had said of itself, if it had.
        last_words: Why it said that it ends.
        launch: The order that began it.
        is_stopped: Whether it was to be stopped anyway.
    """

    started: Started | None
    last_words: str | None
    launch: Launch
    is_stopped: bool


def attempt_of(launch: Launch) -> AttemptId:
    """The attempt that an order begins."""
    return launch.spec.job_id, launch.attempt


class Stop(NamedTuple):
    """An order to a controller to end one job: cooperatively now, by force after `grace_s` seconds.

    Attributes:
        then: How the job ends when its work has stopped; for a new registry to know.
    """

    job_id: str
    attempt: int
    grace_s: float
    then: Cancelled | Failed


class StartReport(NamedTuple):
    """A worker has begun the job."""

    job_id: str
    attempt: int
    started: Started


class ProgressReport(NamedTuple):
    """How far the job is."""

    job_id: str
    attempt: int
    progress: JobProgress


class EndReport(NamedTuple):
    """The job's work has stopped.

    Attributes:
        worker_lost: Whether its worker or node died, so that another attempt may help.
        started: What its worker has said of itself; None where it is not known.
        counts: Whether a lost worker counts against `Policy.max_retries`; not when Ray killed it for memory of which
            another had more.
        used: What its worker has used at most.
        in_doubt: Whether nobody knows how far a lost worker came, so that the store has to be asked for the run.
    """

    job_id: str
    attempt: int
    outcome: Outcome
    worker_lost: bool
    at: float
    started: Started | None = None
    counts: bool = True
    used: Used | None = None
    in_doubt: bool = False


_NAMED = 3


def named(job_ids: Sequence[str]) -> str:
    """Ids of jobs, for a sentence: the first ones, and how many more there are."""
    more = f" and {len(job_ids) - _NAMED} more" if len(job_ids) > _NAMED else ""
    return ", ".join(job_ids[:_NAMED]) + more


Report = StartReport | ProgressReport | EndReport


class ControllerJob(NamedTuple):
    """One job that a controller has, for a registry that knows nothing of it.

    Attributes:
        then: How it is to end, when it was told to stop.
        age_s: How long ago it ended; 0 while it has not.
    """

    launch: Launch
    started: Started | None
    then: Cancelled | Failed | None
    end: EndReport | None
    age_s: float = 0.0


class Inventory(NamedTuple):
    """What a controller answers when a registry takes it over.

    Attributes:
        incarnation: Another one after each start of its process.
        jobs: Those that it has, finished ones that it still remembers included.
        last: Number of its last report.
        served: Tokens that its process was attached with before, the last hundred. What it was given under one of
            them, and neither has nor has told the end of, has not reached it and never will.
    """

    incarnation: str
    jobs: Sequence[ControllerJob]
    last: int
    served: Sequence[int] = ()
