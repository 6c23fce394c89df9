"""Fetches what a dead worker has left on its node: the output of its job, the notes of its pack."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import ray
from checkmaite.jobs_ray_simple.cluster.actors import leave_driver
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

_untyped: Any = ray  # the parts of its API that carry no types
_MOST_NODES = 8
REMAINS_S = 15.0
"""Nobody waits for it any longer."""


def _work(taken: str, *, leaves_driver: bool) -> Callable[[str], Any]:
    """The function that runs on the node, nested so that it travels by value: workers have no copy of this package."""

    def checkmaite_remains(of: str) -> Any:
        if leaves_driver:
            leave_driver()
        import checkmaite.jobs.spi

        return getattr(checkmaite.jobs.spi, taken)(of)

    return checkmaite_remains


def remains_of(
    job_id: str, host: str | None, runtime_env: Mapping[str, Any] | None = None, *, leaves_driver: bool = False
) -> list[Any]:
    """References to what is left of a job's output (`Remains`), each from one node that it may have run on.

    Args:
        job_id: The job, whose process has died.
        host: Of its node, where the job has named it; else a small cluster's nodes are all asked.
        runtime_env: The job's: where it ran, that is set up.
        leaves_driver: Whether core is imported without the folders that Ray gives the workers of the driver that asks:
            where that driver is not the job's submitter.
    """
    return _left("take_left_output", job_id, host, runtime_env, leaves_driver=leaves_driver)


def pack_left_by(
    runner: str, host: str | None, runtime_env: Mapping[str, Any] | None = None, *, leaves_driver: bool = False
) -> list[Any]:
    """Likewise to what a runner that has died has left of its pack (`LeftPack`)."""
    return _left("take_left_pack", runner, host, runtime_env, leaves_driver=leaves_driver)


def _left(
    taken: str, of: str, host: str | None, runtime_env: Mapping[str, Any] | None, *, leaves_driver: bool
) -> list[Any]:
    nodes = [
        node["NodeID"]
        for node in _untyped.nodes()
        if node["Alive"] and (host is None or node["NodeManagerHostname"] == host)
    ]
    if len(nodes) > _MOST_NODES:
        return []
    ask: Any = ray.remote(_work(taken, leaves_driver=leaves_driver))
    others = {"runtime_env": dict(runtime_env)} if runtime_env else {}
    return [
        ask.options(
            num_cpus=0,
            max_retries=0,
            name="look for lost output",
            scheduling_strategy=NodeAffinitySchedulingStrategy(node, soft=False),
            **others,
        ).remote(of)
        for node in nodes
    ]
