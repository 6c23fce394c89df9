"""All jobs of a registry and every way to find them; it changes by events only."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from checkmaite.jobs import JobNotFoundError, JobProgress
from checkmaite.jobs.spi import JobQuery
from checkmaite.jobs_ray._machine._events import Adopted, Event, Forgotten, Introduced, Submitted
from checkmaite.jobs_ray._machine._index import ScopeIndex
from checkmaite.jobs_ray._machine._past import Past
from checkmaite.jobs_ray._machine._record import Doubtful, Finished, Placed, Record, Waiting
from checkmaite.jobs_ray._machine._shapes import Shapes
from checkmaite.jobs_ray._machine._transitions import accepted, after
from checkmaite.jobs_ray._messages import Change, JobFacts, Kept


class JobBook:
    """Records, and indexes that agree with them.

    Attributes:
        records: Every job by its id.
        scopes: Each scope's index.
        shapes: The contexts of live jobs, as far as they may be written down.
        waiting: Jobs that no controller has, in the order in which they get one.
        doubtful: Jobs of which the store has to be asked.
        owned: Jobs of each controller.
        unconfirmed: Number of jobs given to a controller that has not confirmed them.
        progress: What running jobs said last. It is news, not history: no event carries it.
        last_token: The largest token of a lease that a job was given under.
    """

    def __init__(self) -> None:
        self.records: dict[str, Record] = {}
        self.scopes: defaultdict[str, ScopeIndex] = defaultdict(ScopeIndex)
        self.shapes = Shapes()
        self.waiting: dict[str, None] = {}
        self.doubtful: dict[str, None] = {}
        self.owned: defaultdict[str, dict[str, None]] = defaultdict(dict)
        self.unconfirmed = 0
        self.progress: dict[str, JobProgress] = {}
        self.last_token = 0
        self._last_us = 0
        self._events: list[Event] = []
        self._changed: dict[str, None] = {}
        self._unneeded: list[str] = []

    @classmethod
    def of(cls, past: Past) -> JobBook:
        """The book of what a journal says. It takes the records themselves, so the past is over then."""
        book = cls()
        book.records, book.shapes, book.last_token = past.records, past.shapes, past.last_token
        last_at = max((record.created_at for record in past.records.values()), default=0.0)
        book._last_us = round(max(last_at, past.last_at) * 1_000_000)
        by_scope: defaultdict[str, list[Record]] = defaultdict(list)
        for job_id, record in past.records.items():
            by_scope[record.draft.scope].append(record)
            if record.is_live:
                book._file(job_id, record)
        book.scopes.update((scope, ScopeIndex.of(records)) for scope, records in by_scope.items())
        return book

    def apply(self, event: Event) -> None:
        """Change what the event says."""
        self._events.append(event)
        match event:
            case Introduced():
                self.shapes.introduce(event.context, event.shape)
            case Submitted():
                self._add(accepted(event))
            case Adopted() if event.job_id not in self.records:
                self._add(accepted(event))
            case Forgotten():
                record = self.records.pop(event.job_id)
                index = self.scopes[record.draft.scope]
                index.forget_oldest(record)
                if not len(index):
                    del self.scopes[record.draft.scope]
            case _:
                before = self.records[event.job_id]
                self._replace(before, after(before, event))

    def unique_time(self, now: float) -> float:
        """`now`, moved on by microseconds if need be.

        No two jobs are accepted at the same instant, so that a listing can be continued from one.
        """
        self._last_us = max(round(now * 1_000_000), self._last_us + 1)
        return self._last_us / 1_000_000

    def take_events(self) -> list[Event]:
        """What happened since this was asked last, in order."""
        taken, self._events = self._events, []
        return taken

    def take_changed(self) -> list[str]:
        """Ids of the jobs whose facts changed since this was asked last."""
        taken, self._changed = list(self._changed), {}
        return taken

    def take_unneeded(self) -> list[str]:
        """Keys of the payloads beside the journal that no start needs any more, since this was asked last."""
        taken, self._unneeded = self._unneeded, []
        return taken

    def note_progress(self, job_id: str, progress: JobProgress) -> None:
        """Keep what a job says of its progress."""
        self.progress[job_id] = progress
        self._changed[job_id] = None

    def of_scope(self, scope: str, job_id: str) -> Record:
        """A job of a scope.

        Raises:
            JobNotFoundError: The scope has no such job.
        """
        record = self.records.get(job_id)
        if record is None or record.draft.scope != scope:
            raise JobNotFoundError(job_id, where=f"the scope {scope!r}")
        return record

    def facts(self, record: Record) -> JobFacts:
        """A record as clients see it."""
        draft, state = record.draft, record.state
        ended = state if isinstance(state, Finished) else None
        return JobFacts(
            job_id=draft.job_id,
            job_name=draft.job_name,
            capability_id=draft.capability_id,
            created_at=record.created_at,
            status=record.status,
            attempt=record.attempt,
            cancelling=record.is_cancelling,
            where=record.where,
            progress=self.progress.get(draft.job_id),
            outcome=ended.outcome if ended else None,
            finished_at=ended.at if ended else None,
            reuse=draft.basis.decided,
        )

    def change(self, job_id: str) -> Change | None:
        """What to tell a follower of a job; None when it is forgotten."""
        record = self.records.get(job_id)
        return None if record is None else Change(job_id, *self.facts(record)[4:-1])

    def live(self) -> Iterator[Record]:
        """The jobs that are not final."""
        for job_ids in (self.waiting, self.doubtful, *self.owned.values()):
            for job_id in job_ids:
                yield self.records[job_id]

    def matching(self, scope: str, query: JobQuery) -> list[Record]:
        """The jobs of a scope that a query wants, newest first."""
        index = self.scopes.get(scope)
        return index.matching(query, self.records.__getitem__) if index else []

    def _add(self, record: Record) -> None:
        draft = record.draft
        job_id = draft.job_id
        self._last_us = max(self._last_us, round(record.created_at * 1_000_000))
        self.records[job_id] = record
        self.scopes[draft.scope].add(record)
        if record.is_live:
            self._file(job_id, record)
            self.shapes.use(draft.context)
        self._changed[job_id] = None

    def _replace(self, before: Record, now: Record) -> None:
        job_id = now.draft.job_id
        self.records[job_id] = now
        if before.status is not now.status:
            self.scopes[now.draft.scope].update(before.status, now)
        if before.state is not now.state:
            self._refile(job_id, before, now)
        self._changed[job_id] = None

    def _refile(self, job_id: str, before: Record, now: Record) -> None:
        owner = now.owner
        if owner is not None and owner == before.owner:
            self.unconfirmed += isinstance(now.state, Placed) - isinstance(before.state, Placed)
            return
        self._unfile(job_id, before)
        self._file(job_id, now)
        if owner is None:
            self.progress.pop(job_id, None)
        if not now.is_live:
            self._end(before)

    def _end(self, live: Record) -> None:
        self.shapes.drop(live.draft.context)
        if isinstance(live.draft.payload, Kept):
            self._unneeded.append(live.draft.payload.key)

    def _file(self, job_id: str, record: Record) -> None:
        if isinstance(record.state, Waiting):
            self.waiting[job_id] = None
        elif isinstance(record.state, Doubtful):
            self.doubtful[job_id] = None
        elif (owner := record.owner) is not None:
            self.last_token = max(self.last_token, owner.token)
            self.owned[owner.controller][job_id] = None
            self.unconfirmed += isinstance(record.state, Placed)

    def _unfile(self, job_id: str, record: Record) -> None:
        if isinstance(record.state, Waiting):
            del self.waiting[job_id]
        elif isinstance(record.state, Doubtful):
            del self.doubtful[job_id]
        elif (owner := record.owner) is not None:
            del self.owned[owner.controller][job_id]
            self.unconfirmed -= isinstance(record.state, Placed)
