"""The bytes of a staged object: a line that says how long what is, its pickle, and the buffers that pickle left out.

Buffers of protocol 5, such as those of NumPy arrays, stand in the content as they are in memory. So nothing of them is
copied to publish them, and who maps the content into memory has the arrays without reading it. A mapping is private:
what a job writes into its arrays is the job's alone, and what nobody writes is in memory once for all.
"""

from __future__ import annotations

import hashlib
import json
import mmap
import os
import pickle
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from checkmaite.jobs._shared.errors import StagedObjectError

_ALIGNED = 64
_MOST_THREADS = 8

Dump = Callable[..., bytes]
"""As `pickle.dumps`."""


class StagedContent:
    """An object's content, made from the object's own buffers: it is as they are whenever a part is asked for.

    Args:
        value: The object.
        dumps: Pickles it.
        part_bytes: Bytes of each part but the last.
    """

    def __init__(self, value: object, dumps: Dump, part_bytes: int) -> None:
        buffers: list[pickle.PickleBuffer] = []
        pickled = dumps(value, protocol=5, buffer_callback=buffers.append)
        views = [memoryview(pickled), *(each.raw() for each in buffers)]
        head = json.dumps([len(each) for each in views]).encode() + b"\n"
        self._pieces: list[memoryview] = []
        for each in (memoryview(head), *views):
            self._pieces += [each, memoryview(bytes(-len(each) % _ALIGNED))]
        self._part_bytes = part_bytes
        self.size = sum(map(len, self._pieces))

    @property
    def count(self) -> int:
        """How many parts there are."""
        return -(-self.size // self._part_bytes)

    def part(self, number: int) -> bytes:
        """One part."""
        return b"".join(self._slices(number))

    def digests(self) -> list[str]:
        """The SHA-256 of each part, in hexadecimal; no part is copied."""
        with ThreadPoolExecutor(min(_MOST_THREADS, os.cpu_count() or 1), "checkmaite-staging") as threads:
            return list(threads.map(self._digest, range(self.count)))

    def _digest(self, number: int) -> str:
        hashed = hashlib.sha256()
        for each in self._slices(number):
            hashed.update(each)
        return hashed.hexdigest()

    def _slices(self, number: int) -> list[memoryview]:
        start, end = number * self._part_bytes, (number + 1) * self._part_bytes
        found, position = [], 0
        for piece in self._pieces:
            if position < end and position + len(piece) > start:
                found.append(piece[max(0, start - position) : end - position])
            position += len(piece)
        return found


def unpickled(descriptor: int) -> Any:
    """The object of the content in an open file, verified before. It stands on the file, which may be deleted."""
    mapping = mmap.mmap(descriptor, 0, access=mmap.ACCESS_COPY)
    content, position = memoryview(mapping), mapping.find(b"\n") + 1
    try:
        lengths: list[int] = json.loads(bytes(content[:position]))
    except ValueError as error:
        raise StagedObjectError("A staged object was written by another version of this package.") from error
    views = []
    for length in lengths:
        position += -position % _ALIGNED
        views.append(content[position : position + length])
        position += length
    return pickle.loads(views[0], buffers=views[1:])  # noqa: S301 - its digest is the one that the submission names
