"""The registry's controllers: which of them serve, which may be given jobs, which leave with their nodes."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Collection, Sequence

from checkmaite.jobs_ray.clock import tell_time
from checkmaite.jobs_ray.loops import take_turns
from checkmaite.jobs_ray.names import controller_name
from checkmaite.jobs_ray.registry.cluster import Cluster
from checkmaite.jobs_ray.registry.model.lifecycle import SURPLUS
from checkmaite.jobs_ray.registry.model.machine import RegistryMachine
from checkmaite.jobs_ray.registry.model.placement import useful_controllers
from checkmaite.jobs_ray.registry.session import ControllerSession

_log = logging.getLogger("checkmaite.jobs")
_LEAVES_S = 2.0
_COUNT_S = 10.0
_GATHER_S = 10.0
"""A registry that has just begun waits at most this long for all of its controllers."""


class ControllerPool:
    """As many controllers as the registry was told to have, and a spare one for while another leaves.

    Args:
        name: The registry's.
        size: How many.
        cluster: Where they are.
        machine: The registry's.
        session: Makes the session with the controller of a name.
        changed: Called when others may be given jobs than before.

    Attributes:
        sessions: By the controller's name.
        gathered: Done when those that serve from the beginning are there, or have not come in time.
    """

    def __init__(
        self,
        name: str,
        size: int,
        cluster: Cluster,
        machine: RegistryMachine,
        session: Callable[[str], ControllerSession],
        changed: Callable[[], object],
    ) -> None:
        *wanted, self._spare = names = [controller_name(name, number) for number in range(size + 1)]
        self._wanted = wanted
        self._cluster = cluster
        self._machine = machine
        self._changed = changed
        self.sessions = {each: session(each) for each in names}
        machine.keep_to(names, SURPLUS, tell_time(machine))
        self._serving: dict[str, asyncio.Task[None]] = {}
        is_needed = machine.table.owned.get(self._spare) or cluster.has_controller(self._spare)
        first = names if is_needed else wanted
        self.gathered = asyncio.get_running_loop().create_task(self._gather(first))
        self._cpus = 0.0
        turns = [self._heed_drains, *([self._count_cpus] if size > 1 else ())]
        self._loops = [asyncio.get_running_loop().create_task(take_turns(each)) for each in turns]
        for each in first:
            self._serve(each)

    @property
    def serving(self) -> Collection[str]:
        """The controllers that the registry keeps up a session with."""
        return self._serving.keys()

    def takers(self) -> list[str]:
        """The controllers that may be given jobs now; the spare one only while another leaves or is not there."""
        there = [name for name, each in self.sessions.items() if each.attached.is_set() and not each.is_leaving]
        wanted = self._wanted if set(self._wanted) <= set(there) else there
        return [name for name in wanted[: useful_controllers(self._cpus)] if self.sessions[name].is_ready]

    def trouble(self) -> str:
        """Why no controller can take jobs, as a sentence; empty when one can."""
        sessions = list(self.sessions.values())
        return "" if any(each.attached.is_set() for each in sessions) else sessions[0].trouble()

    def close(self) -> None:
        """Ask and tell nobody any more."""
        for each in (*self._loops, *self._serving.values()):
            each.cancel()

    # -- inside -------------------------------------------------------------------------------------------------------

    def _serve(self, controller: str) -> None:
        """Keep up the session with a controller from now on."""
        if controller not in self._serving:
            running = self.sessions[controller].run()
            self._serving[controller] = asyncio.get_running_loop().create_task(running)

    async def _gather(self, controllers: Sequence[str]) -> None:
        try:
            async with asyncio.timeout(_GATHER_S):
                for name in controllers:
                    await self.sessions[name].attached.wait()
        except TimeoutError:
            _log.warning("the registry begins without some of its controllers")

    async def _count_cpus(self) -> None:
        """Keep to the size of the cluster, where there is more than one controller."""
        self._cpus = await self._cluster.cpus()
        self._changed()
        await asyncio.sleep(_COUNT_S)

    async def _heed_drains(self) -> None:
        """Let controllers, and this registry, move away from nodes that Ray drains.

        A controller moves when the last of its jobs has ended: with its process they would end. New jobs are for the
        others meanwhile, and for a spare one.
        """
        await asyncio.sleep(_LEAVES_S)
        nodes = await self._cluster.drained()
        if not await self._cluster.moves_registry(nodes):
            actors = {name: self.sessions[name].actor for name in self._serving}
            self._leave(await self._cluster.leaving(actors, nodes))

    def _leave(self, leaving: Collection[str]) -> None:
        """These controllers, and no others, are on nodes that Ray drains."""
        for name in [*self._serving]:
            session = self.sessions[name]
            session.is_leaving = name in leaving
            if session.is_leaving:
                _log.info("controller %s is on a node that Ray drains", name)
                self._serve(self._spare)
                if session.is_ready and not self._machine.table.owned.get(name):
                    self._cluster.restart(session.actor)
        self._changed()
