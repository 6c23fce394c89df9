"""Results of which the copies are all that is left, since a vacuum has deleted their small files.

A writer learns that a run is stored from the name of its commit. Where commits may be gone it asks the copies too, for
which it need not read a manifest each time: what is deleted has been in every manifest of the last two hours.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import pyarrow.dataset as ds
from attrs import frozen
from checkmaite.jobs import StoreError
from checkmaite.jobs.spi import ObjectStore, object_name
from checkmaite.store_parquet._datasets import RUN, broken_copy, open_file, reading
from checkmaite.store_parquet._layout import ORIGINALS, RUNS, part_key
from checkmaite.store_parquet._manifest import INDEXES, Manifest, newest_manifest
from checkmaite.store_parquet._rows import COMMIT_FACTS

_REMEMBERED_S = 1800
"""A quarter of the shortest grace: another quarter is for the write that follows the look."""


@frozen(kw_only=True)
class CopiedResult:
    """One result of a run, from copies.

    Attributes:
        rows: Its ``runs`` rows.
        facts: What its commit said beside them.
        runs_key: The file with the copies of these rows.
        payload_key: The file with copies of its rows in the first of its tables.
    """

    rows: list[dict[str, Any]]
    facts: Mapping[str, Any]
    runs_key: str
    payload_key: str


@frozen
class _Known:
    manifest: Manifest | None
    at: tuple[float, float]

    def is_fresh(self, now: tuple[float, float]) -> bool:
        """By both clocks: one stands still while a laptop sleeps, the other may be set back."""
        return all(0 <= here - then < _REMEMBERED_S for here, then in zip(now, self.at, strict=True))


class DeletedOriginals:
    """Finds results whose commits a vacuum may have deleted. Safe to share between threads.

    Args:
        objects: The store.
    """

    def __init__(self, objects: ObjectStore) -> None:
        self._objects = objects
        self._known: _Known | None = None
        self._lock = threading.Lock()

    def find(self, run_uid: str, revision: int) -> CopiedResult | None:
        """A result from copies.

        Raises:
            StoreCorruptError: The copies cannot be read.
        """
        try:
            return self._found(run_uid, revision, self._manifest())
        except StoreError:  # what is remembered may be of a store that somebody has emptied since
            return self._found(run_uid, revision, self._manifest(anew=True))

    def _found(self, run_uid: str, revision: int, manifest: Manifest | None) -> CopiedResult | None:
        part = self._place(run_uid, revision, manifest)
        if part is None:
            return None
        key = part_key(part, RUNS, revision)
        with reading(self._objects, key):
            found = open_file(self._objects, key).to_table(filter=ds.field(RUN) == run_uid)
        try:
            rows = found.to_pylist()
            texts = [text for row in rows if (text := row.pop(COMMIT_FACTS, None)) is not None]
            facts = json.loads(texts[0]) if texts else {}
            payload = part_key(part, rows[0]["capability_table"], revision)
        except (ArithmeticError, LookupError, TypeError, ValueError, RecursionError) as error:
            raise broken_copy(self._objects, key, type(error).__name__) from error
        return CopiedResult(rows=rows, facts=facts, runs_key=key, payload_key=payload)

    def _place(self, run_uid: str, revision: int, manifest: Manifest | None) -> str | None:
        """The part that stands for a result."""
        if manifest is None:
            return None
        run = object_name(run_uid)
        for name, index in INDEXES.of(self._objects, manifest.parts).items():
            if index.of([run], revision):
                return name
        return None

    def _manifest(self, *, anew: bool = False) -> Manifest | None:
        """The newest manifest of the last half hour; None when no original may have been deleted."""
        now = time.monotonic(), time.time()
        with self._lock:
            known = self._known
            if (
                known is None
                or anew
                or any(not 0 <= at - then < _REMEMBERED_S for at, then in zip(now, known.at, strict=True))
            ):
                is_needed = self._objects.exists(ORIGINALS)
                known = _Known(newest_manifest(self._objects) if is_needed else None, now)
                self._known = known
            return known.manifest


def announce(objects: ObjectStore) -> None:
    """Say that originals may be deleted, after the grace: until then a writer may not have looked."""
    objects.create(ORIGINALS, json.dumps({"format": 1, "announced_at": datetime.now(UTC).isoformat()}).encode())
