"""What compacted copies add to a view of the store."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from functools import cached_property

import pyarrow as pa
import pyarrow.dataset as ds
from attrs import frozen
from checkmaite.jobs.spi import ObjectStore, object_name
from checkmaite.store_parquet._datasets import RUN, Piece, open_file, reading
from checkmaite.store_parquet._layout import RUNS
from checkmaite.store_parquet._manifest import INDEXES, Index, Manifest, Part, PartFile

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
    """

    def __init__(self, objects: ObjectStore, manifest: Manifest) -> None:
        self._objects = objects
        self._parts = {part.name: part for part in manifest.parts}
        self._indexes: Mapping[str, Index] = INDEXES.of(objects, manifest.parts)
        self._chosen: dict[tuple[str, int], _Chosen] = {}

    def not_in(self, commits: Iterable[str]) -> list[str]:
        """Those of the commits, named so in ``runs/``, that are not compacted."""
        for index in self._indexes.values():
            commits = [name for name in commits if name not in index.commits]
        return list(commits)

    @property
    def runs(self) -> set[str]:
        """Names of the runs of which results are compacted."""
        return {run for index in self._indexes.values() for runs in index.by_revision.values() for run in runs}

    @property
    def later(self) -> dict[str, int]:
        """Runs with a compacted result that is not the first, with the newest one."""
        found: dict[str, int] = {}
        for index in self._indexes.values():
            for revision, runs in index.by_revision.items():
                if revision > 1:
                    for run in runs:
                        found[run] = max(revision, found.get(run, 0))
        return found

    def choose(self, revision: int | None, newest: Mapping[str, int], run_uids: Collection[str] | None) -> None:
        """Say what is seen.

        Args:
            revision: Results of this number; of all numbers when None.
            newest: Runs with more than one result, with the newest: it alone is seen.
            run_uids: Only these runs; all when None.
        """
        runs = {object_name(run_uid) for run_uid in run_uids} if run_uids is not None else None
        for name, index in self._indexes.items():
            for number, there in index.by_revision.items():
                if revision not in (None, number):
                    continue
                gone = {run for run, last in newest.items() if last > number and run in there}
                only = None
                if runs is not None:
                    only = frozenset(there[run] for run in runs if run in there and run not in gone)
                without = frozenset(there[run] for run in gone) if only is None else frozenset()
                if (only is None and len(without) < len(there)) or only:
                    self._chosen[name, number] = _Chosen(only, without)

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
        counted = self._listed[part.name, file.revision].get(file.table, 0)
        return counted if chosen.only is not None else file.runs - counted

    @cached_property
    def _listed(self) -> dict[tuple[str, int], dict[str, int]]:
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
