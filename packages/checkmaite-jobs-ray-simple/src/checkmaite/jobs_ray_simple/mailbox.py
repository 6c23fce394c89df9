"""How news of running jobs gets back: one small actor on the cluster, which one long-poll of this process empties."""

from __future__ import annotations

from typing import Any, cast

import ray
from checkmaite.jobs.spi import Letter, NewsMailbox
from checkmaite.jobs_ray_simple.cluster.actors import stand_in

WAIT_S = 10.0
"""Seconds that the mailbox keeps a collector waiting when nothing arrives."""


class Mailbox:
    """The submitter's side of the mailbox. Nothing blocks: each call gives a reference that becomes ready.

    The actor takes no CPU of the jobs', dies with this process, and comes back empty when its node dies, because news
    may be lost.
    """

    def __init__(self) -> None:
        self.actor: Any = ray.remote(stand_in(NewsMailbox)).options(num_cpus=0, max_restarts=-1).remote()
        self._last = 0

    def collect(self) -> Any:
        """A reference to the next letters."""
        return self.actor.collect.remote(self._last, WAIT_S)

    def read(self, answer: object) -> list[Letter]:
        """The letters in what a reference of `collect` gave."""
        self._last, letters = cast("tuple[int, list[Letter]]", answer)
        return letters

    def close(self) -> None:
        """End the actor."""
        ray.kill(self.actor)
