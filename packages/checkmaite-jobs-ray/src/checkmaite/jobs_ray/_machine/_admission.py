"""Which job stands for a run that somebody submits: one that there is, or a new one."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import NamedTuple

from checkmaite.jobs import BackpressureError, JobSubmissionError, Problem, Reuse, ReuseKind
from checkmaite.jobs.spi import RUN, Comparison, compared
from checkmaite.jobs_ray._machine._book import JobBook
from checkmaite.jobs_ray._machine._course import Course
from checkmaite.jobs_ray._machine._environments import Environments
from checkmaite.jobs_ray._machine._events import Noted, Submitted
from checkmaite.jobs_ray._machine._limits import Limits
from checkmaite.jobs_ray._machine._record import Record
from checkmaite.jobs_ray._messages import Context, Draft

_RETRY_AFTER_S = 0.5
_FORMER_KEY = "the run key: that job has the one that earlier versions gave to this run"
_FORCED = "It was submitted again with force=True while it was live."


class Admission(NamedTuple):
    """The answer to one draft: the job that stands for it, whether it is a new one, and what was decided."""

    job_id: str
    is_new: bool
    reuse: Reuse = RUN


class Decision(NamedTuple):
    """What is to become of one draft.

    Attributes:
        holder: The job that stands for its run; None for a new one.
        reuse: What to tell of that: whose result is used again, or which one a new job replaces, and why.
    """

    holder: str | None
    reuse: Reuse = RUN


class Door:
    """Lets jobs in.

    Args:
        book: The jobs.
        environments: Their contexts.
        course: What becomes of them.
        limits: The bounds to keep to.
    """

    def __init__(self, book: JobBook, environments: Environments, course: Course, limits: Limits) -> None:
        self._book = book
        self._environments = environments
        self._course = course
        self._limits = limits

    def submit(self, drafts: Sequence[Draft], contexts: Mapping[str, Context], now: float) -> list[Admission]:
        """See `RegistryMachine.submit`."""
        decided = self.decide(drafts)
        self._refuse_overload(
            Counter(draft.scope for draft, each in zip(drafts, decided, strict=True) if each.holder is None)
        )
        return [self._admit(draft, each, contexts, now) for draft, each in zip(drafts, decided, strict=True)]

    def decide(self, drafts: Sequence[Draft]) -> list[Decision]:
        """For each draft which job stands for its run, or why a new one has to."""
        found: list[Decision] = []
        new: defaultdict[tuple[str, str], list[Draft]] = defaultdict(list)
        for draft in drafts:
            alike = new[draft.scope, draft.run_key]
            decision = self._among(draft, alike) if alike else self._decision(draft)
            found.append(decision)
            if decision.holder is None:
                alike.append(draft)
        return found

    def _among(self, draft: Draft, alike: Sequence[Draft]) -> Decision:
        """The decision for a draft after others of its run in the same batch, which are jobs by then."""
        for each in reversed(alike):
            if (comparison := _agreeing(each, draft)) is not None:
                return Decision(each.job_id, _reuse(ReuseKind.REUSED, each, comparison))
        decision = self._decision(draft)
        if decision.holder is not None or draft.basis.policy == "never":
            return decision
        return Decision(None, _reuse(ReuseKind.STALE, alike[-1], _compared(alike[-1], draft)))

    def _decision(self, draft: Draft) -> Decision:
        records, index = self._book.records, self._book.scopes.get(draft.scope)
        if draft.job_id in records:
            return Decision(draft.job_id, records[draft.job_id].draft.basis.decided)
        if index is None:
            return Decision(None)
        former = draft.basis.former_key
        keys = (draft.run_key,) if former is None else (draft.run_key, former)
        live = [records[job_id] for key in keys for job_id in index.live_of(key)]
        completed = next((records[job_id] for key in keys if (job_id := index.completed.get(key))), None)
        is_forced = draft.basis.policy == "never"
        for record in live if live or is_forced else filter(None, (completed,)):
            if (comparison := _agreeing(record.draft, draft)) is not None:
                if record.draft.run_key != draft.run_key:
                    comparison = comparison._replace(unknown=(*comparison.unknown, _FORMER_KEY))
                return Decision(record.draft.job_id, _reuse(ReuseKind.REUSED, record.draft, comparison, record))
        newest = live[0] if live and not is_forced else completed
        if newest is None:
            return Decision(None)
        comparison = Comparison() if is_forced else _compared(newest.draft, draft)
        kind = ReuseKind.RUN if is_forced else ReuseKind.STALE
        return Decision(None, _reuse(kind, newest.draft, comparison, newest))

    def _admit(self, draft: Draft, decision: Decision, contexts: Mapping[str, Context], now: float) -> Admission:
        holder, reuse = decision
        if holder is not None:
            is_forced = draft.basis.policy == "never" and holder != draft.job_id
            if is_forced and _FORCED not in self._book.records[holder].notes:
                self._book.apply(Noted(holder, _FORCED))
            return Admission(holder, is_new=False, reuse=reuse)
        self._environments.introduce(draft.context, contexts[draft.context])
        # The former key has done what it is for: it is the longest text that a job would be kept with.
        draft = draft._replace(basis=draft.basis._replace(decided=reuse, former_key=None))
        self._book.apply(Submitted(draft, self._book.unique_time(now), reuse.job_id))
        self._course.expect_worker(draft, 0, now)
        return Admission(draft.job_id, is_new=True, reuse=reuse)

    def _refuse_overload(self, wanted: Counter[str]) -> None:
        most = self._limits.max_active_jobs_per_scope
        for scope, count in wanted.items():
            if count > most:
                raise JobSubmissionError(
                    "Nothing was submitted.", phase="launch", problems=[_never(scope, count, most)]
                )
            live = len(self._book.scopes[scope].live) if scope in self._book.scopes else 0
            if live + count > most:
                raise BackpressureError(
                    f"The scope {scope!r} would have {live + count} live jobs, {count} of them new, which is more than "
                    f"max_active_jobs_per_scope={most}. Nothing was accepted.",
                    retry_after_s=_RETRY_AFTER_S,
                )
        backlog = len(self._book.waiting) + self._book.unconfirmed
        if backlog and wanted and backlog + wanted.total() > self._limits.max_backlog:
            raise BackpressureError(
                f"Accepted jobs that wait for a controller to take them: {backlog}; no more than "
                f"{self._limits.max_backlog} may. Nothing was accepted.",
                retry_after_s=_RETRY_AFTER_S,
            )


def _compared(there: Draft, draft: Draft) -> Comparison:
    return compared(there.basis.prints, draft.basis.prints)


def _agreeing(there: Draft, draft: Draft) -> Comparison | None:
    """The comparison that lets the result of one stand for the other; None when it may not."""
    if draft.basis.policy == "always":
        return Comparison()
    comparison = _compared(there, draft)
    return None if comparison.differences else comparison


def _reuse(kind: ReuseKind, there: Draft, comparison: Comparison, record: Record | None = None) -> Reuse:
    """That a job's result is used again or replaced; without a record, of a job of the same batch."""
    return Reuse(
        kind=kind,
        job_id=there.job_id,
        at=None if record is None else datetime.fromtimestamp(record.created_at, UTC),
        by=there.basis.by,
        differences=comparison.differences,
        unknown=comparison.unknown,
    )


def _never(scope: str, count: int, most: int) -> Problem:
    """That a batch is too large for its scope even when nothing else is live."""
    return Problem(
        "submissions",
        f"{count:,} new jobs in one batch are more than the scope {scope!r} may have live at once, "
        f"max_active_jobs_per_scope={most:,}.",
        "Submit them in several calls, or have the registry started with a larger max_active_jobs_per_scope.",
    )
