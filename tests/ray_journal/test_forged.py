"""Objects of somebody who means harm: named, in bounded time and memory, with a checksum that fits."""

from __future__ import annotations

import json
import resource
import time
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from checkmaite.jobs_ray.journal.format import JOURNAL_PROTOCOL, JournalCorruptError, Kind, decode

URI = "/journal/seg/000000000007"
HEADER = {
    "protocol": JOURNAL_PROTOCOL,
    "kind": "segment",
    "number": 7,
    "leader": "one",
    "fence": 1,
    "nonce": "n",
    "rows": 1,
}


def forged(body: bytes, **changed: Any) -> bytes:
    """An object whose checksum fits, whatever it says."""
    fields = {**HEADER, "bytes": len(body), **changed}
    said = json.dumps({name: value for name, value in fields.items() if value is not ...}, separators=(",", ":"))
    line = b'{"magic":"checkmaite-jobs journal",' + said.encode()[1:-1]
    return line + b',"crc":%d}\n' % zlib.crc32(body, zlib.crc32(line)) + body


def packed(text: bytes) -> bytes:
    return zlib.compress(text, 9)


def bomb(piece: bytes, count: int) -> bytes:
    """What a small body stands for is never in memory here."""
    compressor = zlib.compressobj(9)
    return b"".join([*(compressor.compress(piece) for _ in range(count)), compressor.flush()])


@contextmanager
def within(seconds: float, more_bytes: int) -> Iterator[None]:
    before, began = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.process_time()
    yield
    assert time.process_time() - began < seconds
    assert (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024 < more_bytes


BOMBS = {
    "one row without end": bomb(b"[" + b" " * 2**20, 1024),
    "rows of nothing": bomb(b"[]\n" * 2**18, 2048),
    "no rows": bomb(b"\n" * 2**20, 1024),
}


@pytest.mark.parametrize("what", BOMBS)
def test_a_body_that_expands_a_thousandfold_is_refused(what: str) -> None:
    content = forged(BOMBS[what], rows=5)
    assert len(content) < 3 * 2**20
    stored = decode(content, uri=URI, kinds=frozenset({Kind.SEGMENT}), number=7)
    with within(10.0, 600 * 2**20), pytest.raises(JournalCorruptError, match=URI):
        stored.rows()


FORGED: dict[str, tuple[bytes, dict[str, Any]]] = {
    "no compression": (b'["x"]\n', {}),
    "another compression": (b"\x1f\x8b\x08\x00" + bytes(20), {}),
    "cut compression": (packed(b'["x"]\n' * 50)[:-6], {"rows": 50}),
    "something after it": (packed(b'["x"]\n') + b"more", {}),
    "no line end": (packed(b'["x"]'), {}),
    "no JSON": (packed(b'["x"\n'), {}),
    "nested deeply": (packed(b"[" * 200_000 + b"\n"), {}),
    "a number that is none": (packed(b'{"x":NaN}\n'), {}),
    "a number beyond all": (packed(b"[1e999]\n"), {}),
    "no ASCII": (packed(b'["\xff"]\n'), {}),
    "fewer rows": (packed(b'["x"]\n'), {"rows": 2}),
    "more rows": (packed(b'["x"]\n' * 3), {"rows": 2}),
    "a number of rows that is none": (packed(b'["x"]\n'), {"rows": "1"}),
    "a negative number of rows": (packed(b""), {"rows": -1}),
    "no kind": (packed(b'["x"]\n'), {"kind": ...}),
    "another kind": (packed(b'["x"]\n'), {"kind": "parcel"}),
    "a kind that is a list": (packed(b'["x"]\n'), {"kind": ["segment"]}),
    "a protocol that is a text": (packed(b'["x"]\n'), {"protocol": "99"}),
    "a leader that is a list": (packed(b'["x"]\n'), {"leader": ["one"]}),
    "a number that is a truth": (packed(b'["x"]\n'), {"fence": True}),
    "a size that is a text": (packed(b'["x"]\n'), {"bytes": "11"}),
}


@pytest.mark.parametrize("what", FORGED)
def test_an_object_that_says_what_cannot_be_is_refused_by_name(what: str) -> None:
    body, changed = FORGED[what]
    with pytest.raises(JournalCorruptError, match=URI):
        decode(forged(body, **changed), uri=URI, kinds=frozenset({Kind.SEGMENT}), number=7).rows()


@pytest.mark.parametrize(
    "row",
    [
        "[]",
        "{}",
        '["one"]',
        '{"id":"one","host":"h","boot_id":"","pid":1,"started_at":1e300,"where":""}',
        '{"id":"one","host":"h","boot_id":"","pid":"x","started_at":1,"where":""}',
        '{"id":["one"],"host":"h","boot_id":"","pid":1,"started_at":1,"where":""}',
    ],
)
def test_a_fence_that_names_no_leader_is_refused_by_name(row: str) -> None:
    content = forged(packed(row.encode() + b"\n"), kind="fence", fence=7)
    stored = decode(content, uri=URI, kinds=frozenset({Kind.FENCE}), number=7)
    with pytest.raises(JournalCorruptError, match=f"{URI}: it names no leader"):
        stored.led_by()
