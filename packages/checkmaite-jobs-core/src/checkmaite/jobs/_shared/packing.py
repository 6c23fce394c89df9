"""Which short jobs a runner gets: one task that runs packs of them, so that not each costs a task of its own.

Short jobs wait here. They go out in packs, which are made to take `PACK_S` by what jobs of their capabilities took so
far: a backend starts runners that ask for packs (`orders` and `give`), or starts each with its only one (`packs`). A
job is with one runner at most, and what a runner says of a job that it does not have counts for nothing: so one that
was given back and is run by another cannot be ended by the first.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Collection, Hashable, Iterator, Mapping, Sequence
from math import ceil
from typing import TYPE_CHECKING, Generic, NamedTuple, Protocol, TypeVar

from attrs import define, field
from checkmaite.jobs._shared.news import Started
from checkmaite.jobs._shared.outcome import Failed
from checkmaite.jobs._shared.paces import PACK_S, Paces

if TYPE_CHECKING:
    from checkmaite.jobs._workers.execution import Finished

MOST_PACKED_BYTES = 2**20
"""Arguments of a job that shares a runner, and of all jobs of a pack, have at most so many."""
_MOST_JOBS = 200
Start = tuple[str, int]
"""A job's id, and the number of its start."""
Job = TypeVar("Job")


class ShortJob(NamedTuple, Generic[Job]):
    """A short job.

    Attributes:
        start: Which start of which job.
        kind: What the jobs of one runner have in common.
        capability_id: Its capability.
        size: Bytes of its arguments.
        job: What the backend has of it.
    """

    start: Start
    kind: Hashable
    capability_id: str
    size: int
    job: Job


class ShortJobs(Protocol[Job]):
    """What a backend knows of its jobs, and is told of them."""

    def described(self, job: Job) -> ShortJob[Job]:
        """What there is to know of one."""
        ...

    def begins(self, start: Start, now: float) -> bool:
        """Whether a job that is to be given to a runner is still to run; one that was stopped ends with this."""
        ...

    def ended(self, start: Start, finished: Finished, now: float) -> None:
        """A job has ended."""
        ...

    def cancelled(self, start: Start, now: float) -> None:
        """A job was stopped before a runner had it."""
        ...

    def doubted(self, start: Start, failed: Failed, now: float) -> None:
        """A job's runner is gone, and may have begun it and stored its run; nobody knows, and it is not to blame."""
        ...


class RunnerOrder(NamedTuple, Generic[Job]):
    """A runner that is to be started.

    Attributes:
        runner: Its id.
        pattern: One of the jobs that wait for it: what there is to know of a runner is the same for all of them.
    """

    runner: str
    pattern: Job


class EndedShortJob(NamedTuple):
    """How a job ended, as a runner says, and in how many seconds."""

    start: Start
    took_s: float
    finished: Finished


class RunnerNews(NamedTuple):
    """What a runner says of its present pack; see `PackNews`."""

    started: Started
    number: int
    ended: Sequence[EndedShortJob]
    unbegun: Sequence[Start]


class LeftPackNews(NamedTuple):
    """What is known of the pack of a runner that has died."""

    ended: Mapping[Start, Finished]
    running: Start | None


NOTHING_BEGUN = LeftPackNews({}, None)


@define
class _Queue(Generic[Job]):
    waiting: OrderedDict[Start, ShortJob[Job]] = field(factory=OrderedDict)
    coming: int = 0
    """Runners that have not said anything yet."""


@define
class _Runner(Generic[Job]):
    kind: Hashable
    started: Started | None = None
    number: int = 0
    given: dict[Start, ShortJob[Job]] = field(factory=dict)
    stopped: set[Start] = field(factory=set)


class Packing(Generic[Job]):
    """The short jobs of one owner of tasks.

    Args:
        prefix: Ids of runners begin so; another one for each start of the owner's process.
        jobs: What is known of them.
        ahead: So many runners of a kind are started before the first of them has said anything.
    """

    def __init__(self, prefix: str, jobs: ShortJobs[Job], *, ahead: int) -> None:
        self._prefix = prefix
        self._jobs = jobs
        self._ahead = ahead
        self._queues: dict[Hashable, _Queue[Job]] = {}
        self._runners: dict[str, _Runner[Job]] = {}
        self._having: dict[Start, str] = {}
        self._paces = Paces()
        self._number = 0

    def add(self, job: Job) -> None:
        """A job waits for a runner."""
        self._wait(self._jobs.described(job))

    def orders(self) -> list[RunnerOrder[Job]]:
        """The runners that have to be started for what waits, which will ask for packs; each is ordered once."""
        found = []
        for kind, queue in self._queues.items():
            if not queue.waiting:
                continue
            pattern = next(iter(queue.waiting.values()))
            packs = max(1, ceil(len(queue.waiting) * self._paces.of(pattern.capability_id) / PACK_S))
            while queue.coming < min(packs, self._ahead):
                found.append(RunnerOrder(self._come(kind, queue), pattern.job))
        return found

    def packs(self, now: float) -> Iterator[tuple[str, list[Job]]]:
        """The packs that have to be started, each with the id of its runner, which runs that one alone."""
        for kind, queue in list(self._queues.items()):
            while queue.waiting and queue.coming < self._ahead:
                runner = self._come(kind, queue)
                if pack := self._fill(self._runners[runner], queue, runner, now):
                    yield runner, pack
                else:  # all that waited is to stop
                    del self._runners[runner]
                    queue.coming -= 1

    def refused(self, runner: str) -> list[Start]:
        """A runner cannot be started: the jobs that waited for one of its kind, which wait no more, and its own.

        One that has begun is no concern of theirs.
        """
        mine = self._runners.get(runner)
        if mine is None or mine.started is not None:
            return []
        del self._runners[runner]
        queue = self._queues[mine.kind]
        queue.coming -= 1
        refused = [*mine.given, *queue.waiting]
        for start in mine.given:
            del self._having[start]
        queue.waiting.clear()
        return refused

    def give(self, runner: str, started: Started, now: float) -> list[Job]:
        """The next pack for a runner; nothing when none waits, or it is not known here, so that it ends."""
        mine = self._runners.get(runner)
        if mine is None or mine.given:
            return []
        self.began(runner, started)
        return self._fill(mine, self._queues.setdefault(mine.kind, _Queue()), runner, now)

    def began(self, runner: str, started: Started) -> None:
        """A runner has a process, as it says."""
        mine = self._runners.get(runner)
        if mine is not None and mine.started is None:
            mine.started = started
            self._queues.setdefault(mine.kind, _Queue()).coming -= 1

    def take(self, runner: str, news: RunnerNews, now: float) -> list[Job]:
        """Take in what a runner says; the jobs that it has completed. What it gives back waits for another."""
        mine, completed = self._runners.get(runner), []
        if mine is None or news.number != mine.number:  # it is about an earlier pack, of which all was said
            return []
        self.began(runner, news.started)
        for start, took_s, finished in news.ended:
            short = self._leaves(mine, start)
            if short is not None:
                self._paces.measure(short.capability_id, took_s)
                self._jobs.ended(start, finished, now)
                completed.append(short.job)
        self._return(mine, news.unbegun, now)
        return completed

    def stops_of(self, runner: str) -> Collection[Start]:
        """Of the jobs that a runner has, those that are to stop."""
        mine = self._runners.get(runner)
        return list(mine.stopped) if mine is not None else []

    def stop(self, start: Start, now: float) -> str | None:
        """A job is to stop, or was given away: the runner that has it, which has to be told; None when none has."""
        runner = self._having.get(start)
        if runner is None:
            for queue in self._queues.values():
                if queue.waiting.pop(start, None) is not None:
                    self._jobs.cancelled(start, now)
            return None
        self._runners[runner].stopped.add(start)
        return runner

    def runner_of(self, start: Start) -> str | None:
        """The runner that has a job."""
        return self._having.get(start)

    def shares(self, runner: str) -> bool:
        """Whether a runner has several jobs, as far as it has told."""
        mine = self._runners.get(runner)
        return mine is not None and len(mine.given) > 1

    def begun(self) -> dict[str, Started]:
        """The runners that have begun, and their processes."""
        return {name: each.started for name, each in self._runners.items() if each.started is not None}

    def pattern_of(self, runner: str) -> tuple[Started, Job] | None:
        """The process of a runner that has jobs, and one of them; None when it has none."""
        mine = self._runners.get(runner)
        if mine is None or mine.started is None or not mine.given:
            return None
        return mine.started, next(iter(mine.given.values())).job

    def over(self, runner: str, left: LeftPackNews | None, failed: Failed, now: float) -> list[Start]:
        """A runner is no more; of the jobs that it had those whose loss with it has to be explained.

        Args:
            runner: It.
            left: What is known of its pack; None when nothing is.
            failed: How a job ends of which nothing is known, if no other start follows.
            now: The time.
        """
        mine = self._runners.pop(runner, None)
        if mine is None:
            return []
        if mine.started is None:
            queue = self._queues[mine.kind]
            queue.coming -= 1
            if not mine.given:
                # Each worker may die before it begins: as with tasks of their own, that costs a job a start.
                return [queue.waiting.popitem(last=False)[0]] if left is None and queue.waiting else []
        lost = list(mine.given) if left is None else [left.running] if left.running in mine.given else []
        if left is not None:
            for start, finished in left.ended.items():
                if self._leaves(mine, start) is not None:
                    self._jobs.ended(start, finished, now)
        for start in lost:
            self._leaves(mine, start)
        self._return(mine, list(mine.given), now)
        if left is None and len(lost) > 1:  # each may have begun and stored its run, and none is to blame
            for start in lost:
                self._jobs.doubted(start, failed, now)
            return []
        return lost

    def sweep(self) -> None:
        """Forget kinds of which there is nothing."""
        kinds = {each.kind for each in self._runners.values()}
        self._queues = {kind: each for kind, each in self._queues.items() if each.waiting or kind in kinds}

    # -- inside -------------------------------------------------------------------------------------------------------

    def _wait(self, short: ShortJob[Job]) -> None:
        self._queues.setdefault(short.kind, _Queue()).waiting[short.start] = short

    def _come(self, kind: Hashable, queue: _Queue[Job]) -> str:
        self._number += 1
        runner = f"{self._prefix}-{self._number}"
        queue.coming += 1
        self._runners[runner] = _Runner(kind)
        return runner

    def _fill(self, mine: _Runner[Job], queue: _Queue[Job], runner: str, now: float) -> list[Job]:
        size, takes_s = 0, 0.0
        while queue.waiting and len(mine.given) < _MOST_JOBS and size < MOST_PACKED_BYTES:
            start, short = next(iter(queue.waiting.items()))
            takes_s += self._paces.of(short.capability_id)
            if mine.given and takes_s > PACK_S:
                break
            del queue.waiting[start]
            if self._jobs.begins(start, now):
                mine.given[start] = short
                self._having[start] = runner
                size += short.size
        mine.number += bool(mine.given)
        return [each.job for each in mine.given.values()]

    def _leaves(self, mine: _Runner[Job], start: Start) -> ShortJob[Job] | None:
        """A runner has a job no more; None when it has not had it."""
        short = mine.given.pop(start, None)
        if short is not None:
            del self._having[start]
            mine.stopped.discard(start)
        return short

    def _return(self, mine: _Runner[Job], starts: Collection[Start], now: float) -> None:
        """A runner has not begun these: they wait again, but for those that are to stop."""
        for start in starts:
            short = self._leaves(mine, start)
            if short is not None and self._jobs.begins(start, now):
                self._wait(short)
