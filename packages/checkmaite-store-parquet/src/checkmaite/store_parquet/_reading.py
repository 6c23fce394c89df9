"""Reading committed runs: only what a commit object names is there."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from typing import Any

import pyarrow as pa
import pyarrow.dataset as ds
from checkmaite.jobs import ColumnDescription, QueryError, StoreCorruptError, StoreNotFoundError, TableDescription
from checkmaite.jobs.spi import ColumnType, ObjectStore, nearest_name, object_name
from checkmaite.store_parquet._layout import RUNS, SCHEMA, SUFFIX, is_widening, schema_key
from checkmaite.store_parquet._schema import RUNS_COLUMNS, arrow_schema, columns_from_json


class CommittedRuns:
    """The runs that are committed now: one consistent view of all tables.

    Args:
        objects: The store.
        run_uids: Only these runs; all when None.
    """

    def __init__(self, objects: ObjectStore, run_uids: Collection[str] | None = None) -> None:
        self._objects = objects
        names = {name for name in objects.names(RUNS) if name.endswith(SUFFIX)}
        if run_uids is not None:
            names &= {f"{object_name(run_uid)}{SUFFIX}" for run_uid in run_uids}
        self._commits = [f"{RUNS}/{name}" for name in sorted(names)]

    def tables(self) -> list[str]:
        """Tables with rows of these runs, sorted; ``runs`` is one when there is any."""
        return sorted([RUNS, *self._payloads]) if self._commits else []

    def dataset(self, name: str) -> Any:
        """A dataset over the files of a table.

        Raises:
            StoreNotFoundError: None of these runs has rows in it.
        """
        files = self._commits if name == RUNS else self._payloads.get(name)
        if files:
            return _dataset(self._objects, name, files)
        known = self.tables()
        near = nearest_name(name, known)
        meant = f" Did you mean {near!r}?" if near else ""
        raise StoreNotFoundError(
            f"there is no table {name!r} in {self._objects.root}.{meant} Tables: {', '.join(known) or 'none'}.",
            uri=self._objects.uri_of(name),
        )

    @cached_property
    def _payloads(self) -> dict[str, list[str]]:
        """By table the files of these runs, as the commits name them."""
        found: dict[str, list[str]] = {}
        if self._commits:
            with reading(self._objects, RUNS):
                named = _dataset(self._objects, RUNS, self._commits).to_table(columns=["capability_table", "payload"])
            for row in named.group_by(["capability_table", "payload"]).aggregate([]).sort_by("payload").to_pylist():
                found.setdefault(row["capability_table"], []).append(row["payload"])
        return found


def read_table(
    objects: ObjectStore,
    name: str,
    *,
    columns: Sequence[str] | None,
    run_uids: Collection[str] | None,
    limit: int | None,
) -> pa.Table:
    """Rows of one table; see `ParquetStore.read_table`."""
    _check_reading(columns=columns, run_uids=run_uids, limit=limit)
    runs = CommittedRuns(objects, run_uids)
    if run_uids is not None and name not in runs.tables():  # which is an error only when no other run has it either
        CommittedRuns(objects).dataset(name)
        dataset = _dataset(objects, name, [])
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


def _check_reading(*, columns: object, run_uids: object, limit: int | None) -> None:
    for name, given in (("columns", columns), ("run_uids", run_uids)):
        if isinstance(given, (str, bytes)):
            raise QueryError.of(f"{name} is the text {given!r}, not a list of texts.", f"Pass {name}=[{given!r}].")
    if limit is not None and limit < 0:
        raise QueryError.of(f"limit is {limit}.", "Pass a whole number from 0 on, or leave it out.")


def _dataset(objects: ObjectStore, name: str, files: Sequence[str]) -> Any:
    with reading(objects, name):
        return ds.dataset(
            [objects.path_of(file) for file in files],
            schema=arrow_schema(_columns(objects, name)),
            format="parquet",
            filesystem=objects.filesystem,
        )


def _columns(objects: ObjectStore, name: str) -> dict[str, ColumnType]:
    """The table's columns, those that came later last, each with the type that it has become."""
    if name == RUNS:
        return dict(RUNS_COLUMNS)
    columns = columns_from_json(objects.read(schema_key(name)))
    for key in sorted(objects.names(f"{SCHEMA}/{name}"), key=is_widening):
        columns.update(columns_from_json(objects.read(f"{SCHEMA}/{name}/{key}")))
    return columns
