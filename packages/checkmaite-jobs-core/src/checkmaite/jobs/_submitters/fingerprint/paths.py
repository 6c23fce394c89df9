"""What names a file or a folder of this machine, and what the file holds."""

from __future__ import annotations

import os
import re
import time
from collections import OrderedDict
from itertools import islice
from pathlib import Path
from typing import Any

from checkmaite.jobs._submitters.fingerprint.hashing import Pace, content

MOST_BYTES = 64 * 2**20
"""A larger file is not read."""
CONTAINERS = frozenset({list, tuple, set, frozenset})
MOST_VALUES = 64
"""A larger mapping, such as an index of images, is taken as a collection."""
_MOST_NESTING = 4
_LONGEST = 1024
_LIKE_A_PATH = re.compile(r"[^\n\0]*([/\\]|\.\w{1,8}\Z)[^\n\0]*")
_URL = re.compile(r"[A-Za-z][\w+.-]*://\S+")
_HAS_SUFFIX = re.compile(r".*[/\\].*\.[A-Za-z]\w{0,7}")
_SETTLED_NS = 2 * 10**9
_MOST_REMEMBERED = 4096

_Version = tuple[int, int, int, int]
_nodes: OrderedDict[_Version, bytes] = OrderedDict()
"""Nodes of files by device, inode, size and time of the last change."""


def may_name(value: Any) -> bool:
    """Whether a value may be the name of a file, by its looks."""
    if type(value) is str:
        return 0 < len(value) <= _LONGEST and "://" not in value and _LIKE_A_PATH.fullmatch(value) is not None
    return issubclass(type(value), Path)


def named_by(value: Any) -> os.stat_result | None:
    """What a text or a path names here; None when that is nothing."""
    try:
        return os.stat(value) if may_name(value) else None
    except (OSError, ValueError):
        return None


def names_elsewhere(value: Any) -> bool:
    """Whether a value that names nothing here is the name of a file all the same: on a worker's disk, behind a URL."""
    if type(value) is not str:
        return issubclass(type(value), Path)
    if not 0 < len(value) <= _LONGEST:
        return False
    if "://" in value:
        return _URL.fullmatch(value) is not None
    return may_name(value) and (os.path.isabs(value) or _HAS_SUFFIX.fullmatch(value) is not None)


def names_some(value: Any, *, levels: int = _MOST_NESTING) -> bool:
    """Whether there are files that a value names: itself, a small mapping's value, or a collection's first."""
    if type(value) in CONTAINERS:
        return bool(value) and levels > 0 and names_some(next(iter(value)), levels=levels - 1)
    if type(value) is dict:
        looked_at = islice(value.values(), len(value) if len(value) <= MOST_VALUES else 1)
        return levels > 0 and any(names_some(each, levels=levels - 1) for each in looked_at)
    return named_by(value) is not None or names_elsewhere(value)


def file_node(path: str | Path, pace: Pace) -> bytes | None:
    """A node of what a file holds, wherever it lies and whenever it was written; None when it cannot be read."""
    try:
        with open(path, "rb") as opened:  # noqa: PTH123 - a text or a path
            found = os.fstat(opened.fileno())
            version = found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns
            known = _nodes.pop(version, None) or content("file", opened.read(MOST_BYTES), pace)
    except OSError:
        return None
    if time.time_ns() - found.st_mtime_ns > _SETTLED_NS:  # clocks of file systems are too coarse for two quick changes
        _nodes[version] = known
        if len(_nodes) > _MOST_REMEMBERED:
            _nodes.popitem(last=False)
    return known
