"""The ``"parquet"`` analytics store: plain Parquet files in a folder or bucket."""

from checkmaite.jobs.spi import Check
from checkmaite.store_parquet import _engine  # noqa: F401 - first: everything else needs pyarrow
from checkmaite.store_parquet._compacting import Backlog, Compaction
from checkmaite.store_parquet._repairing import Rebuilt, Repair
from checkmaite.store_parquet._store import ParquetOptions, ParquetStore
from checkmaite.store_parquet._vacuum import Vacuumed
from checkmaite.store_parquet._verifying import Finding, Verification

__all__ = [
    "Backlog",
    "Check",
    "Compaction",
    "Finding",
    "ParquetOptions",
    "ParquetStore",
    "Rebuilt",
    "Repair",
    "Vacuumed",
    "Verification",
]
