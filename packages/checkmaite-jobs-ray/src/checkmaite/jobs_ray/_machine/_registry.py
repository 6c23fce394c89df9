"""The registry's logic: who may submit what, which controller owns which job, how each job ends.

Every method is a command or a question. Commands change jobs through events only, and leave what has to happen
outside in `take_effects`. Time is an argument.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from itertools import islice
from typing import Any, NamedTuple

from checkmaite.jobs import Reuse
from checkmaite.jobs.spi import RUN, Cancelled, Completed, JobQuery
from checkmaite.jobs_ray._machine._admission import Admission, Decision, Door
from checkmaite.jobs_ray._machine._book import JobBook
from checkmaite.jobs_ray._machine._course import Course
from checkmaite.jobs_ray._machine._effects import Effect
from checkmaite.jobs_ray._machine._environments import Environments
from checkmaite.jobs_ray._machine._events import Forgotten, GivenBack, GivenTo, Launched, Started
from checkmaite.jobs_ray._machine._explaining import explanation
from checkmaite.jobs_ray._machine._lease import Leases
from checkmaite.jobs_ray._machine._limits import Limits
from checkmaite.jobs_ray._machine._placement import shares
from checkmaite.jobs_ray._machine._record import Finished, Owner, Placed, Record, Stopping
from checkmaite.jobs_ray._machine._takeover import Takeover
from checkmaite.jobs_ray._messages import (
    Change,
    Context,
    Draft,
    EndReport,
    Held,
    JobFacts,
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
        book: What an earlier registry knew; a new one when None.
        now: The time.
    """

    def __init__(self, limits: Limits, *, epoch: int = 0, book: JobBook | None = None, now: float = 0.0) -> None:
        self.book = book or JobBook()
        self._limits = limits
        self._leases = Leases(limits.lease_ttl_s, after=max(epoch, self.book.last_token))
        self._environments = Environments(self.book)
        self._course = Course(self.book, now)
        self._door = Door(self.book, self._environments, self._course, limits)
        self._takeover = Takeover(
            self.book, self._environments, self._course, retention_s=limits.terminal_job_retention_s
        )

    def take_effects(self) -> list[Effect]:
        """What has to happen outside since this was asked last, in order."""
        taken, self._course.effects = self._course.effects, []
        return taken

    # -- what clients ask ---------------------------------------------------------------------------------------------

    def submit(self, drafts: Sequence[Draft], contexts: Mapping[str, Context], now: float) -> list[Admission]:
        """Accept all drafts, or none.

        A draft whose job id is known is that job. One whose run key is held by a live or a completed job is that
        job too, unless it is forced past a completed one.

        Args:
            drafts: What a client proposes.
            contexts: Theirs, by id.
            now: The time.

        Raises:
            BackpressureError: There is no room for all of them now.
            JobSubmissionError: There never is.
        """
        return self._door.submit(drafts, contexts, now)

    def decide(self, drafts: Sequence[Draft]) -> list[Decision]:
        """For each draft which job stands for its run, or why a new one would have to."""
        return self._door.decide(drafts)

    def plan(self, drafts: Sequence[Draft]) -> list[Reuse | None]:
        """What `submit` would decide about each draft; None where the registry knows no job of its run."""
        return [None if each.reuse == RUN else each.reuse for each in self.decide(drafts)]

    def offer(self, scope: str, context: Context) -> None:
        """A client supplies what the journal does not keep, for the scope's jobs of such a context."""
        self._environments.offer(scope, context)
        self._takeover.ask()

    def contexts(self) -> list[Context]:
        """The contexts of live jobs, as far as they are known."""
        return self._environments.all()

    def cancel(self, scope: str, job_id: str, grace_s: float, now: float) -> bool:
        """Begin to stop a job; False when it was final already.

        Raises:
            JobNotFoundError: The scope has no such job.
        """
        record = self.book.of_scope(scope, job_id)
        if not record.is_live:
            return False
        self._course.stop(record, Cancelled(), grace_s, now)
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
        said, waits = explanation(record, self.book, self._environments)
        return said, record.draft if waits else None

    def environment_of(self, draft: Draft) -> Mapping[str, Any] | None:
        """How the workers of a job are prepared; None also while that is not known."""
        return self._environments[draft.context].runtime_env if draft.context in self._environments else None

    def controller_of(self, scope: str, job_id: str) -> str | None:
        """The controller that has, or last had, a job's output; None when none ever had it.

        Raises:
            JobNotFoundError: The scope has no such job.
        """
        return self.book.of_scope(scope, job_id).controller

    # -- what controllers say -----------------------------------------------------------------------------------------

    def grant(self, controller: str, now: float) -> int:
        """Give a controller a lease and return its token."""
        return self._leases.grant(controller, now)

    def adopt(self, controller: str, token: int, held: Iterable[Held], now: float) -> list[tuple[str, int]]:
        """Take over what a controller has; job id and attempt of what it shall keep. All else it must end.

        A registry that has just begun learns its jobs from this, or goes on with those that its journal knows. One
        that has not just begun gave the controller's jobs away when its lease was lost.
        """
        if not self._leases.renew(controller, token, now):
            return []
        return self._takeover.adopt(Owner(controller, token), held, now)

    def miss(
        self, controller: str, token: int, reason: str, now: float, *, served: Collection[int] = frozenset()
    ) -> None:
        """What the journal says that a controller has, and it has not, is gone; whether it was stored is to be seen.

        What it was given under a lease that its process has known, and has never confirmed, did not reach it and never
        will: that is given back, and does not count as a start.

        Args:
            controller: The controller.
            token: Of its present lease: what it has under this one, it has.
            reason: How the jobs were lost.
            now: The time.
            served: See `Inventory`; nothing when the controller could not be asked.
        """
        self._takeover.miss(Owner(controller, token), served, reason, now)

    def keep_to(self, controllers: Collection[str], reason: str, now: float) -> None:
        """The pool has these controllers: what the journal says that others have is gone, as in `miss`."""
        for name in [each for each in self.book.owned if each not in controllers]:
            self.miss(name, -1, reason, now)

    def ask(self) -> None:
        """Have the store asked again about the jobs in doubt that it could not settle."""
        self._takeover.ask()

    def settle(self, asked: Iterable[str], stored: Mapping[str, Completed] | None, now: float) -> None:
        """The store has answered.

        Args:
            asked: The jobs that it was asked about.
            stored: Those of them whose run it holds; None when it could not say, so that it has to be asked again.
            now: The time.
        """
        self._takeover.settle(asked, stored, now)

    def place(self, ready: Collection[str], limit: int, now: float) -> list[Assignment]:
        """Give waiting jobs to controllers that can take some.

        Args:
            ready: The controllers that have no earlier assignment to confirm.
            limit: At most this many jobs for each.
            now: The time.
        """
        book, waiting = self.book, self._environments.placeable()
        tokens = {name: token for name in ready if (token := self._leases.token_of(name, now)) is not None}
        loads = {name: len(book.owned[name]) for name in tokens}
        found = []
        for name, count in shares(len(waiting), loads, limit).items():
            owner = Owner(name, tokens[name])
            launches = []
            for job_id in list(islice(waiting, count)):
                record = book.records[job_id]
                attempt, draft = record.attempt + 1, record.draft
                book.apply(GivenTo(job_id, attempt, owner))
                waiting.pop(job_id, None)
                context = self._environments[draft.context]
                launches.append(Launch(draft, context, attempt, record.created_at, record.supersedes, record.losses))
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
                self._course.finish(record, record.state.then, now)

    def report(self, controller: str, token: int, reports: Iterable[Report], now: float) -> bool:
        """Take in what a controller says of its jobs; False, and nothing changes, when its lease is over."""
        if not self._leases.renew(controller, token, now):
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
                    self._course.end(record, each, now)
        return True

    def lose(self, controller: str, reason: str, now: float) -> None:
        """A controller and the work of its jobs are gone; which runs were stored before is to be seen, as in `miss`.

        Whether it had begun those that it has not confirmed is not known, so they count as started.
        """
        self._leases.end(controller)
        self._takeover.lose(controller, reason, now)

    # -- what time brings ---------------------------------------------------------------------------------------------

    def tick(self, now: float) -> None:
        """Do what is due: end jobs that found no worker in time, forget old ones."""
        self._course.end_overdue(now)
        self._environments.sweep()
        for index in list(self.book.scopes.values()):
            for _ in range(_SWEEP):
                oldest = self.book.records[index.finished[0]] if index.finished else None
                if oldest is None or not self._is_stale(oldest, len(index.finished), now):
                    break
                self.book.apply(Forgotten(oldest.draft.job_id))

    # -- inside -------------------------------------------------------------------------------------------------------

    def _owned(self, job_id: str, attempt: int, owner: Owner) -> Record | None:
        """The job, when it is this start of it that the controller has under this lease."""
        record = self.book.records.get(job_id)
        return record if record is not None and record.attempt == attempt and record.owner == owner else None

    def _is_stale(self, record: Record, finished: int, now: float) -> bool:
        assert isinstance(record.state, Finished)
        return (
            finished > self._limits.max_retained_terminal_jobs_per_scope
            or record.state.at + self._limits.terminal_job_retention_s <= now
        )
