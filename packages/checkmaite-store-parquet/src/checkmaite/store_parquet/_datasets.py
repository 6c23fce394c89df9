"""Datasets over Parquet objects of the store, opened without asking for each file first."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from typing import Any

import pyarrow as pa
import pyarrow.dataset as ds
from attrs import frozen
from checkmaite.jobs import StoreCorruptError, StoreError
from checkmaite.jobs.spi import ObjectStore
from checkmaite.store_parquet._layout import COMPACTED, ORIGINALS, SCHEMA, SUFFIX
from checkmaite.store_parquet._parquet import BROKEN, UnreadableError, first_line, is_damage, table_in
from pyarrow import fs

REVISION = "revision"
RUN = "run_uid"

_SCAN = ds.ParquetFragmentScanOptions(page_checksum_verification=True)
_FORMAT = ds.ParquetFileFormat(default_fragment_scan_options=_SCAN)
_ENCODED = pa.dictionary(pa.int32(), pa.string())


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

    @property
    def is_chosen(self) -> bool:
        """Whether not all of its rows are wanted."""
        return self.only is not None or bool(self.without)


def dataset_of(
    objects: ObjectStore,
    schema: pa.Schema,
    pieces: Sequence[Piece],
    *,
    tells: bool,
    rows: pa.Table | None = None,
    encodes: bool = False,
) -> Any:
    """A dataset over files and rows in memory. Nothing is read yet but the footers of copies.

    Args:
        objects: The store.
        schema: Its columns; what a file lacks is null.
        pieces: The files.
        tells: Fill the column ``revision``, which files need not have.
        rows: Rows beside those of the files.
        encodes: Texts are given as dictionaries, which DuckDB takes several times as fast.
    """
    if encodes:
        schema = pa.schema([field.with_type(_ENCODED) if field.type == pa.string() else field for field in schema])
    encoded = [each.name for each in schema if each.type == _ENCODED]
    encoding = ds.ParquetFileFormat(dictionary_columns=encoded, default_fragment_scan_options=_SCAN)
    with reading(objects, ""):
        filesystem = _filesystem(objects)

        def dataset(fragments: list[Any]) -> Any:
            return ds.FileSystemDataset(fragments, schema, _FORMAT, filesystem)

        whole: list[Any] = []
        chosen: dict[int, tuple[list[Any], list[Piece]]] = {}
        for piece in pieces:
            told = ds.field(REVISION) == piece.revision if tells else None
            file_format = encoding if piece.rows is not None else _FORMAT  # small files take longer so
            fragment = file_format.make_fragment(_path(objects, piece.key), filesystem, told)
            if piece.rows is not None:
                _check_copy(objects, fragment, piece)
            fragments, like = chosen.setdefault(piece.revision, ([], [])) if piece.is_chosen else (whole, [])
            fragments.append(fragment)
            like.append(piece)
        found = [dataset(whole)] if whole else []
        found += [dataset(fragments).filter(_wanted(like)) for fragments, like in chosen.values()]
        if rows is not None and rows.num_rows:
            found.append(ds.dataset(rows.cast(schema)))
        if not found:
            return dataset([])
        return found[0] if len(found) == 1 else JoinedDataset(found, schema, _FORMAT, filesystem)


class JoinedDataset(ds.FileSystemDataset):  # type: ignore[misc] # pyarrow is not typed
    """Several datasets as one, each with the filter that is on it: a union of Arrow's would lose them."""

    def __init__(self, parts: Sequence[Any], schema: pa.Schema, file_format: Any, filesystem: Any) -> None:
        super().__init__([], schema, file_format, filesystem)
        self._parts = parts

    @property
    def files(self) -> list[str]:
        """The files of them all."""
        return [file for part in self._parts for file in getattr(part, "files", ())]

    def scanner(self, **options: Any) -> Any:
        """A scanner of them all, one after the other."""
        return _JoinedScanner([part.scanner(**options) for part in self._parts])


class RetypedDataset(ds.FileSystemDataset):  # type: ignore[misc] # pyarrow is not typed
    """A dataset with other types than its files have: values are cast once it is known which are wanted.

    Arrow itself casts all that a file holds, which fails for values that nobody wants.
    """

    def __init__(self, dataset: Any, schema: pa.Schema) -> None:
        super().__init__([], schema, _FORMAT, dataset.filesystem)
        self._dataset = dataset

    @property
    def files(self) -> list[str]:
        """The files of the dataset."""
        return list(getattr(self._dataset, "files", ()))

    def scanner(self, **options: Any) -> Any:
        """A scanner of it."""
        return _RetypedScanner(self._dataset.scanner(**options), self.schema)


@frozen
class _RetypedScanner:
    scanner: Any
    types: pa.Schema

    @property
    def projected_schema(self) -> pa.Schema:
        return pa.schema([self.types.field(name) for name in self.scanner.projected_schema.names])

    def to_batches(self) -> Iterator[Any]:
        schema = self.projected_schema
        return (batch.cast(schema) for batch in self.scanner.to_batches())

    def to_table(self) -> pa.Table:
        return self.scanner.to_table().cast(self.projected_schema)

    def head(self, rows: int) -> pa.Table:
        return self.scanner.head(rows).cast(self.projected_schema)

    def count_rows(self) -> int:
        return int(self.scanner.count_rows())


@frozen
class _JoinedScanner:
    scanners: Sequence[Any]

    @property
    def projected_schema(self) -> pa.Schema:
        return self.scanners[0].projected_schema

    def to_batches(self) -> Iterator[Any]:
        return (batch for scanner in self.scanners for batch in scanner.to_batches())

    def to_table(self) -> pa.Table:
        return pa.concat_tables([scanner.to_table() for scanner in self.scanners])

    def head(self, rows: int) -> pa.Table:
        found = []
        for scanner in self.scanners:
            found.append(scanner.head(rows))
            rows -= found[-1].num_rows
            if not rows:
                break
        return pa.concat_tables(found)

    def count_rows(self) -> int:
        return sum(scanner.count_rows() for scanner in self.scanners)


class ToldDataset(ds.FileSystemDataset):  # type: ignore[misc] # pyarrow is not typed
    """A dataset for an engine that scans it: what goes wrong is told as in `reading`.

    It is also kept, as engines raise errors of their own.

    Attributes:
        error: What went wrong last.
    """

    def __init__(self, objects: ObjectStore, name: str, dataset: Any) -> None:
        super().__init__([], dataset.schema, _FORMAT, _filesystem(objects))
        self._objects, self._name, self._dataset = objects, name, dataset
        self.error: StoreError | None = None

    def scanner(self, **options: Any) -> Any:
        """A scanner of it."""
        return _ToldScanner(self._dataset.scanner(**options), self._telling)

    @contextmanager
    def _telling(self) -> Iterator[None]:
        try:
            with reading(self._objects, self._name, self._dataset):
                yield
        except StoreError as error:
            self.error = error
            raise


@frozen
class _ToldScanner:
    scanner: Any
    telling: Callable[[], AbstractContextManager[None]]

    def to_reader(self) -> Any:
        return pa.RecordBatchReader.from_batches(self.scanner.projected_schema, self._batches())

    def _batches(self) -> Iterator[Any]:
        with self.telling():
            # Arrow's own `to_reader` holds Python's lock while it begins, for which a read in Python waits that fails.
            yield from self.scanner.to_batches()


class UnreadableDataset(ds.FileSystemDataset):  # type: ignore[misc] # pyarrow is not typed
    """In the place of one that cannot be opened: what is wrong is the name of its only column, and its scan raises it.

    So an engine says it to whoever asks for columns, too.
    """

    def __init__(self, error: StoreError) -> None:
        super().__init__([], pa.schema([pa.field(str(error), pa.string())]), _FORMAT, fs.LocalFileSystem())
        self._error = error

    def scanner(self, **_: Any) -> Any:
        """Raises the error."""
        raise self._error


def _wanted(pieces: Sequence[Piece]) -> Any:
    """Which rows of pieces of one revision are chosen: each run is in one, so what is said of one holds for all."""
    if pieces[0].only is not None:
        only = sorted({run for piece in pieces for run in piece.only or ()})
        return ds.field(RUN) == only[0] if len(only) == 1 else ds.field(RUN).isin(pa.array(only, pa.string()))
    without = sorted({run for piece in pieces for run in piece.without})
    return ~ds.field(RUN).isin(pa.array(without, pa.string()))


def open_file(objects: ObjectStore, key: str) -> Any:
    """A dataset over one file with the columns that it has."""
    with reading(objects, key):
        fragment = _FORMAT.make_fragment(_path(objects, key), _filesystem(objects))
        return ds.FileSystemDataset([fragment], fragment.physical_schema, _FORMAT, _filesystem(objects))


@contextmanager
def reading(objects: ObjectStore, name: str, dataset: Any = None) -> Iterator[None]:
    """Within the block, what Arrow raises becomes a `StoreError` that names the object.

    Args:
        objects: The store.
        name: The object, or the table whose files are read.
        dataset: Over its files: where Arrow does not say which one is meant, they are read one by one.
    """
    try:
        yield
    except BROKEN as error:
        key = _key_in(objects, str(error))
        if not is_damage(error):
            if key is None and dataset is not None:
                _blamed(objects, dataset, "")
            with objects.errors_of(key or name):
                raise
        reason = f"this is not readable Parquet ({first_line(error)})"
        if key is None and dataset is not None:
            key, reason = _blamed(objects, dataset, reason)
        raise _damaged(objects, key or name, reason) from error
    except Exception:
        with objects.errors_of(name):
            raise


def _key_in(objects: ObjectStore, text: str) -> str | None:
    """The object of the store that Arrow names in a message."""
    found = re.search(rf"{re.escape(_above(objects))}([^'\"\s]+{re.escape(SUFFIX)})", text)
    return found[1] if found else None


def _blamed(objects: ObjectStore, dataset: Any, reason: str) -> tuple[str | None, str]:
    """The first file of a dataset that is damaged, or whose rows do not fit, and why.

    Raises:
        StoreError: One cannot be read.
    """
    for path in dataset.files:
        key: str = path.removeprefix(_above(objects))
        try:
            table_in(objects.read(key))
        except UnreadableError as error:
            return key, f"this is not readable Parquet ({error})"
        try:
            _FORMAT.make_fragment(path, _filesystem(objects)).to_table(schema=dataset.schema)
        except BROKEN as error:
            return key, f"its rows do not fit the columns that {objects.uri_of(SCHEMA)} says ({first_line(error)})"
    return None, reason


def _damaged(objects: ObjectStore, key: str, reason: str) -> StoreCorruptError:
    if key.startswith(f"{COMPACTED}/"):
        return broken_copy(objects, key, reason)
    uri = objects.uri_of(key)
    return StoreCorruptError(f"{uri}: {reason}. Restore it from a backup.", uri=uri)


def _above(objects: ObjectStore) -> str:
    """What stands before a key where Arrow names a file."""
    return _path(objects, "_")[:-1]


def broken_copy(objects: ObjectStore, key: str, reason: str) -> StoreCorruptError:
    """What is said of an object of a compaction that cannot be read."""
    uri = objects.uri_of(key)
    said, is_only_copy = f"{uri}: this version cannot read it ({reason}).", True
    with suppress(StoreError):  # nobody knows, so nothing is to be deleted
        is_only_copy = objects.exists(ORIGINALS)
    if is_only_copy:
        advice = "Restore it from a backup: originals of copies have been deleted here, so it may hold the only rows."
    else:
        advice = (
            "If no later version of the store has made it, delete the folder "
            f"{objects.uri_of(COMPACTED)}: it holds copies only, and compact() makes them anew."
        )
    return StoreCorruptError(f"{said} {advice}", uri=uri)


def _check_copy(objects: ObjectStore, fragment: Any, piece: Piece) -> None:
    """See that it is there, by its footer, which is read only once."""
    try:
        rows, names = fragment.metadata.num_rows, fragment.physical_schema.names
    except BROKEN as error:
        if not is_damage(error) and not isinstance(error, FileNotFoundError):
            with objects.errors_of(piece.key):
                raise
        raise broken_copy(objects, piece.key, type(error).__name__) from error
    if rows != piece.rows:
        raise broken_copy(objects, piece.key, f"it has {rows} rows, not {piece.rows}")
    if len({*names}) < len(names):
        raise broken_copy(objects, piece.key, "two of its columns have one name")


def _filesystem(objects: ObjectStore) -> Any:
    """Arrow's own for a disk: through fsspec each file would be opened in Python."""
    return fs.LocalFileSystem() if objects.is_local else fs.PyFileSystem(_Files(objects.filesystem))


class _Files(fs.FSSpecHandler):  # type: ignore[misc] # pyarrow is not typed
    """Files for Arrow, whose own way asks first whether there is one, and takes any error for a no."""

    def open_input_file(self, path: str) -> Any:
        """Open a file, or say why not."""
        return pa.PythonFile(self.fs.open(path, mode="rb"), mode="r")

    open_input_stream = open_input_file


def _path(objects: ObjectStore, key: str) -> str:
    return objects.uri_of(key) if objects.is_local else objects.path_of(key)


def revisions_of(files: Mapping[str, int]) -> list[Piece]:
    """Whole files, by their keys and revisions."""
    return [Piece(key, revision) for key, revision in files.items()]
