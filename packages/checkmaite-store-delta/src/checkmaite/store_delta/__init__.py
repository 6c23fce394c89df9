"""The ``"delta"`` analytics store: Delta tables in a folder or bucket, by the deltalake library."""

from checkmaite.store_delta._compacting import Backlog, Compaction
from checkmaite.store_delta._store import DeltaOptions, DeltaStore

__all__ = ["Backlog", "Compaction", "DeltaOptions", "DeltaStore"]
