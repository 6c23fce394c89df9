"""Named detached actors: found, made, asked, ended."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from typing import Any

import ray
import ray.exceptions as rx
from checkmaite.jobs_ray_simple.wall import stand_in

_log = logging.getLogger("checkmaite.jobs")
_LOOK_S = 20.0
_MAX_CONCURRENCY = 10_000
"""Calls that may be parked in one actor at once; what is refused is decided by the actors, not by Ray's queue."""

Unreachable = (rx.ActorDiedError, rx.ActorUnavailableError)
"""What a call raises whose actor died or restarts; it may have been carried out or not."""


def find(name: str, namespace: str) -> Any:
    """Handle of the actor with this name; None when there is none, or none that may live again."""
    try:
        return ray.get_actor(name, namespace=namespace)
    except ValueError:
        return None


def get_or_create(actor_class: type, name: str, namespace: str, settings: Mapping[str, Any], **reserved: Any) -> Any:
    """Handle of the actor with this name, which is made if there is none.

    It outlives whoever makes it, and Ray starts it again when its process dies.

    Args:
        actor_class: Its class, importable where it is placed.
        name: Unique in the namespace.
        namespace: Ray namespace.
        settings: The one argument of its constructor.
        **reserved: ``num_cpus``, ``memory``, ``resources``.
    """
    return (
        ray.remote(stand_in(actor_class))
        .options(
            name=name,
            namespace=namespace,
            lifetime="detached",
            get_if_exists=True,
            max_restarts=-1,
            max_task_retries=0,
            max_concurrency=_MAX_CONCURRENCY,
            **{key: value for key, value in reserved.items() if value is not None},
        )
        .remote(settings)
    )


def withdraw_unplaced(name: str, namespace: str) -> bool:
    """End an actor that no node has room for, so that it can be made anew with other wishes; whether there was one."""

    def is_unplaced(wanted: str) -> bool:
        from ray._private.state import state  # an interface without promises, the only one that tells

        return any(
            each["Name"] == wanted and each["NumRestarts"] == 0
            for each in state.actor_table(None, None, "PENDING_CREATION").values()
        )

    try:
        # On the cluster: through ray:// this process cannot ask.
        waits = ray.get(ray.remote(is_unplaced).options(num_cpus=0).remote(name), timeout=_LOOK_S)
        actor = find(name, namespace) if waits else None
        if actor is None:
            return False
        ray.kill(actor, no_restart=True)
    except (rx.RayError, ConnectionError):
        _log.debug("whether %s waits for a node is not known", name, exc_info=True)
        return False
    return True


async def answer(reference: Any, timeout_s: float) -> Any:
    """What a call gives, within a time.

    Raises:
        TimeoutError: It gave nothing in time.
    """
    async with asyncio.timeout(timeout_s):
        return await reference


def end_this_actor(after_s: float) -> None:
    """End the actor that calls this, for good, when those who wait for its answers have had the time to get them."""
    actor = ray.get_runtime_context().current_actor
    asyncio.get_running_loop().call_later(after_s, lambda: ray.kill(actor, no_restart=True))


def restart(actor: Any) -> None:
    """End an actor's process, and with it the tasks that it owns; Ray starts it again, empty."""
    ray.kill(actor, no_restart=False)
