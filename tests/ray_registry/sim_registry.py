"""A registry's process: the shipped actor with its shell, on simulated time, above simulated storage and Ray.

Nothing of what the shell decides is written here: only what it stands on, and how to look into it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any, Protocol

from attrs import define
from checkmaite.jobs.spi import Completed, Metric, Remains
from checkmaite.jobs_ray.config import RegistrySettings
from checkmaite.jobs_ray.journal.leader import Leader
from checkmaite.jobs_ray.journal.steps import Steps
from checkmaite.jobs_ray.journal.storage import Journal
from checkmaite.jobs_ray.registry.actor import Around, JobRegistry
from checkmaite.jobs_ray.registry.cluster import Cluster as RayCluster
from checkmaite.jobs_ray.registry.model.events import Event
from checkmaite.jobs_ray.registry.model.job_table import JobTable
from checkmaite.jobs_ray.registry.model.machine import RegistryMachine
from checkmaite.jobs_ray.registry.shell import Shell, Window
from checkmaite.jobs_ray.registry.storage import Storage
from checkmaite.jobs_ray.wire import Context, JobSpec, Launch

from tests.ray_registry.sim_cluster import Cluster, Lent
from tests.ray_registry.sim_disk import Errand
from tests.ray_registry.sim_loop import Loop
from tests.ray_registry.world import Call

LARGE = b"large"
"""How payloads begin that are kept beside the journal."""


NARROW = Window(jobs=2, payload_bytes=2_000)
"""Half of the seeds queue more than that."""


class Surroundings(Protocol):
    """The simulation, as a registry sees it."""

    seed: int
    now: float
    dice: Any
    settings: RegistrySettings
    zeal: float
    runs: SimRegistry | None

    def new_nonce(self) -> str: ...
    def failed(self, error: BaseException) -> None: ...
    def opened(self, registry: SimRegistry, journal: Journal, table: JobTable) -> None: ...
    def happened(self, registry: SimRegistry, events: Sequence[Event]) -> None: ...


class SimRegistry:
    """One process.

    Attributes:
        errands: What asks for storage calls on its behalf.
        asking: Questions to the analytics store that are to be put.
        excused: Controllers to which a call was lost, so that jobs that they still have may be given up.
        ahead_s: How far its calendar is ahead of that of others.
    """

    def __init__(self, around: Surroundings, cluster: Cluster, number: int) -> None:
        self.around = around
        self.cluster = cluster
        self.number = number
        self.name = f"registry {number}"
        self.is_dead = self.is_paused = False
        self.errands: list[Errand] = []
        self.asking: list[Question] = []
        self.excused: set[str] = set()
        self.ahead_s = 0.0
        self.loop = Loop(lambda: around.now, around.failed)
        with self._running():
            self.actor = self._begin()

    @property
    def shell(self) -> Shell:
        return self.actor._begun.result()

    @property
    def machine(self) -> RegistryMachine:
        return self.shell.machine

    @property
    def journal(self) -> Journal:
        journal = self._writer._journal
        assert journal is not None, "it has been opened"
        return journal

    @property
    def is_awake(self) -> bool:
        return not self.is_dead and not self.is_paused

    @property
    def is_open(self) -> bool:
        """Whether it has begun, and has not been superseded as far as it knows."""
        return not self.is_dead and self.actor._begun.done() and self.shell.commits._ended_by is None

    @property
    def is_over(self) -> bool:
        """Whether it knows that it has been superseded."""
        return self.actor._begun.done() and self.shell.commits._ended_by is not None

    @property
    def is_settled(self) -> bool:
        """Whether everything that has happened is durable, and no storage call is under way."""
        commits = self.shell.commits
        return self.is_open and commits._happened == commits._durable and not self.errands

    def run(self, most: int) -> None:
        """Let it go on."""
        with self._running():
            self.loop.run(most)

    def go_on(self, errand: Errand) -> None:
        """One of its errands hears its answer."""
        errand.go_on()
        if errand.request is None:
            self.errands.remove(errand)

    def die(self) -> None:
        """Nothing of it goes on; what it has asked of the storage may be done all the same."""
        self.is_dead = True
        self.loop.die()
        self.errands.clear()

    # -- inside -------------------------------------------------------------------------------------------------------

    @contextmanager
    def _running(self) -> Iterator[None]:
        self.around.runs = self
        asyncio._set_running_loop(self.loop)
        try:
            yield
        finally:
            asyncio._set_running_loop(None)
            self.around.runs = None

    def _begin(self) -> JobRegistry:
        settings = {**self.around.settings.wire(), "controller_pool_size": self.cluster.pool_size}
        named = {"name": "r", "namespace": "n", "journal": None, "where": self.name}
        window = NARROW if self.around.seed % 2 else Window()
        actor = JobRegistry({**settings, **named}, Around(SimRay(self), SimStorage(self), window))
        assert actor._journal_writer is not None, "it has a storage"
        self._writer = actor._journal_writer
        self._writer.open = partial(self._open, self._writer.open)  # type: ignore[method-assign]
        return actor

    async def _open(self, begin: Any) -> JobTable:
        """See what the registry has read, and what it decides from then on."""
        table: JobTable = await begin()
        around, take = self.around, table.take_events
        self.journal.is_snapshot_due = lambda _: around.dice.random() < around.zeal  # type: ignore[method-assign]
        around.opened(self, self.journal, table)

        def noted() -> list[Event]:
            taken = take()
            around.happened(self, taken)
            return taken

        table.take_events = noted  # type: ignore[method-assign]
        return table


# -- what it stands on -------------------------------------------------------------------------------------------------


class SimStorage(Storage):
    """What it asks of its journal's storage are errands, which the simulation works on."""

    def __init__(self, registry: SimRegistry) -> None:
        self._registry = registry
        self.paused = lambda _: None

    @property
    def root(self) -> str:
        return "journal"

    @property
    def is_local(self) -> bool:
        return False

    async def write(self, steps: Steps[Any]) -> Any:
        return await self._begin(steps)

    async def run(self, steps: Steps[Any]) -> Any:
        return await self._begin(steps)

    async def ask(self, request: Any) -> Any:
        return await self._begin(_asked(request))

    async def probe(self) -> None:
        pass

    def leader(self, where: str) -> Leader:
        around, registry = self._registry.around, self._registry
        started_at = around.now + registry.ahead_s
        return Leader(
            id=around.new_nonce(), host="host", boot_id="", pid=registry.number, started_at=started_at, where=where
        )

    def is_running(self, leader: Leader) -> bool:
        return False

    def new_nonce(self) -> str:
        return self._registry.around.new_nonce()

    def _begin(self, steps: Steps[Any]) -> asyncio.Future[Any]:
        registry, future = self._registry, self._registry.loop.create_future()
        what = steps.__name__.strip("_")
        errand = Errand(registry.name, what, steps, partial(answer, future), partial(refuse, future))
        registry.errands.append(errand)
        registry.go_on(errand)
        return future


def _asked(request: Any) -> Steps[Any]:
    return (yield request)


@define(eq=False)
class SimCall(Call):
    """A call of a registry, which waits for its answer."""

    future: Any = None


@define(eq=False)
class Assigned:
    """What a call to take jobs brings."""

    launches: Sequence[Launch]


@define(eq=False)
class Question:
    """What the analytics store is asked."""

    specs: Sequence[JobSpec]
    future: Any


class SimRay(RayCluster):
    """Its controllers are the simulated cluster's, and so is the analytics store."""

    def __init__(self, registry: SimRegistry) -> None:
        self._registry = registry

    def controller(self, name: str) -> Any:
        cluster = self._registry.cluster
        if name not in cluster.processes:
            cluster.begin(name)
        return Handle(self._registry, name)

    def has_controller(self, name: str) -> bool:
        return name in self._registry.cluster.processes

    async def cpus(self) -> float:
        return self._registry.cluster.dice.choice((2.0, 16.0, 64.0))

    async def drained(self) -> Collection[str]:
        return {*self._registry.cluster.leaving}

    async def leaving(self, controllers: Mapping[str, Any], nodes: Collection[str]) -> Collection[str]:
        return controllers.keys() & nodes  # each is a node of its own

    async def moves_registry(self, nodes: Collection[str]) -> bool:
        return False

    def restart(self, controller: Any) -> None:
        if controller.name not in self._registry.cluster.leaving:  # one that leaves has no jobs by then
            self._registry.excused.add(controller.name)
        self._registry.cluster.begin(controller.name)

    def is_large(self, payload: Any) -> bool:
        return bool(payload.startswith(LARGE))

    def keep_payload(self, payload: Any) -> Any:
        return Lent(payload) if self.is_large(payload) else payload

    def is_elsewhere(self, payload: Any) -> bool:
        return isinstance(payload, Lent)

    async def look_up(self, context: Context, specs: Sequence[JobSpec]) -> dict[str, Completed]:
        question = Question(specs, self._registry.loop.create_future())
        self._registry.asking.append(question)
        found: dict[str, Completed] = await question.future
        return found

    async def left_output(self, job_id: str, node: str | None, runtime_env: Mapping[str, Any] | None) -> Remains | None:
        return None

    def keep_packages(self, runtime_envs: Any) -> None:
        pass

    async def return_memory(self) -> None:
        pass

    def publish(self, metrics: Sequence[Metric]) -> None:
        pass


class Handle:
    """A controller's actor, as a registry has it."""

    def __init__(self, registry: SimRegistry, name: str) -> None:
        self.registry = registry
        self.name = name

    def __getattr__(self, method: str) -> Any:
        return _Method(self, method)


class _Method:
    def __init__(self, handle: Handle, method: str) -> None:
        self._handle = handle
        self._method = method

    def remote(self, *given: Any) -> asyncio.Future[Any]:
        handle, registry = self._handle, self._handle.registry
        future = registry.loop.create_future()
        token, *about = given if self._method not in ("incarnation", "logs") else (-1, *given)
        first = about[0] if about else None
        what = Assigned(first) if self._method == "launch" else first
        if self._method in ("incarnation", "attach", "next_reports"):
            future.add_done_callback(self._look)
        call = SimCall(handle.name, self._method, token, registry.number, what, future=future)
        registry.cluster.calls[handle.name].append(call)
        return future

    def _look(self, future: asyncio.Future[Any]) -> None:
        """A call that was given up got no answer in time."""
        if future.cancelled():
            self._handle.registry.excused.add(self._handle.name)


def answer(future: asyncio.Future[Any], result: Any) -> None:
    """Who waits for it goes on, if anybody waits still."""
    if not future.done():
        future.set_result(result)


def refuse(future: asyncio.Future[Any], error: BaseException) -> None:
    """Who waits for it meets this, if anybody waits still."""
    if not future.done():
        future.set_exception(error)
        future.exception()  # somebody may wait no more
