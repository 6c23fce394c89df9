"""The registry's logic: who may submit what, which controller owns which job, how each job ends.

Every method is a command or a question. Commands change jobs through events only, and leave what has to happen
outside in `take_effects`. Time is an argument: that of a clock that nobody sets; see `set_calendar`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from itertools import islice
from typing import Any, NamedTuple

from checkmaite.jobs import JobStatus, PendingReason, Reuse
from checkmaite.jobs.spi import RUN, Cancelled, Completed, JobQuery
from checkmaite.jobs_ray.registry.model.admission import Admission, AdmissionControl, Decision
from checkmaite.jobs_ray.registry.model.events import Assigned, Forgotten, Launched, Requeued, WorkerStarted
from checkmaite.jobs_ray.registry.model.explanation import explanation, pending_reason
from checkmaite.jobs_ray.registry.model.index import ScopeIndex
from checkmaite.jobs_ray.registry.model.job_table import JobTable
from checkmaite.jobs_ray.registry.model.known_contexts import KnownContexts
from checkmaite.jobs_ray.registry.model.lifecycle import Effect, Lifecycle
from checkmaite.jobs_ray.registry.model.placement import Leases, Limits, shares
from checkmaite.jobs_ray.registry.model.record import JobRecord, Owner, Placed, Stopping
from checkmaite.jobs_ray.registry.model.takeover import Takeover
from checkmaite.jobs_ray.wire import (
    Change,
    Context,
    ControllerJob,
    EndReport,
    JobFacts,
    JobSpec,
    Launch,
    ProgressReport,
    Report,
    StartReport,
)

_SWEEP = 500
"""Jobs that one sweep of a scope forgets at most, so that sweeping never holds up a call."""


class Assignment(NamedTuple):
    """Jobs for one controller."""

    controller: str
    token: int
    launches: Sequence[Launch]


class RegistryMachine:
    """All jobs of all scopes of one registry.

    Args:
        limits: The bounds to keep to.
        epoch: Tokens of leases are larger than this; pass something that grows with each start of a registry.
        table: What an earlier registry knew; a new one when None.
        now: The time.
    """

    def __init__(self, limits: Limits, *, epoch: int = 0, table: JobTable | None = None, now: float = 0.0) -> None:
        self.table = table or JobTable()
        self.table.now = now
        self.table.recall_finish_times(now)
        self._limits = limits
        self._leases = Leases(limits.lease_ttl_s, after=max(epoch, self.table.last_token))
        self._contexts = KnownContexts(self.table)
        self._lifecycle = Lifecycle(self.table, now)
        self._admission = AdmissionControl(self.table, self._contexts, self._lifecycle, limits)
        self._takeover = Takeover(
            self.table, self._contexts, self._lifecycle, retention_s=limits.terminal_job_retention_s
        )

    def set_calendar(self, ahead_s: float) -> None:
        """So far the calendar is ahead of the clock that the times given here are read from."""
        self.table.ahead_s = ahead_s

    def take_effects(self) -> list[Effect]:
        """What has to happen outside since this was asked last, in order."""
        taken, self._lifecycle.effects = self._lifecycle.effects, []
        return taken

    # -- what clients ask ---------------------------------------------------------------------------------------------

    def submit(self, specs: Sequence[JobSpec], contexts: Mapping[str, Context], now: float) -> list[Admission]:
        """Accept all specs, or none.

        A spec whose job id is known is that job. One whose run key is held by a live or a completed job is that
        job too, unless it is forced past a completed one.

        Args:
            specs: What a client proposes.
            contexts: Theirs, by id.
            now: The time.

        Raises:
            BackpressureError: There is no room for all of them now.
            JobSubmissionError: There never is.
        """
        self.table.now = now
        return self._admission.submit(specs, contexts, now)

    def decide(self, specs: Sequence[JobSpec]) -> list[Decision]:
        """For each spec which job stands for its run, or why a new one would have to."""
        return self._admission.decide(specs)

    def plan(self, specs: Sequence[JobSpec]) -> list[Reuse | None]:
        """What `submit` would decide about each spec; None where the registry knows no job of its run."""
        return [None if each.reuse == RUN else each.reuse for each in self.decide(specs)]

    def offer(self, scope: str, context: Context) -> None:
        """A client supplies what the journal does not keep, for the scope's jobs of such a context."""
        self._contexts.offer(scope, context)
        self._takeover.ask()

    def contexts(self) -> list[Context]:
        """The contexts of live jobs, as far as they are known."""
        return self._contexts.all()

    def cancel(self, scope: str, job_id: str, grace_s: float, now: float) -> bool:
        """Begin to stop a job; whether it is, or is going to be, cancelled: the call may be repeated.

        Raises:
            JobNotFoundError: The scope has no such job.
        """
        self.table.now = now
        record = self.table.of_scope(scope, job_id)
        if not record.is_live:
            return record.status is JobStatus.CANCELLED
        self._lifecycle.stop(record, Cancelled(), grace_s, now)
        return True

    def facts(self, scope: str, job_id: str) -> JobFacts:
        """What is known of a job.

        Raises:
            JobNotFoundError: The scope has no such job.
        """
        return self.table.facts(self.table.of_scope(scope, job_id))

    def list_jobs(self, scope: str, query: JobQuery) -> list[JobFacts]:
        """The jobs of a scope that match, newest first."""
        return [self.table.facts(each) for each in self.table.matching(scope, query)]

    def change(self, job_id: str) -> Change | None:
        """What to tell a follower of a job; None when it is forgotten."""
        return self.table.change(job_id)

    def explain(self, scope: str, job_id: str) -> tuple[str, JobSpec | None]:
        """Why a job is where it is, as sentences, and its spec while it waits for a worker.

        Raises:
            JobNotFoundError: The scope has no such job.
        """
        record = self.table.of_scope(scope, job_id)
        said, waits = explanation(record, self.table, self._contexts)
        return said, record.spec if waits else None

    def pending_reason(self, scope: str, job_id: str, obstacles: Sequence[PendingReason]) -> PendingReason | None:
        """See `explanation.pending_reason`.

        Raises:
            JobNotFoundError: The scope has no such job.
        """
        return pending_reason(self.table.of_scope(scope, job_id), self._contexts, obstacles)

    def runtime_env_of(self, spec: JobSpec) -> Mapping[str, Any] | None:
        """How the workers of a job are prepared; None also while that is not known."""
        return self._contexts[spec.context].runtime_env if spec.context in self._contexts else None

    # -- what controllers say -----------------------------------------------------------------------------------------

    def grant(self, controller: str, now: float) -> int:
        """Give a controller a lease and return its token."""
        return self._leases.grant(controller, now)

    def outgrow(self, token: int) -> None:
        """Give away tokens that are larger than one that a controller has seen: this registry's calendar is behind."""
        self._leases.outgrow(token)

    def adopt(self, controller: str, token: int, jobs: Iterable[ControllerJob], now: float) -> list[tuple[str, int]]:
        """Take over what a controller has; job id and attempt of what it shall keep. All else it must end.

        A registry that has just begun learns its jobs from this, or goes on with those that its journal knows. One
        that has not just begun gave the controller's jobs away when its lease was lost.
        """
        self.table.now = now
        if not self._leases.renew(controller, token, now):
            return []
        return self._takeover.adopt(Owner(controller, token), jobs, now)

    def miss(
        self, controller: str, token: int, reason: str, now: float, *, served: Collection[int] = frozenset()
    ) -> None:
        """What the journal says that a controller has, and it has not, is gone; whether it was stored is to be seen.

        What it was given under a lease that its process has known, and has never confirmed, did not reach it and never
        will: that is given back, and does not count as an attempt.

        Args:
            controller: The controller.
            token: Of its present lease: what it has under this one, it has.
            reason: How the jobs were lost.
            now: The time.
            served: See `Inventory`; nothing when the controller could not be asked.
        """
        self.table.now = now
        self._takeover.miss(Owner(controller, token), served, reason, now)

    def keep_to(self, controllers: Collection[str], reason: str, now: float) -> None:
        """The pool has these controllers: what the journal says that others have is gone, as in `miss`."""
        for name in [each for each in self.table.owned if each not in controllers]:
            self.miss(name, -1, reason, now)

    def ask(self) -> None:
        """Have the store asked again about the unresolved jobs that it could not settle."""
        self._takeover.ask()

    def settle(self, asked: Iterable[str], stored: Mapping[str, Completed] | None, now: float) -> None:
        """The store has answered.

        Args:
            asked: The jobs that it was asked about.
            stored: Those of them whose run it holds; None when it could not say, so that it has to be asked again.
            now: The time.
        """
        self.table.now = now
        self._takeover.settle(asked, stored, now)

    def place(self, ready: Collection[str], limit: int, now: float) -> list[Assignment]:
        """Give waiting jobs to controllers that can take some: of each kind, those that begin next.

        Args:
            ready: The controllers that have no earlier assignment to confirm.
            limit: At most this many jobs for each.
            now: The time.
        """
        table, records = self.table, self.table.records
        tokens = {name: token for name in ready if (token := self._leases.token_of(name, now)) is not None}
        loads = {name: len(table.owned[name]) for name in tokens}
        due = table.waiting.next(self._limits.window, limit * len(tokens), self._contexts.__contains__)
        due.sort(key=lambda job_id: records[job_id].created_at)
        waiting, found = iter(due), []
        for name, count in shares(len(due), loads, limit).items():
            owner = Owner(name, tokens[name])
            launches = []
            for job_id in islice(waiting, count):
                record = records[job_id]
                attempt, spec = record.attempt + 1, record.spec
                table.apply(Assigned(job_id, attempt, owner))
                context = self._contexts[spec.context]
                about = record.created_at, record.supersedes, record.losses, record.past, self._is_short(record)
                launches.append(Launch(spec, context, attempt, *about))
            found.append(Assignment(name, owner.token, launches))
        return found

    def confirm(self, assignment: Assignment, taken: Collection[str], now: float) -> None:
        """A controller has answered an assignment: `taken` it has handed to Ray, the rest it has refused."""
        self.table.now = now
        owner = Owner(assignment.controller, assignment.token)
        for launch in assignment.launches:
            job_id = launch.spec.job_id
            record = self._owned(job_id, launch.attempt, owner)
            if record is None:
                continue
            if isinstance(record.state, Placed):
                launched = Launched(job_id, self.table.date)
                self.table.apply(launched if job_id in taken else Requeued(job_id, None, attempted=False))
            elif isinstance(record.state, Stopping) and job_id not in taken:
                self._lifecycle.finish(record, record.state.then, self.table.date)

    def report(self, controller: str, token: int, reports: Iterable[Report], now: float) -> bool:
        """Take in what a controller says of its jobs; False, and nothing changes, when its lease is over."""
        self.table.now = now
        if not self._leases.renew(controller, token, now):
            return False
        owner = Owner(controller, token)
        for each in reports:
            record = self._owned(each.job_id, each.attempt, owner)
            if record is None:
                continue
            match each:
                case StartReport():
                    self.table.apply(WorkerStarted(each.job_id, each.started))
                case ProgressReport():
                    self.table.note_progress(each.job_id, each.progress)
                case EndReport():
                    self._lifecycle.end(record, each, now)
                    if each.in_doubt:
                        self._takeover.ask()
        return True

    def lose(self, controller: str, reason: str, now: float) -> None:
        """A controller and the work of its jobs are gone; which runs were stored before is to be seen, as in `miss`.

        Whether it had begun those that it has not confirmed is not known, so they count as started.
        """
        self.table.now = now
        self._leases.end(controller)
        self._takeover.lose(controller, reason, now)

    # -- what time brings ---------------------------------------------------------------------------------------------

    def tick(self, now: float) -> None:
        """Do what is due: end jobs that found no worker in time, forget old ones."""
        self.table.now = now
        self._lifecycle.end_overdue(now)
        self._contexts.sweep()
        for index in list(self.table.scopes.values()):
            for _ in range(_SWEEP):
                oldest = index.finished[0] if index.finished else None
                if oldest is None or not self._is_stale(index, now):
                    break
                self.table.apply(Forgotten(oldest))

    # -- inside -------------------------------------------------------------------------------------------------------

    def _is_short(self, record: JobRecord) -> bool:
        """Whether a job that begins is taken to be short.

        One that was started before has a task of its own, and so has one that may be started once only: when a node is
        lost, nobody knows which jobs of a pack had begun.
        """
        spec, policy = record.spec, record.spec.policy
        may_begin_again = policy.resubmit and policy.allows_retry(1, 0, counts=True)
        if record.attempt or not may_begin_again:
            return False
        return self.table.scopes[spec.scope].short_runs.in_a_row(spec.capability_id) >= self._limits.short_runs

    def _owned(self, job_id: str, attempt: int, owner: Owner) -> JobRecord | None:
        """The job, when it is this attempt of it that the controller has under this lease."""
        record = self.table.records.get(job_id)
        return record if record is not None and record.attempt == attempt and record.owner == owner else None

    def _is_stale(self, index: ScopeIndex, now: float) -> bool:
        """Whether the job of a scope that has been final for longest is not to be listed any more."""
        return (
            len(index.finished) > self._limits.max_retained_terminal_jobs_per_scope
            or index.finish_times.oldest + self._limits.terminal_job_retention_s <= now
        )
