"""The machines of trials: two nodes of a cluster, and clocks for these and for the notebooks' machines."""

from __future__ import annotations

import mmap
import os
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.ray.clusters import CONTROLLER, REGISTRY, Cluster, Node
from tools.trials.plan import MACHINES, WORK_NODE

HERE = Path(__file__).parent
_NO_WORK = ("ray::IDLE", "ray::DashboardAgent", "ray::RuntimeEnvAgent", REGISTRY, CONTROLLER)


class Clocks:
    """What each machine's clock is ahead."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self._folder = folder
        for machine in MACHINES:
            (folder / machine).write_bytes(bytes(8))

    def env(self, machine: str) -> dict[str, str]:
        """Variables of a machine's processes."""
        path = os.pathsep.join(filter(None, (str(HERE / "clock"), os.environ.get("PYTHONPATH"))))
        return {"TRIALS_CLOCK": str(self._folder / machine), "PYTHONPATH": path}

    def set(self, machine: str, ahead_s: float) -> None:
        with (self._folder / machine).open("r+b") as file, mmap.mmap(file.fileno(), 8) as shared:
            struct.pack_into("d", shared, 0, ahead_s)

    def reset(self) -> None:
        for machine in MACHINES:
            self.set(machine, 0.0)


class Machines:
    """A head node and a work node. They outlive trials, and are started anew when they were killed."""

    def __init__(self, clocks: Clocks) -> None:
        self.clocks = clocks
        self._cluster: Cluster | None = None
        self._work: Node | None = None

    @property
    def cluster(self) -> Cluster:
        assert self._cluster is not None, "it was started"
        return self._cluster

    def start(self) -> None:
        """See that both nodes are there."""
        if self._cluster is None:
            self._cluster = Cluster(1, **self.clocks.env("head")).__enter__()
            self._work = None
        if self._work is None:
            self._work = self.cluster.add_node(1, {}, **self.clocks.env(WORK_NODE))

    def kill_all(self) -> None:
        for node in self.cluster.nodes:
            node.kill()
        self._cluster = None

    def kill_work_node(self) -> None:
        if self._work is not None:
            self._work.kill()
            self.cluster.nodes.remove(self._work)
            self._work = None

    def working(self) -> list[int]:
        """Processes that run a job or a maintenance of the store."""
        return sorted(pid for pid in self.cluster.pids("ray::") if not self.cluster.title(pid).startswith(_NO_WORK))

    def end(self) -> None:
        if self._cluster is not None:
            self._cluster.__exit__()
            self._cluster = None


@contextmanager
def machines(folder: Path) -> Iterator[Machines]:
    found = Machines(Clocks(folder / "clocks"))
    try:
        yield found
    finally:
        found.end()
