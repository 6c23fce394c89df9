"""A client's calls to its registry: each is bounded, and what Ray raises becomes an error of this project."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from queue import Empty, SimpleQueue
from typing import Any

import ray
import ray.exceptions as rx
from checkmaite.jobs import BackendUnavailableError, ConfigurationError, JobsError
from checkmaite.jobs.spi import Deadline
from checkmaite.jobs_ray_simple.wall import is_connected

_log = logging.getLogger("checkmaite.jobs")
_AGAIN_S = 0.1
_AGAIN_AT_MOST_S = 1.0
"""What a client waits at last between two looks for a registry that is gone: each look costs it 40 ms of CPU."""
_LOOK_S = 1.0
_CLIENT_SAYS = ("Ray Client is not connected", "doesn't have a handle for", "Client is shutting down")
_GONE = (rx.ActorDiedError, rx.ActorUnavailableError, ConnectionError)
_abandoned: list[Any] = []
"""References that were not waited for to the end: letting go of one while Ray shuts down ends the process."""


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
            BackendUnavailableError: There was none in `timeout_s` seconds.
            ConfigurationError: The actor cannot be started where it is placed.
            JobsError: What the actor raised.
        """
        deadline = Deadline.after(timeout_s)
        while True:
            try:
                return ray.get(self.send(method, *arguments), timeout=deadline.remaining_s())
            except Exception as error:  # noqa: BLE001 - what is not understood is raised again
                self.understand(error, method, timeout_s, deadline)
                time.sleep(_AGAIN_S)

    def send(self, method: str, *arguments: Any) -> Any:
        """A reference to the answer of one call."""
        if not is_connected():
            raise ConnectionError("this process is not connected to Ray")
        with self._lock:
            if self._actor is None:
                self._actor = self._find()
            return getattr(self._actor, method).remote(*arguments)

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
        return BackendUnavailableError(
            f"the registry {self._name!r} could not be asked ({method}, within {timeout_s:g} s): {why}. "
            "Jobs that were accepted go on. Try again; if it stays like this, see whether the cluster runs, or choose "
            "another registry_actor_name."
        )


class BrokenOffError(Exception):
    """The wait for an answer was broken off."""


class Line:
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
        "checkmaite-jobs-ray of this version; place the registry with registry_resources and registry_num_cpus, and "
        "controllers with controller_resources, where it is installed."
    )
