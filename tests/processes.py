"""Processes that use one store at once. A server that has imported it forks them: importing it takes a second."""

from __future__ import annotations

import multiprocessing
import os
import signal
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from checkmaite.jobs.spi import ObjectStore

serving = multiprocessing.get_context("forkserver")
serving.set_forkserver_preload(["checkmaite.jobs.testing", "checkmaite.store_parquet", "duckdb", "pytest", "s3fs"])


def left_by_killed_writer(objects: ObjectStore, key: str, *, age_s: float) -> Path:
    """The hidden file of a process that was killed while it created an object, as old as that."""
    here, there = serving.Pipe()
    writer = serving.Process(target=_stop_while_creating, args=(objects, key, there))
    writer.start()
    assert here.poll(120), "it has not begun to write"
    assert writer.pid is not None
    os.kill(writer.pid, signal.SIGKILL)
    writer.join(120)
    (left,) = Path(objects.uri_of(key)).parent.glob(".*")
    assert not objects.exists(key)
    os.utime(left, (at := left.stat().st_mtime - age_s, at))
    return left


def _stop_while_creating(objects: ObjectStore, key: str, there: Connection) -> None:
    folder = Path(objects.uri_of(key)).parent
    folder.mkdir(parents=True, exist_ok=True)

    def stop(fd: Any) -> None:
        there.send("writing")
        signal.pause()

    os.fsync = stop
    objects.create(key, b"torn")
