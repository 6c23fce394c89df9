"""How news of running jobs gets back: one small actor on the cluster, which one long-poll of this process empties."""

from __future__ import annotations

from typing import Any, cast

import ray
from checkmaite.jobs.spi import Letter, NewsMailbox
from checkmaite.jobs_ray_simple.cluster.actors import stand_in
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

WAIT_S = 10.0
"""Seconds that the mailbox keeps a collector waiting when nothing arrives."""


class Mailbox:
    """The submitter's side of the mailbox. Nothing blocks: each call gives a reference that becomes ready.

    The actor takes no CPU of the jobs' and dies with this process. It is on the same node, or with ``ray://`` on that
    of the process's stand-in there: any other node might lack what it needs, and could not be given back while it is
    there. It comes back empty when its own process dies, because news may be lost.
    """

    def __init__(self) -> None:
        here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
        made: Any = ray.remote(stand_in(NewsMailbox)).options(num_cpus=0, max_restarts=-1, scheduling_strategy=here)
        self.actor: Any = made.remote()
        self._last = 0

    def collect(self) -> Any:
        """A reference to the next letters."""
        return self.actor.collect.remote(self._last, WAIT_S)

    def read(self, answer: object) -> list[Letter]:
        """The letters in what a reference of `collect` gave."""
        self._last, letters = cast("tuple[int, list[Letter]]", answer)
        return letters

    def stop(self, runner: str, start: tuple[str, int]) -> Any:
        """Have a runner of short jobs stop one when it asks; a reference that is ready once it will be told."""
        return self.actor.stop.remote(runner, start)

    def close(self) -> None:
        """End the actor."""
        ray.kill(self.actor)
