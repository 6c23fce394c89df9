"""Files that an object names by its attributes: what is read of them, and what is said of the others.

A dataset that holds a path stands for what is in the file, so the content of a small file takes the place of its path.
Large files and folders may hold terabytes, on a disk that is slow today: they count by their path, and it is told that
nobody has looked inside.
"""

from __future__ import annotations

import os
import stat
from typing import Any

from attrs import frozen
from checkmaite.jobs._submitters.fingerprint.hashing import node
from checkmaite.jobs._submitters.fingerprint.paths import (
    CONTAINERS,
    MOST_BYTES,
    file_node,
    may_name,
    named_by,
    names_elsewhere,
    names_some,
)
from checkmaite.jobs._submitters.fingerprint.walk import Steps, Walk

UNREAD = "files that it names are not read"


@frozen
class Referring:
    """An attribute's value that may name files, as an object of its own."""

    value: Any


def attribute(value: Any, walk: Walk) -> Any:
    """An attribute's value as the walk is to take it."""
    if not walk.refers:
        return value
    if type(value) in CONTAINERS:
        return Referring(value) if names_some(value) else value
    return Referring(value) if may_name(value) or names_elsewhere(value) else value


def tell_of_values(first: Any, walk: Walk) -> None:
    """Tell that files are not read which the values of an array or a table name, by the looks of the first."""
    if walk.refers and names_some(first):
        walk.tell_unread(UNREAD)


def referring_steps(value: Referring, walk: Walk) -> Steps:
    """The content of the file that is named; in other cases what the value itself says."""
    given = value.value
    if type(given) in CONTAINERS:
        walk.tell_unread(UNREAD)
    elif (found := named_by(given)) is not None:
        is_file = stat.S_ISREG(found.st_mode)
        shown = f"{'folder' if stat.S_ISDIR(found.st_mode) else 'file'} {os.fspath(given)}"
        if not is_file or not walk.reads:
            walk.tell_unread(f"{shown} is not read")
        elif found.st_size > MOST_BYTES:
            walk.tell_unread(f"{shown} is not read, since it has {found.st_size:,} bytes")
            return node("large file", [(yield "", given), b"%d" % found.st_size])
        elif (held := file_node(given, walk.pace)) is not None:
            return held
        else:
            walk.tell_unread(f"{shown} cannot be read")
    elif names_elsewhere(given):
        walk.tell_unread(f"{os.fspath(given)} is not here and not read")
    return (yield "", given)
