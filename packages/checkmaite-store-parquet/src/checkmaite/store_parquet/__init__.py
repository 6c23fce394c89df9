"""The ``"parquet"`` analytics store: plain Parquet files in a folder or bucket."""

from checkmaite.store_parquet._store import ParquetOptions, ParquetStore

__all__ = ["ParquetOptions", "ParquetStore"]
