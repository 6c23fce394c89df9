"""A registry's end of one controller, as `ControllerSession` is, a message at a time."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, Protocol

from attrs import define
from checkmaite.jobs import JobsError, StoreError, StoreNotFoundError
from checkmaite.jobs.spi import failure
from checkmaite.jobs_ray.journal.steps import Steps
from checkmaite.jobs_ray.registry.model.lifecycle import StopJobs
from checkmaite.jobs_ray.registry.model.machine import Assignment, RegistryMachine
from checkmaite.jobs_ray.wire import EndReport, Launch, StoredPayload

from tests.ray_registry.sim_cluster import Lent
from tests.ray_registry.sim_steps import loading
from tests.ray_registry.world import STALE, Call

DIED = "its controller's process died"
GONE = "its controller and its registry were lost"
SILENT = "its controller was silent"


class Owner(Protocol):
    """The registry, as a link sees it."""

    machine: RegistryMachine
    number: int

    @property
    def now(self) -> float: ...
    def after(self) -> None: ...
    def durable(self, then: Callable[[], object], refused: Callable[[JobsError], object] = ...) -> None: ...
    def send(self, call: Call) -> None: ...
    def run(self, what: str, steps: Steps[Any], then: Callable[[Any], object], failed: Any) -> None: ...


@define(eq=False)
class SimLink:
    """One controller of the pool; see `ControllerSession`.

    Attributes:
        phase: "down", "attaching", "keeping", "up".
        keeping: Whether it was taken over, and has not been heard to know what to keep.
        excused: Whether a call to it was lost, so that jobs that it still has may be given up.
    """

    owner: Owner
    name: str
    phase: str = "down"
    reason: str = DIED
    incarnation: str | None = None
    asked: str | None = None
    token: int = -1
    last: int = 0
    busy: bool = False
    keeping: bool = False
    excused: bool = False
    is_over: bool = False

    @property
    def is_ready(self) -> bool:
        return self.phase == "up" and not self.busy

    def attach(self) -> None:
        """Begin to become the one that the controller listens to."""
        self.phase = "attaching"
        self._call("incarnation")

    def give(self, assignment: Assignment) -> None:
        """Hand jobs to the controller, once their payloads are there."""
        ready: list[Launch] = []
        self._make_ready(assignment, list(assignment.launches), ready)

    def stop(self, effect: StopJobs) -> None:
        self._call("stop", effect.stops, token=effect.token)

    def answer(self, call: Call) -> None:
        """A call was answered."""
        owner, machine = self.owner, self.owner.machine
        if call.method == "launch":
            if call.answer != STALE and self.token == call.token:
                assignment = call.about.original
                machine.confirm(assignment, call.answer, owner.now)
                self.busy = False
                owner.after()
            return
        if call.method == "stop" or self.is_over:
            return
        if call.answer == STALE:
            self._down(self.reason)
        elif call.method == "incarnation":
            self._give_up_what_it_had(call.answer)
            self.asked = call.answer
            self.token = machine.grant(self.name, owner.now)
            self._call("attach")
        elif call.method == "attach":
            found = call.answer
            keep = machine.adopt(self.name, self.token, found.held, owner.now)
            machine.miss(self.name, self.token, GONE, owner.now, served=found.served)
            self.incarnation, self.phase, self.last, self.keeping = self.asked, "keeping", found.last, True
            owner.after()
            owner.durable(partial(self._call, "keep", keep))
        elif call.method == "keep":
            self.busy, self.phase, self.keeping = False, "up", False
            owner.after()
            self._call("feed", self.last)
        elif call.method == "feed":
            self.last, reports = call.answer
            machine.report(self.name, self.token, reports, owner.now)
            owner.after()
            owner.durable(partial(self._call, "feed", self.last))

    def lost(self, call: Call, incarnation: str) -> None:
        """A call, or the answer to it, is lost; `incarnation` is the process that is there now."""
        if call.method in ("launch", "stop"):
            if self.token == call.token:
                self.owner.send(call)
        elif self.is_over:
            return
        elif call.method == "feed" and incarnation == self.incarnation:
            self._call("feed", self.last)
        elif call.method == "keep" and incarnation == self.incarnation:
            self._down(self.reason)  # the controller goes on with what it has, and so does the registry
        else:
            self.excused = True
            if call.method == "incarnation":
                self._lose()
            self._down(DIED if call.method == "feed" else self.reason)

    def silent(self) -> None:
        """The controller has not answered in time; its process was ended."""
        self.excused = True
        self._down(SILENT)

    # -- inside -------------------------------------------------------------------------------------------------------

    def _give_up_what_it_had(self, incarnation: str) -> None:
        anew = incarnation != self.incarnation
        if self.incarnation is not None and (anew or not self.keeping):
            self.owner.machine.lose(self.name, DIED if anew else self.reason, self.owner.now)
            self.owner.after()

    def _lose(self) -> None:
        machine, now = self.owner.machine, self.owner.now
        self.keeping = False
        if self.incarnation is None:
            machine.miss(self.name, self.token, GONE, now)
        else:
            machine.lose(self.name, self.reason, now)
        self.owner.after()

    def _down(self, reason: str) -> None:
        self.phase, self.reason = "down", reason
        self.owner.after()

    def _call(self, method: str, about: Any = None, *, token: int | None = None) -> None:
        if not self.is_over or method == "stop":
            token = self.token if token is None else token
            self.owner.send(Call(self.name, method, token, self.owner.number, about))

    def _make_ready(self, assignment: Assignment, left: list[Launch], ready: list[Launch]) -> None:
        while left:
            launch = left[0]
            payload = launch.spec.payload
            if isinstance(payload, StoredPayload) and payload.ref is None:
                self._load(payload, assignment, left, ready)
                return
            if payload is None:
                error = StoreNotFoundError("what the job needs to start was lost")
                self._cannot(assignment, left.pop(0), error)
                continue
            left.pop(0)
            if isinstance(payload, StoredPayload):
                launch = launch._replace(spec=launch.spec._replace(payload=payload.ref))
            ready.append(launch)
        if self.token == assignment.token:
            self.owner.send(Call(self.name, "launch", assignment.token, self.owner.number, Ready(assignment, ready)))

    def _load(self, kept: StoredPayload, assignment: Assignment, left: list[Launch], ready: list[Launch]) -> None:
        def loaded(content: bytes) -> None:
            left[0] = left[0]._replace(spec=left[0].spec._replace(payload=Lent(content)))
            self._make_ready(assignment, left, ready)

        self.owner.run(f"load {kept.key}", loading(kept), loaded, partial(self._not_loaded, assignment, left, ready))

    def _not_loaded(self, assignment: Assignment, left: list[Launch], ready: list[Launch], error: JobsError) -> None:
        assert isinstance(error, StoreError)
        if self.token != assignment.token:
            return
        if not error.retryable:
            self._cannot(assignment, left.pop(0), error)
        self._make_ready(assignment, left, ready)

    def _cannot(self, assignment: Assignment, launch: Launch, error: StoreError) -> None:
        job_id, now = launch.spec.job_id, self.owner.now
        end = EndReport(job_id, launch.attempt, failure(error, phase="launch"), worker_lost=False, at=now)
        self.owner.machine.report(self.name, assignment.token, [end], now)
        self.owner.after()


@define(eq=False)
class Ready:
    """What is sent of an assignment."""

    original: Assignment
    launches: list[Launch]
