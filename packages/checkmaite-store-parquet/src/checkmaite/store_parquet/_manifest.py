"""What has been compacted: which commits, and where the copies of their rows are.

A *part* is a folder with copies of the rows of many results: one file for each table and revision. A *manifest* names
the parts that count. Manifests are numbered and created exclusively; each says all, so the newest one alone is read.
"""

from __future__ import annotations

import json
import threading
from collections import OrderedDict
from collections.abc import Iterable
from functools import cached_property
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from attrs import asdict, field, frozen
from attrs.validators import and_, ge, instance_of, matches_re
from checkmaite.jobs import StoreNotFoundError
from checkmaite.jobs.spi import ObjectStore
from checkmaite.store_parquet._datasets import broken_copy
from checkmaite.store_parquet._layout import (
    COMPACTED,
    SUFFIX,
    TABLE,
    commit_name,
    index_key,
    manifest_key,
    manifest_number,
    part_key,
    revision_of,
)
from checkmaite.store_parquet._parquet import table_in

FORMAT = 1
_KEPT_BYTES = 128 * 1024**2
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
    """Which commits a part stands for. They stay Arrow's: a hundred thousand names would take Python long.

    Args:
        commits: Names of the commit objects.
        run_uids: For each the run.
    """

    def __init__(self, commits: pa.Array, run_uids: pa.Array) -> None:
        self.commits = commits
        self.run_uids = run_uids

    @property
    def nbytes(self) -> int:
        """How much memory it takes."""
        return int(self.commits.nbytes + self.run_uids.nbytes)

    @property
    def runs(self) -> list[str]:
        """The runs, by their names in commits; one with several results several times."""
        return [named[0] for name in self.commits.to_pylist() if (named := revision_of(name))]

    @cached_property
    def later(self) -> list[tuple[str, int]]:
        """Runs, by their names in commits, and revisions of the results that are not the first.

        Raises:
            ValueError: A commit has a name that none can have.
        """
        found = []
        for name in self.commits.filter(_matches("match_substring", self.commits, "!")).to_pylist():
            named = revision_of(name)
            if named is None:
                raise ValueError(f"a commit {name!r}")
            found.append(named)
        return found

    def among(self, commits: pa.Array) -> tuple[Index, Index]:
        """The index of those that are among these commits, and of those that are not."""
        there = is_among(self.commits, commits)
        others = pc.call_function("invert", [there])
        seen, unseen = (Index(self.commits.filter(each), self.run_uids.filter(each)) for each in (there, others))
        return seen, unseen

    def run_uids_of(self, revision: int) -> frozenset[str]:
        """The runs of which it has results of a revision."""
        if revision == 1:
            there = pc.call_function("invert", [_matches("match_substring", self.commits, "!")])
        else:
            there = _matches("ends_with", self.commits, commit_name("", revision))
        return frozenset(self.run_uids.filter(there).to_pylist())

    def of(self, runs: Iterable[str], revision: int) -> dict[str, str]:
        """Those of the runs, by their names in commits, of which it has results of a revision, with their uids."""
        asked = {commit_name(run, revision): run for run in runs}
        if not asked:
            return {}
        there = is_among(self.commits, pa.array(list(asked), pa.string()))
        found = zip(*(column.filter(there).to_pylist() for column in (self.commits, self.run_uids)), strict=True)
        return {asked[commit]: run_uid for commit, run_uid in found}

    def content(self) -> bytes:
        """The index as a Parquet file."""
        sink = pa.BufferOutputStream()
        pq.write_table(
            pa.table({"commit": self.commits, "run_uid": self.run_uids}),
            sink,
            compression="zstd",
            write_page_checksum=True,
        )
        return bytes(sink.getvalue().to_pybytes())


def is_among(texts: pa.Array, values: Any) -> Any:
    """Of each text whether it is one of the values."""
    return pc.call_function("is_in", [texts], pc.SetLookupOptions(value_set=values))


def _matches(how: str, texts: pa.Array, pattern: str) -> Any:
    return pc.call_function(how, [texts], pc.MatchSubstringOptions(pattern))


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
    """Indexes of parts, kept for the process: beside those of the last store that was read, as many as fit."""

    def __init__(self) -> None:
        self._kept: OrderedDict[tuple[str, str], Index] = OrderedDict()
        self._lock = threading.Lock()

    def of(self, objects: ObjectStore, parts: Iterable[Part]) -> dict[str, Index]:
        """The index of each part."""
        found = {part.name: self._index(objects, part) for part in parts}
        with self._lock:
            size = sum(index.nbytes for index in self._kept.values())
            for place in [each for each in self._kept if each[0] != objects.root or each[1] not in found]:
                if size <= _KEPT_BYTES:
                    break
                size -= self._kept.pop(place).nbytes
        return found

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
        return index


def _read_index(objects: ObjectStore, part: Part) -> Index:
    key = index_key(part.name)
    try:
        table = table_in(objects.read(key))
        index = Index(*(table.column(name).combine_chunks().cast(pa.string()) for name in ("commit", "run_uid")))
        if (
            len(index.commits) != part.commits
            or _matches("ends_with", index.commits, SUFFIX).true_count != part.commits
        ):
            raise ValueError("other commits than the manifest says")
        _ = index.later
    except StoreNotFoundError as error:
        raise broken_copy(objects, key, "it is not there") from error
    except (pa.ArrowException, LookupError, TypeError, ValueError) as error:
        raise broken_copy(objects, key, type(error).__name__) from error
    return index


INDEXES = Indexes()
