"""A registry's process: `Shell`, `GroupCommit` and `JournalWriter` in steps that anything may come between.

It keeps to their discipline: what a command changes is queued at once, one writer makes the queue durable in batches,
and whatever follows from an event, inside the cluster or out, waits until it and all before it are durable.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from itertools import islice
from typing import Any, Protocol

from attrs import define, field
from checkmaite.jobs import JobsError, StoreError
from checkmaite.jobs.spi import Completed
from checkmaite.jobs_ray.journal.format import Leader, SupersededError
from checkmaite.jobs_ray.journal.schema import rows_of, snapshot_rows
from checkmaite.jobs_ray.journal.steps import Steps
from checkmaite.jobs_ray.journal.storage import Journal
from checkmaite.jobs_ray.registry.model.events import Event
from checkmaite.jobs_ray.registry.model.job_table import JobTable
from checkmaite.jobs_ray.registry.model.lifecycle import AskStore, Effect, StopJobs
from checkmaite.jobs_ray.registry.model.machine import RegistryMachine
from checkmaite.jobs_ray.registry.model.placement import Limits
from checkmaite.jobs_ray.wire import StoredPayload

from tests.ray_registry.sim_clients import Ask
from tests.ray_registry.sim_cluster import Cluster
from tests.ray_registry.sim_desk import Desk
from tests.ray_registry.sim_disk import Errand
from tests.ray_registry.sim_session import SimLink
from tests.ray_registry.sim_steps import deleting, opening, stored
from tests.ray_registry.world import Call

NONE_KEPT: Mapping[str, StoredPayload] = {}
LARGE = b"large"
"""How payloads begin that are kept beside the journal."""


class Surroundings(Protocol):
    """The simulation, as a registry sees it."""

    now: float
    dice: Any
    limits: Limits
    zeal: float
    say: Callable[..., None]

    def new_nonce(self) -> str: ...
    def opened(self, registry: SimRegistry, journal: Journal, table: JobTable) -> None: ...
    def happened(self, registry: SimRegistry, events: Sequence[Event]) -> None: ...
    def answered(self, registry: SimRegistry, ask: Ask, answer: Any) -> None: ...


@define(eq=False)
class SimRegistry:
    """One process.

    Attributes:
        state: "opening", "open", "over" once it has been superseded, "dead".
        waits: What clients have asked and it has not looked at.
        ready: What it will do next, in order.
        errands: What asks for storage calls on its behalf.
        answers: Of controllers.
        asking: Questions to the analytics store that are to be put.
    """

    around: Surroundings
    cluster: Cluster
    number: int
    machine: RegistryMachine = field(init=False)
    journal: Journal = field(init=False)
    desk: Desk = field(init=False)
    state: str = "opening"
    is_paused: bool = False
    waits: list[Ask] = field(factory=list)
    ready: deque[Callable[[], object]] = field(factory=deque)
    errands: list[Errand] = field(factory=list)
    answers: list[Call] = field(factory=list)
    asking: list[AskStore] = field(factory=list)
    sessions: dict[str, SimLink] = field(factory=dict)
    changed: dict[str, None] = field(factory=dict)
    _events: deque[Event] = field(factory=deque)
    _happened: int = 0
    _durable: int = 0
    _then: deque[tuple[int, Callable[[], object]]] = field(factory=deque)
    _waiting: deque[tuple[int, Callable[[], object], Callable[[JobsError], object]]] = field(factory=deque)
    _writing: bool = False
    _snapshotting: bool = False
    _ended_by: JobsError | None = None

    def __attrs_post_init__(self) -> None:
        self.desk = Desk(self)
        self._open()

    @property
    def name(self) -> str:
        return f"registry {self.number}"

    @property
    def now(self) -> float:
        return self.around.now

    @property
    def is_awake(self) -> bool:
        return self.state != "dead" and not self.is_paused

    @property
    def may_act(self) -> bool:
        """Whether its loops run."""
        return self.state == "open" and not self.is_paused

    @property
    def is_settled(self) -> bool:
        """Whether everything that has happened is durable."""
        return self.state == "open" and self._happened == self._durable

    @property
    def wants_to_write(self) -> bool:
        return bool(self._events) and not self._writing and self.state == "open"

    # -- its beginning ------------------------------------------------------------------------------------------------

    def _open(self) -> None:
        leader = Leader(
            id=self.around.new_nonce(), host="host", boot_id="", pid=self.number, started_at=self.now, where=self.name
        )
        steps = opening(leader, self.around.new_nonce)
        self.run("open the journal", steps, self._opened, self._not_opened)

    def _not_opened(self, error: JobsError) -> None:
        assert isinstance(error, StoreError), error
        assert error.retryable, error
        self._open()

    def _opened(self, found: tuple[Journal, JobTable]) -> None:
        self.journal, table = found
        self.around.opened(self, self.journal, table)
        epoch = int(self.journal.leader.started_at * 1_000_000)
        self.machine = RegistryMachine(self.around.limits, epoch=epoch, table=table, now=self.now)
        self.sessions = {name: SimLink(self, name) for name in self.cluster.processes}
        self.machine.keep_to(self.sessions, "its controller is not of this pool", self.now)
        self.state = "open"
        self.after()

    # -- the shell ----------------------------------------------------------------------------------------------------

    def after(self, then: Sequence[Callable[[], object]] = ()) -> None:
        """See `Shell.after`."""
        table = self.machine.table
        events, changed, unneeded = table.take_events(), table.take_changed(), table.take_unneeded()
        effects = self.machine.take_effects()
        self.around.happened(self, events)
        if events or changed or effects or then:
            self._add(events, partial(self._release, effects, changed, unneeded, then))

    def durable(self, then: Callable[[], object], refused: Callable[[JobsError], object] = lambda _: None) -> None:
        """See `GroupCommit.durable`."""
        if self._ended_by is not None:
            refused(self._ended_by)
        elif self._happened > self._durable:
            self._waiting.append((self._happened, then, refused))
        else:
            then()

    def place(self, limit: int) -> None:
        ready = [name for name, session in self.sessions.items() if session.is_ready]
        assignments = self.machine.place(ready, limit, self.now) if ready else []
        for each in assignments:
            self.sessions[each.controller].busy = True
        if assignments:
            self.after([partial(self.sessions[each.controller].give, each) for each in assignments])

    def tick(self) -> None:
        self.machine.tick(self.now)
        self.after()

    def asked(self, effect: AskStore, stored: dict[str, Completed] | None) -> None:
        """The analytics store has answered, or not."""
        self.machine.settle([spec.job_id for spec in effect.specs], stored, self.now)
        if stored is None:
            self.machine.ask()
        self.after()

    def send(self, call: Call) -> None:
        self.cluster.calls[call.controller].append(call)

    def run(self, what: str, steps: Steps[Any], then: Callable[[Any], object], failed: Any) -> None:
        """Run logic that asks for storage calls."""
        errand = Errand(self.name, what, steps, then, failed)
        self._start(errand)

    def _start(self, errand: Errand) -> None:
        self.errands.append(errand)
        errand.go_on()
        if errand.request is None:
            self.errands.remove(errand)

    def go_on(self, errand: Errand) -> None:
        """One of its errands hears its answer."""
        errand.go_on()
        if errand.request is None:
            self.errands.remove(errand)

    def _release(
        self, effects: list[Effect], changed: list[str], unneeded: list[str], then: Iterable[Callable[[], object]]
    ) -> None:
        for effect in effects:
            match effect:
                case StopJobs():
                    self.sessions[effect.controller].stop(effect)
                case AskStore():
                    self.asking.append(effect)
        for act in then:
            act()
        self.forget(unneeded)
        self.changed.update(dict.fromkeys(changed))

    # -- its journal --------------------------------------------------------------------------------------------------

    def write(self, most: int) -> None:
        """Begin to make a batch durable."""
        batch = list(islice(self._events, most))
        rows = None
        if len(batch) == len(self._events) and not self._snapshotting and self.around.dice.random() < self.around.zeal:
            rows = snapshot_rows(self.machine.table)
        self._writing = True
        steps = self.journal.append(rows_of(batch))
        then = partial(self._written, len(batch), rows)
        self._start(Errand(self.name, f"append {len(batch)} events", steps, then, self._not_written, batch))

    def _written(self, count: int, rows: Any, number: int) -> None:
        self._writing = False
        if rows is not None:
            self._snapshotting = True
            self.run(f"store snapshot {number}", stored(self.journal, number, rows), self._stored, self._stored)
        for _ in range(count):
            self._events.popleft()
        self._durable += count
        while self._then and self._then[0][0] <= self._durable:
            self._then.popleft()[1]()
        while self._waiting and self._waiting[0][0] <= self._durable:
            self.ready.append(self._waiting.popleft()[1])

    def _not_written(self, error: JobsError) -> None:
        assert isinstance(error, SupersededError), error
        self.around.say("{} learns that it has been superseded", self.name)
        self.state, self._ended_by = "over", error
        self._then.clear()
        for _, _, refused in self._waiting:
            refused(error)
        for session in self.sessions.values():
            session.is_over = True

    def _stored(self, _: Any) -> None:
        self._snapshotting = False

    def _add(self, events: Sequence[Event], then: Callable[[], object]) -> None:
        if self._ended_by is not None:
            return
        self._events.extend(events)
        self._happened += len(events)
        if self._happened == self._durable:
            then()
        else:
            self._then.append((self._happened, then))

    def forget(self, keys: Sequence[str]) -> None:
        for key in keys:
            self.run(f"forget {key}", deleting([key]), lambda _: None, lambda _: None)
