"""SQL over the tables, by what core offers for that."""

from __future__ import annotations

from typing import Any

from attrs import field, frozen
from checkmaite.jobs import StoreError
from checkmaite.jobs.spi import (
    ObjectStore,
)
from checkmaite.store_parquet._datasets import ToldDataset, UnreadableDataset
from checkmaite.store_parquet._reading import CommittedRuns


@frozen
class TablesOfQuery:
    """The tables of a store at one moment; see `checkmaite.jobs.spi.SqlTables`."""

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


class TablesOfNotebook(TablesOfQuery):
    """A table that cannot be opened keeps nobody from the others."""

    def sql_dataset(self, name: str) -> Any:
        try:
            return super().sql_dataset(name)
        except StoreError as error:
            return UnreadableDataset(error)
