"""A store that is compacted before each read, for tests of all that a store promises."""

from __future__ import annotations

from typing import Any

from checkmaite.jobs import TableDescription
from checkmaite.store_parquet import ParquetStore


class CompactingStore(ParquetStore):
    def __reduce__(self) -> tuple[Any, ...]:
        return CompactingStore, super().__reduce__()[1]

    def get_run_uri(self, run_uid: str) -> str | None:
        self.compact()
        return super().get_run_uri(run_uid)

    def list_tables(self, **options: Any) -> list[str]:
        self.compact()
        return super().list_tables(**options)

    def describe_table(self, name: str, **options: Any) -> TableDescription:
        self.compact()
        return super().describe_table(name, **options)

    def read_table(self, name: str, **options: Any) -> Any:
        self.compact()
        return super().read_table(name, **options)

    def query_sql(self, sql: str, **options: Any) -> Any:
        self.compact()
        return super().query_sql(sql, **options)
