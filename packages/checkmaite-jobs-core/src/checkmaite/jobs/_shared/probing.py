"""Whether a store can be written to: asked before a job computes for hours, and when a backend is configured."""

from __future__ import annotations

import threading
import warnings
from collections.abc import Callable
from functools import lru_cache
from typing import Any

from checkmaite.jobs._shared.config import StoreSpec
from checkmaite.jobs._shared.discovery import open_store
from checkmaite.jobs._shared.errors import (
    ConfigurationError,
    StoreError,
    StoreNotFoundError,
    StorePermissionError,
    StoreUnavailableError,
)
from checkmaite.jobs._shared.problems import Problem
from checkmaite.jobs._shared.store_protocols import AnalyticsStore, HasProbe

WORKER_LIMIT_S = 30.0
"""How long a worker waits for the answer of a store that does not answer, before it fails the job."""

CLIENT_LIMIT_S = 10.0
"""How long configuring a backend does."""

_DIFFERS_BY_PROCESS = (StoreNotFoundError, StorePermissionError, StoreUnavailableError)


@lru_cache(maxsize=8)
def ready_store(spec: StoreSpec) -> AnalyticsStore:
    """The store that a spec means, opened and probed: once in a process, and again after a failure.

    Raises:
        ConfigurationError: The store's package is not installed here, or does not import.
        StoreError: This process cannot write to it.
    """
    store = open_store(spec)
    if isinstance(store, HasProbe):
        _within(WORKER_LIMIT_S, store.probe, store.uri)
    return store


def probe_from_client(spec: StoreSpec, *, remote: bool) -> None:
    """See from the process that configures whether its workers could write, as far as can be told from there.

    Where workers are on this machine, so are the answers, and a failure is an error. Other machines have their own
    disks, so a path is left to them; and they may have credentials and a network that this process has not, so that of
    a URL only what is wrong everywhere is an error, such as a misspelt option. The rest is a warning.

    Args:
        spec: The stores.
        remote: Whether workers may run on other machines.

    Raises:
        ConfigurationError: A store cannot be written to.
        StoreUnavailableError: It did not answer; the same call may be made again.
    """
    store = open_store(spec)
    places: list[tuple[str, str, Any]] = [("analytics_store", store.uri, store)]
    if spec.artifacts is not None:
        from checkmaite.jobs._shared.objects import ObjectStore  # fsspec takes longer to import than all of core

        places.append(
            ("artifact_store", spec.artifacts.uri, ObjectStore(spec.artifacts.uri, spec.artifacts.storage_options))
        )
    problems = []
    for path, uri, place in places:
        if not isinstance(place, HasProbe) or (remote and "://" not in uri):
            continue
        try:
            _within(CLIENT_LIMIT_S, place.probe, uri)
        except _DIFFERS_BY_PROCESS as error:
            if remote:
                text = f"{path} cannot be used from here; workers will try it before they run anything. {error}"
                warnings.warn(text, stacklevel=3)
            elif isinstance(error, StoreUnavailableError):
                raise
            else:
                problems.append(_problem(path, error))
        except StoreError as error:
            problems.append(_problem(path, error))
    if problems:
        raise ConfigurationError("Nothing could be stored there; nothing was changed.", problems)


def _problem(path: str, error: StoreError) -> Problem:
    return Problem(path, f"cannot be written to. {error}", "Mend that, or choose another place.")


def _within(limit_s: float, ask: Callable[[], None], uri: str) -> None:
    """Ask in another thread, and give that thread up when it does not answer in time.

    Raises:
        StoreUnavailableError: There was none.
        Exception: What `ask` raised.
    """
    raised: list[BaseException] = []

    def run() -> None:
        try:
            ask()
        except BaseException as error:  # noqa: BLE001 - it is raised again where it is waited for
            raised.append(error)

    thread = threading.Thread(target=run, name="checkmaite-probe", daemon=True)
    thread.start()
    thread.join(limit_s)
    if thread.is_alive():
        raise StoreUnavailableError(
            f"{uri}: the store did not answer within {limit_s:g} s. Check its address and the network between.",
            uri=uri,
        )
    if raised:
        raise raised[0]
