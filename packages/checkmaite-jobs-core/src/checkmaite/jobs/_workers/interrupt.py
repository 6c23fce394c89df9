"""Cancels a job on its worker by KeyboardInterrupt, remembers the request, and keeps it out of the write.

A capability may swallow KeyboardInterrupt and go on. Whoever raises it therefore leaves a note first, and the note is
read before anything is published, so that a cancelled job publishes nothing.
"""

from __future__ import annotations

import ctypes
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

from checkmaite.jobs._shared.signals import get_handler, set_handler


class Interrupt:
    """One job's interruption.

    Args:
        is_meant: Asked by the handler of a signal whether it is this job that is to stop, where a process has several
            one after the other; None where it can be no other.

    Attributes:
        requested: Whether somebody asked the job to stop.
    """

    def __init__(self, is_meant: Callable[[], bool] | None = None) -> None:
        self.requested = False
        self._is_meant = is_meant
        self._lock = threading.RLock()
        self._thread: int | None = None
        self._shielded = False
        self._on_signal: Callable[[int, FrameType | None], None] | None = None

    @property
    def may_have_raised(self) -> bool:
        """Whether a KeyboardInterrupt in the job may come from whoever asked it to stop.

        A job that has taken the handler of SIGINT away leaves no note when it is asked.
        """
        mine = self._on_signal
        return self.requested or (mine is not None and get_handler(signal.SIGINT) is not mine)

    def raise_if_requested(self) -> None:
        """Raise KeyboardInterrupt when the job was asked to stop, whether or not it swallowed the first one."""
        if self.requested:
            raise KeyboardInterrupt

    @contextmanager
    def shielded(self) -> Iterator[None]:
        """Within the block no KeyboardInterrupt is raised, so that it is done whole; one may be raised before it."""
        with self._lock:
            self._shielded = True
            self._withdraw()
        self.raise_if_requested()
        try:
            yield
        finally:
            self._shielded = False

    @contextmanager
    def from_signals(self) -> Iterator[None]:
        """Within the block SIGINT interrupts this job. Does nothing off the main thread, where Python has no handlers.

        It also makes the job interruptible where the process was started with SIGINT ignored.
        """
        if threading.current_thread() is not threading.main_thread():
            yield
            return

        def on_signal(number: int, frame: FrameType | None) -> None:
            if self._is_meant is not None and not self._is_meant():
                return
            self.requested = True
            if not self._shielded:
                raise KeyboardInterrupt

        before = set_handler(signal.SIGINT, on_signal)
        self._on_signal = on_signal
        try:
            yield
        finally:
            self._on_signal = None
            set_handler(signal.SIGINT, before if before is not None else signal.default_int_handler)

    @contextmanager
    def from_threads(self) -> Iterator[None]:
        """Within the block, which runs on this thread, `request` called on another thread interrupts it."""
        with self._lock:
            self._thread = threading.get_ident()
        try:
            self.raise_if_requested()
            yield
        finally:
            with self._lock:
                self._withdraw()
                self._thread = None

    def request(self) -> None:
        """Ask the job to stop, from another thread: KeyboardInterrupt at its next Python instruction."""
        with self._lock:
            self.requested = True
            if self._thread is not None and not self._shielded:
                _raise_in(self._thread, KeyboardInterrupt)

    def _withdraw(self) -> None:
        """Take back an interruption that was asked for and has not arrived; called by the thread that it is for.

        Another one takes its place and is waited for. Where none does, CPython 3.11 goes on looking for it in every
        thread, at every jump, and never gets on in one that is profiled or traced.
        """
        if self._thread is None or not self.requested:
            return
        try:
            _raise_in(self._thread, _Withdrawn)
            while True:
                pass
        except _Withdrawn:
            pass


class _Withdrawn(BaseException):
    """A harmless exception that replaces an interruption which has not arrived yet."""


def _raise_in(thread: int, error: type[BaseException]) -> None:
    ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread), ctypes.py_object(error))
