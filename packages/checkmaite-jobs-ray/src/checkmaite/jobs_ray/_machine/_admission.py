"""Which job stands for a run that somebody submits: one that there is, or a new one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from checkmaite.jobs import BackpressureError, JobSubmissionError, Problem
from checkmaite.jobs_ray._machine._book import JobBook
from checkmaite.jobs_ray._machine._course import Course
from checkmaite.jobs_ray._machine._environments import Environments
from checkmaite.jobs_ray._machine._events import Noted, Submitted
from checkmaite.jobs_ray._machine._limits import Limits
from checkmaite.jobs_ray._messages import Context, Draft

_RETRY_AFTER_S = 0.5
_FORCED = "It was submitted again with force=True while it was live."


class Admission(NamedTuple):
    """The answer to one draft: the job that stands for it, and whether it is a new one."""

    job_id: str
    is_new: bool


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
        paired = list(zip(drafts, self.standing(drafts), strict=True))
        self._refuse_overload(Counter(draft.scope for draft, holder in paired if holder is None))
        return [self._admit(draft, holder, contexts, now) for draft, holder in paired]

    def standing(self, drafts: Sequence[Draft]) -> list[str | None]:
        """For each draft the job that stands for its run; None for those that would be new jobs."""
        found: list[str | None] = []
        new: dict[tuple[str, str], str] = {}
        for draft in drafts:
            key = draft.scope, draft.run_key
            holder = draft.job_id if draft.job_id in self._book.records else new.get(key) or self._holder(draft)
            found.append(holder)
            if holder is None:
                new[key] = draft.job_id
        return found

    def _holder(self, draft: Draft) -> str | None:
        """The job that stands for a draft's run, if there is one that it is not forced past."""
        index = self._book.scopes.get(draft.scope)
        if index is None:
            return None
        return index.live.get(draft.run_key) if draft.force else index.holder(draft.run_key)

    def _admit(self, draft: Draft, holder: str | None, contexts: Mapping[str, Context], now: float) -> Admission:
        if holder is not None:
            if draft.force and holder != draft.job_id and _FORCED not in self._book.records[holder].notes:
                self._book.apply(Noted(holder, _FORCED))
            return Admission(holder, is_new=False)
        self._environments.introduce(draft.context, contexts[draft.context])
        index = self._book.scopes.get(draft.scope)
        supersedes = index.completed.get(draft.run_key) if index else None
        self._book.apply(Submitted(draft, self._book.unique_time(now), supersedes))
        self._course.expect_worker(draft, 0, now)
        return Admission(draft.job_id, is_new=True)

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


def _never(scope: str, count: int, most: int) -> Problem:
    """That a batch is too large for its scope even when nothing else is live."""
    return Problem(
        "submissions",
        f"{count:,} new jobs in one batch are more than the scope {scope!r} may have live at once, "
        f"max_active_jobs_per_scope={most:,}.",
        "Submit them in several calls, or have the registry started with a larger max_active_jobs_per_scope.",
    )
