"""How values become bytes and bytes become digests.

SHA-256, because processors of the last years compute it in hardware: there it is faster than BLAKE2.
"""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

_CHUNK_BYTES = 4 * 2**20
"""Long content is the digest of the digests of its chunks, so that several cores work on it. Part of the scheme."""
_PARALLEL_BYTES = 4 * _CHUNK_BYTES
_LONG_BYTES = 2**16
"""Text and bytes of a scalar stand for themselves up to this length, and as their digest above it."""
_MOST_THREADS = 8


class Pace:
    """Says what is being done, once it has taken a second and then once a second.

    Args:
        say: Gets each message.
    """

    def __init__(self, say: Callable[[str], None] | None = None) -> None:
        self._say = say
        self._next_at = time.monotonic() + 1
        self._bytes = 0
        self.doing = ""

    def tick(self, read_bytes: int = 0) -> None:
        """Some work is done."""
        self._bytes += read_bytes
        if self._say is not None and time.monotonic() >= self._next_at:
            self._next_at = time.monotonic() + 1
            self._say(f"Fingerprinting {self.doing}: {self._bytes / 1e9:.1f} GB read so far.")


def node(kind: str, parts: Iterable[bytes]) -> bytes:
    """A digest of a kind and of parts in their order, as bytes that a surrounding node takes as a part."""
    hashed = hashlib.sha256(kind.encode())
    for part in parts:
        hashed.update(len(part).to_bytes(8, "big"))
        hashed.update(part)
    return b"#" + hashed.digest()


def content(kind: str, view: bytes | memoryview, pace: Pace) -> bytes:
    """A node of plain content: contiguous bytes, hashed on several cores when there are many."""
    flat = memoryview(view).cast("B") if memoryview(view).nbytes else memoryview(b"")
    chunks = (flat[start : start + _CHUNK_BYTES] for start in range(0, len(flat), _CHUNK_BYTES))
    if len(flat) < _PARALLEL_BYTES:
        digests = [_chunk_digest(chunk) for chunk in chunks]
        pace.tick(len(flat))
    else:
        digests = []
        with ThreadPoolExecutor(min(_MOST_THREADS, os.cpu_count() or 1), "checkmaite-fingerprint") as threads:
            for digest in threads.map(_chunk_digest, chunks):
                digests.append(digest)
                pace.tick(_CHUNK_BYTES)
    return node(kind, (len(flat).to_bytes(8, "big"), *digests))


def _chunk_digest(chunk: memoryview) -> bytes:
    return hashlib.sha256(chunk).digest()


def scalar(value: Any, pace: Pace) -> bytes | None:
    """One plain value as bytes; None when it is none.

    1, 1.0 and True differ, and so do 0.0 and -0.0; every NaN is the same.
    """
    if type(value) is str:
        text = value.encode("utf-8", "surrogatepass")
        return b"s" + text if len(text) <= _LONG_BYTES else content("str", text, pace)
    if type(value) is bytes:
        return b"b" + value if len(value) <= _LONG_BYTES else content("bytes", value, pace)
    if value is True or value is False:
        return b"T" if value else b"F"
    write = _WRITTEN.get(type(value))
    return None if write is None else write(value)


_WRITTEN: dict[type, Callable[[Any], bytes]] = {
    int: lambda value: b"i" + hex(value).encode(),
    float: lambda value: b"f" + value.hex().encode(),
    complex: lambda value: f"c{value.real.hex()} {value.imag.hex()}".encode(),
    type(None): lambda _: b"N",
    type(...): lambda _: b"E",
    type(NotImplemented): lambda _: b"X",
}
_PLAIN = frozenset({str, int, float, bool, type(None), bytes})


def plain_container(value: Any, pace: Pace) -> bytes | None:
    """A list or tuple of plain values, or a dict of them by text, in one step; None for everything else.

    What `ascii` writes of these types is the same in every process and loses nothing.
    """
    kind = type(value)
    try:
        if kind is list or kind is tuple:
            if set(map(type, value)) <= _PLAIN:
                return content(kind.__name__, ascii(value).encode(), pace)
        elif kind is dict and set(map(type, value.values())) <= _PLAIN and set(map(type, value)) <= {str}:
            return content("dict", ascii(sorted(value.items())).encode(), pace)
    except ValueError:  # a number too long to be written in decimal
        return None
    return None
