from __future__ import annotations

from pathlib import Path

from checkmaite.jobs.testing import AnalyticsStoreContract
from checkmaite.store_parquet import ParquetStore

from tests.parquet.compacting import CompactingStore


class TestParquetStore(AnalyticsStoreContract):
    def make_store(self, folder: Path) -> ParquetStore:
        return ParquetStore(str(folder / "store"))

    def make_broken_store(self, folder: Path) -> ParquetStore:
        (folder / "a-file").write_text("not a folder")
        return ParquetStore(str(folder / "a-file" / "store"))


class TestCompactedParquetStore(AnalyticsStoreContract):
    """The same promises where every read finds copies alone."""

    def make_store(self, folder: Path) -> CompactingStore:
        return CompactingStore(str(folder / "store"))

    def make_broken_store(self, folder: Path) -> CompactingStore:
        (folder / "a-file").write_text("not a folder")
        return CompactingStore(str(folder / "a-file" / "store"))
