"""How files were when something was made of them, so that it is cheap to tell that it would be made the same again."""

from __future__ import annotations

import os
import time

Version = tuple[int, int, int]
"""Time of the last change in nanoseconds, size and inode."""

SETTLED_NS = 100_000_000
"""What was written so lately may be written once more without another time of modification."""


def version_of(path: str) -> Version | None:
    """How a file or a folder is now; None where there is none, or none that may be seen.

    That of a folder is another one when something comes into it, leaves it or gets another name.
    """
    try:
        found = os.stat(path)
    except (OSError, ValueError):
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino


class Watched:
    """Files and folders that were looked at, and how each of them was."""

    def __init__(self) -> None:
        self._versions: dict[str, Version | None] = {}
        self._since_ns = time.time_ns() - SETTLED_NS

    def look(self, path: str) -> Version | None:
        """How a file or a folder is: as it was when this was first asked for it."""
        if path in self._versions:
            return self._versions[path]
        found = self._versions[path] = version_of(path)
        return found

    def look_for(self, path: str) -> bool:
        """Whether there is a file, by its folder, which says so for all files that are asked for in it."""
        folder = path.rpartition(os.sep)[0]
        while folder and self.look(folder) is None:
            del self._versions[folder]  # the folder above tells when it comes
            folder = folder.rpartition(os.sep)[0]
        return os.path.isfile(path)  # noqa: PTH113 - texts, for speed

    @property
    def is_settled(self) -> bool:
        """Whether a later change of any of them will be seen."""
        return all(version is None or version[0] < self._since_ns for version in self._versions.values())

    def is_unchanged(self) -> bool:
        """Whether all of them are as they were."""
        return all(version_of(path) == version for path, version in self._versions.items())
