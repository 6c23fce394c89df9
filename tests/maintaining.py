"""A store that is compacted by itself, told with every backend that does so."""

from __future__ import annotations

import time
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import pytest
from checkmaite.jobs import configure_job_backend, shutdown_job_backend, submit_capability
from checkmaite.jobs.testing import SampleCapability, SampleRun
from checkmaite.store_parquet import Backlog, ParquetStore

GATHERED = 210
SOON_S = 90.0


class MaintenanceStory:
    kind: ClassVar[str]
    options: Mapping[str, Any] = {}

    @pytest.fixture
    def store(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ParquetStore:
        """A store in which enough has gathered."""
        store = ParquetStore(tmp_path / "store")
        monkeypatch.setattr("os.fsync", lambda _: None)
        store.write([SampleRun(run_uid=f"run-{number}") for number in range(GATHERED)])
        assert store.backlog().is_worth_compacting
        return store

    def test_a_store_is_compacted_after_so_many_jobs(self, store: ParquetStore) -> None:
        options = {**self.options, "store_maintenance_jobs": 1}
        backend = configure_job_backend(self.kind, analytics_store={"backend": "parquet", "uri": store.uri}, **options)
        try:
            uid = uuid.uuid4().hex
            assert submit_capability(SampleCapability(), config={"run_uid": uid}).result(SOON_S).run_uid == uid
            deadline = time.monotonic() + SOON_S
            while store.backlog().is_worth_compacting:
                assert time.monotonic() < deadline, "nobody has compacted the store"
                time.sleep(0.1)
            assert store.backlog() == Backlog(results=0)
            assert backend.analytics_store.describe_table("runs").runs == GATHERED + 1
        finally:
            shutdown_job_backend()
