"""Files of a local disk, created exclusively.

Paths are texts: `pathlib` would take as long as all else that Python does here, once for every object of every run.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import secrets
import stat
from collections.abc import Iterable, Iterator

_HIDDEN = re.compile(r"\.[0-9a-f]{16}\.(tmp|probe|probe\.tmp)")
_OTHERS = stat.S_IRWXG | stat.S_IRWXO


def create_file(path: str, content: bytes | memoryview, private_root: str | None = None) -> bool:
    """Create a file whole, durable and only once.

    A hidden file is written beside it and then linked, which fails when the name is taken.

    Args:
        path: Absolute; folders that are missing are made, durably.
        content: All of it.
        private_root: A folder above it which, with all that is made below, is for its owner alone, whatever the umask
            is; one that was open to others before is closed. None leaves all that to the umask.

    Returns:
        Whether this call created it. When it was there before, it is durable too.
    """
    folder = os.path.dirname(path)
    _make_folder(folder, private_root)
    if private_root is not None and os.stat(private_root).st_mode & _OTHERS:
        os.chmod(private_root, stat.S_IRWXU)
    with _durable(folder):  # first: where nothing can be made durable nothing becomes visible
        return not os.path.exists(path) and _linked(path, content, is_private=private_root is not None)


def _linked(path: str, content: bytes | memoryview, *, is_private: bool) -> bool:
    """Write a hidden file and give it its name; False when the name is taken."""
    hidden = f"{os.path.dirname(path)}/.{secrets.token_hex(8)}.tmp"
    try:
        _write_durably(hidden, memoryview(content).cast("B"), is_private=is_private)
        try:
            os.link(hidden, path)
        except FileExistsError:
            return False
    finally:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(hidden)
    return True


def _write_durably(path: str, content: memoryview, *, is_private: bool) -> None:
    """Write a new file by system calls alone: Python's own streams take half as long again."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600 if is_private else 0o666)
    try:
        if is_private:
            os.fchmod(descriptor, 0o600)  # an umask may have taken the owner's rights, too
        while content:
            content = content[os.write(descriptor, content) :]
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def probe_folder(folder: str) -> None:
    """See that files can be created in a folder as `create_file` does it, or that the folder can be made.

    Nothing of that stays, so nothing is made durable: it takes a tenth of a millisecond.

    Raises:
        OSError: They cannot.
    """
    while not os.path.isdir(folder):
        if os.path.lexists(folder):
            if os.path.isdir(folder):  # another process has made it in the meantime
                break
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


def _make_folder(folder: str, private_root: str | None) -> None:
    """Make a folder and those above it, durably."""
    if not os.path.isdir(folder):
        above = os.path.dirname(folder)
        _make_folder(above, private_root)
        is_private = private_root is not None and f"{folder}/".startswith(f"{private_root}/")
        with contextlib.suppress(FileExistsError):
            os.mkdir(folder, stat.S_IRWXU if is_private else 0o777)
            if is_private:
                os.chmod(folder, stat.S_IRWXU)  # an umask may have taken the owner's rights, too
        _sync_folder(above)


def _sync_folder(folder: str) -> None:
    with _durable(folder):
        pass


@contextlib.contextmanager
def _durable(folder: str) -> Iterator[None]:
    """What the block changed in a folder is durable after it, and so is what others changed before they died."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        yield
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
