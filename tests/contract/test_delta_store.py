from __future__ import annotations

from pathlib import Path

from checkmaite.jobs.testing import AnalyticsStoreContract
from checkmaite.store_delta import DeltaStore


class TestDeltaStore(AnalyticsStoreContract):
    def make_store(self, folder: Path) -> DeltaStore:
        return DeltaStore(str(folder / "store"))

    def make_broken_store(self, folder: Path) -> DeltaStore:
        (folder / "a-file").write_text("not a folder")
        return DeltaStore(str(folder / "a-file" / "store"))
