"""Starts a Ray of this process's own: with the processes that jobs need and no others, whole or not at all.

Ray starts three more Python processes with each head node: one that carries workers' output to drivers, which ours is
told not to do; one for autoscalers; one for the dashboard, also without one. On two cores each takes a second of CPU
while everybody waits for the first job, and the autoscaler's lets whoever ends Ray wait for another one.
"""

from __future__ import annotations

import logging
import os
import traceback
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from importlib import import_module
from typing import Any

import ray
from checkmaite.jobs import BackendUnavailableError
from ray._private import node, parameter, ray_constants, services

_log = logging.getLogger("checkmaite.jobs")
_LOOPBACK = "127.0.0.1"
_TRIES = 2


def start_local_ray(options: Mapping[str, Any]) -> None:
    """Start a Ray on loopback and connect to it; once more when it has not come up in the time that Ray gives itself.

    Args:
        options: Those of ``ray.init``.

    Raises:
        BackendUnavailableError: It did not come up in time; no process of it is left.
        Exception: What ``ray.init`` raised otherwise; no process of it is left.
    """
    for left in reversed(range(_TRIES)):
        try:
            with _slim(), _whole():
                ray.init(
                    address="local",
                    include_dashboard=False,
                    log_to_driver=False,
                    _node_ip_address=_LOOPBACK,
                    **options,
                )
            return
        except Exception as error:
            if not _is_late(error):
                raise
            if not left:
                raise BackendUnavailableError(
                    f"Ray did not start on this machine in the time that it gives itself, {_TRIES} times: {error} No "
                    "process of it is left. The machine may be too busy, or short of memory or of room in /tmp: free "
                    "some and configure again. Or run `ray start --head` once, and pass address='auto'."
                ) from error
            _log.warning("Ray is started once more, since it did not come up in time: %s", error)


def _is_late(error: Exception) -> bool:
    """Whether a start was given up for lack of time; Ray says so with exceptions of several kinds, also a plain one."""
    return isinstance(error, TimeoutError) or "timed out" in str(error).lower()


@contextmanager
def _whole() -> Iterator[None]:
    """Within the block, end what a start that fails has begun: Ray forgets the processes of a node that it gives up."""
    try:
        yield
    except BaseException as error:
        for frame, _ in traceback.walk_tb(error.__traceback__):
            made = frame.f_locals.get("self")
            if isinstance(made, node.Node):
                _end(made)
                break
        if not ray.is_initialized():
            ray.shutdown()
        raise


def _end(made: node.Node) -> None:
    """End a node's processes, and those that its raylet has started: an agent that is not up yet outlives it long."""
    psutil: Any = import_module("psutil")  # Ray brings one of its own
    started = [each.process.pid for those in made.all_processes.values() for each in those]
    below = []
    for pid in started:
        with suppress(psutil.Error):  # it has ended
            below += psutil.Process(pid).children(recursive=True)
    made.kill_all_processes(check_alive=False, allow_graceful=True)
    for each in below:
        with suppress(psutil.Error):
            each.kill()


@contextmanager
def _slim() -> Iterator[None]:
    """Within the block Ray starts on loopback, and only what is needed; ``ray.init`` has no options for either."""
    variable = ray_constants.ENABLE_RAY_CLUSTERS_ENV_VAR
    before = os.environ.get(variable)
    params: Any = parameter.RayParams
    swapped: list[tuple[Any, str, Any]] = [
        # It replaces 127.0.0.1 by the address of the network interface otherwise. The variable is for the processes
        # that it starts, the constant for this one, which has read it already.
        (ray_constants, "ENABLE_RAY_CLUSTER", False),
        (parameter, "RayParams", partial(params, no_monitor=True, include_log_monitor=False)),
        (services, "start_api_server", lambda *_, **__: (None, None)),
    ]
    with ExitStack() as stack:
        for owner, name, value in swapped:
            stack.callback(setattr, owner, name, getattr(owner, name))
            setattr(owner, name, value)
        os.environ[variable] = "0"
        try:
            yield
        finally:
            if before is None:
                del os.environ[variable]
            else:
                os.environ[variable] = before
