"""Ends a worker process at once when it gets SIGTERM, before it publishes anything more.

Ray's own handler raises SystemExit in the middle of the user's code, which may take it for a failure of one step and
go on. A handler in Python alone would wait for the C call that the main thread is in; so the interpreter also writes
the signal's number to a pipe, which a thread reads that can run as soon as the call lets go of the interpreter.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from os import _exit
from types import FrameType

from checkmaite.jobs._shared.signals import DEFAULT, get_handler, set_handler

_LAST_WORDS_S = 0.5
"""How long the process waits, at most, for its last words to be on their way."""

_act: Callable[[int], object] | None = None
_pipe: tuple[int, int] | None = None  # the process that made it, and the end to write to


@contextmanager
def ended_by_sigterm(last_words: Callable[[str], object]) -> Iterator[None]:
    """Within the block SIGTERM ends this process, as if it had been killed; nothing of the job's code runs after it.

    Does nothing off the main thread, where Python has no handlers. A handler that the job installs itself is left
    alone.

    Args:
        last_words: Called with the signal's name before the process ends, on a thread of its own.
    """
    global _act
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    process = os.getpid()

    def end(number: int, frame: FrameType | None = None) -> None:
        if os.getpid() != process:  # the job has forked, and its child inherits this
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)
            return
        try:
            said = threading.Thread(target=last_words, args=(signal.Signals(number).name,), daemon=True)
            said.start()
            said.join(_LAST_WORDS_S)
        finally:
            _exit(128 + number)  # as a shell tells of a process that a signal ended

    def end_for_main_thread(number: int) -> None:
        if number == signal.SIGTERM and get_handler(number) is end:
            end(number, None)

    before = set_handler(signal.SIGTERM, end)
    before_fd = signal.set_wakeup_fd(_write_end(process), warn_on_full_buffer=False)
    _act = end_for_main_thread
    try:
        yield
    finally:
        _act = None
        signal.set_wakeup_fd(before_fd)
        set_handler(signal.SIGTERM, before if before is not None else DEFAULT)


def _write_end(process: int) -> int:
    """The pipe of this process, with a thread that reads it; they are made once and stay."""
    global _pipe
    if _pipe is None or _pipe[0] != process:
        read_end, write_end = os.pipe()
        os.set_blocking(write_end, False)
        threading.Thread(target=_read, args=(read_end,), name="checkmaite signals", daemon=True).start()
        _pipe = process, write_end
    return _pipe[1]


def _read(read_end: int) -> None:
    while numbers := os.read(read_end, 64):
        act = _act
        for number in numbers:
            if act is not None:
                act(number)


def _let_go_after_fork() -> None:
    """A child's signals are not this process's: they share the pipe."""
    if _act is not None:
        signal.set_wakeup_fd(-1)


if hasattr(os, "register_at_fork"):  # Windows has no forks
    os.register_at_fork(after_in_child=_let_go_after_fork)
