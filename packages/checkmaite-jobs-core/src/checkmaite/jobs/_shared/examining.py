"""Whether a place can hold a store: all that the store needs of it is tried, and what fails is told with a remedy."""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from threading import Barrier
from typing import Literal

from attrs import frozen
from checkmaite.jobs._shared.errors import StoreError
from checkmaite.jobs._shared.objects import ObjectStore

_FOLDER = "_doctor"
_WRITERS = 8
_CLOSE_S = 2.0
"""Clocks that differ by less are taken for equal: requests take some of it."""


@frozen(kw_only=True)
class Check:
    """What trying one thing has shown.

    Attributes:
        check: What was tried.
        state: ``ok``, ``note`` or ``fault``.
        found: What came of it, and what to do about it.
    """

    check: str
    state: Literal["ok", "note", "fault"]
    found: str


def examined(objects: ObjectStore) -> Iterator[Check]:
    """Try each thing in turn; without the first, writing, nothing else is tried. What was made for it is deleted."""
    folder = f"{_FOLDER}/{secrets.token_hex(8)}"
    key = f"{folder}/object"
    try:
        objects.create(key, b"one")
    except StoreError as error:
        yield Check(check="write", state="fault", found=str(error))
        return
    yield Check(check="write", state="ok", found=f"{objects.root} takes objects")
    try:
        for name, trial in (("read", _read), ("exclusive create", _race), ("list", _list), ("clock", _clock)):
            try:
                state, found = trial(objects, folder)
            except StoreError as error:
                state, found = "fault", str(error)
            yield Check(check=name, state=state, found=found)
    finally:
        deleted = _cleared(objects, folder)
    yield deleted


_Told = tuple[Literal["ok", "note", "fault"], str]


def _read(objects: ObjectStore, folder: str) -> _Told:
    content = objects.find(f"{folder}/object")
    if content == b"one":
        return "ok", "what was written is read"
    return "fault", "another content is read than was written. Check what answers at this address."


def _race(objects: ObjectStore, folder: str) -> _Told:
    """Several writers create one object at once: one of them must win, and each must be told the truth."""
    key, start = f"{folder}/raced", Barrier(_WRITERS)

    def create(number: int) -> bool:
        start.wait()
        return objects.create(key, b"%d" % number)

    with ThreadPoolExecutor(_WRITERS) as pool:
        won = [number for number, is_made in enumerate(pool.map(create, range(_WRITERS))) if is_made]
    content = objects.find(key)
    if len(won) == 1 and content == b"%d" % won[0] and not objects.create(key, b"late"):
        return "ok", f"of {_WRITERS} writers of one object one wins, and the others are told"
    return "fault", (
        f"of {_WRITERS} writers of one object {len(won)} were told that they had made it. Two jobs with one run could "
        "both be stored: use a file system with hard links, or an object store that honours If-None-Match."
    )


def _list(objects: ObjectStore, folder: str) -> _Told:
    if {"object", "raced"} <= set(objects.names(folder)):
        return "ok", "what was written is listed at once"
    return "fault", "what was just written is not listed, so readers miss runs. Use a store with consistent listings."


def _clock(objects: ObjectStore, folder: str) -> _Told:
    objects.create(f"{folder}/clock", b"")
    here = time.time()
    there = objects.modified(folder).get("clock")
    if there is None:
        return "note", "the store does not say when objects were written, so vacuum() and repair() find nothing old"
    apart = there - here
    if abs(apart) < _CLOSE_S:
        return "ok", "the store's clock is this machine's, give or take two seconds"
    return "note", (
        f"the store's clock is {abs(apart):,.0f} s {'ahead of' if apart > 0 else 'behind'} this machine's, by which "
        "created_at and as_of go. Set both by NTP; S3 refuses requests of a clock that is 15 minutes off."
    )


def _cleared(objects: ObjectStore, folder: str) -> Check:
    try:
        for name in objects.names(folder):
            objects.delete(f"{folder}/{name}")
        left = objects.names(folder)
    except StoreError as error:
        return Check(
            check="delete",
            state="note",
            found=f"{error} Runs are stored and read without; vacuum() and delete_tag() fail.",
        )
    if objects.is_local:
        for each in (folder, _FOLDER):
            with suppress(OSError):  # another examination has something in it
                Path(objects.uri_of(each)).rmdir()
    if left:
        return Check(check="delete", state="fault", found=f"{left[0]} is listed after it was deleted.")
    return Check(check="delete", state="ok", found="what is deleted is gone")
