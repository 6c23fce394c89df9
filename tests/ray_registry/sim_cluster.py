"""A cluster's controllers and workers, and the analytics store, which outlives it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from datetime import UTC, datetime
from random import Random
from typing import Any

from attrs import define, field
from checkmaite.jobs import CapabilityRunRef, Reuse, ReuseKind
from checkmaite.jobs.spi import Cancelled, Completed, Failed, Outcome, Started
from checkmaite.jobs_ray.controller.machine import ControllerMachine
from checkmaite.jobs_ray.wire import AttemptId, JobSpec

from tests.ray_registry.making import CRASH, ERROR
from tests.ray_registry.sim_runners import Runner, Runners, hear, start_runners
from tests.ray_registry.world import Call, Process, Work

RETENTION_S = 30.0


def _started(attempt: int, now: float) -> Started:
    return Started(node="node", pid=attempt, at=datetime.fromtimestamp(now, UTC))


@define(frozen=True)
class Lent:
    """A large payload in the memory of a cluster; it dies with its owner, and cannot be written down."""

    content: bytes


def content_of(job_id: str, *, large: bool) -> bytes:
    """The pickled arguments of a job, as everybody else sees them."""
    return f"{'large ' * large}payload of {job_id}".encode().ljust(600)


@define(eq=False)
class Analytics:
    """The analytics store: the first write of a run wins, and it remembers which jobs have written it.

    A run whose uid is not known before has another one in each start: two starts that store it publish it twice.

    Attributes:
        first: Runs, and the job that brought each.
        runs: What each job has written, in order.
        missed: The last start of a job about which the store was asked in vain.
        found: The last start of a job that wrote before the store was asked about it: whoever asks will see that.
    """

    first: dict[str, str] = field(factory=dict)
    runs: defaultdict[str, list[str]] = field(factory=lambda: defaultdict(list))
    missed: dict[str, int] = field(factory=dict)
    found: dict[str, int] = field(factory=dict)

    def write(self, work: Work) -> Completed:
        """A worker stores its job's run."""
        job_id, attempt = work.attempt_id
        run = work.spec.order.run_uid or f"run of start {attempt} of {job_id}"
        was_there = run in self.first
        self.first.setdefault(run, job_id)
        self.runs[job_id].append(run)
        if attempt > self.missed.get(job_id, 0):
            self.found[job_id] = max(attempt, self.found.get(job_id, 0))
        return _completed(run, was_there=was_there)

    def holds(self, spec: JobSpec) -> Completed | None:
        """What it answers when it is asked for a job's run, as `stored_runs` asks."""
        uid = spec.order.run_uid
        written = (
            self.runs.get(spec.job_id, [])
            if spec.basis.policy == "never" or uid is None
            else [uid] * (uid in self.first)
        )
        return _completed(written[0], was_there=True) if written else None

    def ask(self, spec: JobSpec, attempt: int) -> Completed | None:
        """Somebody asks for the run of a job that has this many starts, and will believe the answer."""
        found = self.holds(spec)
        if found is None:
            self.missed[spec.job_id] = max(attempt, self.missed.get(spec.job_id, 0))
        return found


def run_of(spec: JobSpec) -> str:
    """A job's run, where it is known before; what stands on something else is another result."""
    return f"run of {spec.scope}/{spec.run_key}, {spec.basis.prints}"


def _completed(run: str, *, was_there: bool) -> Completed:
    ref = CapabilityRunRef(run_uid=run, capability_id="capability", store_uri=f"store/{run}")
    return Completed(ref=ref, reuse=Reuse(kind=ReuseKind.REUSED) if was_there else Reuse())


@define(eq=False)
class Cluster:
    """Controllers by name, the calls on their way to them, and works that have lost their controller.

    Attributes:
        pool_size: Controllers that there are from the beginning.
        leaving: Controllers on nodes that are drained; one that begins anew is on another node.
    """

    number: int
    dice: Random
    analytics: Analytics
    say: Any
    pool_size: int
    begins: Callable[[AttemptId], object]
    """Told of each start of a job that begins on a worker."""
    processes: dict[str, Process] = field(factory=dict)
    calls: dict[str, list[Call]] = field(factory=dict)
    orphans: list[Work] = field(factory=list)
    leaving: set[str] = field(factory=set)
    begun: int = 0
    runners: Runners = field(init=False)

    def __attrs_post_init__(self) -> None:
        self.runners = Runners(self.dice, self.analytics.write, self.begins, self.say)

    def begin(self, name: str) -> None:
        """Start a controller's process, anew if it was there: what it had is gone, though it may write once more."""
        old = self.processes.get(name)
        self.leaving.discard(name)
        if old is not None:
            self.orphans += [work for work in old.works.values() if work.begun]
            self.orphans += [each.present for each in old.runners.values() if each.present is not None]
        self.begun += 1
        incarnation = f"{name}{self.begun} of cluster {self.number}"
        machine = ControllerMachine(incarnation, retention_s=RETENTION_S, max_retained=3, max_log_characters=100)
        self.processes[name] = Process(name, incarnation, machine, all_taken=old.all_taken if old else set())
        self.calls.setdefault(name, [])

    @property
    def works(self) -> list[tuple[Process, Work]]:
        return [(process, work) for process in self.processes.values() for work in process.works.values()]

    def controller_goes_on(self, process: Process, now: float) -> None:
        """It hands over what was taken, or hears a worker."""
        for launch in process.taken:
            spec, payload = launch.spec, launch.spec.payload
            given = payload.content if isinstance(payload, Lent) else payload
            large = isinstance(payload, Lent)
            assert given == content_of(spec.job_id, large=large), f"{spec.job_id} is started with {payload}"
        process.hand_over(now)
        start_runners(process)
        if process.posts:
            self.hear(process, self.dice.randrange(len(process.posts)), now)

    def hear(self, process: Process, place: int, now: float) -> None:
        """A controller takes in one of the posts."""
        kind, (about, _), content = process.posts[place]
        if kind not in ("asked", "told", "left"):
            process.hear(place, now)
            return
        if kind != "told" or self.dice.random() > 0.1:  # what a runner tells may be told again
            process.posts.pop(place)
        if kind == "asked" and self.dice.random() < 0.02:
            self.runners.lose(process, about)
        else:
            hear(process, kind, about, content, now)

    def runner_goes_on(self, process: Process, runner: Runner) -> None:
        """A runner does something."""
        self.runners.go_on(process, runner)

    def worker_goes_on(self, process: Process, work: Work, now: float) -> None:
        """A worker begins, stores its run, says so, fails or dies; it may die between storing and saying so."""
        job_id, attempt = work.attempt_id
        luck = self.dice.random()
        if work.outcome is not None:
            if luck < 0.1:
                self._end(process, work, CRASH)
            elif luck < 0.7:
                self._end(process, work, work.outcome)
        elif work.cancelled and luck < 0.4:
            self._end(process, work, Cancelled())
        elif not work.begun:
            work.begun = True
            self.begins(work.attempt_id)
            process.posts.append(("started", work.attempt_id, _started(attempt, now)))
        elif luck < 0.5:
            work.outcome = self.analytics.write(work)
            self.say("{}'s run is stored by start {} on {}", job_id, attempt, process.incarnation, jobs=[job_id])
        elif luck < 0.6:
            self._end(process, work, ERROR)
        elif luck < 0.7:
            self._end(process, work, CRASH)

    def finish_all(self, now: float) -> None:
        """All workers complete."""
        for process, work in self.works:
            if not work.begun:
                work.begun = True
                self.begins(work.attempt_id)
                process.posts.append(("started", work.attempt_id, _started(work.attempt_id[1], now)))
            if work.cancelled:
                self._end(process, work, Cancelled())
                continue
            self._end(process, work, work.outcome or self.analytics.write(work))
        for process in self.processes.values():
            for runner in list(process.runners.values()):
                self.runners.finish(process, runner)

    def orphan_writes(self) -> None:
        """A work whose controller is dead has not noticed it yet, and stores its run."""
        if self.orphans:
            work = self.orphans.pop(self.dice.randrange(len(self.orphans)))
            if self.dice.random() < 0.5 and work.outcome is None:
                self.analytics.write(work)
                self.say(
                    "{}'s run is stored by a worker without a controller", work.attempt_id[0], jobs=[work.attempt_id[0]]
                )

    def _end(self, process: Process, work: Work, outcome: Outcome) -> None:
        del process.works[work.attempt_id]
        lost = isinstance(outcome, Failed) and outcome.lost
        process.posts.append(("ended", work.attempt_id, (outcome, lost)))
        self.say(
            "{} start {} ends as {}",
            *work.attempt_id,
            type(outcome).__name__ + " lost" * lost,
            jobs=[work.attempt_id[0]],
        )
