"""Tells what this process is connected to, by asking nothing but Python objects of Ray.

They change when a shutdown begins, and from then on whoever asks Ray's core for anything, or lets go of one of its
references, on another thread, ends the whole process. None of them is public.
"""

from __future__ import annotations

from typing import Any

import ray

_untyped: Any = ray  # the parts of Ray's API that carry no types


def connected() -> object | None:
    """An object that identifies the connection of this process, different for each; None without one."""
    found: object | None
    if through_client():
        found = client_worker()
    else:
        driver = _untyped._private.worker.global_worker
        # A start that failed leaves a node behind; a shutdown begins by stopping threads.
        found = driver.node if driver.connected and not driver.threads_stopped.is_set() else None
    return found


def through_client() -> bool:
    """Whether this process is connected through a cluster's client server."""
    return bool(_untyped.util.client.ray.is_connected())


def client_worker() -> Any:
    """Ray's object for a connection through a client server."""
    return _untyped.util.client.ray.get_context().client_worker


def is_own() -> bool:
    """Whether this process started the Ray that it is connected to."""
    node = getattr(_untyped._private.worker, "_global_node", None)
    return bool(node is not None and node.head)


def is_elsewhere() -> bool:
    """Whether this process is connected to a Ray that others run, and that may have other machines."""
    return connected() is not None and (through_client() or not is_own())
