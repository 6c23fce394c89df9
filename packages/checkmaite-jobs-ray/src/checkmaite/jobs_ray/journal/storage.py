"""Leading a journal: fence, append, snapshot, prune."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from itertools import chain, repeat
from typing import Any, NamedTuple

from attrs import evolve
from checkmaite.jobs import IncompatibleVersionError, StoreCorruptError, StoreError, StoreUnavailableError
from checkmaite.jobs_ray.journal.format import (
    SEGMENTS,
    SNAPSHOTS,
    Header,
    JournalCorruptError,
    Kind,
    Stored,
    decode,
    encode,
    numbers_of,
    segment_key,
    snapshot_key,
)
from checkmaite.jobs_ray.journal.leader import Leader, SupersededError
from checkmaite.jobs_ray.journal.reading import Found, decoded, is_outrun, read_journal
from checkmaite.jobs_ray.journal.steps import Create, Delete, Names, Pause, Read, ReadMany, Steps

_PAUSES_S = (0.1, 0.2, 0.5, 1.0, 2.0)
_LAST_PAUSE_S = 5.0
_TRIES = 10
_TURN_S = 1.0
_SNAPSHOT_ROWS = 1000
_ROWS_PER_JOB = 4
"""A job's events. A snapshot after as many rows as there are jobs would be made four times for each of them."""
_CHEAP_ROWS = 50_000
"""So many rows are read in about a second; a journal of more jobs has a snapshot after as many rows as it has jobs."""
_SNAPSHOT_SEGMENTS = 1000
_SNAPSHOT_BYTES = 64 * 2**20
"""Payloads up to 32 KiB are rows' parts: so many bytes are read in a second or two, and fit beside a registry."""
_ROWS_PER_SEGMENT = 10
"""A segment costs the next reader about as much as so many rows."""


class _Size(NamedTuple):
    """How much there is to read."""

    rows: int
    stored_bytes: int

    def with_more(self, more: _Size) -> _Size:
        return _Size(self.rows + more.rows, self.stored_bytes + more.stored_bytes)


class Journal:
    """A journal and the right to extend it, which lasts until another leader takes it.

    One append at a time. Snapshots and pruning may go on meanwhile, in another thread.

    Args:
        found: The journal up to and with this leader's fence.
        leader: Who leads.
        new_nonce: Gives what no other object carries.
    """

    def __init__(self, found: Found, leader: Leader, new_nonce: Callable[[], str]) -> None:
        self._root = found.root
        self._leader = leader
        self._new_nonce = new_nonce
        self._tail = self._fence = found.tail
        self._snapshot_number = found.snapshot_number
        self._snapshot_bytes = len(found.snapshot.body) if found.snapshot else 0
        self._snapshot_fence = found.snapshot.header.fence if found.snapshot else 0
        self._totals: deque[tuple[int, _Size]] = deque()  # number, and what there is up to it since this process reads
        self._total = self._covered = _Size(0, 0)
        self._segments: set[int] = set()
        self._fences: set[int] = set()
        for stored in found.sequence:
            rows = stored.row_count if stored.header.kind is Kind.SEGMENT else 0
            self._count(stored.header.number, _Size(rows, len(stored.body)))
            of_kind = self._segments if stored.header.kind is Kind.SEGMENT else self._fences
            of_kind.add(stored.header.number)
        self._is_appending = False
        self._superseded: SupersededError | None = None

    @property
    def leader(self) -> Leader:
        """Who leads it here."""
        return self._leader

    @property
    def tail(self) -> int:
        """Number of the last object that is known to be there."""
        return self._tail

    @property
    def snapshot_number(self) -> int:
        """Number of the last object that the newest snapshot covers; 0 without one."""
        return self._snapshot_number

    @property
    def rows_since(self) -> int:
        """How many rows came after the newest snapshot."""
        return self._total.rows - self._covered.rows

    @property
    def bytes_since(self) -> int:
        """How many bytes came after the newest snapshot, as they are stored."""
        return self._total.stored_bytes - self._covered.stored_bytes

    @property
    def segments_since(self) -> int:
        """How many objects came after the newest snapshot."""
        return self._tail - self._snapshot_number

    def is_snapshot_due(self, live_rows: int) -> bool:
        """Whether reading has become so much dearer than a snapshot of `live_rows` rows that one is worth its cost."""
        return (
            self.rows_since >= max(_SNAPSHOT_ROWS, live_rows, min(_ROWS_PER_JOB * live_rows, _CHEAP_ROWS))
            or self.segments_since >= max(_SNAPSHOT_SEGMENTS, live_rows // _ROWS_PER_SEGMENT)
            or self.bytes_since >= max(_SNAPSHOT_BYTES, self._snapshot_bytes)
        )

    def append(self, rows: Sequence[Any]) -> Steps[int]:
        """Add a batch of rows durably. None at all is fine, and asks whether this still leads.

        Whatever the store answers, this goes on until it is known whether the batch is in the journal; each time that
        it must try again it asks for a `Pause`. Given up half-way, nobody knows, and nothing can be appended after it.

        Returns:
            The number of the new segment. Only then may the rows be acknowledged.

        Raises:
            SupersededError: Another leads now: the rows are not in the journal, and none will be from here.
            TypeError, ValueError: A row is no JSON value; nothing was written, and the journal can be used.
        """
        if self._superseded:
            raise self._superseded
        if self._is_appending:
            raise RuntimeError(f"{self._root}: an append is under way, or was given up with its outcome unknown.")
        number, nonce = self._tail + 1, self._new_nonce()
        content = encode(self._header(Kind.SEGMENT, number, nonce), rows)
        self._is_appending = True
        try:
            other = yield from _settled(self._root, number, content, nonce, StoreError)
        except (StoreCorruptError, IncompatibleVersionError) as error:
            raise self._step_down(None, number) from error
        if other is not None:
            raise self._step_down(other, number)
        self._segments.add(number)
        self._count(number, _Size(len(rows), len(content)))
        self._tail = number
        self._is_appending = False
        return number

    def snapshot(self, number: int, rows: Iterable[Any]) -> Steps[None]:
        """Store what everything up to a number amounts to, so that it need not be read again.

        When it fails the journal is as good as before; another one may be tried later.

        Args:
            number: That of this leader's fence or of a later segment, the last one that the rows reflect.
            rows: What reading begins with; taken one by one.

        Raises:
            StoreError: It could not be stored, or perhaps it was, but this is not known.
            SupersededError: Another leads now.
        """
        if self._superseded:
            raise self._superseded
        if not max(self._fence, self._snapshot_number + 1) <= number <= self._tail:
            raise ValueError(f"{number} is not of this leader, or a snapshot covers it already.")
        key = snapshot_key(number)
        content = encode(self._header(Kind.SNAPSHOT, number, self._new_nonce()), rows)
        is_new: bool = yield Create(key, content)
        if not is_new:  # an earlier try, whose reply was lost, made one of the same rows
            there: bytes | None = yield Read(key)
            if there is None:
                raise StoreUnavailableError(f"{self._root}/{key}: the store contradicted itself.", uri=self._root)
            decode(there, uri=f"{self._root}/{key}", kinds=frozenset({Kind.SNAPSHOT}), number=number)
        while self._totals and self._totals[0][0] <= number:
            self._covered = self._totals.popleft()[1]
        self._snapshot_number, self._snapshot_bytes, self._snapshot_fence = number, len(content), self._fence

    def is_whole(self) -> Steps[bool]:
        """Whether all that a reader needs is there still, and the last of it is this leader's.

        Nobody but a journal's leaders should delete any of it, or put something in its place. Appending, snapshots and
        pruning may go on meanwhile, in other threads.
        """
        snapshot, tail, fence = self._snapshot_number, self._tail, self._snapshot_fence
        names: list[str] = yield Names(SEGMENTS)
        segments = {*numbers_of(self._root, SEGMENTS, names)}
        names = yield Names(SNAPSHOTS)
        snapshots = numbers_of(self._root, SNAPSHOTS, names)
        needed = {*range(snapshot + 1, tail + 1), *([fence] if snapshot else [])}
        if needed <= segments and (not snapshot or snapshot in snapshots):
            last: bytes | None = yield Read(segment_key(tail))
            if last is not None and decoded(self._root, tail, last).header.leader == self._leader.id:
                return True
        return self._snapshot_number != snapshot  # a newer one needs less; the next look tells

    def renew(self) -> Steps[None]:
        """Make the journal readable again of which something is gone: what follows needs nothing of what was before.

        An append and a snapshot up to it must follow; before that nobody can read the journal.

        Raises:
            SupersededError: Another leads now, perhaps what somebody has put in its place.
        """
        other = yield from self._later_leader()
        if other is not None:
            raise self._step_down(other, other.header.number)
        number, nonce = self._tail + 1, self._new_nonce()
        header = Header(kind=Kind.FENCE, number=number, leader=self._leader.id, fence=number, nonce=nonce)
        content = encode(header, [self._leader.to_row()])
        other = yield from _settled(self._root, number, content, nonce, StoreError)
        if other is not None:
            raise self._step_down(other, number)
        self._fences.add(number)
        self._count(number, _Size(0, len(content)))
        self._tail = self._fence = number

    def _later_leader(self) -> Steps[Stored | None]:
        """The fence of a leader that took over what is there now; None when there is none."""
        names: list[str] = yield Names(SEGMENTS)
        there = [number for number in numbers_of(self._root, SEGMENTS, names) if number <= self._tail]
        number = there[-1] if there else 0
        try:
            while number:
                content: bytes | None = yield Read(segment_key(number))
                stored = decoded(self._root, number, content or b"")
                if stored.header.kind is Kind.FENCE:
                    leader = stored.led_by()
                    return stored if leader.started_at > self._leader.started_at else None
                number = stored.header.fence
        except (StoreCorruptError, IncompatibleVersionError):
            return None
        return None

    def prune(self) -> Steps[int]:
        """Delete what two snapshots cover: the segments up to the last but one, and the snapshots before that.

        Fences stay, and so does what is not recognised. It does not matter who prunes, how often, or how long ago it
        looked.

        Returns:
            How many objects were deleted.
        """
        names: list[str] = yield Names(SNAPSHOTS)
        snapshots = numbers_of(self._root, SNAPSHOTS, names)
        if len(snapshots) < 2:
            return 0
        old, horizon = snapshots[:-2], snapshots[-2]
        names = yield Names(SEGMENTS)
        covered = {number for number in numbers_of(self._root, SEGMENTS, names) if number <= horizon}
        yield from self._recognise(sorted(covered - self._segments - self._fences))
        deleted = sorted(covered & self._segments)
        if old or deleted:
            yield Delete([*map(snapshot_key, old), *map(segment_key, deleted)])
        self._segments.difference_update(deleted)
        return len(old) + len(deleted)

    def _recognise(self, numbers: Sequence[int]) -> Steps[None]:
        """Tell fences from what pruning before this leader's time has left."""
        if not numbers:
            return
        contents: list[bytes | None] = yield ReadMany([segment_key(number) for number in numbers])
        for number, content in zip(numbers, contents, strict=True):
            try:
                is_segment = content and decoded(self._root, number, content).header.kind is Kind.SEGMENT
            except (StoreCorruptError, IncompatibleVersionError):
                is_segment = False
            (self._segments if is_segment else self._fences).add(number)

    def _header(self, kind: Kind, number: int, nonce: str) -> Header:
        return Header(kind=kind, number=number, leader=self._leader.id, fence=self._fence, nonce=nonce)

    def _count(self, number: int, size: _Size) -> None:
        self._total = self._total.with_more(size)
        self._totals.append((number, self._total))

    def _step_down(self, other: Stored | None, number: int) -> SupersededError:
        """From now on this leader says that it was superseded."""
        by = other.led_by() if other and other.header.kind is Kind.FENCE else None
        self._superseded = SupersededError(
            f"{self._root}/{segment_key(number)} was made by another leader, {by or 'of whom nothing is known'}: the "
            f"journal is not led by {self._leader} any more.",
            by=by,
        )
        return self._superseded


def lead(
    root: str, leader: Leader, new_nonce: Callable[[], str], found: Found | None = None
) -> Steps[tuple[Journal, Found]]:
    """Take the journal over from whoever leads it.

    It may be given up at any time, and tried again; a fence that nobody leads from does no harm.

    Args:
        root: Where the journal is, for errors.
        leader: Who will lead; one that never has.
        new_nonce: Gives what no other object carries.
        found: The journal as it was read already; it is read here when None.

    Returns:
        The journal, and all that is in it up to the new fence. Use these rows, not those of `found`: more may have come
        since.

    Raises:
        JournalCorruptError: An object is damaged, foreign or missing.
        IncompatibleVersionError: An object was written by a later version.
        StoreError: The store refused; when it only does not answer this goes on trying to fence.
    """
    for _ in range(_TRIES):
        found = found or (yield from read_journal(root))
        found = yield from _fenced(root, leader, new_nonce, found)
        if found is not None:
            assert found.leader is not None, "there is a fence now"
            return Journal(found, found.leader, new_nonce), found
    raise StoreUnavailableError(f"{root}: others went on too fast {_TRIES} times. Try again.", uri=root)


def _fenced(root: str, leader: Leader, new_nonce: Callable[[], str], found: Found) -> Steps[Found | None]:
    """The journal with a fence at its end; None when it had gone on so far that not all of it could be read."""
    begun = found.snapshot_number
    while True:
        if found.leader and found.leader.started_at >= leader.started_at:  # clocks differ, or this one was overtaken
            leader = evolve(leader, started_at=found.leader.started_at + _TURN_S)
        number, nonce = found.tail + 1, new_nonce()
        header = Header(kind=Kind.FENCE, number=number, leader=leader.id, fence=number, nonce=nonce)
        content = encode(header, [leader.to_row()])
        other = yield from _settled(root, number, content, nonce, StoreUnavailableError)
        if other is None:
            break
        try:
            found = found.followed_by([other])
        except JournalCorruptError:
            if (yield from is_outrun(root, begun)):
                return None
            raise
    if (yield from is_outrun(root, begun, number)):
        return None
    return found.followed_by([decoded(root, number, content)])


def _settled(root: str, number: int, content: bytes, nonce: str, retried: type[StoreError]) -> Steps[Stored | None]:
    """Create an object of the sequence, for as long as it takes to know who did.

    Returns:
        None when this did; else what another has put there.
    """
    key = segment_key(number)
    for pause_s in chain(_PAUSES_S, repeat(_LAST_PAUSE_S)):
        cause = None
        try:
            is_new: bool = yield Create(key, content)
            if is_new:
                return None
            there: bytes | None = yield Read(key)
        except retried as error:
            there, cause = None, error
        if there is not None:
            other = decoded(root, number, there)
            return None if other.header.nonce == nonce else other
        yield Pause(pause_s, cause)
    raise AssertionError("unreachable: pauses never end")
