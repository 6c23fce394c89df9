"""SQL over the tables, by what core offers for that."""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import Any

import pyarrow as pa
from attrs import field, frozen
from checkmaite.jobs import StoreError
from checkmaite.jobs.spi import (
    FrameKind,
    ObjectStore,
    SqlLimits,
    duckdb_of,
    frame_converter,
    running_select,
    sql_connection,
    table_of,
)
from checkmaite.store_parquet._datasets import ToldDataset, UnreadableDataset
from checkmaite.store_parquet._reading import CommittedRuns

_DISTRIBUTION = "checkmaite-store-parquet"
_FOREIGN = (pa.ArrowException, OSError)

OpenRuns = Callable[[], CommittedRuns]
"""Opens what a query is about; called once it is known to be a query."""


def query(objects: ObjectStore, sql: str, open_runs: OpenRuns, limits: SqlLimits, kind: FrameKind) -> Any:
    """The result of one SELECT; see `ParquetStore.query_sql`."""
    convert = frame_converter(kind)
    with _running(objects, sql, open_runs, limits) as relation:
        table = table_of(relation)
    return convert(table)


def query_batches(
    objects: ObjectStore, sql: str, open_runs: OpenRuns, limits: SqlLimits, rows: int
) -> Generator[pa.RecordBatch, None, None]:
    """The result of one SELECT, piece by piece; see `ParquetStore.query_batches`."""
    with _running(objects, sql, open_runs, limits) as relation:
        yield from relation.to_arrow_reader(rows)


def connect(objects: ObjectStore, open_runs: OpenRuns, limits: SqlLimits) -> Any:
    """A connection with a view of each table; see `ParquetStore.connect`."""
    duckdb = duckdb_of(_DISTRIBUTION)
    return sql_connection(duckdb, _TablesOfNotebook(objects, open_runs()), limits)


def _running(objects: ObjectStore, sql: str, open_runs: OpenRuns, limits: SqlLimits) -> Any:
    def open_tables() -> _Tables:
        return _Tables(objects, open_runs())

    return running_select(duckdb_of(_DISTRIBUTION), sql, limits, open_tables, _FOREIGN)


@frozen
class _Tables:
    objects: ObjectStore
    runs: CommittedRuns
    opened: dict[str, ToldDataset] = field(factory=dict)

    def tables(self) -> list[str]:
        return self.runs.tables()

    def sql_dataset(self, name: str) -> Any:
        self.opened[name] = ToldDataset(self.objects, name, self.runs.dataset(name, encodes=True))
        return self.opened[name]

    def raise_unreadable(self, name: str) -> None:
        if error := self.opened[name].error:
            raise error


class _TablesOfNotebook(_Tables):
    """A table that cannot be opened keeps nobody from the others."""

    def sql_dataset(self, name: str) -> Any:
        try:
            return super().sql_dataset(name)
        except StoreError as error:
            return UnreadableDataset(error)
