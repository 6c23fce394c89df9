"""Carrying out what the journal's logic asks for, in the calling thread."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar, assert_never

from checkmaite.jobs import StoreError, StoreNotFoundError
from checkmaite.jobs.spi import ObjectStore
from checkmaite.jobs_ray._journal._steps import Create, Delete, Names, Pause, Read, ReadMany, Request, Steps

T = TypeVar("T")
_THREADS = 16


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
                reply = _reply(request, objects, pause)
            except StoreError as failure:
                error = failure
    except StopIteration as end:
        result: T = end.value
        return result
    finally:
        steps.close()


def _reply(request: Request, objects: ObjectStore, pause: Callable[[Pause], None]) -> object:
    match request:
        case Create(key, content):
            return objects.create(key, content)
        case Read(key):
            return _read(objects, key)
        case ReadMany(keys):
            return _each(lambda key: _read(objects, key), keys)
        case Names(folder):
            return objects.names(folder)
        case Delete(keys):
            return _each(objects.delete, keys)
        case Pause():
            pause(request)
            return None
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
