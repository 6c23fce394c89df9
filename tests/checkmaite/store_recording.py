"""Has the CheckMAITE package's own store write a few runs.

``python store_recording.py FOLDER`` makes what is in tests/parquet/recorded.
"""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from typing import Any

from checkmaite.core.analytics_store import AnalyticsStore, BaseRecord, ParquetBackend
from checkmaite.core.capability_core import (
    CapabilityConfigBase,
    CapabilityOutputsBase,
    CapabilityRunBase,
    RunDatasetMetadata,
    RunModelMetadata,
)


class QualityConfig(CapabilityConfigBase):
    threshold: float = 0.5


class QualityOutputs(CapabilityOutputsBase):
    ratio: float = 0.5


class QualityRecord(BaseRecord, table_name="digits_quality"):
    dataset_id: str
    count: int
    ratio: float
    note: str | None = None
    flag: bool = True


class QualityRun(CapabilityRunBase[QualityConfig, QualityOutputs]):
    def extract(self) -> list[Any]:
        ids = [each["id"] for each in self.dataset_metadata]
        return [QualityRecord(run_uid=self.run_uid, dataset_id=each, count=3, ratio=self.outputs.ratio) for each in ids]


def quality(threshold: float) -> QualityRun:
    """A run on two datasets, so with two rows."""
    return QualityRun(
        capability_id="example.Quality",
        config=QualityConfig(threshold=threshold),
        dataset_metadata=[RunDatasetMetadata(id="odd"), RunDatasetMetadata(id="even")],
        model_metadata=[RunModelMetadata(id="small")],
        metric_metadata=[],
        outputs=QualityOutputs(ratio=threshold / 2),
    )


def package_store(folder: str) -> AnalyticsStore:
    """The package's own store."""
    return AnalyticsStore(ParquetBackend(folder))


def record(folder: str) -> None:
    """Two runs of one job, one of them again by another, and a third run by nobody in particular."""
    store, at = package_store(folder), datetime(2026, 1, 2, tzinfo=UTC)
    first = {"user_id": "ada", "job_id": "first", "run_event_id": "first", "submitted_at": at}
    store.write([quality(0.1), quality(0.2)], provenance=first)
    store.write([quality(0.1)], provenance={"user_id": "bob", "job_id": "second", "run_event_id": "second"})
    store.write([quality(0.3)])


if __name__ == "__main__":
    record(sys.argv[1])
