"""Where a journal's objects are, by their numbers."""

from __future__ import annotations

import re
from collections.abc import Iterable

from checkmaite.jobs_ray._journal._errors import JournalCorruptError

SEGMENTS = "seg"
SNAPSHOTS = "snap"
_NAME = re.compile(r"[0-9]{12}")


def segment_key(number: int) -> str:
    """Key of a segment or fence."""
    return f"{SEGMENTS}/{number:012}"


def snapshot_key(number: int) -> str:
    """Key of the snapshot of everything up to a number."""
    return f"{SNAPSHOTS}/{number:012}"


def numbers_of(root: str, folder: str, names: Iterable[str]) -> list[int]:
    """The numbers that a folder's names stand for, in order.

    Raises:
        JournalCorruptError: A name is none that a journal gives.
    """
    numbers: list[int] = []
    for name in names:
        if not _NAME.fullmatch(name):
            raise JournalCorruptError.of(
                f"{root}/{folder}/{name}",
                "it is not an object of a journal",
                f"Move it elsewhere: nothing but the journal may be in {root}/{folder}.",
            )
        numbers.append(int(name))
    return sorted(numbers)
