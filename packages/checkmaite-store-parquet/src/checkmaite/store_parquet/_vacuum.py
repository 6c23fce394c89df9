"""Deleting what no reader needs any more: replaced copies, what killed writers have left, originals of copies."""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

import pyarrow as pa
import pyarrow.compute as pc
from attrs import evolve, frozen
from checkmaite.jobs import StoreNotFoundError
from checkmaite.jobs.spi import ObjectStore
from checkmaite.store_parquet._clock import read_clock
from checkmaite.store_parquet._compacted import CompactedRuns
from checkmaite.store_parquet._datasets import RUN, broken_copy
from checkmaite.store_parquet._layout import (
    COMPACTED,
    ORIGINALS,
    RUNS,
    commit_key,
    is_payload,
    manifest_key,
    manifest_number,
)
from checkmaite.store_parquet._manifest import Manifest, Part, manifest_at, newest_manifest
from checkmaite.store_parquet._originals import announce
from checkmaite.store_parquet._parquet import UnreadableError, table_in
from checkmaite.store_parquet._rows import COMMIT_FACTS

_AT_ONCE = 8


@frozen(kw_only=True)
class Vacuumed:
    """What a vacuum has deleted.

    Attributes:
        manifests: Manifests of earlier compactions.
        parts: Copies that no manifest names any more, or that none has ever named.
        temporary_files: Files that writers were making when they were killed.
        originals: Results of runs that are in copies alone now.
        originals_from: When originals may be deleted at the earliest (UTC), where it was too early.
    """

    manifests: int
    parts: int
    temporary_files: int
    originals: int = 0
    originals_from: datetime | None = None


class Vacuum:
    """Deletes what has been of no use for a time.

    Args:
        objects: The store.
        grace_s: For how many seconds, by the store's clock: who has begun to read, to write or to compact since then
            misses nothing.
    """

    def __init__(self, objects: ObjectStore, grace_s: float) -> None:
        self._objects = objects
        self._grace_s = grace_s
        self._before = -math.inf

    def run(self, *, originals: bool = False) -> Vacuumed:
        """Delete it; any number may do so at once, beside everybody else.

        Args:
            originals: Also commits, and the files that they name, of results of which there are copies.
        """
        if originals:
            announce(self._objects)
        written = self._written()
        numbers = {number: written[name] for name in written if (number := manifest_number(name)) is not None}
        counted = max((number for number, at in numbers.items() if at < self._before), default=0)
        newest = newest_manifest(self._objects)
        manifests = {newest.number: newest}
        for number in numbers:
            if number >= counted and (manifest := self._manifest(number)):  # it counted at the instant, or later
                manifests[number] = manifest
        in_use = {part.name for manifest in manifests.values() for part in manifest.parts}
        parts = [self._deleted(part) for part in self._objects.folders(COMPACTED) if part not in in_use]
        earlier = [number for number in numbers if number < counted]
        for number in earlier:
            self._objects.delete(manifest_key(number))
        swept = self._objects.sweep(self._before)
        done = Vacuumed(manifests=len(earlier), parts=sum(parts), temporary_files=swept)
        announced = written.get(ORIGINALS.removeprefix(f"{COMPACTED}/"))
        if not originals or announced is None:
            return done
        if announced >= self._before:
            return evolve(done, originals_from=datetime.fromtimestamp(announced + self._grace_s, UTC))
        return evolve(done, originals=self._delete_originals(manifests.get(counted, Manifest()), newest))

    def _written(self) -> Mapping[str, float]:
        """When the objects of compactions were written; the instant that is looked at follows from the store's clock.

        A store that does not say when leaves nothing to delete.
        """
        if not self._objects.names(COMPACTED):
            self._before = time.time() - self._grace_s
            return {}
        now, written = read_clock(self._objects)
        self._before = (-math.inf if now is None else now) - self._grace_s
        return written

    def _manifest(self, number: int) -> Manifest | None:
        try:
            return manifest_at(self._objects, number)
        except StoreNotFoundError:  # another vacuum has deleted it
            return None

    def _deleted(self, part: str) -> bool:
        """Delete a part, unless somebody may be making it."""
        folder = f"{COMPACTED}/{part}"
        files = self._objects.modified(folder)
        if not files or max(files.values()) >= self._before:
            return False
        for name in files:
            self._objects.delete(f"{folder}/{name}")
        return True

    def _delete_originals(self, counted: Manifest, newest: Manifest) -> int:
        """Delete what every reader has copies of.

        Args:
            counted: The manifest that counted at the instant.
            newest: The manifest that counts now, whose copies will be all there is. They are read whole first.
        """
        commits = self._objects.names(RUNS)
        too_young = set(CompactedRuns(self._objects, counted).not_in(commits))
        candidates = {f"{RUNS}/{name}" for name in commits if name not in too_young}
        deleted = 0
        for part in newest.parts if candidates else ():
            originals = self._originals(part, candidates)
            if originals:
                self._check(part)
                self._delete(key for payloads in originals.values() for key in payloads)
                self._delete(originals)  # last: what names them says that they are still to be deleted
                deleted += len(originals)
        return deleted

    def _originals(self, part: Part, candidates: set[str]) -> dict[str, set[str]]:
        """Those of the commits that a part stands for, with all that they said, each with the files that it names."""
        found: dict[str, set[str]] = {}
        for file in part.files:
            if file.table != RUNS:
                continue
            rows = self._rows(part.key(file), file.rows)
            if COMMIT_FACTS not in rows.column_names:  # an earlier version made the copies
                continue
            whole = rows.filter(pc.field(COMMIT_FACTS).is_valid()).column(RUN)
            rows = rows.filter(pc.field(RUN).isin(whole.combine_chunks()))
            for row in rows.select([RUN, "capability_table", "payload"]).to_pylist():
                commit = commit_key(row[RUN], file.revision)
                if commit in candidates and is_payload(row["payload"], row["capability_table"]):
                    found.setdefault(commit, set()).add(row["payload"])
        return found

    def _check(self, part: Part) -> None:
        """Read what is left of a part; `_originals` has read its ``runs``.

        Raises:
            StoreCorruptError: It is not what was written.
        """
        for file in part.files:
            if file.table != RUNS:
                self._rows(part.key(file), file.rows)

    def _rows(self, key: str, count: int) -> pa.Table:
        try:
            rows = table_in(self._objects.read(key))
        except (UnreadableError, StoreNotFoundError) as error:
            raise broken_copy(self._objects, key, type(error).__name__) from error
        if rows.num_rows != count:
            raise broken_copy(self._objects, key, f"it has {rows.num_rows} rows, not {count}")
        return rows

    def _delete(self, keys: Iterable[str]) -> None:
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            for _ in pool.map(self._objects.delete, keys):
                pass
