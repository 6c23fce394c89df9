"""Keeps the end of a job's output within a bound, though pieces of it may arrive twice, out of order or never."""

from __future__ import annotations

import threading
from bisect import bisect_right, insort
from collections.abc import Mapping
from weakref import WeakKeyDictionary

LOG_LIMIT_CHARACTERS = 1_000_000
"""Of a job that prints more than this, the end is kept."""

_PART = 65_536
_MOST_PARTS = 1_024
_JOINED = 8_192
_RECOUNTS = 16
_LOST = "[... start {}, which was lost, had printed: ...]\n"
_LAST = "[... the last start: ...]\n"


class LogTail:
    """The end of a job's output, put together from pieces that may come twice, out of order or never. Thread-safe.

    Positions count the characters that the job has printed before. The last `limit` positions are kept, in parts that
    are forgotten whole, so that it holds at most 65,536 characters more.

    Attributes:
        ended: Whether the job is over, so that a `LogBudget` takes from it first.
    """

    def __init__(self, limit: int = LOG_LIMIT_CHARACTERS) -> None:
        self.ended = False
        self._limit = limit
        self._lock = threading.Lock()
        self._starts: list[int] = []
        self._parts: dict[int, str] = {}
        self._size = 0
        self._begin = 0
        self._end = 0

    @property
    def end(self) -> int:
        """How much the job has printed, as far as is known."""
        return self._end

    @property
    def size(self) -> int:
        """How many characters are in memory."""
        return self._size

    def append(self, text: str) -> None:
        """Take in what the job has printed after all else."""
        with self._lock:
            self._extend(self._end, text)

    def extend(self, start: int, text: str) -> None:
        """Take in a piece: those of its characters that are not known yet and not too old."""
        with self._lock:
            self._extend(start, text)

    def drop(self, until: int) -> None:
        """Forget what comes before a position."""
        with self._lock:
            self._forget(until)
            if self._starts and (start := self._starts[0]) < self._begin:
                kept = self._parts.pop(start)[self._begin - start :]
                self._size -= self._begin - start
                self._starts[0] = self._begin
                self._parts[self._begin] = kept

    def shrink(self, limit: int) -> None:
        """Forget all but the last characters."""
        self.drop(self._end - limit)

    def kept(self) -> tuple[int, str]:
        """The position where the unbroken end begins, and that end."""
        with self._lock:
            pieces, start = [], self._end
            for begin, text in reversed(self._pieces()):
                if begin + len(text) != start:
                    break
                pieces.append(text)
                start = begin
            return start, "".join(reversed(pieces))

    def text(self) -> str:
        """What is known; where something is missing, a line says how much."""
        with self._lock:
            said, position = [], 0
            for begin, text in self._pieces():
                said.append(_mark(position, begin))
                said.append(text)
                position = begin + len(text)
            said.append(_mark(position, self._end))
            return "".join(said)

    def _extend(self, start: int, text: str) -> None:
        stop = start + len(text)
        self._end = max(self._end, stop)
        self._forget(self._end - self._limit)
        position = max(start, self._begin)
        while position < stop:
            index = bisect_right(self._starts, position)
            before = self._starts[index - 1] if index else 0
            if index and position < before + len(self._parts[before]):
                position = before + len(self._parts[before])
                continue
            until = min(stop, position + _PART, *self._starts[index : index + 1])
            self._put(index, position, text[position - start : until - start])
            position = until
        while len(self._starts) > _MOST_PARTS:
            self._forget(self._starts[1])

    def _pieces(self) -> list[tuple[int, str]]:
        found = []
        for start in self._starts:
            cut = max(0, self._begin - start)
            found.append((start + cut, self._parts[start][cut:]))
        return found

    def _put(self, index: int, position: int, text: str) -> None:
        before = self._starts[index - 1] if index else 0
        if index and len(known := self._parts[before]) < _JOINED and before + len(known) == position:
            self._parts[before] = known + text
        else:
            insort(self._starts, position)
            self._parts[position] = text
        self._size += len(text)

    def _forget(self, until: int) -> None:
        self._begin = max(self._begin, until)
        old = 0
        for start in self._starts:
            if start + len(self._parts[start]) > self._begin:
                break
            self._size -= len(self._parts.pop(start))
            old += 1
        del self._starts[:old]


def _mark(position: int, begin: int) -> str:
    """The line that stands for missing characters between two positions."""
    if position == begin:
        return ""
    if position == 0:
        return f"[... {begin:,} earlier characters were dropped ...]\n"
    return f"\n[... {begin - position:,} characters are missing ...]\n"


def joined_output(lost: Mapping[int, str], last: str | None) -> str:
    """A job's output: that of starts that were lost, by number and as far as it is known, and then the last one's.

    What `last` was joined from already is not said twice.
    """
    told = [f"{mark}{lost[start]}\n" for start in sorted(lost) if (mark := _LOST.format(start)) not in (last or "")]
    if last is None:
        return next(iter(lost.values())) if len(lost) == 1 else "".join(told)
    if told and _LAST not in last:
        told.append(_LAST)
    return "".join((*told, last))


class LostOutput:
    """What starts of a job had printed that were lost: the last million characters of all of them."""

    def __init__(self) -> None:
        self._tails: dict[int, LogTail] = {}

    def __len__(self) -> int:
        return len(self._tails)

    def add(self, start: int, tail: LogTail) -> None:
        """Add the output of a lost start, by the number of the start."""
        tail.ended = True
        self._tails[start] = tail
        room = LOG_LIMIT_CHARACTERS
        for _, each in sorted(self._tails.items(), reverse=True):
            each.shrink(room)
            room -= each.size

    @property
    def size(self) -> int:
        """How many characters are in memory."""
        return sum(each.size for each in self._tails.values())

    def before(self, last: str) -> str:
        """The job's output, with that of its last start."""
        text = joined_output({start: said for start, tail in self._tails.items() if (said := tail.text())}, last)
        cut = max(0, len(text) - LOG_LIMIT_CHARACTERS)
        return f"{_mark(0, cut)}{text[cut:]}"


class LogBudget:
    """Bounds what the output of many jobs takes together. Thread-safe.

    When it is spent, jobs that are over lose theirs, the first to have printed first; then who has most loses half, so
    that a job that prints much pays for itself.

    Args:
        characters: What all of them may take; up to a sixteenth more before it is looked at again.
    """

    def __init__(self, characters: int) -> None:
        self._characters = characters
        self._lock = threading.Lock()
        self._tails: WeakKeyDictionary[LogTail, None] = WeakKeyDictionary()
        self._grown = 0

    def extend(self, tail: LogTail, start: int, text: str) -> None:
        """See `LogTail.extend`."""
        tail.extend(start, text)
        with self._lock:
            self._tails[tail] = None
            self._grown += len(text)
            if self._grown > self._characters // _RECOUNTS:
                self._grown = 0
                self._keep()

    def _keep(self) -> None:
        tails = list(self._tails)
        excess = sum(tail.size for tail in tails) - self._characters
        for tail in tails:
            if excess <= 0:
                return
            if tail.ended:
                excess -= tail.size
                tail.shrink(0)
        while excess > 0:
            largest = max(tails, key=lambda each: each.size)
            before = largest.size
            largest.shrink(before // 2)
            excess -= before - largest.size
