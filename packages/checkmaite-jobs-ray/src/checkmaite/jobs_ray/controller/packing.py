"""Which short jobs a runner gets: one Ray task that runs packs of them, so that not each costs a task of its own.

Short jobs wait here and not in Ray. Runners ask for packs, which are made to take `PACK_S` by what jobs of their
capabilities have taken so far. A job is with one runner at most, and what a runner says of a job that it does not have
counts for nothing: so one that was given back and is run by another cannot be ended by the first.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Collection, Mapping, Sequence
from math import ceil
from typing import NamedTuple

from attrs import define, field
from checkmaite.jobs import Resources
from checkmaite.jobs.spi import Cancelled, Failed, Finished, Started, accelerators_of
from checkmaite.jobs_ray.controller.machine import ControllerMachine
from checkmaite.jobs_ray.wire import AttemptId, Launch, attempt_of

PACK_S = 0.05
_UNKNOWN_S = 0.006
"""What a job is taken to take whose capability was not seen yet."""
_WEIGHT = 0.25
_MOST_JOBS = 200
_MOST_BYTES = 2**20
_AHEAD = 4
"""Runners of a kind that Ray is asked for before the first of them has begun."""
_REMEMBERED = 1_000

Kind = tuple[str, Resources]
"""What the jobs of one runner have in common: context and resources."""


def is_packed(launch: Launch) -> bool:
    """Whether a job shares a runner: one that is short, needs no process of its own, and is small."""
    spec = launch.spec
    return (
        (launch.is_short or spec.resources.short)
        and spec.policy.isolation == "reuse"
        and not accelerators_of(spec.resources)
        and isinstance(spec.payload, bytes)
        and len(spec.payload) <= _MOST_BYTES
    )


class RunnerOrder(NamedTuple):
    """A runner that Ray is to start.

    Attributes:
        runner: Its id.
        pattern: One of the jobs that wait for it: what Ray has to know of all of them is the same.
    """

    runner: str
    pattern: Launch


class EndedShortJob(NamedTuple):
    """How a job ended, as a runner says, and in how many seconds."""

    attempt_id: AttemptId
    took_s: float
    finished: Finished


class RunnerNews(NamedTuple):
    """What a runner says of its present pack; see core's `PackNews`."""

    started: Started
    number: int
    ended: Sequence[EndedShortJob]
    unbegun: Sequence[AttemptId]


class LeftPackNews(NamedTuple):
    """What is known of the pack of a runner that has died."""

    ended: Mapping[AttemptId, Finished]
    running: AttemptId | None


@define
class _Queue:
    waiting: OrderedDict[AttemptId, Launch] = field(factory=OrderedDict)
    coming: int = 0


@define
class _Runner:
    kind: Kind
    started: Started | None = None
    number: int = 0
    given: dict[AttemptId, Launch] = field(factory=dict)
    stopped: set[AttemptId] = field(factory=set)


class Packing:
    """The short jobs of one controller.

    Args:
        prefix: Ids of runners begin so; another one for each start of the controller's process.
        machine: The controller's.
    """

    def __init__(self, prefix: str, machine: ControllerMachine) -> None:
        self._prefix = prefix
        self._machine = machine
        self._queues: dict[Kind, _Queue] = {}
        self._runners: dict[str, _Runner] = {}
        self._having: dict[AttemptId, str] = {}
        self._paces: OrderedDict[str, float] = OrderedDict()
        self._number = 0

    def add(self, launch: Launch) -> None:
        """A job waits for a runner."""
        spec = launch.spec
        self._queues.setdefault((spec.context, spec.resources), _Queue()).waiting[attempt_of(launch)] = launch

    def orders(self) -> list[RunnerOrder]:
        """The runners that Ray has to start for what waits; each is ordered once."""
        found = []
        for kind, queue in self._queues.items():
            if not queue.waiting:
                continue
            pattern = next(iter(queue.waiting.values()))
            packs = max(1, ceil(len(queue.waiting) * self._pace(pattern) / PACK_S))
            while queue.coming < min(packs, _AHEAD):
                self._number += 1
                runner = f"{self._prefix}-{self._number}"
                queue.coming += 1
                self._runners[runner] = _Runner(kind)
                found.append(RunnerOrder(runner, pattern))
        return found

    def refused(self, runner: str) -> list[AttemptId]:
        """Ray cannot start a runner: the jobs that waited for one of its kind, which wait no more.

        One that has begun is no concern of theirs.
        """
        mine = self._runners.get(runner)
        if mine is None or mine.started is not None:
            return []
        del self._runners[runner]
        queue = self._queues[mine.kind]
        queue.coming -= 1
        refused = list(queue.waiting)
        queue.waiting.clear()
        return refused

    def give(self, runner: str, started: Started, now: float) -> list[Launch]:
        """The next pack for a runner; nothing when none waits, or it is not known here, so that it ends."""
        mine = self._runners.get(runner)
        if mine is None or mine.given:
            return []
        queue = self._queues.setdefault(mine.kind, _Queue())
        if mine.started is None:
            mine.started = started
            queue.coming -= 1
        size, takes_s = 0, 0.0
        while queue.waiting and len(mine.given) < _MOST_JOBS and size < _MOST_BYTES:
            attempt_id, launch = next(iter(queue.waiting.items()))
            takes_s += self._pace(launch)
            if mine.given and takes_s > PACK_S:
                break
            del queue.waiting[attempt_id]
            if self._machine.begins(attempt_id, now):
                mine.given[attempt_id] = launch
                self._having[attempt_id] = runner
                size += len(launch.spec.payload)
        mine.number += bool(mine.given)
        return list(mine.given.values())

    def take(self, runner: str, news: RunnerNews, now: float) -> list[Launch]:
        """Take in what a runner says; the jobs that it has completed. What it gives back waits for another."""
        mine, completed = self._runners.get(runner), []
        if mine is None or news.number != mine.number:  # it is about an earlier pack, of which all was said
            return []
        for attempt_id, took_s, finished in news.ended:
            launch = self._leaves(mine, attempt_id)
            if launch is not None:
                self._measure(launch, took_s)
                self._end(attempt_id, finished, now)
                completed.append(launch)
        self._return(mine, news.unbegun, now)
        return completed

    def stops_of(self, runner: str) -> Collection[AttemptId]:
        """Of the jobs that a runner has, those that are to stop."""
        mine = self._runners.get(runner)
        return list(mine.stopped) if mine is not None else []

    def stop(self, attempt_id: AttemptId, now: float) -> str | None:
        """A job is to stop, or was given away: the runner that has it, which has to be told; None when none has."""
        runner = self._having.get(attempt_id)
        if runner is None:
            for queue in self._queues.values():
                if queue.waiting.pop(attempt_id, None) is not None:
                    self._machine.ended(attempt_id, Cancelled(), worker_lost=False, now=now)
            return None
        self._runners[runner].stopped.add(attempt_id)
        return runner

    def runner_of(self, attempt_id: AttemptId) -> str | None:
        """The runner that has a job."""
        return self._having.get(attempt_id)

    def shares(self, runner: str) -> bool:
        """Whether a runner has several jobs, as far as it has told."""
        mine = self._runners.get(runner)
        return mine is not None and len(mine.given) > 1

    def begun(self) -> dict[str, Started]:
        """The runners that have begun, and their processes."""
        return {name: each.started for name, each in self._runners.items() if each.started is not None}

    def pattern_of(self, runner: str) -> tuple[Started, Launch] | None:
        """The process of a runner that has jobs, and one of them; None when it has none."""
        mine = self._runners.get(runner)
        if mine is None or mine.started is None or not mine.given:
            return None
        return mine.started, next(iter(mine.given.values()))

    def over(self, runner: str, left: LeftPackNews | None, failed: Failed, now: float) -> list[AttemptId]:
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
            # Each worker may die before it begins: as with tasks of their own, that costs a job a start.
            return [queue.waiting.popitem(last=False)[0]] if left is None and queue.waiting else []
        lost = list(mine.given) if left is None else [left.running] if left.running in mine.given else []
        if left is not None:
            for attempt_id, finished in left.ended.items():
                if self._leaves(mine, attempt_id) is not None:
                    self._end(attempt_id, finished, now)
        for attempt_id in lost:
            self._leaves(mine, attempt_id)
        self._return(mine, list(mine.given), now)
        if left is None and len(lost) > 1:  # each may have begun and stored its run, and none is to blame
            for attempt_id in lost:
                self._machine.ended(attempt_id, failed, worker_lost=True, now=now, counts=False, in_doubt=True)
            return []
        return lost

    def sweep(self) -> None:
        """Forget kinds of which there is nothing."""
        kinds = {each.kind for each in self._runners.values()}
        self._queues = {kind: each for kind, each in self._queues.items() if each.waiting or kind in kinds}

    # -- inside -------------------------------------------------------------------------------------------------------

    def _leaves(self, mine: _Runner, attempt_id: AttemptId) -> Launch | None:
        """A runner has a job no more; None when it has not had it."""
        launch = mine.given.pop(attempt_id, None)
        if launch is not None:
            del self._having[attempt_id]
            mine.stopped.discard(attempt_id)
        return launch

    def _return(self, mine: _Runner, attempt_ids: Collection[AttemptId], now: float) -> None:
        """A runner has not begun these: they wait again, but for those that are to stop."""
        for attempt_id in attempt_ids:
            launch = self._leaves(mine, attempt_id)
            if launch is not None and self._machine.begins(attempt_id, now):
                self.add(launch)

    def _end(self, attempt_id: AttemptId, finished: Finished, now: float) -> None:
        if finished.printed is not None:
            self._machine.printed(attempt_id, finished.printed)
        self._machine.ended(
            attempt_id,
            finished.outcome,
            worker_lost=False,
            now=now,
            started=finished.started,
            used=finished.used,
            took_s=finished.took_s,
        )

    def _pace(self, launch: Launch) -> float:
        return self._paces.get(launch.spec.capability_id, _UNKNOWN_S)

    def _measure(self, launch: Launch, took_s: float) -> None:
        """Note what a job has taken; one that was long counts as one that fills a pack."""
        capability, took_s = launch.spec.capability_id, min(took_s, PACK_S)
        before = self._paces.pop(capability, took_s)
        self._paces[capability] = before + _WEIGHT * (took_s - before)
        if len(self._paces) > _REMEMBERED:
            self._paces.popitem(last=False)
