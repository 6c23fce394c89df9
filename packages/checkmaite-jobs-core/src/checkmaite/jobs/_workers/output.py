"""What a job prints by any way, caught where it leaves a worker process: at its file descriptors 1 and 2.

While a job runs both descriptors lead into one file. Python's streams, native code and child processes write
there as they would write anywhere, so that `sys.stdout` is what it is without this library and the order of all output
is kept. A pipe would not do: native code that prints more than a pipe holds while it keeps the interpreter's lock would
wait for a reader that waits for the lock.

The reporter's courier reads the file, passes everything on to where the descriptors led before, and frees what is read
on the disk. Its first bytes say whose it is: when the process dies, what the job printed last is still there for
`take_left_output`. A process has one file for its jobs, because making and deleting one costs more than a job of no
work; where somebody has it still after the job, such as a child that the job has left, the next job gets another.
"""

from __future__ import annotations

import atexit
import codecs
import ctypes
import glob
import logging
import os
import secrets
import stat
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache, lru_cache
from os import _exit
from typing import ClassVar, NoReturn

if sys.platform != "win32":
    import fcntl

from attrs import frozen
from checkmaite.jobs._shared.logs import LOG_LIMIT_CHARACTERS
from checkmaite.jobs._shared.news import Printed, Reporter

_CHUNK = 1 << 22
_KEPT_BYTES = 4 * LOG_LIMIT_CHARACTERS
"""Stays in the file behind the reader: the last characters, however many bytes each of them has."""
_HEAD_BYTES = 128
"""The id of the job, before what it prints."""
_PUNCH_HOLE = 3  # FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE
_UNCLAIMED_S = 60.0
_log = logging.getLogger("checkmaite.jobs")
_decoder_of = codecs.getincrementaldecoder("utf-8")
_one_at_a_time = threading.Lock()
_originals: dict[int, int] = {}
"""Where the streams led before the present job: kept here, so that a next job restores what an interruption left."""
_present: list[tuple[int, str]] = []
"""The process and the file of the job that is captured."""
_EXITED = ".exited-"


@frozen(kw_only=True)
class Remains:
    """What a dead process has left behind of its job.

    Attributes:
        printed: The end of the job's output. A crash in native code has written there which signal it was.
        pid: The process.
        exit_status: What it called `os._exit` with; None when it ended otherwise.
    """

    printed: Printed
    pid: int
    exit_status: int | None = None


@contextmanager
def captured(reporter: Reporter) -> Iterator[None]:
    """Within the block, all that this process and its children print belongs to the job; one block at a time."""
    if not _one_at_a_time.acquire(blocking=False):
        reporter.printed("[... not what this job prints: its process runs another one ...]\n")
        yield
        return
    try:
        _restore()
        _pass_on_remains()
        _flush()
        try:
            capture = _Capture(reporter)
        except OSError as error:
            reporter.printed(f"[... not what this job prints: no file can be made for it: {error} ...]\n")
            yield
            return
        try:
            yield
        finally:
            capture.end()
    finally:
        _one_at_a_time.release()


class _File:
    """Where this process keeps what its present job prints, until it is passed on.

    Attributes:
        path: Its name.
        descriptor: To read it by; the streams have one of their own, to append.
    """

    def __init__(self) -> None:
        self._pid = os.getpid()
        self.path = f"{folder_of_remains()}/checkmaite-{secrets.token_hex(6)}-{self._pid}.out"
        self.descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
        self._is_locked = False
        atexit.register(self.delete)

    def lead_into(self, job_id: str) -> None:
        """Send both streams into this file for a job. A child that inherits one of them shares the file's lock."""
        os.pwrite(self.descriptor, _head(job_id), 0)
        writer = os.open(self.path, os.O_WRONLY | os.O_APPEND)
        self._is_locked = _lock(writer, shared=True)
        for stream in (1, 2):
            _originals[stream] = os.dup(stream)
            os.dup2(writer, stream)
        os.close(writer)

    def empty(self) -> bool:
        """Empty the file for the next job; False when another process still has it open, so that it cannot be used."""
        if not self._is_locked or not _lock(self.descriptor, shared=False):
            return False
        fcntl.flock(self.descriptor, fcntl.LOCK_UN)
        os.pwrite(self.descriptor, _head(""), 0)
        if os.fstat(self.descriptor).st_size > _HEAD_BYTES:
            os.ftruncate(self.descriptor, _HEAD_BYTES)
        return True

    def delete(self) -> None:
        """Delete the file, unless this process has only inherited it by a fork."""
        atexit.unregister(self.delete)
        if self._pid == os.getpid():
            os.close(self.descriptor)
            with suppress(FileNotFoundError):
                os.unlink(self.path)


class _Capture:
    """One job's output, which goes into a file until `end`."""

    _unused: ClassVar[_File | None] = None
    """The file of the job before, empty."""

    def __init__(self, reporter: Reporter) -> None:
        self._reporter = reporter
        self._guard = threading.Lock()
        self._decoder = _decoder_of("replace")
        self._read = self._freed = _HEAD_BYTES
        self._file = self._led()
        self._onward = _originals[1]
        reporter.look, reporter.catch_up = self.look, self.catch_up
        _present[:] = [(os.getpid(), self._file.path)]
        os._exit = _exit_with_word

    def end(self) -> None:
        """Lead the streams back, and read what is still in the file."""
        _flush()
        with self._guard:
            self._reporter.look = self._reporter.catch_up = None
            os._exit = _exit
            _present.clear()
            _restore()
            self._onward = 1
            while self._take():
                pass
            if rest := self._decoder.decode(b"", final=True):
                self._reporter.printed(rest)
            if self._file.empty():
                _Capture._unused = self._file
            else:
                self._file.delete()

    def _led(self) -> _File:
        file, _Capture._unused = _Capture._unused or _File(), None
        try:
            file.lead_into(self._reporter.job_id)
        except FileNotFoundError:  # somebody has tidied up
            file.delete()
            file = _File()
            file.lead_into(self._reporter.job_id)
        return file

    def look(self) -> bool:
        """Read what is new, up to a chunk; whether there is more."""
        with self._guard:
            return self._reporter.look is not None and self._take()

    def catch_up(self) -> None:
        """Read all that was printed so far."""
        _flush()
        while self.look():
            pass

    def _take(self) -> bool:
        if content := os.pread(self._file.descriptor, _CHUNK, self._read):
            self._read += len(content)
            self._pass_on(content)
            self._reporter.printed(self._decoder.decode(content))
            self._free(self._read - _KEPT_BYTES)
        return len(content) == _CHUNK

    def _free(self, until: int) -> None:
        """Give the disk back what was read, where the system (macOS does not) and the file system can."""
        if until - self._freed >= _CHUNK and hasattr(_libc(), "fallocate"):
            start, length = ctypes.c_int64(self._freed), ctypes.c_int64(until - self._freed)
            _libc().fallocate(self._file.descriptor, _PUNCH_HOLE, start, length)
            self._freed = until

    def _pass_on(self, content: bytes) -> None:
        try:
            _write(self._onward, content)
        except OSError as error:  # its disk is full, say: the job and what it prints go on
            _log.debug("some output of job %s is not in its worker's log: %s", self._reporter.job_id, error)


def take_left_output(job_id: str) -> Remains | None:
    """What is left of a job on this node whose process has died; None when nothing is. It is deleted."""
    left = None
    for path in _remains():  # of several starts the last counts
        with suppress(FileNotFoundError):
            head, start, content = _last_bytes(path)
            if head != _head(job_id):
                continue
            os.unlink(path)
            text = content.decode("utf-8", "replace")
            cut = max(0, len(text) - LOG_LIMIT_CHARACTERS)
            pid, status = _whose(path)
            left = Remains(printed=Printed(start=start + cut, text=text[cut:]), pid=pid, exit_status=status)
    return left


@cache
def _pass_on_remains() -> None:
    """Copy the output of dead processes that nobody has collected into this process's log: it may say why they died."""
    for path in glob.glob(f"{glob.escape(folder_of_remains())}/checkmaite-*.pack"):
        with suppress(FileNotFoundError, ValueError):
            pid = int(path.removesuffix(".pack").rpartition("-")[2])
            if not _lives(pid) and os.stat(path).st_mtime + _UNCLAIMED_S < time.time():
                os.unlink(path)
    for path in _remains():
        with suppress(FileNotFoundError):  # another process does the same
            if os.stat(path).st_mtime + _UNCLAIMED_S < time.time():
                head, _, content = _last_bytes(path)
                os.unlink(path)
                if content:
                    name = head.rstrip(b"\0").decode("utf-8", "replace")
                    _write(1, f"[... what is left of {name} ...]\n".encode() + content)


def _remains() -> list[str]:
    """Files of processes that have died, the oldest first."""
    found = []
    for path in glob.glob(f"{glob.escape(folder_of_remains())}/checkmaite-*.out"):
        with suppress(FileNotFoundError):
            if not _lives(_whose(path)[0]):
                found.append((os.stat(path).st_mtime_ns, path))
    return [path for _, path in sorted(found)]


def _exit_with_word(status: int) -> NoReturn:
    """`os._exit` while a job runs: the status stays in the name of the job's file, since nobody else ever learns it."""
    for pid, path in _present:
        if os.getpid() == pid and isinstance(status, int):
            with suppress(OSError):
                os.rename(path, f"{path.removesuffix('.out')}{_EXITED}{status}.out")
    _exit(status)


def _whose(path: str) -> tuple[int, int | None]:
    """The process that a file belongs to, and what it exited with, as far as the name says it."""
    name, exited, status = path.removesuffix(".out").partition(_EXITED)
    return int(name.rpartition("-")[2]), int(status) if exited else None


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _last_bytes(path: str) -> tuple[bytes, int, bytes]:
    """The head of a file, where in the job's output the last characters begin, and their bytes."""
    with open(path, "rb") as file:
        head = file.read(_HEAD_BYTES)
        start = max(_HEAD_BYTES, file.seek(0, os.SEEK_END) - _KEPT_BYTES)
        file.seek(start)
        return head, start - _HEAD_BYTES, file.read()


def _head(job_id: str) -> bytes:
    return job_id.encode()[:_HEAD_BYTES].ljust(_HEAD_BYTES, b"\0")


def _lock(descriptor: int, *, shared: bool) -> bool:
    """Lock a file for all who have this descriptor; whether it could be done without waiting."""
    if sys.platform == "win32":
        return False
    try:
        fcntl.flock(descriptor, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except OSError:  # somebody else has it, or this file system has no such locks
        return False
    return True


def folder_of_remains() -> str:
    """The folder for what a process leaves when it dies: beside its own log, so that others of the node find it."""
    to = os.fstat(1)
    return _folder_beside(to.st_dev, to.st_ino) if stat.S_ISREG(to.st_mode) else tempfile.gettempdir()


@lru_cache(maxsize=8)
def _folder_beside(device: int, file: int) -> str:
    try:
        folder = os.path.dirname(os.readlink("/proc/self/fd/1"))
    except OSError:
        return tempfile.gettempdir()
    return folder if os.access(folder, os.W_OK) else tempfile.gettempdir()


def _restore() -> None:
    for stream, original in _originals.items():
        os.dup2(original, stream)
    while _originals:
        os.close(_originals.popitem()[1])


def _flush() -> None:
    """Write out everything that this process has buffered; errors of that are not the job's concern."""
    for stream in {id(each): each for each in (sys.stdout, sys.stderr, sys.__stdout__, sys.__stderr__)}.values():
        try:
            if stream is not None:
                stream.flush()
        except BaseException as error:  # noqa: BLE001 - the job may have put anything there, or closed it
            _log.debug("a stream could not be flushed: %s", error)
    _libc().fflush(None)


@cache
def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None)


def _write(descriptor: int, content: bytes) -> None:
    inside = memoryview(content)
    while inside:
        inside = inside[os.write(descriptor, inside) :]
