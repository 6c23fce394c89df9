"""Reading committed runs: only what a commit object names is there."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property
from operator import itemgetter
from typing import Any, Literal

import pyarrow as pa
import pyarrow.dataset as ds
from checkmaite.jobs import ColumnDescription, QueryError, StoreCorruptError, StoreNotFoundError, TableDescription
from checkmaite.jobs.spi import ColumnType, ObjectStore, nearest_name, object_name
from checkmaite.store_parquet._arguments import check_choice, check_query
from checkmaite.store_parquet._layout import RUNS, SCHEMA, is_widening, revision_of, schema_key
from checkmaite.store_parquet._schema import RUNS_COLUMNS, arrow_schema, columns_from_json

Revision = int | Literal["all"] | None

_REVISION = "revision"


class CommittedRuns:
    """Results that are committed now: one consistent view of all tables.

    Args:
        objects: The store.
        run_uids: Only these runs; all when None.
        revision: Of each run the newest result when None, else the one of this number; ``"all"`` for every one.
        telling: With ``"all"`` each table has a column ``revision``.

    Raises:
        QueryError: `revision` is something else.
    """

    def __init__(
        self,
        objects: ObjectStore,
        run_uids: Collection[str] | None = None,
        *,
        revision: Revision = None,
        telling: bool = True,
    ) -> None:
        if not (revision in (None, "all") or (type(revision) is int and revision > 0)):
            raise QueryError.of(f"revision is {revision!r}.", 'Pass a whole number from 1 on, "all", or leave it out.')
        self._objects = objects
        self._tells_revisions = telling and revision == "all"
        named = {name: found for name in objects.names(RUNS) if (found := revision_of(name)) is not None}
        if run_uids is not None:
            runs = {object_name(run_uid) for run_uid in run_uids}
            named = {name: found for name, found in named.items() if found[0] in runs}
        if revision is None:
            newest = dict(sorted(named.values()))
            named = {name: found for name, found in named.items() if newest[found[0]] == found[1]}
        elif revision != "all":
            named = {name: found for name, found in named.items() if found[1] == revision}
        self._commits = {f"{RUNS}/{name}": number for name, (_, number) in sorted(named.items(), key=itemgetter(1))}

    def tables(self) -> list[str]:
        """Tables with rows of these results, sorted; ``runs`` is one when there is any."""
        return sorted([RUNS, *self._payloads]) if self._commits else []

    def dataset(self, name: str) -> Any:
        """A dataset over the files of a table.

        Raises:
            StoreNotFoundError: None of these results has rows in it.
        """
        files = self._commits if name == RUNS else self._payloads.get(name)
        if files:
            return self._dataset(name, files)
        known = self.tables()
        near = nearest_name(name, known)
        meant = f" Did you mean {near!r}?" if near else ""
        raise StoreNotFoundError(
            f"there is no table {name!r} in {self._objects.root}.{meant} Tables: {', '.join(known) or 'none'}.",
            uri=self._objects.uri_of(name),
        )

    def no_rows(self, name: str) -> Any:
        """A dataset without files that has the columns of a table."""
        return self._dataset(name, {})

    @cached_property
    def _payloads(self) -> dict[str, dict[str, int]]:
        """By table the files of these results, as the commits name them, each with its revision."""
        found: dict[str, dict[str, int]] = {}
        if self._commits:
            wanted = ["capability_table", "payload", _REVISION]
            with reading(self._objects, RUNS):
                named = self._dataset(RUNS, self._commits).to_table(columns=wanted)
            for row in named.group_by(wanted).aggregate([]).sort_by("payload").to_pylist():
                found.setdefault(row["capability_table"], {})[row["payload"]] = row[_REVISION]
        return found

    def _dataset(self, name: str, files: Mapping[str, int]) -> Any:
        columns = _columns(self._objects, name)
        if name != RUNS and not self._tells_revisions:
            return _dataset(self._objects, name, columns, files)
        if name != RUNS and _REVISION in columns:
            raise QueryError.of(f"{name!r} has a column {_REVISION!r} of its own.", "Read its revisions one by one.")
        dataset = _dataset(self._objects, name, {**columns, _REVISION: ColumnType.INT}, files)
        return _telling_revisions(dataset, {self._objects.path_of(file): number for file, number in files.items()})


def read_table(
    objects: ObjectStore,
    name: str,
    *,
    columns: Sequence[str] | None,
    run_uids: Collection[str] | None,
    limit: int | None,
    revision: Revision,
) -> pa.Table:
    """Rows of one table; see `ParquetStore.read_table`."""
    check_query("name", name)
    check_choice(columns=columns, run_uids=run_uids, limit=limit)
    runs = CommittedRuns(objects, run_uids, revision=revision)
    chooses = run_uids is not None or revision is not None
    if chooses and name not in runs.tables():  # which is an error only when no other result has it either
        CommittedRuns(objects, revision="all").dataset(name)
        dataset = runs.no_rows(name)
    else:
        dataset = runs.dataset(name)
    if unknown := [column for column in columns or () if column not in dataset.schema.names]:
        raise StoreNotFoundError(
            f"the table {name!r} has no column {unknown[0]!r}. Its columns: {', '.join(dataset.schema.names)}.",
            uri=objects.uri_of(name),
        )
    chosen = list(columns) if columns is not None else None
    with reading(objects, name):
        if limit is not None:
            return dataset.head(limit, columns=chosen)
        return dataset.to_table(columns=chosen)


def values_of_all(objects: ObjectStore, name: str, column: str) -> pa.ChunkedArray:
    """What a column of a table holds in every committed result.

    Raises:
        StoreNotFoundError: None has rows in the table.
    """
    dataset = CommittedRuns(objects, revision="all", telling=False).dataset(name)
    with reading(objects, name):
        return dataset.to_table(columns=[column]).column(column)


def describe_table(objects: ObjectStore, name: str) -> TableDescription:
    """Columns and size of one table."""
    dataset = CommittedRuns(objects).dataset(name)
    with reading(objects, name):
        rows = dataset.count_rows()
    columns = tuple(ColumnDescription(name=each.name, type=str(each.type)) for each in dataset.schema)
    return TableDescription(name=name, columns=columns, runs=len(dataset.files), rows=rows)


@contextmanager
def reading(objects: ObjectStore, name: str) -> Iterator[None]:
    """Within the block, what Arrow raises becomes a `StoreError`."""
    with objects.errors_of(name):
        try:
            yield
        except pa.ArrowInvalid as error:
            uri, reason = objects.uri_of(name), str(error).splitlines()[0]
            raise StoreCorruptError(
                f"{uri}: a file there is not readable Parquet ({reason}). Restore it from a backup.",
                uri=uri,
            ) from error


def _dataset(objects: ObjectStore, name: str, columns: Mapping[str, ColumnType], files: Iterable[str]) -> Any:
    with reading(objects, name):
        return ds.dataset(
            [objects.path_of(file) for file in files],
            schema=arrow_schema(columns),
            format="parquet",
            filesystem=objects.filesystem,
        )


def _telling_revisions(dataset: Any, revisions: Mapping[str, int]) -> Any:
    """The dataset with a column ``revision``, which the files need not have: those of earlier versions do not."""
    fragments = [
        dataset.format.make_fragment(path, dataset.filesystem, ds.field(_REVISION) == revisions[path])
        for path in dataset.files
    ]
    return ds.FileSystemDataset(fragments, dataset.schema, dataset.format, dataset.filesystem)


def _columns(objects: ObjectStore, name: str) -> dict[str, ColumnType]:
    """The table's columns, those that came later last, each with the type that it has become."""
    if name == RUNS:
        return dict(RUNS_COLUMNS)
    columns = columns_from_json(objects.read(schema_key(name)))
    for key in sorted(objects.names(f"{SCHEMA}/{name}"), key=is_widening):
        columns.update(columns_from_json(objects.read(f"{SCHEMA}/{name}/{key}")))
    return columns
