"""What a process notes of its pack of short jobs in a file, so that its death tells which of them it was.

The results of a pack are on their way together. If the process dies before, its notes say which jobs have ended, and
how, and which one was running: that one has caused the death, or suffered it, and the others have not begun. The file
is beside the process's output; see `output`.
"""

from __future__ import annotations

import os
import pickle
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import IO, NamedTuple

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


class _Note(NamedTuple):
    sender: Sender
    finished: bytes | None
    """None where the job begins."""


class PackNotes:
    """The notes of one runner in this process.

    Args:
        runner: Its id.
    """

    def __init__(self, runner: str) -> None:
        self._path = Path(folder_of_remains()) / f"checkmaite-{runner}-{os.getpid()}.pack"
        self._descriptor = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_TRUNC, 0o600)

    def begin_pack(self) -> None:
        """Whoever waits for the results of the pack before has them.

        Raises:
            OSError: The file is no longer there.
        """
        os.ftruncate(self._descriptor, 0)

    def note(self, ended: tuple[Sender, bytes] | None, begins: Sender | None) -> None:
        """A job has ended, and the next one begins: both or neither is noted.

        Raises:
            OSError: It cannot be noted, so that no further job may begin.
        """
        notes = [_Note(*ended)] if ended is not None else []
        if begins is not None:
            notes.append(_Note(begins, None))
        os.write(self._descriptor, b"".join(pickle.dumps(tuple(each)) for each in notes))

    def delete(self) -> None:
        """Nobody needs them any more."""
        with suppress(OSError):  # a job may have closed what it did not open
            os.close(self._descriptor)
        self._path.unlink(missing_ok=True)


def take_left_pack(runner: str) -> LeftPack | None:
    """What is left of a runner on this node whose process has died; None when nothing is. It is deleted."""
    for path in Path(folder_of_remains()).glob(f"checkmaite-{runner}-*.pack"):
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
