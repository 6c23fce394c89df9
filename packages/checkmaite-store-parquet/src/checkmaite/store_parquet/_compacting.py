"""Compaction: copies of the rows of many small files in few large ones. Nothing that is there is changed.

The new files first, then the manifest that names them: whoever dies before that has changed nothing.
"""

from __future__ import annotations

import contextlib
import secrets
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from attrs import evolve, field, frozen
from checkmaite.jobs import StoreCorruptError, StoreError, StoreNotFoundError, StoreUnavailableError
from checkmaite.jobs.spi import ObjectStore
from checkmaite.store_parquet._arguments import SHORTEST_GRACE_S
from checkmaite.store_parquet._compacted import CompactedRuns
from checkmaite.store_parquet._datasets import REVISION, RUN
from checkmaite.store_parquet._foreign import may_be_foreign, names_files
from checkmaite.store_parquet._layout import RUNS, commit_key, index_key, manifest_key, revision_of
from checkmaite.store_parquet._manifest import (
    INDEXES,
    Index,
    Manifest,
    Part,
    PartFile,
    manifest_at,
    manifest_content,
    newest_manifest,
)
from checkmaite.store_parquet._parquet import UnreadableError, table_in
from checkmaite.store_parquet._reading import columns_of
from checkmaite.store_parquet._rows import COMMIT_FACTS, facts_text
from checkmaite.store_parquet._schema import RUNS_SCHEMA, arrow_schema

_READERS = 8
_FORMAT: Mapping[str, Any] = {
    "compression": "zstd",
    "row_group_size": 64 * 1024,
    "write_statistics": [RUN],
    "write_page_checksum": True,
}
"""Statistics of the run alone: readers find a run by them, and do not agree on what those of floats mean. Checksums,
because a copy may become the only one."""
WORTH_COMPACTING = 200
PART_BYTES = 256 * 1024**2
"""A part's rows, decoded: what a compaction has in memory, two or three times over."""
SMALL_PART_BYTES = 80 * 1024**2
"""That of a compaction beside jobs."""
_RESULTS_AT_ONCE = 2_000
"""How many are copied before that counts: some seconds of work, which is what a compactor that is killed loses."""


@frozen(kw_only=True)
class Compaction:
    """What a compaction has done.

    Attributes:
        results: How many results of runs have been copied.
        left_out: Files in ``runs/`` that stay as they are, with the reason: readers see of them what they saw before.
    """

    results: int
    left_out: Mapping[str, str] = field(factory=dict)


@frozen(kw_only=True)
class Backlog:
    """What has gathered since the last compaction.

    Attributes:
        results: How many results of runs are in small files of their own alone.
    """

    results: int

    @property
    def is_worth_compacting(self) -> bool:
        """Whether there are enough of them for readers to notice."""
        return self.results >= WORTH_COMPACTING


@frozen
class _Result:
    """One result of a run, read whole."""

    commit: str
    run_uid: str
    revision: int
    runs: pa.Table
    tables: Mapping[str, pa.Table]

    @property
    def size(self) -> int:
        return int(self.runs.nbytes + sum(table.nbytes for table in self.tables.values()))


class Compactor:
    """Compacts a store. Any number may do so at once: of two that take the same commits one wins, whole.

    Args:
        objects: The store.
        part_bytes: How many bytes of rows, decoded, a part may have; `PART_BYTES` when None.
    """

    def __init__(self, objects: ObjectStore, *, part_bytes: int | None = None) -> None:
        self._objects = objects
        self._part_bytes = part_bytes or PART_BYTES
        self._left_out: dict[str, str] = {}
        self._not_ours: set[str] = set()
        self._was_late = False

    def compact(self) -> Compaction:
        """Copy what is not copied yet, part by part; what was copied before an error stays."""
        results = 0
        while True:
            manifest = newest_manifest(self._objects)
            taken = self._taken(self._listed(manifest))
            if not taken:
                return Compaction(results=results, left_out=self._left_out)
            results += self._replaced(manifest, taken)

    def backlog(self) -> Backlog:
        """What there is to do, by the names of files."""
        listed = self._listed(newest_manifest(self._objects))
        return Backlog(results=len([name for name in listed if not may_be_foreign(name)]))

    def _listed(self, manifest: Manifest) -> list[str]:
        listed = CompactedRuns(self._objects, manifest).not_in(self._objects.names(RUNS))
        return [name for name in listed if revision_of(name) and name not in self._not_ours]

    def _taken(self, names: Sequence[str]) -> list[_Result]:
        """Results for the next part: no more than it may hold, but at least one if there is any."""
        taken: list[_Result] = []
        size = 0
        with ThreadPoolExecutor(_READERS) as pool:
            for name, found in _ahead(pool, self._read, names):
                if isinstance(found, str):
                    self._leave(name, found)
                elif found is not None:
                    size += found.size
                    if taken and (size > self._part_bytes or len(taken) == _RESULTS_AT_ONCE):
                        break
                    taken.append(found)
        return taken

    def _leave(self, name: str, reason: str) -> None:
        self._not_ours.add(name)
        if reason and not may_be_foreign(name):
            self._left_out[name] = reason

    def _read(self, name: str) -> _Result | str | None:
        """A result; why there is none of that name, or None when the object has gone since it was listed."""
        named = revision_of(name)
        assert named is not None, "it was chosen by its name"
        try:
            runs = table_in(self._objects.read(f"{RUNS}/{name}"))
        except StoreNotFoundError:
            self._not_ours.add(name)
            return None
        except UnreadableError:
            return "it is not readable Parquet"
        if not names_files(runs) or RUN not in runs.column_names or not runs.num_rows:
            return "it is no commit of a run"
        payloads = dict(zip(*(runs.column(each).to_pylist() for each in ("capability_table", "payload")), strict=True))
        run_uid, *others = runs.column(RUN).unique().to_pylist()
        if others or commit_key(str(run_uid), named[1]) != f"{RUNS}/{name}":
            return "its name is not that of its run"
        tables = {}
        for table, payload in payloads.items():
            try:
                rows = table_in(self._objects.read(payload))
            except StoreNotFoundError:
                return f"{payload} is not there"
            except UnreadableError:
                return f"{payload} is not readable Parquet"
            if RUN not in rows.column_names or rows.column(RUN).unique().to_pylist() != [run_uid]:
                return f"{payload} has rows of another run"
            tables[table] = rows
        facts = facts_text(runs)
        if facts is None:
            return "it is no commit of a run"
        runs = runs.append_column(COMMIT_FACTS, pa.array([facts, *[None] * (runs.num_rows - 1)], pa.string()))
        return _Result(name, run_uid, named[1], runs, tables)

    def _replaced(self, manifest: Manifest, taken: Sequence[_Result]) -> int:
        """Make the next manifest, with a part for these results; how many it has, none when another one was first."""
        part = _NewPart(self._objects)
        schemas = {}
        for name in {name for result in taken for name in result.tables}:
            with contextlib.suppress(StoreCorruptError, StoreNotFoundError):  # readers of the table are told
                schemas[name] = self._schema(name)
        for result in taken:
            try:
                part.add(result, schemas)
            except (KeyError, pa.ArrowException):
                self._leave(result.commit, "its rows do not fit the columns of their tables in _schema")
        if not part.commits:
            return 0
        kept: list[Part] = []
        for old in sorted(manifest.parts, key=lambda each: each.commits):
            fits = not kept and old.commits <= part.commits and old.size + part.size <= self._part_bytes
            if not (fits and part.take_in(old, self._schema)):
                kept.append(old)
        new = Manifest(number=manifest.number + 1, token=secrets.token_hex(8), parts=(*kept, part.written()))
        if not part.is_in_time:
            part.discard()
            if self._was_late:
                uri = self._objects.root
                raise StoreUnavailableError(
                    f"{uri}: copying {part.commits} results took so long, twice, that a vacuum may take their "
                    "files for left ones. They are not copied; compact again when the store answers faster.",
                    uri=uri,
                )
            self._was_late = True  # the process may have been stopped
            return 0
        if self._published(new):
            return new.parts[-1].commits - sum(old.commits for old in manifest.parts if old not in kept)
        part.discard()
        return 0

    def _published(self, manifest: Manifest) -> bool:
        if self._objects.create(manifest_key(manifest.number), manifest_content(manifest)):
            return True
        there = manifest_at(self._objects, manifest.number)
        return there.token == manifest.token  # then the reply to its creation was lost

    def _schema(self, table: str) -> pa.Schema:
        return RUNS_SCHEMA if table == RUNS else arrow_schema(columns_of(self._objects, table, has_files=True))


class _NewPart:
    """A part that is being made.

    A part takes in those that are no larger than it is: so there are few of them, and no row is copied often.
    """

    def __init__(self, objects: ObjectStore) -> None:
        self._objects = objects
        self._name = secrets.token_hex(8)
        self._commits: dict[str, str] = {}
        self._tables: dict[tuple[str, int], list[pa.Table]] = {}
        self._counts: dict[tuple[str, int], int] = {}
        self._types: dict[tuple[str, str], pa.DataType] = {}
        self._created: list[str] = []
        self._began = time.monotonic()
        self.size = 0

    @property
    def commits(self) -> int:
        return len(self._commits)

    @property
    def is_in_time(self) -> bool:
        """Whether no vacuum can have taken its files for left ones."""
        return time.monotonic() - self._began < SHORTEST_GRACE_S / 2

    def add(self, result: _Result, schemas: Mapping[str, pa.Schema]) -> None:
        """Add a result.

        Raises:
            pa.ArrowException: Its rows do not fit; nothing was added.
            KeyError: Nobody knows the columns of a table of it.
        """
        fitting = {name: fitted(table, schemas[name]) for name, table in result.tables.items()}
        runs = fitted(result.runs, RUNS_SCHEMA)
        place = RUNS_SCHEMA.get_field_index(REVISION)
        revisions = pa.array([result.revision] * runs.num_rows, pa.int64())
        fitting[RUNS] = runs.set_column(place, RUNS_SCHEMA.field(place), revisions)
        self._learn(fitting.items())
        for name, table in fitting.items():
            self._put(name, result.revision, table, 1)
        self._commits[result.commit] = result.run_uid
        self.size += result.size

    def take_in(self, old: Part, schema_of: Callable[[str], pa.Schema]) -> bool:
        """Add all that an earlier part has; False when not all of it fits its tables any more."""
        tables = [(file, table_in(self._objects.read(old.key(file)))) for file in old.files]
        try:
            fitting = [(file, fitted(table, schema_of(file.table))) for file, table in tables]
            self._learn((file.table, table) for file, table in fitting)
        except pa.ArrowException:
            return False
        for file, table in fitting:
            self._put(file.table, file.revision, table, file.runs)
        index = INDEXES.of(self._objects, [old])[old.name]
        self._commits.update(zip(index.commits.to_pylist(), index.run_uids.to_pylist(), strict=True))
        self.size += old.size
        return True

    def _learn(self, tables: Iterable[tuple[str, pa.Table]]) -> None:
        """Note the types of columns that a later version of the store has added; one column has one type."""
        known = dict(self._types)
        for name, table in tables:
            for column in table.schema:
                if known.setdefault((name, column.name), column.type) != column.type:
                    raise pa.ArrowInvalid(f"{name}.{column.name} is {known[name, column.name]} and {column.type}")
        self._types = known

    def _put(self, name: str, revision: int, table: pa.Table, runs: int) -> None:
        self._tables.setdefault((name, revision), []).append(table)
        self._counts[name, revision] = self._counts.get((name, revision), 0) + runs

    def written(self) -> Part:
        """Write the files; nothing names them yet."""
        part = Part(name=self._name, commits=self.commits, size=self.size, files=())
        files = []
        for (name, revision), tables in self._tables.items():
            rows = pa.concat_tables(tables, promote_options="default").sort_by(
                RUN
            )  # which is stable: a run's rows stay in order
            file = PartFile(table=name, revision=revision, runs=self._counts[name, revision], rows=rows.num_rows)
            self._create(part.key(file), _content(rows))
            files.append(file)
        index = Index(*(pa.array(list(each), pa.string()) for each in (self._commits, self._commits.values())))
        self._create(index_key(part.name), index.content())
        return evolve(part, files=tuple(files))

    def discard(self) -> None:
        """Delete the files, which no manifest will ever name."""
        for key in self._created:
            with contextlib.suppress(StoreError):  # then vacuum() finds them
                self._objects.delete(key)

    def _create(self, key: str, content: bytes) -> None:
        self._created.append(key)
        self._objects.create(key, content)


def _ahead(
    pool: Executor, read: Callable[[str], _Result | str | None], names: Sequence[str]
) -> Iterator[tuple[str, _Result | str | None]]:
    """What is read of each name, in order, and never more of them at once than are read at the same time."""
    waiting: deque[tuple[str, Future[_Result | str | None]]] = deque()
    for name in names:
        if len(waiting) == _READERS:
            first, reading = waiting.popleft()
            yield first, reading.result()
        waiting.append((name, pool.submit(read, name)))
    for name, reading in waiting:
        yield name, reading.result()


def fitted(table: pa.Table, schema: pa.Schema) -> pa.Table:
    """The rows of a table with these columns: what it lacks is null, and what it has beside them follows.

    Raises:
        pa.ArrowException: A value has no place in its column.
    """
    columns = [
        table.column(each.name).cast(each.type) if each.name in table.column_names else pa.nulls(len(table), each.type)
        for each in schema
    ]
    others = [each for each in table.schema if each.name not in schema.names]
    return pa.table([*columns, *(table.column(each.name) for each in others)], schema=pa.schema([*schema, *others]))


def _content(rows: pa.Table) -> bytes:
    sink = pa.BufferOutputStream()
    pq.write_table(rows, sink, **_FORMAT)
    return bytes(sink.getvalue().to_pybytes())
