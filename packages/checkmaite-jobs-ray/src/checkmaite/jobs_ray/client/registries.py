"""The registries of a cluster that are there."""

from __future__ import annotations

import re
from typing import Any

from checkmaite.jobs_ray.client.cluster import Calls
from checkmaite.jobs_ray.cluster import actor_names, find

_CONTROLLER = re.compile(r"(.+)-controller-\d+")


def registries_of(namespace: str) -> list[str]:
    """Names of the registries in a namespace, by those of all actors there."""
    names = actor_names(namespace)
    pools = {pool[1] for name in names if (pool := _CONTROLLER.fullmatch(name))}
    return sorted(name for name in names if name in pools)


def calls_to(registry: str, namespace: str) -> Calls:
    """Calls to a registry that is there; it is not made."""

    def found() -> Any:
        actor = find(registry, namespace)
        if actor is None:
            raise ConnectionError("it has ended")
        return actor

    return Calls(registry, found)
