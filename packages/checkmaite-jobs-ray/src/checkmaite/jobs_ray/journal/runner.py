"""Carries out what the journal's logic asks for, in the calling thread: the only clock and the only randomness.

Here is also what depends on the machine: which process leads, and whether a store can hold a journal.
"""

from __future__ import annotations

import os
import secrets
import socket
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar, assert_never

from checkmaite.jobs import ConfigurationError, Problem, StoreError, StoreNotFoundError
from checkmaite.jobs.spi import ObjectStore
from checkmaite.jobs_ray.journal.leader import Leader
from checkmaite.jobs_ray.journal.steps import Create, Delete, Exists, Names, Pause, Read, ReadMany, Steps

T = TypeVar("T")
_THREADS = 16
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
_RACERS = 8
_ROUNDS = 2
_TRIES = 6
_REMEDY = (
    "Pass another journal_uri, on a local or shared disk or in an S3 store that honours If-None-Match, or "
    "journal_uri=None to keep jobs in memory only."
)


def _sleep(pause: Pause) -> None:
    time.sleep(pause.seconds)


def perform(steps: Steps[T], objects: ObjectStore, pause: Callable[[Pause], None] = _sleep) -> T:
    """Run steps to their end. Blocks: never call it in an event loop.

    Args:
        steps: What to do.
        objects: Where: its root is the journal's.
        pause: Called for each pause, with the reason. What it raises ends the steps, as if the process had died.

    Raises:
        BaseException: Whatever the steps or `pause` raise.
    """
    reply: Any = None
    error: StoreError | None = None
    try:
        while True:
            request = steps.send(reply) if error is None else steps.throw(error)
            reply = error = None
            try:
                if isinstance(request, Pause):
                    pause(request)
                else:
                    reply = reply_of(request, objects)
            except StoreError as failure:
                error = failure
    except StopIteration as end:
        result: T = end.value
        return result
    finally:
        steps.close()


def reply_of(request: Create | Read | Exists | ReadMany | Names | Delete, objects: ObjectStore) -> Any:
    """Carry out one request; its reply.

    Raises:
        StoreError: It could not be carried out, or perhaps it was, but this is not known.
    """
    match request:
        case Create(key, content):
            return objects.create(key, content)
        case Read(key):
            return _read(objects, key)
        case Exists(key):
            return objects.exists(key)
        case ReadMany(keys):
            return _each(lambda key: _read(objects, key), keys)
        case Names(folder):
            return objects.names(folder)
        case Delete(keys):
            return _each(objects.delete, keys)
        case _:
            assert_never(request)


def _read(objects: ObjectStore, key: str) -> bytes | None:
    try:
        return objects.read(key)
    except StoreNotFoundError:
        return None


def _each(call: Callable[[str], T], keys: Sequence[str]) -> list[T]:
    if len(keys) < 2:
        return [call(key) for key in keys]
    with ThreadPoolExecutor(_THREADS, "checkmaite-journal") as threads:
        return list(threads.map(call, keys))


# -- this process ------------------------------------------------------------------------------------------------------


def leader_here(address: str) -> Leader:
    """A new leader: this process, from now on."""
    try:
        boot_id = _BOOT_ID.read_text("ascii").strip()
    except OSError:
        boot_id = ""
    return Leader(
        id=secrets.token_hex(8),
        host=socket.gethostname(),
        boot_id=boot_id,
        pid=os.getpid(),
        started_at=time.time(),
        where=address,
    )


def new_nonce() -> str:
    """What no other object carries."""
    return secrets.token_hex(8)


# -- whether a store can hold a journal --------------------------------------------------------------------------------


def probe(objects: ObjectStore) -> None:
    """Let threads race for the same objects; what they made is deleted.

    Raises:
        ConfigurationError: More than one won, or nobody did: a journal there would lose what was accepted.
        StoreError: The store did not answer, or refused.
    """
    if objects.root.startswith("memory:"):
        raise _refusal(objects, "ends with its process, and lets several creators of one object win")
    conclusive = 0
    for _ in range(_TRIES):
        conclusive += _race(objects)
        if conclusive == _ROUNDS:
            return
    raise _refusal(objects, "did not say who created an object")


def _race(objects: ObjectStore) -> bool:
    """Whether somebody won. After lost replies the winner may not know that it won, which is no fault."""
    key = f"probe/{secrets.token_hex(8)}"
    start = threading.Barrier(_RACERS)

    def run(racer: int) -> bool:
        start.wait()
        return objects.create(key, b"%d" % racer)

    try:
        with ThreadPoolExecutor(_RACERS, "checkmaite-probe") as threads:
            winners = [racer for racer, won in enumerate(threads.map(run, range(_RACERS))) if won]
        if len(winners) > 1:
            raise _refusal(objects, f"let {len(winners)} of {_RACERS} simultaneous creators of one object win")
        if objects.create(key, b"later"):
            raise _refusal(objects, "let an object be created that was there already")
        if winners and objects.read(key) != b"%d" % winners[0]:
            raise _refusal(objects, "kept another object than that of the creator who won")
    finally:
        objects.delete(key)
    return bool(winners)


def _refusal(objects: ObjectStore, what: str) -> ConfigurationError:
    return ConfigurationError(
        "The journal cannot be kept there.",
        [Problem("journal_uri", f"{objects.root} {what}, so accepted jobs could be lost.", _REMEDY)],
    )
