"""Files of a local disk, created exclusively.

Paths are texts: `pathlib` would take as long as all else that Python does here, once for every object of every run.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import secrets
from collections.abc import Iterable

_HIDDEN = re.compile(r"\.[0-9a-f]{16}\.(tmp|probe|probe\.tmp)")


def create_file(path: str, content: bytes | memoryview) -> bool:
    """Create a file whole, durable and only once.

    A hidden file is written beside it and then linked, which fails when the name is taken.

    Args:
        path: Absolute; folders that are missing are made, durably.
        content: All of it.

    Returns:
        Whether this call created it. When it was there before, it is durable too.
    """
    folder = os.path.dirname(path)
    _make_folder(folder)
    if os.path.exists(path):
        _sync_folder(folder)  # whoever created it may have died before it did this
        return False
    hidden = f"{folder}/.{secrets.token_hex(8)}.tmp"
    try:
        with open(hidden, "xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        try:
            os.link(hidden, path)
        except FileExistsError:
            _sync_folder(folder)
            return False
    finally:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(hidden)
    _sync_folder(folder)
    return True


def probe_folder(folder: str) -> None:
    """See that files can be created in a folder as `create_file` does it, or that the folder can be made.

    Nothing of that stays, so nothing is made durable: it takes a tenth of a millisecond.

    Raises:
        OSError: They cannot.
    """
    while not os.path.isdir(folder):
        if os.path.lexists(folder):
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), folder)
        folder = os.path.dirname(folder)
    probe = f"{folder}/.{secrets.token_hex(8)}.probe"
    try:
        with open(probe, "xb") as file:
            file.write(b"probe")
        os.link(probe, f"{probe}.tmp")
    finally:
        for made in (probe, f"{probe}.tmp"):
            with contextlib.suppress(FileNotFoundError):
                os.unlink(made)


def list_folder(folder: str, *, folders: bool) -> list[str]:
    """Names of the files in a folder, or of the folders. The type comes with the name: no file is looked at."""
    with os.scandir(folder) as entries:
        return [entry.name for entry in entries if (entry.is_dir() if folders else entry.is_file())]


def modified_in(folder: str, names: Iterable[str]) -> dict[str, float]:
    """When files of a folder were written, in seconds since the epoch; without those that have gone."""
    found = {}
    for name in names:
        with contextlib.suppress(FileNotFoundError):
            found[name] = os.stat(f"{folder}/{name}").st_mtime
    return found


def sweep_hidden(folder: str, before: float) -> int:
    """Delete the hidden files below a folder that `create_file` and `probe_folder` leave when they are killed.

    Args:
        folder: Absolute.
        before: Only those that were written before this instant, in seconds since the epoch.

    Returns:
        How many were deleted.
    """
    swept = 0
    for inside, _, names in os.walk(folder):
        hidden = [name for name in names if _HIDDEN.fullmatch(name)]
        for name, written in modified_in(inside, hidden).items():
            if written < before:
                with contextlib.suppress(FileNotFoundError, PermissionError):  # another user's is for others to delete
                    os.unlink(f"{inside}/{name}")
                    swept += 1
    return swept


def _make_folder(folder: str) -> None:
    """Make a folder and those above it, durably."""
    if not os.path.isdir(folder):
        above = os.path.dirname(folder)
        _make_folder(above)
        with contextlib.suppress(FileExistsError):
            os.mkdir(folder)
        _sync_folder(above)


def _sync_folder(folder: str) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
