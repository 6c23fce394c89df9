"""What a process notes of its pack of short jobs in a file, so that its death tells which of them it was.

The results of a pack are on their way together. If the process dies before, its notes say which jobs have ended, and
how, and which one was running: that one has caused the death, or suffered it, and the others have not begun. The file
is beside the process's output; see `output`.
"""

from __future__ import annotations

import errno
import os
import pickle
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, ClassVar

from attrs import frozen
from checkmaite.jobs._workers.output import folder_of_remains

Sender = tuple[str, int]
"""Whose news it is: a job's id, and the number of its start."""


@frozen
class LeftPack:
    """What a dead process has left of its pack.

    Attributes:
        ended: The jobs that have ended, each with its pickled `Finished`.
        running: The one that was running; None when it died between two.
    """

    ended: Mapping[Sender, bytes]
    running: Sender | None


class PackNotes:
    """The notes of one runner in this process.

    Where nothing can be written, on a full disk say, there are none, not even old ones: a death then tells nothing.
    They stay until the process has another runner, since it may die while the last result is on its way.

    Args:
        runner: Its id.
    """

    _last: ClassVar[PackNotes | None] = None
    """Those of this process's last runner."""

    def __init__(self, runner: str) -> None:
        if PackNotes._last is not None:
            with suppress(OSError):  # no other runner has that name
                PackNotes._last.delete()
        PackNotes._last = self
        self._path = Path(folder_of_remains()) / f"checkmaite-{runner}-{os.getpid()}.pack"
        self._descriptor: int | None = None
        with suppress(OSError):
            self._descriptor = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_TRUNC, 0o600)

    def begin_pack(self) -> None:
        """Whoever waits for the results of the pack before has them.

        Raises:
            OSError: See `note`.
        """
        if self._descriptor is not None:
            with self._or_nothing():
                os.ftruncate(self._descriptor, 0)

    def note(self, ended: tuple[Sender, bytes] | None, begins: Sender | None) -> None:
        """A job has ended, and the next one begins: both or neither is noted, a pair for each; None marks a beginning.

        Raises:
            OSError: What was noted can be neither continued nor deleted, so that no further job may begin.
        """
        if self._descriptor is None:
            return
        written = b"" if ended is None else pickle.dumps(ended)
        if begins is not None:
            written += pickle.dumps((begins, None))
        with self._or_nothing():
            if os.write(self._descriptor, written) < len(written):
                raise OSError(errno.ENOSPC, "the disk is full")

    def end(self) -> None:
        """Nothing more is to be noted."""
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            with suppress(OSError):  # a job may have closed what it did not open
                os.close(descriptor)

    def delete(self) -> None:
        """Nobody needs them any more."""
        self.end()
        self._path.unlink(missing_ok=True)

    @contextmanager
    def _or_nothing(self) -> Iterator[None]:
        try:
            yield
        except OSError:
            self.delete()


def take_left_pack(runner: str) -> LeftPack | None:
    """What is left of a runner on this node whose process has died; None when nothing is. It is deleted.

    A file of another account is not: it would run code here when it is unpickled, and the folder may be everybody's.
    """
    for path in Path(folder_of_remains()).glob(f"checkmaite-{runner}-*.pack"):
        if path.lstat().st_uid != os.geteuid():
            continue
        with path.open("rb") as file:
            found = _read(file)
        path.unlink()
        return found
    return None


def _read(file: IO[bytes]) -> LeftPack:
    ended: dict[Sender, bytes] = {}
    running = None
    while True:
        try:
            sender, finished = pickle.load(file)  # noqa: S301 - this module wrote it
        except (EOFError, pickle.UnpicklingError):  # at its end, or where the disk was full
            return LeftPack(ended, running)
        if finished is None:
            running = sender
        else:
            ended[sender] = finished
            running = None
