"""What compacted copies add to a view of the store."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
from attrs import frozen
from checkmaite.jobs.spi import ObjectStore, object_name
from checkmaite.store_parquet._datasets import RUN, Piece, open_file, reading
from checkmaite.store_parquet._layout import RUNS
from checkmaite.store_parquet._manifest import INDEXES, Index, Manifest, Part, PartFile, is_among

_ABOUT = "capability_table"


@frozen
class _Chosen:
    """What is seen of a part's results of one revision.

    Attributes:
        only: Results of these runs; of all when None.
        without: None of these runs.
    """

    only: frozenset[str] | None
    without: frozenset[str]

    @property
    def is_all(self) -> bool:
        return self.only is None and not self.without


class CompactedRuns:
    """The parts of a manifest.

    Args:
        objects: The store.
        manifest: Which parts there are.
        only: Names of the commits that are seen; all when None.
    """

    def __init__(self, objects: ObjectStore, manifest: Manifest, only: pa.Array | None = None) -> None:
        self._objects = objects
        self._parts = {part.name: part for part in manifest.parts}
        self._indexes: Mapping[str, Index] = INDEXES.of(objects, manifest.parts)
        self._seen, self._unseen = self._indexes, dict[str, Index]()
        if only is not None:
            among = {name: index.among(only) for name, index in self._indexes.items()}
            self._seen = {name: seen for name, (seen, _) in among.items()}
            self._unseen = {name: unseen for name, (_, unseen) in among.items() if len(unseen.commits)}
        self._chosen: dict[tuple[str, int], _Chosen] = {}
        self._counts: dict[tuple[str, int], dict[str, int]] | None = None

    def not_in(self, commits: list[str]) -> list[str]:
        """Those of the commits, named so in ``runs/``, that are not compacted."""
        if not self._indexes or not commits:
            return commits
        named = pa.array(commits, pa.string())
        there = pa.chunked_array([index.commits for index in self._indexes.values()], pa.string())
        found: list[str] = named.filter(pc.call_function("invert", [is_among(named, there)])).to_pylist()
        return found

    @property
    def commits(self) -> Iterator[str]:
        """Names of the commits that are seen."""
        return (name for index in self._seen.values() for name in index.commits.to_pylist())

    @property
    def runs(self) -> set[str]:
        """Names of the runs of which results are seen."""
        return {run for index in self._seen.values() for run in index.runs}

    @property
    def later(self) -> dict[str, int]:
        """Runs with a result, among those that are seen, that is not the first, with the newest one."""
        found: dict[str, int] = {}
        for index in self._seen.values():
            for run, revision in index.later:
                found[run] = max(revision, found.get(run, 0))
        return found

    def choose(self, revision: int | None, newest: Mapping[str, int], run_uids: Collection[str] | None) -> None:
        """Say what is seen.

        Args:
            revision: Results of this number; of all numbers when None.
            newest: Runs with more than one result, with the newest: it alone is seen.
            run_uids: Only these runs; all when None.
        """
        self._chosen, self._counts = {}, None
        runs = {object_name(run_uid) for run_uid in run_uids} if run_uids is not None else None
        for part in self._parts.values():
            index, unseen = self._seen[part.name], self._unseen.get(part.name)
            for number, results in _results(part).items():
                if revision not in (None, number):
                    continue
                only, without = None, frozenset[str]()
                if runs is not None:
                    wanted = [run for run in runs if newest.get(run, number) <= number]
                    only = frozenset(index.of(wanted, number).values())
                else:
                    gone = [run for run, last in newest.items() if last > number]
                    without = frozenset(index.of(gone, number).values())
                    if unseen is not None:
                        without |= unseen.run_uids_of(number)
                if (only is None and len(without) < results) or only:
                    self._chosen[part.name, number] = _Chosen(only, without)

    @property
    def tables(self) -> set[str]:
        """Tables with rows of these results."""
        return {file.table for part, file in self._files() if self._counted(part, file)}

    def count(self, table: str) -> int:
        """How many of these results have rows in a table."""
        return sum(self._counted(part, file) for part, file in self._files() if file.table == table)

    def pieces(self, table: str) -> list[Piece]:
        """The files with their rows."""
        found = []
        for part, file in self._files():
            if file.table == table and self._counted(part, file):
                chosen = self._chosen[part.name, file.revision]
                found.append(Piece(part.key(file), file.revision, file.rows, chosen.only, chosen.without))
        return found

    def _files(self) -> list[tuple[Part, PartFile]]:
        return [
            (part, file)
            for part in self._parts.values()
            for file in part.files
            if (part.name, file.revision) in self._chosen
        ]

    def _counted(self, part: Part, file: PartFile) -> int:
        """How many of the chosen results have rows in a file."""
        chosen = self._chosen[part.name, file.revision]
        if chosen.is_all:
            return file.runs
        if file.table == RUNS:
            return len(chosen.only) if chosen.only is not None else file.runs - len(chosen.without)
        if self._counts is None:
            self._counts = self._counted_by_table()
        counted = self._counts[part.name, file.revision].get(file.table, 0)
        return counted if chosen.only is not None else file.runs - counted

    def _counted_by_table(self) -> dict[tuple[str, int], dict[str, int]]:
        """Where not all results of a part are seen: by table how many of those that are listed have rows in it."""
        found: dict[tuple[str, int], dict[str, int]] = {}
        for part, file in self._files():
            chosen = self._chosen[part.name, file.revision]
            if file.table != RUNS or chosen.is_all:
                continue
            listed = chosen.only if chosen.only is not None else chosen.without
            with reading(self._objects, part.key(file)):
                pairs = open_file(self._objects, part.key(file)).to_table(
                    columns=[RUN, _ABOUT], filter=ds.field(RUN).isin(pa.array(sorted(listed), pa.string()))
                )
            tables = pairs.group_by([RUN, _ABOUT]).aggregate([]).column(_ABOUT).value_counts().to_pylist()
            found[part.name, file.revision] = {each["values"]: each["counts"] for each in tables}
        return found


def _results(part: Part) -> dict[int, int]:
    """By revision how many results a part has: each has rows in ``runs``."""
    return {file.revision: file.runs for file in part.files if file.table == RUNS}
