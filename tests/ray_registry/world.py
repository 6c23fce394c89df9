"""Controllers, workers and the wires to them, as the registry's shell has to do with them.

A call waits until it is delivered; so does its answer. Either may be lost, and a call may be carried out twice: the
shell repeats calls whose answer it does not get. It has one assignment and one request for reports under way for each
controller, as many stops as it likes, and gives a controller nothing before that has been told what to keep.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from typing import Any

from attrs import define, field
from checkmaite.jobs.spi import Outcome
from checkmaite.jobs_ray.controller.machine import Cancel, ControllerMachine, StaleLeaseError
from checkmaite.jobs_ray.controller.packing import Packing, is_packed
from checkmaite.jobs_ray.wire import AttemptId, Inventory, JobSpec, Launch, attempt_of

STALE = "stale"
"""The answer of a controller that does not know the lease."""


@define(eq=False)
class Call:
    """What the registry asks of a controller, and the answer once there is one."""

    controller: str
    method: str
    token: int
    registry: int
    about: Any = None
    answer: Any = None


@define(eq=False)
class Work:
    """A job's start as Ray has it."""

    attempt_id: AttemptId
    spec: JobSpec
    begun: bool = False
    cancelled: bool = False
    outcome: Outcome | None = None
    """What its worker has stored and not told yet."""


@define(eq=False)
class Process:
    """A controller's process: its machine, the Ray tasks that it owns, and what workers have posted to it.

    Attributes:
        runners: The Ray tasks that run packs of short jobs; see `sim_runners`.
    """

    name: str
    incarnation: str
    machine: ControllerMachine
    packing: Packing = field(init=False)
    runners: dict[str, Any] = field(factory=dict)
    taken: list[Launch] = field(factory=list)
    works: dict[AttemptId, Work] = field(factory=dict)
    posts: list[tuple[str, AttemptId, Any]] = field(factory=list)
    is_paused: bool = False
    leases: set[int] = field(factory=set)
    all_taken: set[tuple[int, AttemptId]] = field(factory=set)
    """Every start that it was brought, and under which lease; those of processes of its name before it too."""

    def __attrs_post_init__(self) -> None:
        self.packing = Packing(f"runner of {self.incarnation}", self.machine)

    def carry_out(self, call: Call, now: float, is_away: Callable[[Launch], bool] = lambda _: False) -> Any:
        """The answer to a call; of the jobs that it brings, the payloads of those that are away do not come."""
        machine = self.machine
        try:
            match call.method:
                case "incarnation":
                    return self.incarnation
                case "attach":
                    found = machine.attach(call.token, now)
                    self.leases.add(call.token)
                    return found
                case "keep":
                    return self._cancel(machine.keep(call.token, call.about, now), now)
                case "launch":
                    absent = {
                        attempt_of(each) for each in machine.lacking(call.token, call.about.launches) if is_away(each)
                    }
                    here = [each for each in call.about.launches if attempt_of(each) not in absent]
                    self.taken += machine.launch(call.token, here)
                    self.all_taken |= {(call.token, attempt_of(each)) for each in here}
                    return {each.spec.job_id for each in here}
                case "stop":
                    return self._cancel(machine.stop(call.token, call.about, now), now)
                case "next_reports":
                    return machine.reports(call.token, call.about)
        except StaleLeaseError:
            return STALE
        raise AssertionError(call)

    def hand_over(self, now: float) -> None:
        """Hand to Ray what was taken."""
        for launch in self.taken:
            attempt_id = launch.spec.job_id, launch.attempt
            if is_packed(launch):
                self.packing.add(launch)
            elif self.machine.begins(attempt_id, now):
                self.works[attempt_id] = Work(attempt_id, launch.spec)
        self.taken = []

    def hear(self, place: int, now: float) -> None:
        """Take in one of the posts."""
        kind, attempt_id, content = self.posts.pop(place)
        match kind:
            case "started":
                self.machine.started(attempt_id, content)
            case "progressed":
                self.machine.progressed(attempt_id, content)
            case "printed":
                self.machine.printed(attempt_id, content)
            case "ended":
                outcome, worker_lost = content
                self.machine.ended(attempt_id, outcome, worker_lost=worker_lost, now=now)

    def has(self, attempt_id: AttemptId) -> bool:
        """Whether this start is live here, or its end is still to be told."""
        task = self.machine._task(attempt_id)
        told = any((each.job_id, each.attempt) == attempt_id for each in self.machine._reports)
        return told or (task is not None and task.end is None)

    def _cancel(self, cancels: list[Cancel], now: float) -> None:
        for attempt_id, _ in cancels:
            runner = self.packing.stop(attempt_id, now)
            if runner in self.runners:
                self.runners[runner].is_asked = True
            elif attempt_id in self.works:
                self.works[attempt_id].cancelled = True


@define(eq=False)
class ControllerSession:
    """What the registry's shell knows of one controller."""

    phase: str = "down"
    token: int = -1
    incarnation: str | None = None
    after: int = 0
    busy: bool = False


@define(eq=False)
class Told:
    """What was said to be final by a registry that has died, for as long as a controller that says so lives."""

    outcome: Outcome
    controller: str


@define(eq=False)
class World:
    """All processes but the registry's."""

    processes: dict[str, Process] = field(factory=dict)
    sessions: dict[str, ControllerSession] = field(factory=dict)
    calls: defaultdict[str, list[Call]] = field(factory=lambda: defaultdict(list))
    answers: list[Call] = field(factory=list)
    begun: int = 0

    def begin(self, name: str) -> None:
        """Start a controller's process, anew if it was there: what it had is gone."""
        self.begun += 1
        incarnation = f"{name} process {self.begun}"
        machine = ControllerMachine(incarnation, retention_s=30.0, max_retained=2, max_log_characters=40)
        self.processes[name] = Process(name, incarnation, machine)

    def will_get(self, attempt_id: AttemptId, controller: str, token: int) -> bool:
        """Whether an assignment with this start is under way to a controller."""
        under_way = [*self.calls[controller], *self.answers]
        return any(
            call.method == "launch"
            and (call.controller, call.token) == (controller, token)
            and attempt_id in {(launch.spec.job_id, launch.attempt) for launch in call.about.launches}
            for call in under_way
        )


def inventory_of(answer: Any) -> Inventory:
    assert isinstance(answer, Inventory)
    return answer
