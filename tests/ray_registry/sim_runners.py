"""Runners of short jobs: a worker that asks its controller for packs, and everything that may come between.

What it tells, it tells whole each time, and any of it may be late, or come twice; of its answers any may be lost.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from random import Random
from typing import Any

from attrs import define, field
from checkmaite.jobs.spi import Cancelled, EndedShortJob, Finished, LeftPackNews, Outcome, RunnerNews, Started
from checkmaite.jobs_ray.wire import AttemptId

from tests.ray_registry.making import CRASH, ERROR
from tests.ray_registry.world import Process, Work

STARTED = Started(node="node", pid=1, at=datetime.fromtimestamp(0.0, UTC))
TOOK = (0.0, 0.001, 0.02, 10.0)


@define(eq=False)
class Runner:
    """One of them, on its worker.

    Attributes:
        number: Of its pack.
        waiting: Of its pack, what it has not begun.
        present: What it runs.
        ended: Of its pack, what has ended.
        unbegun: Of its pack, what it has given back.
        begun: Whether it has a worker.
        asks: Whether it waits for a pack.
        pack: The answer to that, once there is one.
        is_asked: Whether it was sent a signal.
        stops: The answers to what it has told.
    """

    name: str
    number: int = 0
    waiting: deque[Work] = field(factory=deque)
    present: Work | None = None
    ended: list[tuple[AttemptId, Outcome]] = field(factory=list)
    unbegun: list[AttemptId] = field(factory=list)
    begun: bool = False
    asks: bool = False
    pack: Sequence[Work] | None = None
    is_asked: bool = False
    stops: list[AttemptId] = field(factory=list)

    def news(self, dice: Random) -> RunnerNews:
        """All that it has to say of its pack."""
        ended = [EndedShortJob(job, dice.choice(TOOK), Finished(outcome=outcome)) for job, outcome in self.ended]
        return RunnerNews(STARTED, self.number, ended, list(self.unbegun))

    @property
    def left(self) -> LeftPackNews:
        """What its notes say."""
        running = self.present.attempt_id if self.present is not None else None
        return LeftPackNews({job: Finished(outcome=outcome) for job, outcome in self.ended}, running)


@define
class Runners:
    """How the runners of a cluster go on.

    Args:
        dice: Choose.
        write: A job's run is stored.
        begins: Told of each start that begins.
        say: Takes the story.
    """

    dice: Random
    write: Callable[[Work], Outcome]
    begins: Callable[[AttemptId], object]
    say: Callable[..., object]

    def go_on(self, process: Process, runner: Runner) -> None:
        """It does one thing."""
        luck = self.dice.random()
        if not runner.begun and luck > 0.06:
            runner.begun = True
            self._ask(process, runner)
        elif luck < 0.06 or (runner.is_asked and luck < 0.12):
            self._die(process, runner)
        elif runner.asks:
            self._receive(process, runner)
        elif runner.is_asked and luck < 0.5:
            runner.is_asked = False
            process.posts.append(("told", (runner.name, 0), runner.news(self.dice)))
        elif luck < 0.2 and runner.waiting:
            self._give_back(process, runner)
        else:
            self._stop(runner)
            self._work(process, runner)

    def lose(self, process: Process, name: str) -> None:
        """What a runner has asked did not arrive: it ends."""
        runner = process.runners.get(name)
        if runner is not None:
            self._leave(process, runner, runner.news(self.dice))

    def finish(self, process: Process, runner: Runner) -> None:
        """It asks for a pack, or runs to the end of the one that it has and ends."""
        if not runner.begun:
            runner.begun = True
            self._ask(process, runner)
        if runner.asks:
            if runner.pack is None:
                return
            self._take(runner)
        while runner.waiting or runner.present is not None:
            self._stop(runner)
            if runner.present is None and runner.waiting:
                self._begin(runner)
            elif runner.present is not None:
                outcome = Cancelled() if runner.present.cancelled else self.write(runner.present)
                self._end(runner, runner.present.outcome or outcome)
        self._leave(process, runner, runner.news(self.dice))

    # -- inside -------------------------------------------------------------------------------------------------------

    def _ask(self, process: Process, runner: Runner) -> None:
        runner.asks = True
        process.posts.append(("asked", (runner.name, 0), runner.news(self.dice)))

    def _receive(self, process: Process, runner: Runner) -> None:
        if runner.pack is None:
            return
        if runner.pack and self.dice.random() < 0.03:  # the answer never came
            self.say(
                "the pack of {} is lost on its way", runner.name, jobs=[each.attempt_id[0] for each in runner.pack]
            )
            self._leave(process, runner, runner.news(self.dice))
            return
        self._take(runner)
        if not runner.waiting:
            self._leave(process, runner, runner.news(self.dice))

    def _take(self, runner: Runner) -> None:
        assert runner.pack is not None
        runner.waiting.extend(runner.pack)
        runner.number += bool(runner.pack)
        runner.pack, runner.asks = None, False
        runner.ended.clear()
        runner.unbegun.clear()

    def _give_back(self, process: Process, runner: Runner) -> None:
        jobs = [each.attempt_id for each in runner.waiting]
        self.say("{} gives back {}", runner.name, jobs, jobs=[job for job, _ in jobs])
        runner.unbegun += jobs
        runner.waiting.clear()
        process.posts.append(("told", (runner.name, 0), runner.news(self.dice)))

    def _stop(self, runner: Runner) -> None:
        stops, runner.stops = runner.stops, []
        for work in [each for each in runner.waiting if each.attempt_id in stops]:
            runner.waiting.remove(work)
            runner.ended.append((work.attempt_id, Cancelled()))
        if runner.present is not None and runner.present.attempt_id in stops:
            runner.present.cancelled = True

    def _work(self, process: Process, runner: Runner) -> None:
        luck, work = self.dice.random(), runner.present
        if work is None:
            if runner.waiting:
                self._begin(runner)
            elif luck < 0.7:
                self._ask(process, runner)
            else:
                self._leave(process, runner, runner.news(self.dice))
        elif work.outcome is not None:
            self._end(runner, work.outcome)
        elif work.cancelled and luck < 0.5:
            self._end(runner, Cancelled())
        elif luck < 0.7:
            work.outcome = self.write(work)
            self.say("{}'s run is stored by start {} on {}", *work.attempt_id, runner.name, jobs=[work.attempt_id[0]])
        elif luck < 0.8:
            self._end(runner, ERROR)

    def _begin(self, runner: Runner) -> None:
        runner.present = work = runner.waiting.popleft()
        work.begun = True
        self.begins(work.attempt_id)

    def _end(self, runner: Runner, outcome: Outcome) -> None:
        assert runner.present is not None
        attempt_id, runner.present = runner.present.attempt_id, None
        runner.ended.append((attempt_id, outcome))
        self.say("{} start {} ends as {}", *attempt_id, type(outcome).__name__, jobs=[attempt_id[0]])

    def _leave(self, process: Process, runner: Runner, news: RunnerNews) -> None:
        del process.runners[runner.name]
        process.posts.append(("left", (runner.name, 0), (news, LeftPackNews({}, None))))

    def _die(self, process: Process, runner: Runner) -> None:
        """It dies; its notes are found, or its node went with it."""
        jobs = [job for job, _ in runner.left.ended] + [each.attempt_id[0] for each in runner.waiting]
        self.say("{} dies with {}", runner.name, runner.left.running, jobs=jobs)
        del process.runners[runner.name]
        left: Any = runner.left if self.dice.random() < 0.8 else None
        process.posts.append(("left", (runner.name, 0), (None, left)))


def hear(process: Process, kind: str, runner: str, content: Any, now: float) -> None:
    """A controller hears a runner, as the shipped actor does."""
    packing, there = process.packing, process.runners.get(runner)
    match kind:
        case "asked":
            packing.take(runner, content, now)
            given = packing.give(runner, content.started, now)
            if there is not None:
                there.pack = [Work((each.spec.job_id, each.attempt), each.spec) for each in given]
        case "told":
            packing.take(runner, content, now)
            if there is not None:
                there.stops += packing.stops_of(runner)
        case "left":
            news, left = content
            if news is not None:
                packing.take(runner, news, now)
            for attempt_id in packing.over(runner, left, CRASH, now):
                process.posts.append(("ended", attempt_id, (CRASH, True)))
    start_runners(process)


def start_runners(process: Process) -> None:
    """Ray starts what the controller orders."""
    for order in process.packing.orders():
        process.runners[order.runner] = Runner(order.runner)
