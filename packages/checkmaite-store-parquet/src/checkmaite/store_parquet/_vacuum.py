"""Deleting what no reader needs any more: copies that others have replaced, and what killed writers have left."""

from __future__ import annotations

import contextlib

from attrs import frozen
from checkmaite.jobs import StoreNotFoundError
from checkmaite.jobs.spi import ObjectStore
from checkmaite.store_parquet._layout import COMPACTED, manifest_key, manifest_number
from checkmaite.store_parquet._manifest import manifest_at, newest_manifest


@frozen(kw_only=True)
class Vacuumed:
    """What a vacuum has deleted.

    Attributes:
        manifests: Manifests of earlier compactions.
        parts: Copies that no manifest names any more, or that none has ever named.
        temporary_files: Files that writers were making when they were killed.
    """

    manifests: int
    parts: int
    temporary_files: int


class Vacuum:
    """Deletes what has been of no use since an instant.

    Runs are no part of it: commits, the files that they name and those of attempts that died stay.

    Args:
        objects: The store.
        before: The instant, in seconds since the epoch: who began to read or to compact after it misses nothing.
    """

    def __init__(self, objects: ObjectStore, before: float) -> None:
        self._objects = objects
        self._before = before

    def run(self) -> Vacuumed:
        """Delete it; any number may do so at once, beside everybody else."""
        written = self._objects.modified(COMPACTED)
        numbers = {number: written[name] for name in written if (number := manifest_number(name)) is not None}
        counted = max((number for number, at in numbers.items() if at < self._before), default=0)
        in_use = {part.name for part in newest_manifest(self._objects).parts}
        for number in numbers:
            if number >= counted:  # it counted at the instant, or later
                with contextlib.suppress(StoreNotFoundError):  # another vacuum has deleted it
                    in_use.update(part.name for part in manifest_at(self._objects, number).parts)
        parts = [self._deleted(part) for part in self._objects.folders(COMPACTED) if part not in in_use]
        earlier = [number for number in numbers if number < counted]
        for number in earlier:
            self._objects.delete(manifest_key(number))
        swept = self._objects.sweep(self._before)
        return Vacuumed(manifests=len(earlier), parts=sum(parts), temporary_files=swept)

    def _deleted(self, part: str) -> bool:
        """Delete a part, unless somebody may be making it."""
        folder = f"{COMPACTED}/{part}"
        files = self._objects.modified(folder)
        if not files or max(files.values()) >= self._before:
            return False
        for name in files:
            self._objects.delete(f"{folder}/{name}")
        return True
