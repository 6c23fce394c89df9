"""The job that the current code belongs to: its progress, its prints, its interruption.

Inside a worker process one job runs at a time, so code in any thread belongs to it. The inline backend runs several in
one process; there a context variable tells them apart.
"""

from __future__ import annotations

import io
import sys
import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from time import time
from typing import TYPE_CHECKING, Any, TextIO

if TYPE_CHECKING:
    from checkmaite.jobs._news import Reporter

_mine: ContextVar[Reporter | None] = ContextVar("checkmaite_jobs_reporter", default=None)
_all: list[Reporter] = []
_lock = threading.Lock()
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


@contextmanager
def reporting(reporter: Reporter) -> Iterator[None]:
    """Within the block, prints and `report_progress` belong to the job; prints also go where they went before."""
    token = _mine.set(reporter)
    with _lock:
        _all.append(reporter)
        if len(_all) == 1:
            sys.stdout, sys.stderr = _with_tee(sys.stdout), _with_tee(sys.stderr)
    try:
        yield
    finally:
        with _lock:
            _all.remove(reporter)
            if not _all:
                sys.stdout, sys.stderr = _without_tee(sys.stdout), _without_tee(sys.stderr)
        _mine.reset(token)


class _Tee(io.TextIOBase):
    """A text stream that also gives what is written to the job that writes it."""

    def __init__(self, original: TextIO) -> None:
        self._original = original

    def write(self, text: str) -> int:
        reporter = current_reporter()
        if reporter is not None:
            reporter.printed(text)
        return self._original.write(text)

    def flush(self) -> None:
        self._original.flush()

    def isatty(self) -> bool:
        return self._original.isatty()

    def fileno(self) -> int:
        return self._original.fileno()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._original, name)

    def __del__(self) -> None:
        """The stream below goes on: unlike its base, a tee that ends flushes and closes nothing."""


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
    return stream._original if isinstance(stream, _Tee) else stream
