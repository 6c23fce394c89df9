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
        self._began_at = time.monotonic()
        self._next_at = self._began_at + 1
        self._bytes = 0
        self.doing = ""

    def tick(self, read_bytes: int = 0) -> None:
        """Some work is done."""
        self._bytes += read_bytes
        now = time.monotonic()
        if self._say is not None and now >= self._next_at:
            self._next_at = now + 1
            self._say(f"Fingerprinting {self.doing}: {now - self._began_at:.0f} s, {self._bytes / 1e9:.1f} GB so far.")


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


def plain_bytes(value: Any, pace: Pace) -> bytes | None:
    """A plain value, or a container of such, as bytes; None for everything else."""
    done = scalar(value, pace)
    return plain_container(value, pace) if done is None else done


_WRITTEN: dict[type, Callable[[Any], bytes]] = {
    int: lambda value: b"i" + hex(value).encode(),
    float: lambda value: b"f" + value.hex().encode(),
    complex: lambda value: f"c{value.real.hex()} {value.imag.hex()}".encode(),
    type(None): lambda _: b"N",
    type(...): lambda _: b"E",
    type(NotImplemented): lambda _: b"X",
}
_PLAIN = frozenset({str, int, float, bool, type(None), bytes})
_NESTED = frozenset({list, tuple, dict})
SLICE = 2**16
"""Items of a list or a tuple that are digested in one step; longer ones are digested by slices. Part of the scheme."""
_MOST_NESTING = 4
_MOST_PLAIN = 4 * SLICE


def plain_container(value: Any, pace: Pace) -> bytes | None:
    """A list or tuple of plain values, a dict of them by text, and these nested, in one step; None for everything else.

    What `ascii` writes of plain values is the same in every process and loses nothing.
    """
    if type(value) not in _NESTED:
        return None
    try:
        written = _plain_text(value, _MOST_NESTING, [_MOST_PLAIN]).encode()
    except (_NotPlain, ValueError):  # ValueError: a number too long to be written in decimal
        return None
    return b"p" + written if len(written) <= _LONG_BYTES else content("plain", written, pace)


class _NotPlain(Exception):  # noqa: N818 - no error, but an answer
    """Something in a container is not plain, or there is too much of it."""


def _plain_text(value: Any, levels: int, room: list[int]) -> str:
    is_dict = type(value) is dict
    types = set(map(type, value.values() if is_dict else value))
    room[0] -= len(value) + 1
    if room[0] < 0 or (is_dict and not set(map(type, value)) <= {str}):
        raise _NotPlain
    if types <= _PLAIN:
        return f"{{{sorted(value.items())!a}}}" if is_dict else ascii(value)
    if levels == 0 or not types <= _PLAIN | _NESTED:
        raise _NotPlain
    if is_dict:
        named = (f"{name!a}:{_plain_part(value[name], levels, room)}" for name in sorted(value))
        return f"{{{','.join(named)}}}"
    written = ",".join(_plain_part(each, levels, room) for each in value)
    return f"[{written}]" if type(value) is list else f"({written},)"


def _plain_part(value: Any, levels: int, room: list[int]) -> str:
    return _plain_text(value, levels - 1, room) if type(value) in _NESTED else ascii(value)
