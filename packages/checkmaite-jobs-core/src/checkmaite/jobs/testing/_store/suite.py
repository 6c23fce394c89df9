"""What the parts of the stores' suite share: the store under test, and runs to write."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from attrs import evolve
from checkmaite.jobs import (
    AnalyticsStore,
    Provenance,
)
from checkmaite.jobs.testing._samples import SampleRun

SUBMITTED_AT = datetime(2026, 1, 2, 3, 4, 5, 678_901, tzinfo=UTC)


def made_by(job_id: str) -> Provenance:
    """The provenance of a job."""
    return Provenance().for_job(job_id=job_id, backend="suite", submitted_at=SUBMITTED_AT)


PROVENANCE = evolve(made_by("job-1"), user_id="ada")


def scores(table: Any) -> list[float]:
    """What a table of the sample's records holds."""
    return sorted(table.column("score").to_pylist())


class StoreSuite:
    """The store under test."""

    def make_store(self, folder: Path) -> AnalyticsStore:
        """A store that is empty at first; called again with the same folder it opens the same store."""
        raise NotImplementedError

    def make_broken_store(self, folder: Path) -> AnalyticsStore | None:
        """A store that cannot be reached or read; None leaves out the test that errors are not taken for empty."""
        return None

    @pytest.fixture
    def store(self, tmp_path: Path) -> AnalyticsStore:
        """The store of one test."""
        return self.make_store(tmp_path)

    def run(self, **fields: Any) -> SampleRun:
        """A run with a uid of its own."""
        return SampleRun(run_uid=uuid.uuid4().hex, **fields)
