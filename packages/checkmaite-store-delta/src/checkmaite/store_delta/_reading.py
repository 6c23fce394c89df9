"""Reading results: what ``runs`` names is there, and nothing else."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
from attrs import frozen
from checkmaite.jobs import (
    QueryError,
    StoreCorruptError,
    StoreHistoryError,
    StoreNotFoundError,
    StoreUnavailableError,
)
from checkmaite.jobs.spi import Revision, not_there
from checkmaite.store_delta._columns import ATTEMPT, INTERNAL, REVISION, ROW, RUN, RUNS, TABLE
from checkmaite.store_delta._errors import telling
from checkmaite.store_delta._moments import Moment
from checkmaite.store_delta._tables import Tables, reader_of, schema_of
from deltalake import DeltaTable
from pyarrow import fs

_NAMING = [RUN, REVISION, TABLE, ATTEMPT]
_PRUNED = 100
"""For so many runs files are left out that hold none of them."""


class ChosenRuns:
    """Results that are visible now: one consistent view of all tables.

    The table ``runs`` is read first: what it names is in the other tables already, and is never taken away.

    Args:
        tables: The tables of the store.
        run_uids: Only these runs; all when None.
        revision: Of each run the newest result when None, else the one of this number; ``"all"`` for every one.
        moment: Those that were visible then.

    Raises:
        QueryError: `revision` is something else.
    """

    def __init__(
        self,
        tables: Tables,
        run_uids: Collection[str] | None = None,
        *,
        revision: Revision = None,
        moment: Moment | None = None,
    ) -> None:
        if not (revision in (None, "all") or (type(revision) is int and revision > 0)):
            raise QueryError.of(f"revision is {revision!r}.", 'Pass a whole number from 1 on, "all", or leave it out.')
        self._tables = tables
        self._run_uids = run_uids
        self._tells = revision == "all"
        self._moment = moment
        self._table = self._open(RUNS)
        named = pa.table({name: pa.array([], pa.string()) for name in _NAMING})
        if self._table is not None:
            with self.telling(RUNS):
                named = tables.dataset(self._table, self._pruning).to_table(columns=_NAMING, filter=self._of_runs)
        self._named = _chosen(named.group_by(_NAMING).aggregate([]), revision)

    @contextmanager
    def telling(self, name: str) -> Iterator[None]:
        """Within the block, what is raised about a table is told as about it, or as about the moment."""
        try:
            with telling(self._tables.objects, name):
                yield
        except StoreCorruptError as error:
            if self._moment is None:
                raise
            uri = self._tables.uri_of(name)
            raise StoreHistoryError(
                f"{uri}: what it held as of {self._moment.words} cannot be read any more. "
                "Ask for a later moment; a vacuum keeps what tags name, and what was of use within its grace.",
                uri=uri,
            ) from error

    def _open(self, name: str) -> DeltaTable | None:
        if self._moment is None:
            return self._tables.open(name)
        version = self._moment.version_of(name)
        with self.telling(name):
            return self._tables.open(name, version) if version is not None else None

    @property
    def _of_runs(self) -> Any:
        """Which rows are of the runs that are asked for; None for all of them."""
        return None if self._run_uids is None else ds.field(RUN).isin(pa.array(self._run_uids, pa.string()))

    @property
    def _pruning(self) -> Any:
        if self._run_uids is None or not 0 < len(self._run_uids) <= _PRUNED:
            return None
        return [(RUN, "in", list(self._run_uids))]

    def tables(self) -> list[str]:
        """Tables with rows of these results, sorted; ``runs`` is one when there is any."""
        found = self._named.column(TABLE).unique().to_pylist()
        return sorted([RUNS, *found]) if found else []

    def count(self) -> int:
        """How many results there are."""
        return int(self._named.group_by([RUN, REVISION]).aggregate([]).num_rows)

    def count_runs(self, name: str) -> int:
        """How many of these results have rows in a table."""
        return len(self.attempts(name))

    def dataset(self, name: str) -> Any:
        """A dataset over the rows of these results in a table.

        Raises:
            StoreNotFoundError: None of them has any.
        """
        if name not in (known := self.tables()):
            raise not_there("table", name, known, root=self._tables.objects.root, uri=self._tables.uri_of(name))
        return self._rows(name)

    def no_rows(self, name: str) -> Any:
        """See `checkmaite.jobs.spi.SeenResults`."""
        return self._rows(name)

    def in_order(self, name: str, dataset: Any, columns: list[str] | None, limit: int | None) -> pa.Table:
        """See `checkmaite.jobs.spi.SeenResults`."""
        return dataset.in_order(columns)[:limit]

    def reading(self, name: str, dataset: Any) -> AbstractContextManager[None]:
        """See `checkmaite.jobs.spi.SeenResults`."""
        return self.telling(name)

    def _rows(self, name: str) -> Any:
        """A dataset over the rows of these results in a table that is there; they may have none."""
        table = self._table if name == RUNS else self._open(name)
        if table is None:
            uri = self._tables.uri_of(name)
            raise StoreNotFoundError(f"{uri}: the table is gone. Restore it from a backup.", uri=uri)
        with self.telling(name):
            attempts = self.attempts(name)
            only = ds.field(ATTEMPT).isin(attempts)
            schema = pa.schema([field for field in schema_of(table) if field.name not in INTERNAL])
            if self._of_runs is not None:
                only = self._of_runs & only
            dataset = self._tables.dataset(table, self._pruning)
            revisions = self._revisions(name, schema) if self._tells and name != RUNS else None
            return ChosenRows(dataset, only, schema, revisions)

    def sql_dataset(self, name: str) -> Any:
        """See `checkmaite.jobs.spi.SqlTables`."""
        return self.dataset(name)

    def raise_unreadable(self, name: str) -> None:
        """See `checkmaite.jobs.spi.SqlTables`."""
        with self.telling(name):
            for _ in self.dataset(name).scanner().to_batches():
                pass
        uri = self._tables.uri_of(name)
        raise StoreUnavailableError(f"{uri}: reading it failed in the middle of the query. Ask again.", uri=uri)

    def _of_table(self, name: str) -> pa.Table:
        return self._named if name == RUNS else self._named.filter(pc.field(TABLE) == name)

    def attempts(self, name: str) -> pa.Array:
        """The attempts whose rows in a table are those of these results."""
        return self._of_table(name).column(ATTEMPT).unique()

    def _revisions(self, name: str, schema: pa.Schema) -> pa.Table:
        if REVISION in schema.names:
            raise QueryError.of(f"{name!r} has a column {REVISION!r} of its own.", "Read its revisions one by one.")
        return self._of_table(name).select([ATTEMPT, REVISION])


class ChosenRows(ds.FileSystemDataset):  # type: ignore[misc] # pyarrow is not typed
    """Some rows of a dataset, with the columns that users see.

    Args:
        rows: The dataset.
        only: Which rows.
        schema: The columns.
        revisions: The revision of each attempt, where a column ``revision`` is to say it.
    """

    def __init__(self, rows: Any, only: Any, schema: pa.Schema, revisions: pa.Table | None) -> None:
        shown = schema if revisions is None else schema.append(pa.field(REVISION, pa.int64()))
        super().__init__([], shown, ds.ParquetFileFormat(), fs.LocalFileSystem())
        self._rows = rows
        self._only = only
        self._revisions = revisions

    def in_order(self, columns: Sequence[str] | None) -> pa.Table:
        """The rows in an order that no compaction changes."""
        shown = ChosenRows(self._rows, self._only, self._rows.schema, self._revisions)
        every = shown.to_table().sort_by([(ATTEMPT, "ascending"), (ROW, "ascending")])
        return every.select(self.schema.names if columns is None else columns)

    def scanner(self, columns: Any = None, filter: Any = None, **options: Any) -> Any:
        """A scanner of them."""
        names = self.schema.names if columns is None else columns
        if self._revisions is None:
            only = self._only if filter is None else self._only & filter
            return _Scanner(self._rows.scanner(columns=names, filter=only, **options))
        kept = dict.fromkeys([*(name for name in self.schema.names if name != REVISION), ATTEMPT])
        found = self._rows.scanner(columns=[*kept], filter=self._only, **options).to_table()
        told = found.join(self._revisions, keys=ATTEMPT, join_type="inner").select(self.schema.names)
        return ds.dataset(told).scanner(columns=names, filter=filter, **options)


@frozen
class _Scanner:
    scanner: Any

    def to_reader(self) -> pa.RecordBatchReader:
        return reader_of(self.scanner)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.scanner, name)


def _chosen(named: pa.Table, revision: Revision) -> pa.Table:
    if revision == "all" or not named.num_rows:
        return named
    if revision is not None:
        return named.filter(pc.field(REVISION) == revision)
    newest = named.group_by([RUN]).aggregate([(REVISION, "max")]).rename_columns([RUN, REVISION])
    return named.join(newest, keys=[RUN, REVISION], join_type="left semi")
