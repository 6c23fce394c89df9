"""Making durable on a disk what the library has written there: it leaves that to the operating system."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import url2pathname

from checkmaite.jobs.spi import ObjectStore

_DIGITS = 20


def settle_log(objects: ObjectStore, name: str, version: int) -> None:
    """Make durable what the log of a table has beyond a version, checkpoints too; nothing where it is no disk's.

    Whoever reads what was committed by somebody who died before he did this makes it durable with his own commit.
    """
    if not objects.is_local:
        return
    log = Path(objects.uri_of(name), "_delta_log")
    number = f"{max(version, 0):0{_DIGITS}}"
    later = [path for path in log.iterdir() if path.name[:_DIGITS].isdigit() and path.name[:_DIGITS] >= number]
    _sync([*later, log, log.parent, log.parent.parent])
    last = log / "_last_checkpoint"
    if last.exists():
        _sync([last])


def sync_files(objects: ObjectStore, uris: Iterable[str]) -> None:
    """Make files durable; nothing where they are on no disk."""
    if objects.is_local:
        _sync(Path(url2pathname(urlsplit(uri).path)) if "://" in uri else Path(uri) for uri in uris)


def _sync(paths: Iterable[Path]) -> None:
    for path in paths:
        try:
            descriptor = os.open(path, os.O_RDONLY)
        except FileNotFoundError:  # a temporary file of another writer, which has its name now
            continue
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
