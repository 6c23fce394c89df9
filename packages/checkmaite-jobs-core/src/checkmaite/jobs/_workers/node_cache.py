"""Files that the worker processes of one node share, each fetched once, whatever number of processes want it.

Whoever comes first holds the lock of a name and fetches; the others wait for the lock. The lock's file says which file
was verified: its inode, size and times, of which no program can set the last change. So a file that somebody has
changed since, or that a process was killed over, is fetched again, and no file is read twice to verify it. The time of
the lock's file is that of the last use.
"""

from __future__ import annotations

import os
import shutil
import stat
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import BinaryIO

if sys.platform != "win32":
    import fcntl

from attrs import frozen
from checkmaite.jobs._shared.errors import StagedObjectError

_PLACE = "CHECKMAITE_STAGED_CACHE"
_SIZE = "CHECKMAITE_STAGED_CACHE_BYTES"
_MOST_BYTES = 50 * 2**30
_UNUSED_S = 24 * 3600.0
_OWNER = stat.S_IRWXU


@frozen
class NodeFolder:
    """Where the processes of a node may keep files; a backend says it, since a machine may have several nodes.

    Attributes:
        path: A folder that is on the node's disk.
        node: What tells the node from others on that disk.
    """

    path: str
    node: str


class NodeCache:
    """The files of one node.

    Args:
        given: What the backend says; None where it says nothing.
    """

    def __init__(self, given: NodeFolder | None = None) -> None:
        base = Path(os.environ.get(_PLACE) or (given.path if given else tempfile.gettempdir()))
        owner = os.getuid() if sys.platform != "win32" else 0
        self._all = base / f"checkmaite-staged-{owner}"
        self._folder = self._all / (given.node if given else "here")

    def opened(self, name: str, size: int, fetch: Callable[[BinaryIO], None]) -> int:
        """A descriptor of the file with this name, open to be read; it stays readable when the file is deleted.

        Args:
            name: Names the content.
            size: Its bytes.
            fetch: Writes it, or raises.

        Raises:
            StagedObjectError: The folder is another account's, or its limit is no number.
            OSError: The disk does not take it.
        """
        self._make_folders()
        found = self._usable(name)
        if found is not None:
            return found
        with _locked(self._lock(name)) as lock:
            found = self._usable(name)  # somebody has fetched it while this process waited
            if found is not None:
                return found
            self._sweep()
            self._make_room(size)
            self._fetch(name, fetch)
            found = os.open(self._file(name), os.O_RDONLY)
            os.ftruncate(lock, 0)
            os.pwrite(lock, _stamp(os.fstat(found)), 0)
            return found

    def _file(self, name: str) -> Path:
        return self._folder / f"{name}.staged"

    def _lock(self, name: str) -> Path:
        return self._folder / f"{name}.lock"

    def _usable(self, name: str) -> int | None:
        """The file, if it is the one that was verified."""
        try:
            found = os.open(self._file(name), os.O_RDONLY)
        except FileNotFoundError:
            return None
        with suppress(FileNotFoundError):
            if self._lock(name).read_bytes() == _stamp(os.fstat(found)):
                os.utime(self._lock(name))
                return found
        os.close(found)
        return None

    def _fetch(self, name: str, fetch: Callable[[BinaryIO], None]) -> None:
        coming = self._folder / f"{name}.coming"  # the lock is held: what is there was left by a process that died
        coming.unlink(missing_ok=True)
        try:
            with open(coming, "xb", opener=lambda path, flags: os.open(path, flags, 0o600)) as file:
                fetch(file)
            coming.chmod(stat.S_IRUSR)
            coming.replace(self._file(name))
        finally:
            coming.unlink(missing_ok=True)

    def _make_folders(self) -> None:
        for folder in (self._all, self._folder):
            folder.mkdir(_OWNER, parents=True, exist_ok=True)
            found = folder.lstat()
            is_own = sys.platform == "win32" or found.st_uid == os.getuid()
            if not (stat.S_ISDIR(found.st_mode) and is_own):
                raise StagedObjectError(
                    f"{folder} is not a folder of this account, so staged objects are not kept there. Set {_PLACE} to "
                    "another folder, where `ray start` runs."
                )
            if found.st_mode & (stat.S_IRWXG | stat.S_IRWXO):
                folder.chmod(_OWNER)
        os.utime(self._folder)  # it is in use, so that nobody takes it away between two files

    def _make_room(self, size: int) -> None:
        """Delete what was used least recently, until the new file fits below the limit. Who has it open keeps it."""
        kept = sorted(((used, name) for used, name in _used(self._folder)), reverse=True)
        room = self._limit() - size
        for _, name in kept:
            with suppress(FileNotFoundError):
                room -= self._file(name).stat().st_size
                if room < 0:
                    self._file(name).unlink()

    def _limit(self) -> int:
        given = os.environ.get(_SIZE)
        if given is None:
            return min(_MOST_BYTES, shutil.disk_usage(self._folder).total // 2)
        try:
            return int(given)
        except ValueError:
            raise StagedObjectError(f"{_SIZE}={given!r} is no number of bytes.") from None

    def _sweep(self) -> None:
        """Delete what nobody has used for a day, of this node and of others that had this disk."""
        before = time.time() - _UNUSED_S
        for folder in self._all.iterdir():
            is_left = folder.stat().st_mtime < before
            for used, name in _used(folder):
                if used < before:
                    with suppress(FileNotFoundError, BlockingIOError), _locked(folder / f"{name}.lock", wait=False):
                        for suffix in ("staged", "coming", "lock"):
                            (folder / f"{name}.{suffix}").unlink(missing_ok=True)
            if is_left:
                with suppress(OSError):  # it is not empty
                    folder.rmdir()


def _used(folder: Path) -> Iterator[tuple[float, str]]:
    """When each file of a folder was used last, and its name."""
    for each in folder.glob("*.lock"):
        with suppress(FileNotFoundError):
            yield each.stat().st_mtime, each.stem


@contextmanager
def _locked(path: Path, *, wait: bool = True) -> Iterator[int]:
    """Within the block this process alone has the lock; the kernel gives it back when the process dies.

    Raises:
        BlockingIOError: Another process has it, and it was not to be waited for.
    """
    while True:
        lock = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            if sys.platform != "win32":
                fcntl.flock(lock, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
            if not _is_file(lock, path):  # a sweep has deleted it meanwhile
                continue
            yield lock
            return
        finally:
            os.close(lock)


def _is_file(descriptor: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False


def _stamp(found: os.stat_result) -> bytes:
    """What tells a file, as it is, from every other and from itself after a change or a restart of the machine."""
    seen = found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns
    return f"{_boot()} {seen}".encode()


@cache
def _boot() -> str:
    with suppress(OSError):  # not Linux
        return Path("/proc/sys/kernel/random/boot_id").read_text("ascii").strip()
    return ""
