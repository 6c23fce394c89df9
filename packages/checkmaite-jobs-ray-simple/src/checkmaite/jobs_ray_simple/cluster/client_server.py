"""Finds out soon that a cluster's client server cannot start a process for this client, which Ray says late or never.

It starts one for each client, on the head node and with the client's runtime environment. Where that environment cannot
be made, Ray's client waits for half a minute after the answer has come; where its program is not there, nobody answers
for half a minute before that.
"""

from __future__ import annotations

import logging
import socket
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import ray
import ray.cloudpickle
import ray.exceptions as rx
from checkmaite.jobs import ConfigurationError, Problem
from checkmaite.jobs_ray_simple.cluster import programs
from checkmaite.jobs_ray_simple.cluster.ray_state import client_worker
from checkmaite.jobs_ray_simple.cluster.runtime_env import setup_remedy
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

_log = logging.getLogger("checkmaite.jobs")
_untyped: Any = ray  # the parts of Ray's API that carry no types
_cloudpickle: Any = ray.cloudpickle  # carries no types
_cloudpickle.register_pickle_by_value(sys.modules[programs.__name__])  # nodes have no copy of this package
_LOOK_S = 15.0
_UNMADE = "Failed to create runtime_env for Ray client server"
_MOMENT_S = 0.1


def refuse_unstartable(address: str, runtime_env: Mapping[str, Any]) -> None:
    """Look on the head node whether workers of a runtime environment start, by a connection without it that ends again.

    It takes a second or two, so it is done only for what can keep a process from starting.

    Raises:
        ConfigurationError: They do not.
    """
    if not programs.may_be_unstartable(runtime_env):
        return
    ray.init(address, log_to_driver=False)
    try:
        context: Any = ray.get_runtime_context()
        look: Any = ray.remote(num_cpus=0)(_look_for_program())
        here = NodeAffinitySchedulingStrategy(context.get_node_id(), soft=False)
        found = ray.get(look.options(scheduling_strategy=here).remote(dict(runtime_env)), timeout=_LOOK_S)
    except rx.RayError:  # no room for another process, perhaps: then the connection itself has to tell
        _log.info("nobody could look whether workers start with this runtime_env", exc_info=True)
        return
    finally:
        ray.shutdown()
    if found:
        field, cause = found
        raise _unprepared(Problem(f"runtime_env.{field}", f"{cause}.", programs.REMEDIES[field]))


def _look_for_program() -> Callable[[Mapping[str, Any]], tuple[str, str] | None]:
    """The function that runs on the head node, and says why workers could not start there. It travels by value."""
    unstartable, host_name = programs.unstartable, socket.gethostname

    def checkmaite_looks(runtime_env: Mapping[str, Any]) -> tuple[str, str] | None:
        return unstartable(runtime_env, None, f"{host_name()}, the head node")

    return checkmaite_looks


@contextmanager
def no_wait_after_a_refusal() -> Iterator[None]:
    """Have Ray's client end its connection as soon as it gives it up, not when the server has forgotten it."""
    over = threading.Event()
    watch = threading.Thread(target=_close_what_was_given_up, args=(over,), daemon=True)
    watch.start()
    try:
        yield
    finally:
        over.set()
        watch.join()


def _close_what_was_given_up(over: threading.Event) -> None:
    while not over.wait(_MOMENT_S):
        worker = client_worker()
        channel = getattr(worker, "channel", None)
        if getattr(worker, "closed", False) and channel is not None:  # what it waits for ends with the channel
            channel.close()
            return


def could_not_start(address: str, error: Exception, *, prepared: bool) -> ConfigurationError:
    """The error that the client server answers but could start no process for this client.

    Args:
        address: Of the client server.
        error: What Ray raised.
        prepared: Whether the process was to have a runtime environment.
    """
    text = str(error).strip()
    if _UNMADE in text:
        cause = f"cannot be made on the head node: {text.splitlines()[-1].rstrip('.')}."
        return _unprepared(Problem("runtime_env", cause, setup_remedy(text) or "Mend it and configure again."))
    environment = (
        "That process is started with this client's runtime_env too: what it names, such as py_executable, must be on "
        "the head node, and a Python in it must have Ray. "
    )
    return ConfigurationError(
        f"The client server at address={address!r} answers, but cannot start a process for this client: {text} "
        f"{environment * prepared}"
        "Its log is ray_client_server_*.err in Ray's session folder on the head node. Where it says fork_posix, start "
        "the head with GRPC_ENABLE_FORK_SUPPORT=0 in its environment."
    )


def is_told_by_server(error: Exception, *, prepared: bool) -> bool:
    """Whether another try would end the same way."""
    text = str(error)
    return _UNMADE in text or (prepared and "Proxy failed to Connect" in text)


def _unprepared(problem: Problem) -> ConfigurationError:
    return ConfigurationError("No worker could be prepared like this.", [problem])
