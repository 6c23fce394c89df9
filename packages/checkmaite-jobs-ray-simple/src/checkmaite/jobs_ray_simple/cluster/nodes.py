"""What the nodes of a cluster have, what is free of it, and which of them leave.

A node leaves from the moment Ray drains it: on notice of a preemption, when the autoscaler ends it, when its process
got SIGTERM. Ray starts nothing new there, and still counts what the node has.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import ray
from checkmaite.jobs.spi import ResourceUse

_untyped: Any = ray  # the parts of Ray's API that carry no types
_NOT_FOR_JOBS = frozenset({"object_store_memory"})
_log = logging.getLogger("checkmaite.jobs")


class Node(NamedTuple):
    """What a node has.

    Attributes:
        amounts: By Ray's names ("CPU", "GPU", ...).
        labels: By key.
    """

    amounts: Mapping[str, float]
    labels: Mapping[str, str] = {}


class ClusterResources(NamedTuple):
    """What a cluster has, without nodes that leave.

    Attributes:
        nodes: Each node.
        free: What of all of them together is free now.
        leaving: How many nodes are left out.
    """

    nodes: Sequence[Node]
    free: Mapping[str, float]
    leaving: int = 0


def cluster_resources() -> ClusterResources:
    """What there is for jobs that have not begun."""
    leaving = leaving_nodes()
    living = [node for node in _untyped.nodes() if node["Alive"]]
    stay = [Node(node["Resources"], node.get("Labels") or {}) for node in living if node["NodeID"] not in leaving]
    gone = len(living) - len(stay)
    return ClusterResources(stay, _free_beside(leaving) if gone else _untyped.available_resources(), gone)


def occupancy() -> list[ResourceUse]:
    """How much is reserved of what the nodes have that stay."""
    there = cluster_resources()
    total: Counter[str] = Counter()
    for node in there.nodes:
        total.update(
            {name: amount for name, amount in node.amounts.items() if ":" not in name}
        )  # "node:10.0.0.1" and the like
    return [
        ResourceUse(name=name, used=max(0.0, amount - there.free.get(name, 0.0)), total=amount)
        for name, amount in sorted(total.items())
        if name not in _NOT_FOR_JOBS
    ]


def leaving_nodes() -> frozenset[str]:
    """Ids of the nodes that Ray drains now; none where it cannot be asked, as through ``ray://``."""
    from ray._private.state import state  # an interface without promises, the only one that tells

    try:
        return frozenset(state.get_draining_nodes())
    except Exception:  # noqa: BLE001 - the interface may be gone in another Ray: then no node is known to leave
        _log.debug("Ray does not say which nodes it drains", exc_info=True)
        return frozenset()


def _free_beside(leaving: frozenset[str]) -> Mapping[str, float]:
    from ray._private.state import state  # as above

    available: Mapping[str, Mapping[str, float]] = state.available_resources_per_node()  # type: ignore[no-untyped-call]
    free: Counter[str] = Counter()
    for node, amounts in available.items():
        if node not in leaving:
            free.update(amounts)
    return free
