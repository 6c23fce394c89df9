"""What a client asks of Ray: to make the registry's actor, and to carry calls to it.

An actor inherits the runtime environment of the connection that makes it, and so does everything that it starts in its
turn. A registry is shared: one client's working_dir and env_vars must not reach the jobs of others. Ray has no option
against it, so a short-lived process of its own connects without any and makes the actor. That process does not run the
``__init__`` of an installed CheckMAITE either, which takes seconds.

Each call is bounded, and what Ray raises becomes an error of this project.
"""

from __future__ import annotations

import inspect
import json
import logging
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from queue import Empty, SimpleQueue
from typing import Any

import ray
import ray.exceptions as rx
from checkmaite.jobs import BackendUnavailableError, ConfigurationError, IncompatibleVersionError, JobsError
from checkmaite.jobs.spi import Deadline, versions_here
from checkmaite.jobs_ray_simple.cluster import enter_namespace, is_connected
from ray._private.ray_constants import RAY_RUNTIME_ENV_HOOK
from ray._private.runtime_env.constants import RAY_JOB_CONFIG_JSON_ENV_VAR

_log = logging.getLogger("checkmaite.jobs")
_AGAIN_S = 0.1
_AGAIN_AT_MOST_S = 1.0
"""What a client waits at last between two looks for a registry that is gone: each look costs it 40 ms of CPU."""
_LOOK_S = 1.0
_CLIENT_SAYS = ("Ray Client is not connected", "doesn't have a handle for", "Client is shutting down")
_GONE = (rx.ActorDiedError, rx.ActorUnavailableError, ConnectionError)
_abandoned: list[Any] = []
"""References that were not waited for to the end: letting go of one while Ray shuts down ends the process."""
_WHOLE = """
import runpy, sys
runpy.run_path(sys.argv[1])["enter_namespace"]("checkmaite")
from checkmaite.jobs_ray.client.cluster import create_as_told
create_as_told(sys.stdin.read())
"""
_FROM_OUTSIDE = (RAY_JOB_CONFIG_JSON_ENV_VAR, RAY_RUNTIME_ENV_HOOK)
"""Variables through which a process that was started with `ray job submit`, say, has a runtime environment unasked."""


class Calls:
    """Calls to one named actor, found again when it has died.

    Args:
        name: The actor's name, for errors.
        find: Gives its handle, making the actor if need be.
    """

    def __init__(self, name: str, find: Callable[[], Any]) -> None:
        self._name = name
        self._find = find
        self._lock = threading.Lock()
        self._actor: Any = None

    def ask(self, method: str, *arguments: Any, timeout_s: float) -> Any:
        """The answer to a call that may be repeated: it is, until there is one.

        Raises:
            UnansweredError: There was none in `timeout_s` seconds.
            ConfigurationError: The actor cannot be started where it is placed.
            JobsError: What the actor raised.
        """
        deadline, is_repeated = Deadline.after(timeout_s), False
        while True:
            try:
                return ray.get(self.send(method, *arguments), timeout=deadline.remaining_s())
            except Exception as error:  # noqa: BLE001 - what is not understood is raised again
                try:
                    self.understand(error, method, timeout_s, deadline)
                except BackendUnavailableError as said:
                    if is_repeated:  # what a registry that died has done nobody knows
                        raise UnansweredError(str(said)) from said
                    raise
                is_repeated = True
                time.sleep(_AGAIN_S)

    def send(self, method: str, *arguments: Any) -> Any:
        """A reference to the answer of one call.

        Raises:
            IncompatibleVersionError: The actor is of a version that has no such call.
        """
        if not is_connected():
            raise ConnectionError("this process is not connected to Ray")
        with self._lock:
            if self._actor is None:
                self._actor = self._find()
            call = getattr(self._actor, method, None)
            if call is None:
                raise IncompatibleVersionError(
                    f"the registry {self._name!r} is of an earlier version, which cannot be asked this ({method}). "
                    "Upgrade checkmaite-jobs-ray on the cluster, and end the registry when its jobs are final; or "
                    "choose another registry_actor_name.",
                    here=versions_here().core,
                    there="earlier",
                )
            return call.remote(*arguments)

    def understand(self, error: Exception, method: str, timeout_s: float, deadline: Deadline) -> None:
        """Return when the call that met an error should be made again.

        Raises:
            BackendUnavailableError, ConfigurationError, JobsError: See `ask`.
        """
        if isinstance(error, rx.GetTimeoutError):
            raise self.unavailable(method, timeout_s, "it did not answer") from error
        if isinstance(error, rx.RayTaskError):
            if isinstance(error.cause, JobsError):
                raise error.cause from None
            raise JobsError(f"the registry {self._name!r} failed in {method}(): {error}") from error
        if not _means_gone(error):
            raise error
        self._actor = None
        if "creation task" in str(error):
            raise _not_startable(self._name, error) from error
        if not is_connected():
            raise self.unavailable(method, timeout_s, "this process is not connected to Ray") from error
        if deadline.remaining_s() == 0:
            raise self.unavailable(method, timeout_s, str(error).splitlines()[0]) from error
        _log.info("asking registry %s again: %s", self._name, error)

    def unavailable(self, method: str, timeout_s: float, why: str) -> BackendUnavailableError:
        """The error of a call that had no answer in time."""
        return UnansweredError(
            f"the registry {self._name!r} could not be asked ({method}, within {timeout_s:g} s): {why}. "
            "Try again; if it stays like this, see whether the cluster runs, or choose another registry_actor_name."
        )


class UnansweredError(BackendUnavailableError):
    """A call was perhaps carried out: nobody has said."""


class BrokenOffError(Exception):
    """The wait for an answer was broken off."""


class ParkedCalls:
    """Calls of one thread that are parked in the registry for long, and that another thread can break off.

    A thread must not be inside Ray when the connection ends; here it waits outside.

    Args:
        calls: The registry.
    """

    def __init__(self, calls: Calls) -> None:
        self._calls = calls
        self._answers: SimpleQueue[Future[Any] | None] = SimpleQueue()

    def ask(self, method: str, *arguments: Any, timeout_s: float) -> Any:
        """See `Calls.ask`.

        Raises:
            BrokenOffError: By `break_off`, now or before.
        """
        deadline = Deadline.after(timeout_s)
        pause_s = _AGAIN_S
        while True:
            try:
                return self._answer(self._calls.send(method, *arguments), deadline, method, timeout_s)
            except BrokenOffError:
                raise
            except Exception as error:  # noqa: BLE001 - what is not understood is raised again
                self._calls.understand(error, method, timeout_s, deadline)
                self._pause(pause_s)
                pause_s = min(2 * pause_s, _AGAIN_AT_MOST_S)

    def break_off(self) -> None:
        """End the wait for an answer, and every later one."""
        self._answers.put(None)

    def _answer(self, reference: Any, deadline: Deadline, method: str, timeout_s: float) -> Any:
        future = reference.future()
        future.add_done_callback(self._answers.put)
        while True:
            try:
                answer = self._answers.get(timeout=min(_LOOK_S, deadline.remaining_s() or 0.0))
            except Empty:
                if is_connected() and deadline.remaining_s():
                    continue
                _abandoned.append(reference)
                why = "it did not answer" if is_connected() else "this process is not connected to Ray"
                raise self._calls.unavailable(method, timeout_s, why) from None
            if answer is None:
                _abandoned.append(reference)
                self.break_off()
                raise BrokenOffError
            if answer is future:  # else it is the late answer to a call that was given up
                return future.result()

    def _pause(self, seconds: float) -> None:
        try:
            if self._answers.get(timeout=seconds) is None:
                self.break_off()
                raise BrokenOffError
        except Empty:
            return


def _means_gone(error: Exception) -> bool:
    """Whether the actor, or the way to it, is gone. Ray's client says so with plain exceptions."""
    return isinstance(error, _GONE) or any(text in str(error) for text in _CLIENT_SAYS)


def _not_startable(name: str, error: Exception) -> ConfigurationError:
    lines = [line for line in str(error).strip().splitlines() if line.strip()]
    return ConfigurationError(
        f"the registry {name!r} cannot start on the node that it was placed on: {lines[-1].strip()}. That node needs "
        "checkmaite-jobs-ray of this version. It is the head, unless registry_resources, or controller_resources for "
        "controllers, name what a node has where it is installed."
    )


# -- making the registry -----------------------------------------------------------------------------------------------


def create_cleanly(address: str, actor: Mapping[str, Any], *, timeout_s: float) -> None:
    """Make a named actor without any runtime environment.

    Args:
        address: Where to connect to.
        actor: The arguments of `get_or_create`, as builtins; ``actor_class`` as ``module:name``.
        timeout_s: Seconds that it may take.

    Raises:
        ConfigurationError: It could not be made.
    """
    told = json.dumps({"address": address, "actor": dict(actor)})
    try:
        done = subprocess.run(  # noqa: S603 - this very interpreter, with a text of our own
            [sys.executable, "-P", "-c", _WHOLE, inspect.getfile(enter_namespace)],
            env={name: value for name, value in os.environ.items() if name not in _FROM_OUTSIDE},
            input=told,
            capture_output=True,
            text=True,
            timeout=timeout_s,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise ConfigurationError(f"The registry could not be made at {address} within {timeout_s:g} s.") from error
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise ConfigurationError(f"The registry could not be made at {address}: {last}")


def create_as_told(text: str) -> None:
    """What the process does."""
    from importlib import import_module

    from checkmaite.jobs_ray.cluster import get_or_create

    told = json.loads(text)
    actor = told["actor"]
    module, _, name = actor.pop("actor_class").partition(":")
    ray.init(told["address"], log_to_driver=False)
    get_or_create(getattr(import_module(module), name), **actor)
    ray.shutdown()


# -- this connection ---------------------------------------------------------------------------------------------------


def runtime_env_here() -> Mapping[str, Any] | None:
    """The runtime environment of this connection, its folders uploaded; None when there is none."""
    return dict(ray.get_runtime_context().runtime_env) or None
