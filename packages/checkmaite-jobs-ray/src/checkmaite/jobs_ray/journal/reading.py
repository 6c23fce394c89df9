"""Reading a journal, by anybody and at any time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from itertools import pairwise
from typing import Any

from attrs import frozen
from checkmaite.jobs import IncompatibleVersionError, StoreUnavailableError
from checkmaite.jobs_ray.journal.format import (
    SEGMENTS,
    SNAPSHOTS,
    JournalCorruptError,
    Kind,
    Stored,
    decode,
    misplaced,
    missing,
    numbers_of,
    segment_key,
    snapshot_key,
)
from checkmaite.jobs_ray.journal.leader import Leader
from checkmaite.jobs_ray.journal.steps import Names, Read, ReadMany, Steps

IN_SEQUENCE = frozenset({Kind.SEGMENT, Kind.FENCE})
_TRIES = 10


@frozen
class Found:
    """A journal as it was when it was read. Its objects are checked already, and their rows are taken from them late.

    Attributes:
        root: Where the journal is.
        snapshot: The newest snapshot; None when there is none yet.
        sequence: The segments and fences after it, in order.
        leader: Who led last; None when the journal is empty.
    """

    root: str
    snapshot: Stored | None
    sequence: tuple[Stored, ...]
    leader: Leader | None

    @property
    def snapshot_number(self) -> int:
        """Number of the last object that the snapshot covers; 0 without one."""
        return self.snapshot.header.number if self.snapshot else 0

    @property
    def tail(self) -> int:
        """Number of the last object; 0 when the journal is empty."""
        return self.snapshot_number + len(self.sequence)

    @property
    def segments_since(self) -> int:
        """How many objects came after the snapshot."""
        return len(self.sequence)

    @property
    def rows_since(self) -> int:
        """How many rows came after the snapshot."""
        return sum(each.row_count for each in self.segments())

    def snapshot_rows(self) -> Iterator[Any]:
        """The snapshot's rows, to begin with."""
        if self.snapshot:
            for piece in self.snapshot.pieces():
                yield from piece

    def segments(self) -> Iterator[Stored]:
        """What was appended after the snapshot, as it was appended."""
        return (stored for stored in self.sequence if stored.header.kind is Kind.SEGMENT)

    def followed_by(self, stored: Sequence[Stored]) -> Found:
        """The same with the objects that come next.

        Raises:
            JournalCorruptError: One was made by somebody who did not lead.
        """
        leader = self.leader
        for each in stored:
            if each.header.kind is Kind.FENCE:
                leader = each.led_by()
            if leader is None or each.header.leader != leader.id:
                raise misplaced(each, leader)
        return Found(self.root, self.snapshot, (*self.sequence, *stored), leader)


def read_journal(root: str) -> Steps[Found]:
    """Read the newest snapshot and all that came after it.

    Whatever was acknowledged before this began is in it. A leader may go on all the while: when it deletes what is
    being read, for a newer snapshot, reading starts over.

    Args:
        root: Where the journal is, for errors.

    Raises:
        JournalCorruptError: An object is damaged, foreign or missing.
        IncompatibleVersionError: An object was written by a later version.
        StoreUnavailableError: The journal changed too fast each time, or the store did not answer.
    """
    for _ in range(_TRIES):
        snapshots = yield from _numbers(root, SNAPSHOTS)
        newest = snapshots[-1] if snapshots else 0
        found = yield from _read_after(root, newest)
        if found is not None:
            return found
    raise StoreUnavailableError(
        f"{root}: what was being read was deleted for a newer snapshot {_TRIES} times. Try again.", uri=root
    )


def is_outrun(root: str, snapshot_number: int, fence: int | None = None) -> Steps[bool]:
    """Whether something that follows a snapshot may have been deleted by now, and a stray fence been put in its place.

    Pruning keeps what follows the last snapshot but one, and there are never fewer snapshots than that again. A fence
    that a snapshot covers already was put where somebody else has deleted what was there.
    """
    snapshots = yield from _numbers(root, SNAPSHOTS)
    return sum(number > snapshot_number for number in snapshots) >= 2 or (
        fence is not None and any(number >= fence for number in snapshots)
    )


def read_rest(root: str) -> Steps[Found]:
    """What can be read of a journal of which objects are missing or damaged: less than was acknowledged.

    It is the newest snapshot that can be read, and every later segment that is there and can be read. Nobody can lead
    from it.
    """
    snapshot = None
    for newest in reversed((yield from _numbers(root, SNAPSHOTS))):
        content: bytes | None = yield Read(snapshot_key(newest))
        uri = f"{root}/{snapshot_key(newest)}"
        with suppress(JournalCorruptError, IncompatibleVersionError):
            snapshot = decode(content or b"", uri=uri, kinds=frozenset({Kind.SNAPSHOT}), number=newest)
            break
    after = snapshot.header.number if snapshot else 0
    numbers = [number for number in (yield from _numbers(root, SEGMENTS)) if number > after]
    contents: list[bytes | None] = yield ReadMany([segment_key(number) for number in numbers])
    stored: list[Stored] = []
    for number, content in zip(numbers, contents, strict=True):
        with suppress(JournalCorruptError, IncompatibleVersionError):
            stored.append(decoded(root, number, content or b""))
    return Found(root, snapshot, tuple(stored), None)


def decoded(root: str, number: int, content: bytes) -> Stored:
    """A segment or fence from its content."""
    return decode(content, uri=f"{root}/{segment_key(number)}", kinds=IN_SEQUENCE, number=number)


def _numbers(root: str, folder: str) -> Steps[list[int]]:
    names: list[str] = yield Names(folder)
    return numbers_of(root, folder, names)


def _read_after(root: str, newest: int) -> Steps[Found | None]:
    """The journal from a snapshot on; None when something was deleted meanwhile."""
    snapshot, leader = None, None
    if newest:
        content: bytes | None = yield Read(snapshot_key(newest))
        if content is None:
            return None
        uri = f"{root}/{snapshot_key(newest)}"
        snapshot = decode(content, uri=uri, kinds=frozenset({Kind.SNAPSHOT}), number=newest)
        leader = yield from _leader_of(root, snapshot)
    found = Found(root, snapshot, (), leader)
    try:
        found = found.followed_by((yield from _sequence(root, newest)))
    except JournalCorruptError:
        if (yield from is_outrun(root, newest)):
            return None
        raise
    return None if (yield from is_outrun(root, newest)) else found


def _sequence(root: str, newest: int) -> Steps[list[Stored]]:
    """What follows a snapshot, in order."""
    wanted = [number for number in (yield from _numbers(root, SEGMENTS)) if number > newest]
    gap = _first_gap(newest, wanted)
    if wanted and wanted[-1] > gap:
        # A listing may leave out what is created while it is made, never what was there before.
        there: bytes | None = yield Read(segment_key(gap))
        if there is None:
            raise missing(f"{root}/{segment_key(gap)}", Kind.SEGMENT)
    numbers = range(newest + 1, gap)
    contents: list[bytes | None] = yield ReadMany([segment_key(number) for number in numbers])
    stored: list[Stored] = []
    for number, content in zip(numbers, contents, strict=True):
        if content is None:
            raise missing(f"{root}/{segment_key(number)}", Kind.SEGMENT)
        stored.append(decoded(root, number, content))
    return stored


def _leader_of(root: str, snapshot: Stored) -> Steps[Leader]:
    """Who led when a snapshot was made: its maker."""
    number = snapshot.header.fence
    uri = f"{root}/{segment_key(number)}"
    content: bytes | None = yield Read(segment_key(number))
    if content is None:
        raise missing(uri, Kind.FENCE)
    fence = decode(content, uri=uri, kinds=frozenset({Kind.FENCE}), number=number)
    leader = fence.led_by()
    if leader.id != snapshot.header.leader:
        raise misplaced(snapshot, leader)
    return leader


def _first_gap(newest: int, wanted: Sequence[int]) -> int:
    """The first number after the snapshot's that is not listed."""
    for before, after in pairwise([newest, *wanted]):
        if after != before + 1:
            return before + 1
    return wanted[-1] + 1 if wanted else newest + 1
