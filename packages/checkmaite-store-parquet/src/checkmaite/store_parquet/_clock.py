"""What time it is by the clock of the store, which is the one that says how old its objects are."""

from __future__ import annotations

from collections.abc import Mapping

from checkmaite.jobs.spi import ObjectStore
from checkmaite.store_parquet._layout import COMPACTED

_NAME = "clock"


def read_clock(objects: ObjectStore) -> tuple[float | None, Mapping[str, float]]:
    """The time, in seconds since the epoch, and when the objects directly below ``_compact/`` were written.

    None of a store that does not say when objects were written, and where another process reads the clock just now.
    """
    key = f"{COMPACTED}/{_NAME}"
    objects.delete(key)  # that of a process that was killed
    objects.create(key, b"Says what time it is here.")
    written = dict(objects.modified(COMPACTED))
    objects.delete(key)
    return written.pop(_NAME, None), written
