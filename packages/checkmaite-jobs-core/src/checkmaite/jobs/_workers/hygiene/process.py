"""One job in a worker process: what is around it, before and after."""

from __future__ import annotations

import logging
import os
import sys
import threading
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from typing import Any

from attrs import frozen
from checkmaite.jobs._workers.hygiene.accelerators import hidden_accelerators
from checkmaite.jobs._workers.hygiene.health import take_suspicion
from checkmaite.jobs._workers.hygiene.system import as_kept
from checkmaite.jobs._workers.hygiene.world import World
from checkmaite.jobs._workers.node_cache import NodeFolder

_log = logging.getLogger("checkmaite.jobs")
_LAST_WORDS_S = 1.0


@frozen
class WorkerProcess:
    """A process that does nothing but run a backend's jobs, on its main thread.

    Attributes:
        leave: Makes the process end once the result of its present job is on its way. None when it ends with its first
            job anyway.
        node_folder: Where this node's processes keep staged objects; None: in the temporary directory.
        kept: What its jobs find, if they follow each other within one task; None where other things happen between two.
    """

    leave: Callable[[], object] | None = None
    node_folder: NodeFolder | None = None
    kept: KeptWorld | None = None


class KeptWorld:
    """What jobs find that follow each other: it is read once for all of them. See `World`."""

    def __init__(self) -> None:
        self._world: World | None = None

    def begin(self) -> World:
        """The world of the next job."""
        if self._world is None:
            self._world = World(_hidden(), is_kept=True)
        else:
            self._world.begin_next()
        return self._world

    def end(self) -> None:
        """No job follows."""
        if self._world is not None:
            self._world.end()
            self._world = None


@contextmanager
def for_one_job(process: WorkerProcess | None) -> Iterator[Callable[[], None]]:
    """Around one job in a worker process: after it the process is clean, or leaves.

    Gives what the job calls, once its own code has run, before anything is written: that relies on a clean process too.

    In a process that takes further jobs all accelerators are hidden: whoever looks for one there once is told the same
    ever after. A job that may see some therefore needs a process that no job had before.

    Args:
        process: None when it is not the backend's own, so that nothing of it may be changed.
    """
    if process is None or threading.current_thread() is not threading.main_thread():
        yield _nothing
        return
    threads_before = threading.enumerate()
    if process.leave is None:
        yield World({}).restore_for_write
        _end_in_spite_of(_started_since(threads_before))
        return
    world = World(_hidden()) if process.kept is None else process.kept.begin()
    take_suspicion()
    try:
        yield world.restore_for_write
    finally:
        try:
            unrestored = world.restore()
        except BaseException:  # noqa: BLE001 - a handler that the job left behind has raised where it begins, or tries again
            unrestored = world.restore()
        reasons = [f"{name} could not be restored" for name in unrestored]
        threads = _started_since(threads_before)
        reasons += [f"the job left the thread {each.name!r} running" for each in threads if not _is_of_a_pool(each)]
        if suspicion := take_suspicion():
            reasons.append(suspicion)
        if reasons:
            _log.warning("this worker process takes no further job: %s", "; ".join(reasons))
            process.leave()
            _end_in_spite_of(threads)


@cache
def _hidden() -> Mapping[Any, Any]:
    return as_kept(hidden_accelerators())


def _nothing() -> None:
    pass


def _started_since(before: Collection[threading.Thread]) -> list[threading.Thread]:
    """Threads that have come since, and that a Python process waits for before it ends."""
    return [each for each in threading.enumerate() if not each.daemon and each not in before]


def _is_of_a_pool(thread: threading.Thread) -> bool:
    """Whether it belongs to a pool, as libraries keep one: asyncio, and with it every store on S3."""
    pools = sys.modules.get("concurrent.futures.thread")
    return thread in getattr(pools, "_threads_queues", ())


def _end_in_spite_of(threads: Collection[threading.Thread]) -> None:
    """Let the process end soon after its main thread, although these go on."""
    if threads:
        threading.Thread(target=_end_after_main_thread, name="checkmaite end", daemon=True).start()


def _end_after_main_thread() -> None:
    threading.main_thread().join()
    time.sleep(_LAST_WORDS_S)
    os._exit(0)
