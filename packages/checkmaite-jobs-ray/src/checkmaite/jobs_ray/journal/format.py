"""One object of the journal: its name, its bytes, and what can be wrong with it.

The first line says what the object is, as JSON in ASCII. The rest is its rows, one JSON text a line, compressed with
zlib. The line ends with a checksum of all the other bytes. Every later protocol keeps the line, its first two fields,
its ``bytes`` and its checksum, so that older code knows that it meets a newer object, not a damaged one.
"""

from __future__ import annotations

import json
import re
import zlib
from collections.abc import Iterable, Iterator
from enum import StrEnum
from math import isfinite
from typing import Any, Self

from attrs import frozen
from checkmaite.jobs import IncompatibleVersionError, StoreCorruptError
from checkmaite.jobs_ray.journal.leader import Leader

JOURNAL_PROTOCOL = 5
"""Raised when older code could misread what newer code writes."""

_MAGIC = b'{"magic":"checkmaite-jobs journal",'
_LONGEST_LINE = 4096
_CHECKSUM = b',"crc":'
_PIECE_ROWS = 256
_PIECE_BYTES = 16 * 1024
_LAST_START = 1e11
"""Seconds since the epoch, some thousand years from now."""
_PIECE_TEXT = 4 * 2**20
_LONGEST_ROW = 256 * 2**20
"""More than any row has: the largest are payloads of 32 KiB, and 64 finished jobs with what they say."""
_LEVEL = 1
_WITHOUT_IT = (
    "What comes after builds on it, so it cannot be left out; read_job_history() shows what is left. Restore it from a "
    "copy, or move the whole folder away, or pass another journal_uri, to begin with an empty history."
)
_WITHOUT_SNAPSHOT = (
    "Restore it from a copy, or delete it: the snapshot before it and everything since are kept, and are read instead."
)
_encode = json.JSONEncoder(separators=(",", ":"), allow_nan=False).encode
SEGMENTS = "seg"
SNAPSHOTS = "snap"
_NAME = re.compile(r"[0-9]{12}")


class Kind(StrEnum):
    """What an object of the journal is."""

    SEGMENT = "segment"
    FENCE = "fence"
    SNAPSHOT = "snapshot"


@frozen(kw_only=True)
class Header:
    """What an object says of itself.

    Attributes:
        kind: What it is.
        number: Its place in the sequence; a snapshot's is that of the last object that it covers.
        leader: Id of the leader that made it.
        fence: Number of that leader's fence.
        nonce: What no other object carries.
    """

    kind: Kind
    number: int
    leader: str
    fence: int
    nonce: str


@frozen
class Stored:
    """An object that was read and found undamaged.

    Attributes:
        header: What it says of itself.
        row_count: How many rows it has.
        uri: Where it is, for errors.
        body: Its rows, still compressed.
        protocol: What they mean.
    """

    header: Header
    row_count: int
    uri: str
    body: bytes
    protocol: int = JOURNAL_PROTOCOL

    def pieces(self) -> Iterator[list[Any]]:
        """Its rows in order, some at a time: neither all of its text nor all of its rows are in memory at once."""
        count = 0
        try:
            for text in _lines(self.body):
                count += text.count("\n") + 1
                if count > self.row_count:
                    raise ValueError(f"it has more than {self.row_count} rows")
                rows: list[Any] = _decode(f"[{text.replace(chr(10), ',')}]")
                yield rows
            if count != self.row_count:
                raise ValueError(f"it has {count} rows and not {self.row_count}")
        except (ValueError, RecursionError, zlib.error) as error:
            raise _damaged(self.uri, str(error), self.header.kind) from error

    def led_by(self) -> Leader:
        """The leader that a fence names.

        Raises:
            JournalCorruptError: It names none.
        """
        try:
            leader = Leader.from_row(self.rows()[0])
            texts = (leader.id, leader.host, leader.boot_id, leader.where)
            if (
                not all(type(each) is str for each in texts)
                or not abs(leader.started_at) < _LAST_START
                or leader.pid < 0
            ):
                raise ValueError(f"{leader} is none")
        except (ValueError, TypeError, LookupError) as error:
            raise _damaged(self.uri, f"it names no leader ({error})", Kind.FENCE) from error
        return leader

    def rows(self) -> list[Any]:
        """All of its rows."""
        return [row for piece in self.pieces() for row in piece]


def encode(header: Header, rows: Iterable[Any]) -> bytes:
    """An object with these rows, which are taken one by one.

    Raises:
        TypeError, ValueError: A row is no JSON value. NaN and the infinities are none.
    """
    body, row_count = _compressed(rows)
    fields = {
        "protocol": JOURNAL_PROTOCOL,
        "kind": header.kind.value,
        "number": header.number,
        "leader": header.leader,
        "fence": header.fence,
        "nonce": header.nonce,
        "rows": row_count,
        "bytes": sum(map(len, body)),
    }
    line = _MAGIC + _encode(fields).encode("ascii")[1:-1]
    checksum = zlib.crc32(line)
    for piece in body:
        checksum = zlib.crc32(piece, checksum)
    return b"".join([line, _CHECKSUM, b"%d}\n" % checksum, *body])


def decode(content: bytes, *, uri: str, kinds: frozenset[Kind], number: int) -> Stored:
    """Read an object, of which it is known what it must be.

    Args:
        content: The object's bytes.
        uri: Where it is, for errors.
        kinds: What it may be.
        number: Its place in the sequence, by its name.

    Raises:
        JournalCorruptError: It is something else, or damaged.
        IncompatibleVersionError: It is of a newer protocol than this code knows.
    """
    expected = Kind.SNAPSHOT if Kind.SNAPSHOT in kinds else Kind.SEGMENT
    if not content.startswith(_MAGIC):
        if _MAGIC.startswith(content):
            raise _damaged(uri, "it is cut short", expected)
        raise _damaged(uri, "it is not an object of a journal", expected)
    end = content.find(b"\n", 0, _LONGEST_LINE)
    if end < 0:
        raise _damaged(uri, "it is cut short", expected)
    fields, body = _checked(content[:end], content[end + 1 :], uri, expected)
    if fields["protocol"] > JOURNAL_PROTOCOL:
        raise IncompatibleVersionError(
            f"{uri} was written by a newer checkmaite-jobs-ray: it is of journal protocol {fields['protocol']}, and "
            f"this one reads up to {JOURNAL_PROTOCOL}. Upgrade checkmaite-jobs-ray here, or pass another journal_uri.",
            here=f"journal protocol {JOURNAL_PROTOCOL}",
            there=f"journal protocol {fields['protocol']}",
        )
    stored = _of_fields(fields, body, uri)
    header = stored.header
    if header.number != number or header.kind not in kinds:
        raise _damaged(
            uri, f"it is {header.kind} {header.number}, which does not belong there: it was renamed or copied", expected
        )
    return stored


def _checked(line: bytes, body: bytes, uri: str, expected: Kind) -> tuple[dict[str, Any], bytes]:
    try:
        fields = json.loads(line)
        size, checksum, protocol = fields["bytes"], fields["crc"], fields["protocol"]
        if not all(type(each) is int for each in (size, checksum, protocol)):
            raise TypeError("these are numbers")
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise _damaged(uri, "its first line is damaged", expected) from error
    covered = line.rpartition(_CHECKSUM)[0]
    if zlib.crc32(body, zlib.crc32(covered)) == checksum and len(body) == size:
        if line == covered + _CHECKSUM + b"%d}" % checksum:
            return fields, body
        raise _damaged(uri, "its first line is damaged", expected)
    if len(body) < size:
        raise _damaged(uri, f"it is cut short: {len(body)} bytes of {size}", expected)
    raise _damaged(uri, "its checksum is wrong, so its bytes have changed", expected)


def _of_fields(fields: dict[str, Any], body: bytes, uri: str) -> Stored:
    """What the fields of protocol 1 mean; a later protocol's are told apart here.

    Raises:
        JournalCorruptError: They mean nothing.
    """
    try:
        header = Header(
            kind=Kind(fields["kind"]),
            number=fields["number"],
            leader=fields["leader"],
            fence=fields["fence"],
            nonce=fields["nonce"],
        )
        row_count = fields["rows"]
    except (KeyError, ValueError) as error:
        raise _damaged(uri, f"its first line says nothing that is known ({error})", Kind.SEGMENT) from error
    counts, texts = (header.number, header.fence, row_count), (header.leader, header.nonce)
    if (
        not all(type(each) is int and each >= 0 for each in counts)
        or not all(type(each) is str for each in texts)
        or header.fence > header.number
    ):
        raise _damaged(uri, "its first line says what cannot be", header.kind)
    return Stored(header, row_count, uri, body, fields["protocol"])


def missing(uri: str, kind: Kind) -> JournalCorruptError:
    """The error for an object that must be there."""
    return JournalGapError.of(uri, "it is missing", _remedy(kind))


def misplaced(stored: Stored, leader: Leader | None) -> JournalCorruptError:
    """The error for an object that the leader of its time has not made."""
    led = leader.id if leader else "nobody"
    what = f"leader {stored.header.leader} made it, when {led} led, so it comes from another journal"
    return _damaged(stored.uri, what, stored.header.kind)


def _damaged(uri: str, what: str, kind: Kind) -> JournalCorruptError:
    return JournalCorruptError.of(uri, what, _remedy(kind))


def _remedy(kind: Kind) -> str:
    return _WITHOUT_SNAPSHOT if kind is Kind.SNAPSHOT else _WITHOUT_IT


def _compressed(rows: Iterable[Any]) -> tuple[list[bytes], int]:
    compressor, pieces, texts, count = zlib.compressobj(_LEVEL), [], [], 0
    for row in rows:
        texts.append(_encode(row))
        count += 1
        if len(texts) == _PIECE_ROWS:
            pieces.append(compressor.compress(("\n".join(texts) + "\n").encode("ascii")))
            texts.clear()
    if texts:
        pieces.append(compressor.compress(("\n".join(texts) + "\n").encode("ascii")))
    pieces.append(compressor.flush())
    return [piece for piece in pieces if piece], count


def _finite(said: str) -> float:
    """A number of a row: JSON has no others, and a row with NaN or an infinity could never be written again."""
    number = float(said)
    if not isfinite(number):
        raise ValueError(f"{said:.80} is no number")
    return number


_decode = json.JSONDecoder(parse_constant=_finite, parse_float=_finite).decode


def _lines(body: bytes) -> Iterator[str]:
    """The text in pieces of whole lines, each without its last line end.

    Raises:
        ValueError, zlib.error: It is none, or has a line that is longer than any that a journal has.
    """
    rest: list[bytes] = []
    for piece in _texts(body):
        whole, line_end, begun = piece.rpartition(b"\n")
        if line_end:
            yield b"".join([*rest, whole]).decode("ascii")
            rest = []
        rest.append(begun)
        if sum(map(len, rest)) > _LONGEST_ROW:
            raise ValueError(f"a row of it is longer than {_LONGEST_ROW} bytes")
    if any(rest):
        raise ValueError("its last row is cut short")


def _texts(body: bytes) -> Iterator[bytes]:
    """What was compressed, a piece at a time, however much a small body stands for."""
    decompressor = zlib.decompressobj()
    for start in range(0, len(body), _PIECE_BYTES):
        left = body[start : start + _PIECE_BYTES]
        while left:
            yield decompressor.decompress(left, _PIECE_TEXT)
            left = decompressor.unconsumed_tail
    if decompressor.unused_data or (body and not decompressor.eof):
        raise ValueError("its rows are cut short, or something follows them")


# -- errors ------------------------------------------------------------------------------------------------------------


class JournalCorruptError(StoreCorruptError):
    """An object of a journal is not what it must be, or is not there; nothing that it says was used."""

    @classmethod
    def of(cls, uri: str, what: str, remedy: str) -> Self:
        """The error for an object: what is wrong with it, and what to do."""
        return cls(f"{uri}: {what}. {remedy}", uri=uri)


class JournalGapError(JournalCorruptError):
    """An object of a journal is not there, though it must have been."""


# -- names of objects --------------------------------------------------------------------------------------------------


def segment_key(number: int) -> str:
    """Key of a segment or fence."""
    return f"{SEGMENTS}/{number:012}"


def snapshot_key(number: int) -> str:
    """Key of the snapshot of everything up to a number."""
    return f"{SNAPSHOTS}/{number:012}"


def numbers_of(root: str, folder: str, names: Iterable[str]) -> list[int]:
    """The numbers that a folder's names stand for, in order.

    Raises:
        JournalCorruptError: A name is none that a journal gives.
    """
    numbers: list[int] = []
    for name in names:
        if not _NAME.fullmatch(name):
            raise JournalCorruptError.of(
                f"{root}/{folder}/{name}",
                "it is not an object of a journal",
                f"Move it elsewhere: nothing but the journal may be in {root}/{folder}.",
            )
        numbers.append(int(name))
    return sorted(numbers)
