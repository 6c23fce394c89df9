"""Datasets over Parquet objects of the store, opened without asking for each file first."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import groupby
from typing import Any

import pyarrow as pa
import pyarrow.dataset as ds
from attrs import frozen
from checkmaite.jobs import StoreCorruptError
from checkmaite.jobs.spi import ObjectStore
from checkmaite.store_parquet._layout import COMPACTED
from pyarrow import fs

REVISION = "revision"
RUN = "run_uid"

_FORMAT = ds.ParquetFileFormat()


@frozen
class Piece:
    """A file, or what is chosen of it.

    Attributes:
        key: The file.
        revision: Which results of runs its rows are of.
        rows: How many rows it must have, where it holds copies; None of other files.
        only: Rows of these runs; of all when None.
        without: No rows of these runs.
    """

    key: str
    revision: int
    rows: int | None = None
    only: frozenset[str] | None = None
    without: frozenset[str] = frozenset()


def dataset_of(
    objects: ObjectStore, schema: pa.Schema, pieces: Sequence[Piece], *, tells: bool, rows: pa.Table | None = None
) -> Any:
    """A dataset over files and rows in memory.

    What is chosen of a file is read here, by the row group: engines push their own filters down to a dataset, and know
    nothing of one that is on it already.

    Args:
        objects: The store.
        schema: Its columns; what a file lacks is null.
        pieces: The files.
        tells: Fill the column ``revision``, which files need not have.
        rows: Rows beside those of the files.
    """
    with reading(objects, ""):
        filesystem = _filesystem(objects)
        found: list[Any] = []  # fragments and tables, in order: a run's rows may be in several
        for piece in pieces:
            told = ds.field(REVISION) == piece.revision if tells else None
            fragment = _FORMAT.make_fragment(_path(objects, piece.key), filesystem, told)
            if piece.rows is not None:
                _check_copy(objects, fragment, piece)
            found += _chosen(fragment, schema, piece) if piece.only is not None or piece.without else [fragment]
        if rows is not None and rows.num_rows:
            found.append(rows)
        datasets: list[Any] = []
        for are_rows, some in groupby(found, lambda each: isinstance(each, pa.Table)):
            if are_rows:
                datasets += map(ds.dataset, some)
            else:
                datasets.append(ds.FileSystemDataset(list(some), schema, _FORMAT, filesystem))
        datasets = datasets or [ds.FileSystemDataset([], schema, _FORMAT, filesystem)]
        return datasets[0] if len(datasets) == 1 else ds.dataset(datasets)


def open_file(objects: ObjectStore, key: str) -> Any:
    """A dataset over one file with the columns that it has."""
    with reading(objects, key):
        fragment = _FORMAT.make_fragment(_path(objects, key), _filesystem(objects))
        return ds.FileSystemDataset([fragment], fragment.physical_schema, _FORMAT, _filesystem(objects))


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


def broken_copy(objects: ObjectStore, key: str, reason: str) -> StoreCorruptError:
    """What is said of an object of a compaction that cannot be read."""
    uri = objects.uri_of(key)
    return StoreCorruptError(
        f"{uri}: this version cannot read it ({reason}). If no later version of the store has made it, delete the "
        f"folder {objects.uri_of(COMPACTED)}: it holds copies only, and compact() makes them anew.",
        uri=uri,
    )


def _check_copy(objects: ObjectStore, fragment: Any, piece: Piece) -> None:
    """See that it is there, by its footer, which is read only once."""
    try:
        rows = fragment.metadata.num_rows
    except (pa.ArrowInvalid, FileNotFoundError) as error:
        raise broken_copy(objects, piece.key, type(error).__name__) from error
    if rows != piece.rows:
        raise broken_copy(objects, piece.key, f"it has {rows} rows, not {piece.rows}")


def _chosen(fragment: Any, schema: pa.Schema, piece: Piece) -> list[Any]:
    """The row groups that are wanted whole, and the chosen rows of the others, in order."""
    listed = piece.only if piece.only is not None else piece.without
    is_listed = ds.field(RUN).isin(pa.array(sorted(listed), pa.string()))
    wanted = is_listed if piece.only is not None else ~is_listed
    metadata, found = fragment.metadata, list[Any]()
    groups = range(metadata.num_row_groups)
    for may_hold, some in groupby(groups, lambda group: _may_hold(metadata.row_group(group), listed)):
        part = fragment.subset(row_group_ids=list(some))
        if may_hold:
            rows = part.to_table(schema=schema, filter=wanted)
            found += [rows] if rows.num_rows else []
        elif piece.only is None:
            found.append(part)
    return found


def _may_hold(group: Any, runs: Collection[str]) -> bool:
    """Whether rows of one of these runs may be in a row group, by its statistics."""
    for place in range(group.num_columns):
        column = group.column(place)
        if column.path_in_schema == RUN and column.statistics is not None and column.statistics.has_min_max:
            return any(column.statistics.min <= run <= column.statistics.max for run in runs)
    return True


def _filesystem(objects: ObjectStore) -> Any:
    """Arrow's own for a disk: through fsspec each file would be opened in Python."""
    return fs.LocalFileSystem() if objects.is_local else fs.PyFileSystem(fs.FSSpecHandler(objects.filesystem))


def _path(objects: ObjectStore, key: str) -> str:
    return objects.uri_of(key) if objects.is_local else objects.path_of(key)


def revisions_of(files: Mapping[str, int]) -> list[Piece]:
    """Whole files, by their keys and revisions."""
    return [Piece(key, revision) for key, revision in files.items()]
