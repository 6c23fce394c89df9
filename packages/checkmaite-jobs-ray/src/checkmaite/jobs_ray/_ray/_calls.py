"""A client's calls to its registry: each is bounded, and what Ray raises becomes an error of this project."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from typing import Any

import ray
import ray.exceptions as rx
from checkmaite.jobs import BackendUnavailableError, ConfigurationError, JobsError
from checkmaite.jobs.spi import Deadline
from checkmaite.jobs_ray_simple.wall import is_connected

_log = logging.getLogger("checkmaite.jobs")
_AGAIN_S = 0.1
_CLIENT_SAYS = ("Ray Client is not connected", "doesn't have a handle for", "Client is shutting down")
_GONE = (rx.ActorDiedError, rx.ActorUnavailableError, ConnectionError)


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
                return ray.get(self._call(method, arguments), timeout=deadline.remaining_s())
            except rx.GetTimeoutError as error:
                raise self._unavailable(method, timeout_s, "it did not answer") from error
            except rx.RayTaskError as error:
                if isinstance(error.cause, JobsError):
                    raise error.cause from None
                raise JobsError(f"the registry {self._name!r} failed in {method}(): {error}") from error
            except Exception as error:
                if not _means_gone(error):
                    raise
                self._actor = None
                if "creation task" in str(error):
                    raise _not_startable(self._name, error) from error
                if not is_connected():
                    raise self._unavailable(method, timeout_s, "this process is not connected to Ray") from error
                if deadline.remaining_s() == 0:
                    raise self._unavailable(method, timeout_s, str(error).splitlines()[0]) from error
                _log.info("asking registry %s again: %s", self._name, error)
                time.sleep(_AGAIN_S)

    def _call(self, method: str, arguments: tuple[Any, ...]) -> Any:
        if not is_connected():
            raise ConnectionError("this process is not connected to Ray")
        with self._lock:
            if self._actor is None:
                self._actor = self._find()
            return getattr(self._actor, method).remote(*arguments)

    def _unavailable(self, method: str, timeout_s: float, why: str) -> BackendUnavailableError:
        return BackendUnavailableError(
            f"the registry {self._name!r} could not be asked ({method}, within {timeout_s:g} s): {why}. "
            "Jobs that were accepted go on. Try again; if it stays like this, see whether the cluster runs, or choose "
            "another registry_actor_name."
        )


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
