"""The ``"delta"`` analytics store: Delta tables in a folder or bucket, by the deltalake library."""

from checkmaite.store_delta._store import DeltaOptions, DeltaStore

__all__ = ["DeltaOptions", "DeltaStore"]
