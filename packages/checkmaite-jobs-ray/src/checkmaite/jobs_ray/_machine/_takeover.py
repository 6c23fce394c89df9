"""What becomes of jobs that outlive a registry or a controller: those that controllers have, and those in doubt."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping

from checkmaite.jobs.spi import Cancelled, Completed
from checkmaite.jobs_ray._machine._book import JobBook
from checkmaite.jobs_ray._machine._course import Course
from checkmaite.jobs_ray._machine._effects import AskStore
from checkmaite.jobs_ray._machine._environments import Environments
from checkmaite.jobs_ray._machine._events import Adopted, Doubted, GivenBack, Launched, Resumed, Started, StopAsked
from checkmaite.jobs_ray._machine._failures import superseded
from checkmaite.jobs_ray._machine._record import Doubtful, Finished, Owner, Placed, Record, Stopping
from checkmaite.jobs_ray._messages import Draft, Held, Stop


class Takeover:
    """Takes jobs over from controllers, and settles those whose controller is gone by asking the store.

    Args:
        book: The jobs.
        environments: Their contexts.
        course: What becomes of them.
        retention_s: A job that ended longer ago, and that nobody knows any more, is not taken in again.
    """

    def __init__(self, book: JobBook, environments: Environments, course: Course, *, retention_s: float) -> None:
        self._book = book
        self._environments = environments
        self._course = course
        self._retention_s = retention_s
        self._asked: set[str] = set()
        self.ask()

    def adopt(self, owner: Owner, held: Iterable[Held], now: float) -> list[tuple[str, int]]:
        """Take over what a controller has; job id and attempt of what it shall keep. All else it must end."""
        keep = []
        for each in sorted(held, key=lambda one: one.launch.created_at):
            job_id, attempt = each.launch.draft.job_id, each.launch.attempt
            record = self._book.records.get(job_id)
            if record is None or (record.is_live and record.attempt < attempt):
                kept = self._learn(each, owner, now)
            elif record.owner is not None and (record.owner.controller, record.attempt) == (owner.controller, attempt):
                self._resume(record, each, owner, now)
                kept = True
            else:
                kept = is_end_of(record, owner.controller, each)
            if kept:
                keep.append((job_id, attempt))
        return keep

    def lose(self, controller: str, reason: str, now: float) -> None:
        """See `RegistryMachine.lose`."""
        for job_id in list(self._book.owned[controller]):
            self._doubt(self._book.records[job_id], reason, now)
        self.ask()

    def miss(self, owner: Owner, served: Collection[int], reason: str, now: float) -> None:
        """See `RegistryMachine.miss`."""
        for job_id in list(self._book.owned[owner.controller]):
            record = self._book.records[job_id]
            if record.owner == owner:
                continue
            if isinstance(record.state, Placed) and record.state.owner.token in served:
                self._book.apply(GivenBack(job_id, None, attempted=False))
            else:
                self._doubt(record, reason, now)
        self.ask()

    def ask(self) -> None:
        """Have the store asked about the jobs in doubt, as far as their contexts are known."""
        asked: defaultdict[str, list[Draft]] = defaultdict(list)
        for job_id in self._book.doubtful:
            draft = self._book.records[job_id].draft
            if job_id not in self._asked and draft.context in self._environments:
                asked[draft.context].append(draft)
                self._asked.add(job_id)
        self._course.effects += [AskStore(self._environments[name], drafts) for name, drafts in asked.items()]

    def settle(self, asked: Iterable[str], stored: Mapping[str, Completed] | None, now: float) -> None:
        """See `RegistryMachine.settle`."""
        for job_id in asked:
            self._asked.discard(job_id)
            record = self._book.records.get(job_id)
            if stored is None or record is None or not isinstance(record.state, Doubtful):
                continue
            if job_id in stored:
                self._course.finish(record, stored[job_id], now)
            else:
                self._course.start_again_or_end(record, record.state.reason, now)

    def _doubt(self, record: Record, reason: str, now: float) -> None:
        """A job's controller is gone: one that was being stopped has stopped, the others may have been stored."""
        if isinstance(record.state, Stopping):
            self._course.finish(record, record.state.then, now)
        else:
            self._book.apply(Doubted(record.draft.job_id, reason))

    def _learn(self, held: Held, owner: Owner, now: float) -> bool:
        """Learn a job, or a later start of one, from the controller that has it; whether it shall keep that."""
        (draft, context, attempt, created_at, supersedes, losses), where, told, end = held
        job_id, book, course = draft.job_id, self._book, self._course
        known = book.records.get(job_id)
        if known is None and end is not None and end.at + self._retention_s <= now:
            return False
        self._environments.introduce(draft.context, context)
        book.apply(Adopted(draft, created_at, supersedes, attempt, losses, owner))
        if where is not None:
            book.apply(Started(job_id, where))
        then = Cancelled() if known is not None and known.is_cancelling else told
        if then is not None:
            book.apply(StopAsked(job_id, then))
        if end is not None:
            course.end(book.records[job_id], end, now)
        other = book.scopes[draft.scope].live.get(draft.identity)
        if book.records[job_id].is_live and other != job_id:
            course.finish(book.records[job_id], superseded(str(other)), now)
            return False
        if known is not None and known.owner is not None:
            course.tell(known.owner, Stop(job_id, known.attempt, 0.0, Cancelled()))
        if end is None and then is not None and told is None:
            course.tell(owner, Stop(job_id, attempt, 0.0, then))
        if end is None and where is None:
            course.expect_worker(draft, attempt - 1, now)
        return True

    def _resume(self, record: Record, held: Held, owner: Owner, now: float) -> None:
        """Go on with a start that the journal knows and whose controller has it."""
        job_id, book = record.draft.job_id, self._book
        self._environments.introduce(record.draft.context, held.launch.context)
        book.apply(Resumed(job_id, owner))
        if isinstance(record.state, Placed):
            book.apply(Launched(job_id, now))
        if held.where is not None and record.where is None:
            book.apply(Started(job_id, held.where))
        if held.then is not None and not isinstance(record.state, Stopping):
            book.apply(StopAsked(job_id, held.then))
        if held.end is not None:
            self._course.end(book.records[job_id], held.end, now)
        elif held.then is None and isinstance(record.state, Stopping):
            self._course.tell(owner, Stop(job_id, record.attempt, 0.0, record.state.then))


def is_end_of(record: Record, controller: str, held: Held) -> bool:
    """Whether a job ended as a controller remembers it, so that its output is to be found there."""
    state, end = record.state, held.end
    return (
        isinstance(state, Finished)
        and end is not None
        and (record.controller, record.attempt, state.at) == (controller, end.attempt, end.at)
    )
