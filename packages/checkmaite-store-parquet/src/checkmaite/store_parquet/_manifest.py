"""What has been compacted: which commits, and where the copies of their rows are.

A *part* is a folder with copies of the rows of many results: one file for each table and revision. A *manifest* names
the parts that count. Manifests are numbered and created exclusively; each says all, so the newest one alone is read.
"""

from __future__ import annotations

import json
import threading
from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from attrs import asdict, field, frozen
from attrs.validators import and_, ge, instance_of, matches_re
from checkmaite.jobs import StoreNotFoundError
from checkmaite.jobs.spi import ObjectStore
from checkmaite.store_parquet._datasets import broken_copy
from checkmaite.store_parquet._layout import (
    COMPACTED,
    TABLE,
    index_key,
    manifest_key,
    manifest_number,
    part_key,
    revision_of,
)

FORMAT = 1
_INDEXES_KEPT = 32
"""Indexes of parts that a process keeps: a part never changes."""

_COUNT = and_(instance_of(int), ge(0))


@frozen(kw_only=True)
class PartFile:
    """Copies of the rows of a table.

    Attributes:
        table: The table; ``runs`` is one.
        revision: Which results of runs they are of.
        runs: How many results have rows in it.
        rows: How many rows it has.
    """

    table: str = field(validator=matches_re(TABLE))
    revision: int = field(validator=_COUNT)
    runs: int = field(validator=_COUNT)
    rows: int = field(validator=_COUNT)


@frozen(kw_only=True)
class Part:
    """Copies of the rows of many results.

    Attributes:
        name: Its folder.
        commits: How many commits it stands for.
        size: Bytes of its rows, decoded.
        files: What is in it.
    """

    name: str = field(validator=matches_re(r"[0-9a-f]{16}"))
    commits: int = field(validator=_COUNT)
    size: int = field(validator=_COUNT)
    files: tuple[PartFile, ...]

    def key(self, file: PartFile) -> str:
        """Key of one of its files."""
        return part_key(self.name, file.table, file.revision)


@frozen(kw_only=True)
class Manifest:
    """The parts that count.

    Attributes:
        number: Its number; the highest is the one that counts.
        token: Says who has made it.
        parts: The parts; no commit is in two of them.
    """

    number: int = 0
    token: str = ""
    parts: tuple[Part, ...] = ()


class Index:
    """Which commits a part stands for.

    Args:
        commits: Names of the commit objects.
        run_uids: For each the run.
    """

    def __init__(self, commits: Sequence[str], run_uids: Sequence[str]) -> None:
        self.commits = dict(zip(commits, run_uids, strict=True))

    @cached_property
    def by_revision(self) -> Mapping[int, Mapping[str, str]]:
        """By revision the runs, by their names in commits."""
        found: dict[int, dict[str, str]] = {}
        for commit, run_uid in self.commits.items():
            named = revision_of(commit)
            assert named is not None, "a part stands for commits only"
            found.setdefault(named[1], {})[named[0]] = run_uid
        return found

    def content(self) -> bytes:
        """The index as a Parquet file."""
        sink = pa.BufferOutputStream()
        table = pa.table({"commit": [*self.commits], "run_uid": [*self.commits.values()]})
        pq.write_table(table, sink, compression="zstd")
        return bytes(sink.getvalue().to_pybytes())


def newest_manifest(objects: ObjectStore) -> Manifest:
    """The manifest that counts now; one without parts when nothing has been compacted.

    Raises:
        StoreCorruptError: It is not readable here.
    """
    numbers = [number for name in objects.names(COMPACTED) if (number := manifest_number(name)) is not None]
    if not numbers:
        return Manifest()
    return manifest_at(objects, max(numbers))


def manifest_at(objects: ObjectStore, number: int) -> Manifest:
    """The manifest of a number."""
    key = manifest_key(number)
    content = objects.read(key)
    try:
        return _parsed(json.loads(content), number)
    except (LookupError, TypeError, ValueError, RecursionError) as error:
        raise broken_copy(objects, key, type(error).__name__) from error


def _parsed(said: Any, number: int) -> Manifest:
    if said["format"] != FORMAT:
        raise ValueError(f"format {said['format']}")
    parts = [Part(**{**part, "files": tuple(PartFile(**file) for file in part["files"])}) for part in said["parts"]]
    return Manifest(number=number, token=said["token"], parts=tuple(parts))


def manifest_content(manifest: Manifest) -> bytes:
    """A manifest as it is kept."""
    return json.dumps({"format": FORMAT, **asdict(manifest)}).encode()


class Indexes:
    """Indexes of parts, kept for the process."""

    def __init__(self) -> None:
        self._kept: OrderedDict[tuple[str, str], Index] = OrderedDict()
        self._lock = threading.Lock()

    def of(self, objects: ObjectStore, parts: Iterable[Part]) -> dict[str, Index]:
        """The index of each part."""
        return {part.name: self._index(objects, part) for part in parts}

    def forget(self) -> None:
        """Forget them all, as in a new process."""
        with self._lock:
            self._kept.clear()

    def _index(self, objects: ObjectStore, part: Part) -> Index:
        place = objects.root, part.name
        with self._lock:
            kept = self._kept.get(place)
            if kept is not None:
                self._kept.move_to_end(place)
                return kept
        index = _read_index(objects, part)
        with self._lock:
            self._kept[place] = index
            while len(self._kept) > _INDEXES_KEPT:
                self._kept.popitem(last=False)
        return index


def _read_index(objects: ObjectStore, part: Part) -> Index:
    key = index_key(part.name)
    try:
        table = pq.read_table(pa.BufferReader(objects.read(key)))
        index = Index(*(table.column(name).to_pylist() for name in ("commit", "run_uid")))
        if any(revision_of(name) is None for name in index.commits) or len(index.commits) != part.commits:
            raise ValueError("other commits than the manifest says")
    except StoreNotFoundError as error:
        raise broken_copy(objects, key, "it is not there") from error
    except (pa.ArrowException, LookupError, TypeError, ValueError) as error:
        raise broken_copy(objects, key, type(error).__name__) from error
    return index


INDEXES = Indexes()
