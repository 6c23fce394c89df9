"""The registry's logic: who may submit what, which controller owns which job, how each job ends.

Every method is a command or a question. Commands change jobs through events only, and leave what has to happen
outside in `take_effects`. Time is an argument.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from itertools import islice
from typing import NamedTuple

from checkmaite.jobs import BackpressureError, JobStatus
from checkmaite.jobs.spi import Cancelled, Completed, Failed, JobQuery
from checkmaite.jobs_ray._machine._book import JobBook
from checkmaite.jobs_ray._machine._deadlines import Deadlines
from checkmaite.jobs_ray._machine._effects import Effect, StopJobs
from checkmaite.jobs_ray._machine._events import (
    Adopted,
    Ended,
    Forgotten,
    GivenBack,
    GivenTo,
    Launched,
    Noted,
    Started,
    StopAsked,
    Submitted,
)
from checkmaite.jobs_ray._machine._lease import Lease
from checkmaite.jobs_ray._machine._limits import Limits
from checkmaite.jobs_ray._machine._placement import shares
from checkmaite.jobs_ray._machine._record import (
    Finished,
    Owner,
    Placed,
    Record,
    Scheduling,
    Stopping,
    Waiting,
)
from checkmaite.jobs_ray._messages import (
    Change,
    Draft,
    EndReport,
    Held,
    JobFacts,
    Launch,
    ProgressReport,
    Report,
    StartReport,
    Stop,
)

_RETRY_AFTER_S = 0.5
_SWEEP = 500
"""Jobs that one sweep of a scope forgets at most, so that sweeping never holds up a call."""
_FORCED = "It was submitted again with force=True while it was live."
_NAMED = 3
"""Running jobs that an explanation names."""


class Admission(NamedTuple):
    """The answer to one draft: the job that stands for it, and whether it is a new one."""

    job_id: str
    is_new: bool


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
    """

    def __init__(self, limits: Limits, *, epoch: int = 0) -> None:
        self.book = JobBook()
        self._limits = limits
        self._leases: dict[str, Lease] = {}
        self._last_token = epoch
        self._deadlines = Deadlines()
        self._effects: list[Effect] = []

    def take_effects(self) -> list[Effect]:
        """What has to happen outside since this was asked last, in order."""
        taken, self._effects = self._effects, []
        return taken

    # -- what clients ask ---------------------------------------------------------------------------------------------

    def submit(self, drafts: Sequence[Draft], now: float) -> list[Admission]:
        """Accept all drafts, or none.

        A draft whose job id is known is that job. One whose run key is held by a live or a completed job is that
        job too, unless it is forced past a completed one.

        Raises:
            BackpressureError: There is no room for all of them.
        """
        standing: list[str | None] = []
        new: dict[tuple[str, str], str] = {}
        for draft in drafts:
            key = draft.scope, draft.run_key
            holder = draft.job_id if draft.job_id in self.book.records else new.get(key) or self._holder(draft)
            standing.append(holder)
            if holder is None:
                new[key] = draft.job_id
        self._refuse_overload(Counter(scope for scope, _ in new))
        return [self._admit(draft, holder, now) for draft, holder in zip(drafts, standing, strict=True)]

    def cancel(self, scope: str, job_id: str, grace_s: float, now: float) -> bool:
        """Begin to stop a job; False when it was final already.

        Raises:
            JobNotFoundError: The scope has no such job.
        """
        record = self.book.of_scope(scope, job_id)
        if not record.is_live:
            return False
        self._stop(record, Cancelled(), grace_s, now)
        return True

    def facts(self, scope: str, job_id: str) -> JobFacts:
        """What is known of a job.

        Raises:
            JobNotFoundError: The scope has no such job.
        """
        return self.book.facts(self.book.of_scope(scope, job_id))

    def list_jobs(self, scope: str, query: JobQuery) -> list[JobFacts]:
        """The jobs of a scope that match, newest first."""
        return [self.book.facts(each) for each in self.book.matching(scope, query)]

    def change(self, job_id: str) -> Change | None:
        """What to tell a follower of a job; None when it is forgotten."""
        return self.book.change(job_id)

    def explain(self, scope: str, job_id: str) -> tuple[str, Draft | None]:
        """Why a job is where it is, as sentences, and its draft while it waits for a worker.

        Raises:
            JobNotFoundError: The scope has no such job.
        """
        record = self.book.of_scope(scope, job_id)
        said = list(record.notes)
        if record.is_cancelling:
            said.append("It is being cancelled.")
        if record.supersedes is not None:
            said.append(f"It supersedes {record.supersedes}, which had completed: force=True ran it again on purpose.")
        if record.attempt > 1 and record.is_live:
            said.append(f"This is start number {record.attempt}.")
        waits = isinstance(record.state, Waiting | Placed | Scheduling)
        if waits:
            said.append(self._queue_of(record))
        return " ".join(said), record.draft if waits else None

    def controller_of(self, scope: str, job_id: str) -> str | None:
        """The controller that has, or last had, a job's output; None when none ever had it.

        Raises:
            JobNotFoundError: The scope has no such job.
        """
        return self.book.of_scope(scope, job_id).controller

    # -- what controllers say -----------------------------------------------------------------------------------------

    def grant(self, controller: str, now: float) -> int:
        """Give a controller a lease and return its token."""
        self._last_token += 1
        self._leases[controller] = Lease(controller, self._last_token, now + self._limits.lease_ttl_s)
        return self._last_token

    def renew(self, controller: str, token: int, now: float) -> bool:
        """A controller has spoken; False when its lease is over."""
        lease = self._leases.get(controller)
        if lease is None or lease.token != token:
            return False
        self._leases[controller] = lease.renewed(now + self._limits.lease_ttl_s)
        return True

    def adopt(self, controller: str, token: int, held: Iterable[Held], now: float) -> list[tuple[str, int]]:
        """Take over what a controller has; job id and attempt of what it shall keep. All else it must end.

        A registry that has just begun learns its jobs from this; one that has not gave the controller's jobs away
        when its lease was lost.
        """
        keep: list[tuple[str, int]] = []
        if not self.renew(controller, token, now):
            return keep
        for each in sorted(held, key=lambda one: one.launch.created_at):
            job_id, attempt = each.launch.draft.job_id, each.launch.attempt
            record = self.book.records.get(job_id)
            if record is None or (record.is_live and record.attempt < attempt):
                kept = self._take_over(each, Owner(controller, token), now)
            else:
                kept = _is_end_of(record, controller, each)
            if kept:
                keep.append((job_id, attempt))
        return keep

    def place(self, ready: Collection[str], limit: int, now: float) -> list[Assignment]:
        """Give waiting jobs to controllers that can take some.

        Args:
            ready: The controllers that have no earlier assignment to confirm.
            limit: At most this many jobs for each.
            now: The time.
        """
        book = self.book
        loads = {
            name: len(book.owned[name])
            for name in ready
            if name in self._leases and not self._leases[name].expired(now)
        }
        found = []
        for name, count in shares(len(book.waiting), loads, limit).items():
            owner = Owner(name, self._leases[name].token)
            launches = []
            for job_id in list(islice(book.waiting, count)):
                record = book.records[job_id]
                attempt = record.attempt + 1
                book.apply(GivenTo(job_id, attempt, owner))
                launches.append(Launch(record.draft, attempt, record.created_at, record.supersedes, record.losses))
            found.append(Assignment(name, owner.token, launches))
        return found

    def confirm(self, assignment: Assignment, taken: Collection[str], now: float) -> None:
        """A controller has answered an assignment: `taken` it has handed to Ray, the rest it has refused."""
        owner = Owner(assignment.controller, assignment.token)
        for launch in assignment.launches:
            job_id = launch.draft.job_id
            record = self._owned(job_id, launch.attempt, owner)
            if record is None:
                continue
            if isinstance(record.state, Placed):
                accepted = job_id in taken
                self.book.apply(Launched(job_id, now) if accepted else GivenBack(job_id, None, attempted=False))
            elif isinstance(record.state, Stopping) and job_id not in taken:
                self._finish(record, record.state.then, now)

    def report(self, controller: str, token: int, reports: Iterable[Report], now: float) -> bool:
        """Take in what a controller says of its jobs; False, and nothing changes, when its lease is over."""
        if not self.renew(controller, token, now):
            return False
        owner = Owner(controller, token)
        for each in reports:
            record = self._owned(each.job_id, each.attempt, owner)
            if record is None:
                continue
            match each:
                case StartReport():
                    self.book.apply(Started(each.job_id, each.where))
                case ProgressReport():
                    self.book.note_progress(each.job_id, each.progress)
                case EndReport():
                    self._end(record, each, now)
        return True

    def lose(self, controller: str, reason: str, now: float) -> None:
        """A controller and the work of its jobs are gone: its jobs are started again, or end.

        Whether it had begun those that it has not confirmed is not known, so they count as started.
        """
        self._leases.pop(controller, None)
        for job_id in list(self.book.owned[controller]):
            record = self.book.records[job_id]
            policy = record.draft.policy
            if isinstance(record.state, Stopping):
                self._finish(record, record.state.then, now)
            elif policy.resubmit and record.attempt < policy.max_attempts:
                self._give_back(record, f"Start {record.attempt} ended when {reason}.", now)
            else:
                self._finish(record, _lost(reason, record), now)

    # -- what time brings ---------------------------------------------------------------------------------------------

    def tick(self, now: float) -> None:
        """Do what is due: end jobs that found no worker in time, forget old ones."""
        for job_id, attempts_before in self._deadlines.passed(now):
            record = self._without_worker(job_id, attempts_before)
            if record is not None:
                self._stop(record, _no_worker(record), 0.0, now)
        if len(self._deadlines) > 2 * sum(len(index.live) for index in self.book.scopes.values()) + _SWEEP:
            self._deadlines.keep(self._without_worker)
        for index in list(self.book.scopes.values()):
            for _ in range(_SWEEP):
                oldest = self.book.records[index.finished[0]] if index.finished else None
                if oldest is None or not self._is_stale(oldest, len(index.finished), now):
                    break
                self.book.apply(Forgotten(oldest.draft.job_id))

    # -- inside -------------------------------------------------------------------------------------------------------

    def _holder(self, draft: Draft) -> str | None:
        """The job that stands for a draft's run, if there is one that it is not forced past."""
        index = self.book.scopes.get(draft.scope)
        if index is None:
            return None
        return index.live.get(draft.run_key) if draft.force else index.holder(draft.run_key)

    def _owned(self, job_id: str, attempt: int, owner: Owner) -> Record | None:
        """The job, when it is this start of it that the controller has under this lease."""
        record = self.book.records.get(job_id)
        return record if record is not None and record.attempt == attempt and record.owner == owner else None

    def _without_worker(self, job_id: str, attempts_before: int) -> Record | None:
        """The job, when the start after so many others has not found a worker."""
        record = self.book.records.get(job_id)
        if record is None or not isinstance(record.state, Waiting | Placed | Scheduling):
            return None
        return record if record.attempt - (record.owner is not None) == attempts_before else None

    def _admit(self, draft: Draft, holder: str | None, now: float) -> Admission:
        if holder is not None:
            if draft.force and holder != draft.job_id and _FORCED not in self.book.records[holder].notes:
                self.book.apply(Noted(holder, _FORCED))
            return Admission(holder, is_new=False)
        index = self.book.scopes.get(draft.scope)
        supersedes = index.completed.get(draft.run_key) if index else None
        self.book.apply(Submitted(draft, self.book.unique_time(now), supersedes))
        self._expect_worker(draft, 0, now)
        return Admission(draft.job_id, is_new=True)

    def _refuse_overload(self, wanted: Counter[str]) -> None:
        most = self._limits.max_active_jobs_per_scope
        for scope, count in wanted.items():
            live = len(self.book.scopes[scope].live) if scope in self.book.scopes else 0
            if live + count > most:
                raise BackpressureError(
                    f"The scope {scope!r} has {live} live jobs; with these {count} it would have more than "
                    f"max_active_jobs_per_scope={most}. Nothing was accepted.",
                    retry_after_s=_RETRY_AFTER_S,
                )
        backlog = len(self.book.waiting) + self.book.unconfirmed
        if backlog and wanted and backlog + wanted.total() > self._limits.max_backlog:
            raise BackpressureError(
                f"{backlog} accepted jobs wait for a controller to take them, and no more than "
                f"{self._limits.max_backlog} may. Nothing was accepted.",
                retry_after_s=_RETRY_AFTER_S,
            )

    def _expect_worker(self, draft: Draft, attempts_before: int, now: float) -> None:
        timeout_s = draft.policy.scheduling_timeout_s
        if timeout_s is not None:
            self._deadlines.add(now + timeout_s, draft.job_id, attempts_before)

    def _stop(self, record: Record, then: Cancelled | Failed, grace_s: float, now: float) -> None:
        owner = record.owner
        if owner is None:
            self._finish(record, then, now)
            return
        self.book.apply(StopAsked(record.draft.job_id, then))
        self._tell(owner, Stop(record.draft.job_id, record.attempt, grace_s, then))

    def _tell(self, owner: Owner, stop: Stop) -> None:
        self._effects.append(StopJobs(owner.controller, owner.token, [stop]))

    def _end(self, record: Record, report: EndReport, now: float) -> None:
        state = record.state
        if isinstance(state, Stopping):
            in_time = isinstance(report.outcome, Completed) and isinstance(state.then, Failed)
            self._finish(record, report.outcome if in_time else state.then, report.at)
        elif report.worker_lost and record.draft.policy.allows_retry(record.attempt, record.losses):
            failed = report.outcome
            cause = failed.exit_cause if isinstance(failed, Failed) and failed.exit_cause else "its worker died"
            self._give_back(record, f"Start {record.attempt} was lost: {cause}.", now, lost=True)
        else:
            self._finish(record, report.outcome, report.at)

    def _give_back(self, record: Record, note: str, now: float, *, lost: bool = False) -> None:
        self.book.apply(GivenBack(record.draft.job_id, note, lost=lost))
        self._expect_worker(record.draft, record.attempt, now)

    def _finish(self, record: Record, outcome: Completed | Failed | Cancelled, at: float) -> None:
        self.book.apply(Ended(record.draft.job_id, outcome, at))

    def _take_over(self, held: Held, owner: Owner, now: float) -> bool:
        """Learn a job, or a later start of one, from the controller that has it; whether it shall keep that."""
        (draft, attempt, created_at, supersedes, losses), where, told, end = held
        job_id, records = draft.job_id, self.book.records
        known = records.get(job_id)
        if known is None and end is not None and end.at + self._limits.terminal_job_retention_s <= now:
            return False
        self.book.apply(Adopted(draft, created_at, supersedes, attempt, losses, owner))
        if where is not None:
            self.book.apply(Started(job_id, where))
        then = Cancelled() if known is not None and known.is_cancelling else told
        if then is not None:
            self.book.apply(StopAsked(job_id, then))
        if end is not None:
            self._end(records[job_id], end, now)
        other = self.book.scopes[draft.scope].live.get(draft.run_key)
        if records[job_id].is_live and other != job_id:
            self._finish(records[job_id], _superseded(str(other)), now)
            return False
        if known is not None and known.owner is not None:
            self._tell(known.owner, Stop(job_id, known.attempt, 0.0, Cancelled()))
        if end is None and then is not None and told is None:
            self._tell(owner, Stop(job_id, attempt, 0.0, then))
        if end is None and where is None:
            self._expect_worker(draft, attempt - 1, now)
        return True

    def _is_stale(self, record: Record, finished: int, now: float) -> bool:
        assert isinstance(record.state, Finished)
        return (
            finished > self._limits.max_retained_terminal_jobs_per_scope
            or record.state.at + self._limits.terminal_job_retention_s <= now
        )

    def _queue_of(self, record: Record) -> str:
        records = self.book.records
        index = self.book.scopes[record.draft.scope]
        before = sum(
            records[job_id].created_at < record.created_at
            for job_id in index.with_status(JobStatus.PENDING, JobStatus.SCHEDULING)
        )
        running = [records[job_id].draft.job_name for job_id in index.with_status(JobStatus.RUNNING)]
        where = "no controller has taken it yet" if record.owner is None else "Ray has it"
        said = f"It is number {before + 1} in the queue of its scope; {where}."
        if running:
            more = f" and {len(running) - _NAMED} more" if len(running) > _NAMED else ""
            said += f" Running now: {', '.join(running[:_NAMED])}{more}."
        return said


def _is_end_of(record: Record, controller: str, held: Held) -> bool:
    """Whether a job ended as a controller remembers it, so that its output is to be found there."""
    state, end = record.state, held.end
    return (
        isinstance(state, Finished)
        and end is not None
        and (record.controller, record.attempt, state.at) == (controller, end.attempt, end.at)
    )


def _lost(reason: str, record: Record) -> Failed:
    return Failed(
        error_type="ControllerLost",
        error_message=f"start {record.attempt} ended when {reason}",
        phase="lost",
        node=record.where.node if record.where else None,
        pid=record.where.pid if record.where else None,
        exit_cause=reason,
        lost=True,
        remedy='Submit it again, or raise max_attempts; with recovery="resubmit" that happens by itself.',
    )


def _superseded(other: str) -> Failed:
    return Failed(
        error_type="RunSubmittedAgain",
        error_message=f"{other} was submitted for the same run while the controller of this job could not be reached",
        phase="lost",
        lost=True,
        remedy=f"Use {other}.",
    )


def _no_worker(record: Record) -> Failed:
    return Failed(
        error_type="SchedulingTimeout",
        error_message=f"no worker took it within {record.draft.policy.scheduling_timeout_s:g} s",
        phase="schedule",
        remedy="Ask for resources that the cluster has free, or raise scheduling_timeout_s.",
    )
