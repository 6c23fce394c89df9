"""The job that the current code belongs to: its progress and, where several run in one process, its prints.

Inside a worker process one job runs at a time, so code in any thread belongs to it, and its prints are caught outside
Python. The inline backend runs several in one process; there a context variable tells them apart.
"""

from __future__ import annotations

import sys
import threading
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from time import time
from typing import TYPE_CHECKING, Any, Self, TextIO

if TYPE_CHECKING:
    from checkmaite.jobs._shared.news import Reporter
    from checkmaite.jobs._shared.store_protocols import AnalyticsStore

_mine: ContextVar[Reporter | None] = ContextVar("checkmaite_jobs_reporter", default=None)
_all: list[Reporter] = []
_lock = threading.Lock()
_teeing = 0
_tees: deque[_Tee] = deque(maxlen=8)


def report_progress(done: float, total: float | None = None, message: str = "") -> None:
    """Say from inside a capability how far it is; it appears as ``job.progress`` within a second.

    Cheap enough for a tight loop: only the newest report is sent. Outside a job it does nothing, so that a capability
    can be run by hand too.

    Args:
        done: Units finished so far.
        total: Units in all; None when unknown.
        message: What is being done, for people.
    """
    reporter = _mine.get() or current_reporter()
    if reporter is not None:
        reporter.progress_note = done, total, message, time()


def current_reporter() -> Reporter | None:
    """The reporter of the job that the calling code belongs to; None outside a job."""
    mine = _mine.get()
    if mine is not None:
        return mine
    running = _all[:]
    return running[0] if len(running) == 1 else None


def store_of_job() -> AnalyticsStore | None:
    """The store that the job which the calling code belongs to writes to, open; None outside a job.

    For code that looks at the store from where workers are. Rows of a run go into its records.
    """
    reporter = current_reporter()
    return reporter.store if reporter is not None else None


@contextmanager
def reporting(reporter: Reporter) -> Iterator[None]:
    """Within the block, `report_progress` belongs to the job, and so does what is printed within `teed`."""
    token = _mine.set(reporter)
    with _lock:
        _all.append(reporter)
    try:
        yield
    finally:
        with _lock:
            _all.remove(reporter)
        _mine.reset(token)


@contextmanager
def teed() -> Iterator[None]:
    """Within the block, what goes through `sys.stdout` and `sys.stderr` is also given to the job that prints it."""
    global _teeing
    with _lock:
        _teeing += 1
        if _teeing == 1:
            sys.stdout, sys.stderr = _with_tee(sys.stdout), _with_tee(sys.stderr)
    try:
        yield
    finally:
        with _lock:
            _teeing -= 1
            if not _teeing:
                sys.stdout, sys.stderr = _without_tee(sys.stdout), _without_tee(sys.stderr)


_WRITES = ("write", "writelines")
"""What a tee has of its own."""


class _Tee:
    """A text stream that also gives what is written to the job that writes it; in all else it is the stream below."""

    _original: TextIO

    def __init__(self, original: TextIO) -> None:
        self.__dict__["_original"] = original

    def write(self, text: str) -> int:
        written = self._original.write(text)
        reporter = current_reporter()
        if reporter is not None:
            reporter.printed(text)
        return written

    def writelines(self, lines: Iterable[str]) -> None:
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._original, name)

    def __setattr__(self, name: str, value: Any) -> None:
        if name in _WRITES:  # IPython puts a function there that calls what it found there: below, it would call itself
            self.__dict__[name] = value
        else:
            setattr(self._original, name, value)

    def __iter__(self) -> Iterator[str]:
        return iter(self._original)

    def __enter__(self) -> Self:
        self._original.__enter__()
        return self

    def __exit__(self, *error: object) -> None:
        self._original.__exit__(*error)  # type: ignore[arg-type]

    @property  # type: ignore[misc]
    def __class__(self) -> type:  # pyright: ignore[reportIncompatibleMethodOverride]
        """That of the stream below: ``isinstance`` says what it says of that one."""
        return type(self._original)


def _with_tee(stream: TextIO) -> _Tee:
    """A tee on top of the stream, which lives on after whoever replaces `sys.stdout` has dropped it.

    ``print`` holds no reference to the stream that it writes to: one that is dropped by another thread in the middle of
    a print crashes the interpreter (https://github.com/python/cpython/issues/130163, not fixed in Python 3.11).
    """
    tee = next((tee for tee in _tees if tee._original is stream), None)
    if tee is None:
        tee = _Tee(stream)
        _tees.append(tee)
    return tee


def _without_tee(stream: Any) -> Any:
    """The stream below ours; a stream that somebody put on top in the meantime stays."""
    return stream._original if type(stream) is _Tee else stream
