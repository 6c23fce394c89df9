"""Reading committed runs: only what a commit object names is there."""

from __future__ import annotations

import warnings
from collections.abc import Collection, Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from checkmaite.jobs import (
    QueryError,
    StoreCorruptError,
    StoreError,
    StoreHistoryError,
)
from checkmaite.jobs.spi import (
    ColumnType,
    ObjectStore,
    Revision,
    not_there,
    object_name,
)
from checkmaite.store_parquet._compacted import CompactedRuns
from checkmaite.store_parquet._datasets import REVISION, RUN, Piece, RetypedDataset, dataset_of, reading, revisions_of
from checkmaite.store_parquet._foreign import ForeignRuns, is_commit, may_be_foreign, names_files
from checkmaite.store_parquet._layout import RUNS, SCHEMA, commit_name, is_widening, revision_of, schema_key
from checkmaite.store_parquet._manifest import is_among, newest_manifest
from checkmaite.store_parquet._moments import Moment
from checkmaite.store_parquet._parquet import BROKEN, is_damage
from checkmaite.store_parquet._schema import RUNS_SCHEMA, ColumnTypes, arrow_schema, columns_from_json

_PAYLOAD = "payload"
_NAMING = ["capability_table", _PAYLOAD, REVISION]


class CommittedRuns:
    """Results that are committed now: one consistent view of all tables.

    The manifest of what is compacted is read before the commits are listed, so that no run is in neither.

    Args:
        objects: The store.
        run_uids: Only these runs; all when None.
        revision: Of each run the newest result when None, else the one of this number; ``"all"`` for every one.
        telling: With ``"all"`` each table has a column ``revision``.
        moment: What is seen of all that is committed; all when None.

    Raises:
        QueryError: `revision` is something else.
        StoreHistoryError: Something that is to be seen is not there any more.
    """

    def __init__(
        self,
        objects: ObjectStore,
        run_uids: Collection[str] | None = None,
        *,
        revision: Revision = None,
        telling: bool = True,
        moment: Moment | None = None,
    ) -> None:
        if not (revision in (None, "all") or (type(revision) is int and revision > 0)):
            raise QueryError.of(f"revision is {revision!r}.", 'Pass a whole number from 1 on, "all", or leave it out.')
        self._objects = objects
        self._tells_revisions = telling and revision == "all"
        self._compacted = CompactedRuns(objects, newest_manifest(objects), moment.commits if moment else None)
        self._run_uids = run_uids
        self._revision = revision
        self._moment = moment
        listed = self._compacted.not_in(objects.names(RUNS))
        named = {name: found for name in listed if (found := revision_of(name)) is not None}
        self._not_ours = [name for name in named if may_be_foreign(name) and not is_commit(objects, f"{RUNS}/{name}")]
        seen = self._seen_of([name for name in named if name not in self._not_ours])
        self._choose({name: named[name] for name in seen})

    def _seen_of(self, names: list[str]) -> list[str]:
        """Those of the commits that are not compacted, and seen.

        Raises:
            StoreHistoryError: One that is to be seen is nowhere.
        """
        if self._moment is None:
            return names
        here = pa.array(names, pa.string())
        there = self._moment.commits
        gone = self._compacted.not_in(there.filter(pc.call_function("invert", [is_among(there, here)])).to_pylist())
        if gone:
            uri = self._objects.uri_of(f"{RUNS}/{gone[0]}")
            more = f", and {len(gone) - 1:,} more" if gone[1:] else ""
            raise StoreHistoryError(
                f"{self._objects.root}: {self._moment.words} cannot be shown whole: {uri}{more} is not there any more. "
                "Restore it from a backup; where the file of its rows is still there, repair() makes it anew.",
                uri=uri,
            )
        return here.filter(is_among(here, there)).to_pylist()  # type: ignore[no-any-return] # pyarrow is not typed

    def _choose(self, named: Mapping[str, tuple[str, int]]) -> None:
        """Choose among commits that are not compacted, and copies.

        Args:
            named: By the name of the commit the run, as `object_name` writes it, and the revision.
        """
        revision, run_uids = self._revision, self._run_uids
        later = self._compacted.later
        for run, number in named.values():
            if number > max(1, later.get(run, 0)):
                later[run] = number
        self.foreign = ForeignRuns(
            self._objects,
            [f"{RUNS}/{name}" for name in self._not_ours if revision in (None, 1, "all")],
            own={run for run, _ in named.values()} | self._compacted.runs if self._not_ours else (),
            superseded=later if revision is None else (),
            run_uids=run_uids,
            **({"sees": self._moment.sees} if self._moment else {}),
        )
        self._compacted.choose(
            revision if isinstance(revision, int) else None, later if revision is None else {}, run_uids
        )
        runs = {object_name(run_uid) for run_uid in run_uids} if run_uids is not None else None
        self._named = named
        self._commits = {
            f"{RUNS}/{name}": number
            for name, (run, number) in sorted(named.items(), key=lambda each: each[1][1])
            if (runs is None or run in runs)
            and (later.get(run, 1) == number if revision is None else revision in ("all", number))
        }

    @property
    def commits(self) -> list[str]:
        """Names in ``runs/`` of the commits of all results, whichever are shown."""
        return [*self._compacted.commits, *self._named]

    def commits_until(self, instant: datetime) -> pa.Array:
        """Names in ``runs/`` of the commits that were made until an instant, as they say themselves."""
        dataset = dataset_of(self._objects, RUNS_SCHEMA, self._pieces(RUNS), tells=True)
        with reading(self._objects, RUNS, dataset):
            found = dataset.to_table(columns=[RUN, REVISION], filter=pc.field("created_at") <= pa.scalar(instant))
        results = found.group_by([RUN, REVISION]).aggregate([]).to_pylist()
        named = [commit_name(object_name(result[RUN]), result[REVISION]) for result in results]
        names = pa.array(named, pa.string())
        return names.filter(is_among(names, pa.array(self.commits, pa.string())))

    def tables(self) -> list[str]:
        """Tables with rows of these results, sorted; ``runs`` is one when there is any."""
        found = {*self._payloads, *self._compacted.tables, *self.foreign.tables}
        return sorted({RUNS, *found}) if found else []

    def dataset(self, name: str, *, encodes: bool = False) -> Any:
        """A dataset over the files of a table; `encodes` is that of `dataset_of`.

        Raises:
            StoreNotFoundError: None of these results has rows in it.
        """
        pieces = self._pieces(name)
        if pieces or name in self.foreign.tables or (name == RUNS and self.foreign.runs.num_rows):
            return self._dataset(name, pieces, encodes)
        raise not_there("table", name, self.tables(), root=self._objects.root, uri=self._objects.uri_of(name))

    def no_rows(self, name: str) -> Any:
        """A dataset without files that has the columns of a table."""
        return self._dataset(name, [])

    def count_runs(self, name: str) -> int:
        """How many of these results have rows in a table."""
        return len(self._files(name)) + self._compacted.count(name) + self.foreign.count(name)

    def in_order(self, name: str, dataset: Any, columns: list[str] | None, limit: int | None) -> pa.Table:
        """Rows of a table by their run, and those of one run as it gave them."""
        if RUN not in dataset.schema.names:  # nothing is known of the table
            return dataset.to_table(columns=columns).slice(0, limit)
        keys = [RUN, REVISION] if name == RUNS or self._tells_revisions else [RUN]
        chosen = dataset.schema.names if columns is None else columns
        rows = dataset.to_table(columns=[*dict.fromkeys([*chosen, *keys])])
        return rows.sort_by([(key, "ascending") for key in keys]).slice(0, limit).select(chosen)

    def reading(self, name: str, dataset: Any) -> AbstractContextManager[None]:
        """See `checkmaite.jobs.spi.SeenResults`."""
        return reading(self._objects, name, dataset)

    def _pieces(self, name: str) -> list[Piece]:
        """The files of a table: those of commits, and copies."""
        return [*revisions_of(self._files(name)), *self._compacted.pieces(name)]

    def _files(self, name: str) -> Mapping[str, int]:
        """The files of a table that are not compacted, each with its revision."""
        payloads = self._payloads  # reading them leaves out what is no commit
        return self._commits if name == RUNS else payloads.get(name, {})

    @cached_property
    def _payloads(self) -> dict[str, dict[str, int]]:
        """By table the files of these results, as the commits name them, each with its revision."""
        named = self._named_by(self._commits)
        while named is None:
            broken = {key for key in self._commits if not self._is_commit(key)}
            assert broken, "what all name is what each names"
            self._choose({name: said for name, said in self._named.items() if f"{RUNS}/{name}" not in broken})
            named = self._named_by(self._commits)  # those that a broken one had superseded
        found: dict[str, dict[str, int]] = {}
        for row in named.group_by(_NAMING).aggregate([]).sort_by(_PAYLOAD).to_pylist():
            found.setdefault(row["capability_table"], {})[row[_PAYLOAD]] = row[REVISION]
        return found

    def _named_by(self, commits: Mapping[str, int]) -> pa.Table | None:
        """What these commits name; None when something else is among them."""
        dataset = dataset_of(self._objects, RUNS_SCHEMA, revisions_of(commits), tells=True)
        with reading(self._objects, RUNS, dataset):
            try:
                named = dataset.to_table(columns=_NAMING)
                return named if names_files(named) else None
            except BROKEN as error:
                if not is_damage(error):
                    raise
            except UnicodeDecodeError:
                pass
        return None

    def _is_commit(self, key: str) -> bool:
        if self._named_by({key: self._commits[key]}) is not None:
            return True
        uri = self._objects.uri_of(key)
        warnings.warn(f"{uri} is left out: it is no commit of a run.", RuntimeWarning, stacklevel=2)
        return False

    def _dataset(self, name: str, pieces: Sequence[Piece], encodes: bool = False) -> Any:
        tells = name == RUNS or self._tells_revisions
        now = RUNS_SCHEMA if name == RUNS else arrow_schema(columns_of(self._objects, name, bool(pieces)))
        then = arrow_schema(self._moment.columns(name)) if self._moment and name != RUNS else now
        theirs = self.foreign.runs if name == RUNS else self.foreign.rows(name, then)
        schema = theirs.schema
        if tells and name != RUNS:
            if REVISION in schema.names:
                raise QueryError.of(f"{name!r} has a column {REVISION!r} of its own.", "Read its revisions one by one.")
            theirs = theirs.append_column(REVISION, pa.array([1] * theirs.num_rows, pa.int64()))
            schema = theirs.schema
        widened = {each.name: each.type for each in now if each.name in then.names and each != then.field(each.name)}
        dataset = dataset_of(
            self._objects, _retyped(schema, widened), pieces, tells=tells, rows=theirs, encodes=encodes
        )
        if not widened:
            return dataset
        return RetypedDataset(dataset, _retyped(dataset.schema, {name: schema.field(name).type for name in widened}))


def _retyped(schema: pa.Schema, types: Mapping[str, pa.DataType]) -> pa.Schema:
    return pa.schema([each.with_type(types.get(each.name, each.type)) for each in schema])


def values_of_all(objects: ObjectStore, name: str, column: str) -> pa.ChunkedArray:
    """What a column of a table holds in every committed result.

    Raises:
        StoreNotFoundError: None has rows in the table.
    """
    dataset = CommittedRuns(objects, revision="all", telling=False).dataset(name)
    with reading(objects, name, dataset):
        return dataset.to_table(columns=[column]).column(column)


def foreign_uri(objects: ObjectStore, run_uid: str) -> str | None:
    """A file of the CheckMAITE package's store with rows of a run."""
    return CommittedRuns(objects, [run_uid]).foreign.uri_of(run_uid)


def columns_of(
    objects: ObjectStore, name: str, has_files: bool, until: datetime | None = None
) -> dict[str, ColumnType]:
    """The table's columns, those that came later last, each with the type that it has become.

    None are known of a table that only the CheckMAITE package's store has written to, and that has no files here.

    Args:
        objects: The store.
        name: The table.
        has_files: Whether rows of it are stored.
        until: What it had become at this instant.

    Raises:
        StoreCorruptError: What is kept of them is not readable.
    """
    keys = [f"{SCHEMA}/{name}/{key}" for key in sorted(objects.names(f"{SCHEMA}/{name}"), key=is_widening)]
    if has_files or objects.exists(schema_key(name)):
        keys.insert(0, schema_key(name))
    columns = {}
    for key in keys:
        found = columns_at(objects, key)
        if until is None or found.created_at is None or found.created_at <= until:
            columns.update(found.columns)
    return columns


def columns_at(objects: ObjectStore, key: str) -> ColumnTypes:
    """The types that an object says.

    Raises:
        StoreNotFoundError: There is none.
        StoreCorruptError: It says something else, or is somewhere else.
    """
    check_inside(objects, key)
    try:
        return columns_from_json(objects.read(key))
    except ValueError as error:
        if isinstance(error, StoreError):
            raise
        uri = objects.uri_of(key)
        raise StoreCorruptError(
            f"{uri}: this is not a list of column types ({error}). Restore it from a backup.", uri=uri
        ) from error


def check_inside(objects: ObjectStore, key: str) -> None:
    """See that no symbolic link leads from the store to an object that says what tables are like.

    Raises:
        StoreCorruptError: One does.
    """
    parts = key.split("/")
    for length in range(1, len(parts) + 1):
        uri = objects.uri_of("/".join(parts[:length]))
        if objects.is_local and Path(uri).is_symlink():
            raise StoreCorruptError(
                f"{uri}: a symbolic link is not followed. Put what it leads to in its place.", uri=uri
            )
