"""Reading committed runs: a payload counts only when its run's commit object is there."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import pyarrow as pa
import pyarrow.dataset as ds
from checkmaite.jobs import ColumnDescription, StoreCorruptError, StoreNotFoundError, TableDescription
from checkmaite.jobs.spi import ColumnType, ObjectStore, nearest_name, object_name
from checkmaite.store_parquet._layout import RUNS, SCHEMA, SUFFIX, schema_key
from checkmaite.store_parquet._schema import RUNS_COLUMNS, arrow_schema, columns_from_json


def list_tables(objects: ObjectStore) -> list[str]:
    """Tables with rows of committed runs, sorted; ``runs`` is one when there is any."""
    committed = _committed(objects)
    if not committed:
        return []
    folders = [name for name in objects.folders() if not name.startswith("_") and name != RUNS]
    return sorted([RUNS, *(name for name in folders if committed.intersection(objects.names(name)))])


def read_table(
    objects: ObjectStore,
    name: str,
    *,
    columns: Sequence[str] | None,
    run_uids: Collection[str] | None,
    limit: int | None,
) -> pa.Table:
    """Rows of one table; see `ParquetStore.read_table`."""
    dataset = table_dataset(objects, name, run_uids=run_uids)
    if unknown := [column for column in columns or () if column not in dataset.schema.names]:
        raise StoreNotFoundError(
            f"the table {name!r} has no column {unknown[0]!r}. Its columns: {', '.join(dataset.schema.names)}.",
            uri=objects.uri_of(name),
        )
    chosen = list(columns) if columns is not None else None
    wanted = ds.field("run_uid").isin(list(run_uids)) if run_uids is not None else None
    with reading(objects, name):
        if limit is not None:
            return dataset.head(limit, columns=chosen, filter=wanted)
        return dataset.to_table(columns=chosen, filter=wanted)


def describe_table(objects: ObjectStore, name: str) -> TableDescription:
    """Columns and size of one table."""
    dataset = table_dataset(objects, name)
    with reading(objects, name):
        rows = dataset.count_rows()
    columns = tuple(ColumnDescription(name=each.name, type=str(each.type)) for each in dataset.schema)
    return TableDescription(name=name, columns=columns, runs=len(dataset.files), rows=rows)


def table_dataset(objects: ObjectStore, name: str, *, run_uids: Collection[str] | None = None) -> Any:
    """A dataset over the files of committed runs of a table.

    Raises:
        StoreNotFoundError: No committed run has rows in it.
    """
    committed = _committed(objects)  # before the payloads: every run committed by now has all of its payloads
    present = committed if name == RUNS else committed.intersection(_payloads(objects, name))
    if not present:
        known = list_tables(objects)
        near = nearest_name(name, known)
        meant = f" Did you mean {near!r}?" if near else ""
        raise StoreNotFoundError(
            f"there is no table {name!r} in {objects.root}.{meant} Tables: {', '.join(known) or 'none'}.",
            uri=objects.uri_of(name),
        )
    if run_uids is not None:
        present = present.intersection(f"{object_name(run_uid)}{SUFFIX}" for run_uid in run_uids)
    with reading(objects, name):
        return ds.dataset(
            [objects.path_of(f"{name}/{file}") for file in sorted(present)],
            schema=arrow_schema(_columns(objects, name)),
            format="parquet",
            filesystem=objects.filesystem,
        )


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


def _committed(objects: ObjectStore) -> set[str]:
    return {name for name in objects.names(RUNS) if name.endswith(SUFFIX)}


def _payloads(objects: ObjectStore, name: str) -> list[str]:
    valid = name and not name.startswith(("_", ".")) and "/" not in name
    return objects.names(name) if valid else []


def _columns(objects: ObjectStore, name: str) -> dict[str, ColumnType]:
    """The table's columns, those that came later last."""
    if name == RUNS:
        return dict(RUNS_COLUMNS)
    columns = columns_from_json(objects.read(schema_key(name)))
    for key in objects.names(f"{SCHEMA}/{name}"):
        columns.update(columns_from_json(objects.read(f"{SCHEMA}/{name}/{key}")))
    return columns
