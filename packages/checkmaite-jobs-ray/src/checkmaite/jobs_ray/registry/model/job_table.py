"""All jobs of a registry and every way to find them; it changes by events only.

While a journal is read, a table is more than is needed: records alone are, and are filed once when all is known.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator
from itertools import chain

from checkmaite.jobs import JobNotFoundError, JobProgress, JobStatus, Reuse
from checkmaite.jobs.spi import JobQuery, labels_of
from checkmaite.jobs_ray.registry.model.contexts import RedactedContext, RedactedContexts
from checkmaite.jobs_ray.registry.model.events import (
    Adopted,
    Assigned,
    Ended,
    Event,
    Extended,
    Forgotten,
    Introduced,
    Resumed,
    Submitted,
    accepted,
    after,
)
from checkmaite.jobs_ray.registry.model.index import ScopeIndex
from checkmaite.jobs_ray.registry.model.queue import Queue
from checkmaite.jobs_ray.registry.model.record import (
    Final,
    JobRecord,
    Owner,
    Placed,
    Scheduling,
    State,
    Unresolved,
    Waiting,
)
from checkmaite.jobs_ray.registry.model.retention import finish_counts
from checkmaite.jobs_ray.wire import Change, JobFacts, JobSpec, PastAttempt, ScopeFacts, StoredPayload


class JobTable:
    """Records, and indexes that agree with them.

    Attributes:
        records: Every job by its id.
        scopes: Each scope's index.
        redacted_contexts: The contexts of live jobs, and the last of others, as far as they may be written down.
        waiting: Jobs that no controller has, and how many of each kind are with one and not begun.
        unresolved: Jobs of which the store has to be asked.
        owned: Jobs of each controller.
        unconfirmed: Number of jobs given to a controller that has not confirmed them.
        payload_bytes: Of the payloads of live jobs that are in this process's memory.
        progress: What running jobs said last. It is news, not history: no event carries it.
        last_token: The largest token of a lease that a job was given under.
        now: The time, in seconds on a clock that nobody sets.
        ahead_s: How far the calendar is ahead of that: what is told and written down are dates.
    """

    def __init__(self) -> None:
        self.now = 0.0
        self.ahead_s = 0.0
        self.records: dict[str, JobRecord] = {}
        self.scopes: defaultdict[str, ScopeIndex] = defaultdict(ScopeIndex)
        self.redacted_contexts = RedactedContexts()
        self.waiting = Queue()
        self.unresolved: dict[str, None] = {}
        self.owned: defaultdict[str, dict[str, None]] = defaultdict(dict)
        self.unconfirmed = 0
        self.payload_bytes = 0
        self._needing: Counter[str] = Counter()  # jobs by the key of the object that has their payload
        self.progress: dict[str, JobProgress] = {}
        self.last_token = 0
        self._last_us = 0
        self._counted_before_s = 0
        self._counted_since = 0.0
        self._events: list[Event] = []
        self._changed: dict[str, None] = {}
        self._unneeded: list[str] = []
        self._ended: list[tuple[JobSpec, RedactedContext]] = []

    @classmethod
    def of(cls, replayed: ReplayState) -> JobTable:
        """The table of what a journal says. It takes the records themselves."""
        table = cls()
        table.records, table.redacted_contexts, table.last_token = (
            replayed.records,
            replayed.redacted_contexts,
            replayed.last_token,
        )
        last_at = max((record.created_at for record in replayed.records.values()), default=0.0)
        table._last_us = round(max(last_at, replayed.last_at) * 1_000_000)
        by_scope: defaultdict[str, list[JobRecord]] = defaultdict(list)
        for job_id, record in replayed.records.items():
            by_scope[record.spec.scope].append(record)
            if record.is_live:
                table._begin(job_id, record)
        table.scopes.update((scope, ScopeIndex.of(records)) for scope, records in by_scope.items())
        return table

    def apply(self, event: Event) -> None:
        """Change what the event says."""
        self._events.append(event)
        match event:
            case Introduced():
                self.redacted_contexts.introduce(event.context, event.redacted)
            case Submitted():
                self._add(accepted(event))
            case Adopted() if event.job_id not in self.records:
                self._add(accepted(event))
            case Forgotten():
                record = self.records.pop(event.job_id)
                index = self.scopes[record.spec.scope]
                index.forget_oldest(record)
                if not len(index):
                    del self.scopes[record.spec.scope]
            case _:
                before = self.records[event.job_id]
                self._replace(before, after(before, event))

    @property
    def date(self) -> float:
        """What the calendar says now, in seconds since the epoch."""
        return self.now + self.ahead_s

    def unique_date(self) -> float:
        """The date, or microseconds after the last one that was given.

        No two jobs are accepted at the same instant, and none before an earlier one, so that a listing can be continued
        from one.
        """
        self._last_us = max(round(self.date * 1_000_000), self._last_us + 1)
        return self._last_us / 1_000_000

    @property
    def counted_s(self) -> int:
        """Seconds for which registries have led the journal, one after the other, each by a clock that nobody sets.

        What passes after the last end that a registry has written, until the next one begins, is not counted.
        """
        return int(self._counted_before_s + self.now - self._counted_since)

    def recall_finish_times(self, now: float) -> None:
        """Begin to count, at `now`, how long the jobs that a journal has brought have been final."""
        ends = {scope: list(self._ends_of(index)) for scope, index in self.scopes.items()}
        every = list(chain.from_iterable(ends.values()))
        self._counted_before_s = max((each for _, each in every if each is not None), default=0)
        self._counted_since = now
        dated = [at for at, counted_s in every if counted_s is None]
        latest = self.latest_date() if len(dated) == len(every) else max(dated, default=0.0)
        for scope, index in self.scopes.items():
            index.finish_times.recall(finish_counts(ends[scope], latest), self._counted_before_s, now)

    def latest_date(self) -> float:
        """The last instant that the jobs name: when one was accepted, or became final."""
        ends = (at for index in self.scopes.values() for at, _ in self._ends_of(index))
        return max(self._last_us / 1_000_000, max(ends, default=0.0))

    def _ends_of(self, index: ScopeIndex) -> Iterator[tuple[float, int | None]]:
        """When the scope's jobs became final, by the calendar of the time and by the count of registries' time."""
        for job_id in index.finished:
            record = self.records[job_id]
            if isinstance(record.state, Final):
                yield max(record.created_at, record.state.at), record.state.counted_s  # calendars differ

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

    def take_ended(self) -> list[tuple[JobSpec, RedactedContext]]:
        """What the jobs were given that became final since this was asked last, and their contexts."""
        taken, self._ended = self._ended, []
        return taken

    def needs(self, key: str) -> bool:
        """Whether the payload of a live job is in the object of this key beside the journal."""
        return key in self._needing

    def note_progress(self, job_id: str, progress: JobProgress) -> None:
        """Keep what a job says of its progress."""
        self.progress[job_id] = progress
        self._changed[job_id] = None

    def of_scope(self, scope: str, job_id: str) -> JobRecord:
        """A job of a scope.

        Raises:
            JobNotFoundError: The scope has no such job.
        """
        record = self.records.get(job_id)
        if record is None or record.spec.scope != scope:
            raise JobNotFoundError(job_id, where=f"the scope {scope!r}")
        return record

    def facts(self, record: JobRecord, reuse: Reuse | None = None) -> JobFacts:
        """A record as clients see it; with what was decided about a submission that is answered with it."""
        spec = record.spec
        change = self._change(record)
        return JobFacts(
            **labels_of(spec),
            tags=spec.tags,
            resources=spec.resources,
            created_at=record.created_at,
            reuse=reuse or spec.basis.decided,
            trace=spec.trace and spec.trace._replace(baggage=""),
            **change._asdict(),
        )

    def change(self, job_id: str) -> Change | None:
        """What to tell a client that follows a job; None when it is forgotten."""
        record = self.records.get(job_id)
        return None if record is None else self._change(record)

    def _change(self, record: JobRecord) -> Change:
        state, job_id = record.state, record.spec.job_id
        ended = state if isinstance(state, Final) else None
        started, past = record.started, record.past
        if isinstance(state, Unresolved):  # whatever the store says, that start is over
            past += (PastAttempt(record.attempt, started, None, f"Start {record.attempt} ended when {state.reason}."),)
            started = None
        return Change(
            job_id=job_id,
            status=record.status,
            attempt=record.attempt,
            started=started,
            progress=self.progress.get(job_id),
            outcome=ended.outcome if ended else None,
            finished_at=ended.at if ended else None,
            queued_at=record.queued_at,
            past=past,
            used=record.used,
        )

    def goes_on(self, job_id: str) -> bool:
        """Whether a job is known and not final."""
        record = self.records.get(job_id)
        return record is not None and record.is_live

    def live(self) -> Iterator[JobRecord]:
        """The jobs that are not final."""
        for job_id in chain(self.waiting, self.unresolved, *self.owned.values()):
            yield self.records[job_id]

    def matching(self, scope: str, query: JobQuery) -> list[JobRecord]:
        """The jobs of a scope that a query wants, newest first."""
        index = self.scopes.get(scope)
        return index.matching(query, self.records.__getitem__) if index else []

    def summaries(self, walled: Collection[str]) -> list[ScopeFacts]:
        """What is known of each scope that has jobs.

        Args:
            walled: Those that have a key, with jobs or without.
        """
        told = {scope: index for scope, index in self.scopes.items() if len(index) and scope not in walled}
        facts = [ScopeFacts(scope, index.counts(), self._last_at(index), False) for scope, index in told.items()]
        return [*facts, *(ScopeFacts(scope, {}, None, True) for scope in walled)]

    def _last_at(self, index: ScopeIndex) -> float:
        """When something has happened to a scope's jobs last, as far as they say."""
        begun = (self.records[job_id].started for job_id in index.with_status(JobStatus.RUNNING))
        ended = self.records[index.finished[-1]].state if index.finished else None
        newest = index.newest()
        return max(
            self.records[newest].created_at if newest else 0.0,
            ended.at if isinstance(ended, Final) else 0.0,
            max((each.at.timestamp() for each in begun if each is not None), default=0.0),
        )

    def _add(self, record: JobRecord) -> None:
        spec = record.spec
        job_id = spec.job_id
        self._last_us = max(self._last_us, round(record.created_at * 1_000_000))
        self.records[job_id] = record
        self.scopes[spec.scope].add(record)
        if record.is_live:
            self._begin(job_id, record)
            self.redacted_contexts.use(spec.context)
        self._changed[job_id] = None

    def _replace(self, before: JobRecord, now: JobRecord) -> None:
        job_id = now.spec.job_id
        self.records[job_id] = now
        if before.status is not now.status:
            self.scopes[now.spec.scope].update(before.status, now, self.now)
        if before.state is not now.state:
            self._refile(job_id, before, now)
            if change := _is_given(now.state) - _is_given(before.state):
                self.waiting.note_given(before.spec, change)
        self._changed[job_id] = None

    def _refile(self, job_id: str, before: JobRecord, now: JobRecord) -> None:
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

    def _end(self, live: JobRecord) -> None:
        if live.spec.context in self.redacted_contexts:
            self._ended.append((live.spec, self.redacted_contexts[live.spec.context]))
        self.redacted_contexts.drop(live.spec.context)
        self.payload_bytes -= _bytes_here(live.spec)
        if isinstance(live.spec.payload, StoredPayload):
            key = live.spec.payload.key
            self._needing[key] -= 1
            if not self._needing[key]:
                del self._needing[key]
                self._unneeded.append(key)

    def _begin(self, job_id: str, live: JobRecord) -> None:
        spec = live.spec
        self._file(job_id, live)
        self.payload_bytes += _bytes_here(spec)
        if isinstance(spec.payload, StoredPayload):
            self._needing[spec.payload.key] += 1
        if _is_given(live.state):
            self.waiting.note_given(spec, 1)

    def _file(self, job_id: str, record: JobRecord) -> None:
        if isinstance(record.state, Waiting):
            self.waiting.add(record.spec)
        elif isinstance(record.state, Unresolved):
            self.unresolved[job_id] = None
        elif (owner := record.owner) is not None:
            self.last_token = max(self.last_token, owner.token)
            self.owned[owner.controller][job_id] = None
            self.unconfirmed += isinstance(record.state, Placed)

    def _unfile(self, job_id: str, record: JobRecord) -> None:
        if isinstance(record.state, Waiting):
            self.waiting.discard(record.spec)
        elif isinstance(record.state, Unresolved):
            del self.unresolved[job_id]
        elif (owner := record.owner) is not None:
            del self.owned[owner.controller][job_id]
            self.unconfirmed -= isinstance(record.state, Placed)


def _is_given(state: State) -> bool:
    """Whether a controller has the job, and no worker has begun it."""
    return isinstance(state, (Placed, Scheduling))  # a union is made anew each time, eight times for each job


def _bytes_here(spec: JobSpec) -> int:
    return len(spec.payload) if isinstance(spec.payload, bytes) else 0


# -- while a journal is read -------------------------------------------------------------------------------------------


class ReplayState:
    """The records that rows and events make, in order.

    Attributes:
        records: Every job by its id: those that are final in the order in which they became so, those that live in
            that in which they were accepted.
        redacted_contexts: The contexts of live jobs, and the last of others.
        last_at: When the last of the forgotten jobs was accepted.
        last_token: The largest token of a lease that an event has named.
    """

    def __init__(self) -> None:
        self.records: dict[str, JobRecord] = {}
        self.redacted_contexts = RedactedContexts()
        self.last_at = 0.0
        self.last_token = 0

    def restore(self, records: Iterable[JobRecord]) -> None:
        """Take in records as they were."""
        for record in records:
            spec = record.spec
            self.records[spec.job_id] = record
            if not isinstance(record.state, Final):
                self.redacted_contexts.use(spec.context)

    def apply(self, event: Event) -> None:
        """Change what the event says.

        Raises:
            KeyError, AssertionError: It cannot follow those before it.
        """
        records = self.records
        match event:
            case Introduced():
                self.redacted_contexts.introduce(event.context, event.redacted)
            case Submitted():
                self.restore([accepted(event)])
            case Ended():
                record = records.pop(event.job_id)
                records[event.job_id] = after(record, event)
                self.redacted_contexts.drop(record.spec.context)
            case Adopted() if event.job_id not in records:
                self.restore([accepted(event)])
                self._note_token(event.owner)
            case Forgotten():
                record = records.pop(event.job_id)
                assert not record.is_live, f"{event.job_id} was forgotten while it was live"
                self.last_at = max(self.last_at, record.created_at)
            case Extended() if event.job_id not in records:
                pass  # it was forgotten
            case _:
                records[event.job_id] = after(records[event.job_id], event)
                if isinstance(event, Assigned | Resumed | Adopted):
                    self._note_token(event.owner)

    def _note_token(self, owner: Owner) -> None:
        self.last_token = max(self.last_token, owner.token)
