"""What type checkers say of stores and backends: ours are what the protocols ask for. `hatch run types` reads it."""

# pyright: reportUnnecessaryTypeIgnoreComment=true

from __future__ import annotations

from typing import Any, assert_type

from checkmaite.jobs import (
    AnalyticsStore,
    Capability,
    CapabilityRun,
    Job,
    JobBackend,
    TableDescription,
    Tag,
    WriteReceipt,
)
from checkmaite.jobs._inline import InlineBackend
from checkmaite.jobs._null_store import NullStore
from checkmaite.jobs.spi import HasProbe, JobHandle, JobQuery, KeepsArtifacts, KeepsHistory, KeepsRevisions, StoredRun
from checkmaite.jobs.testing import SampleCapability, SampleRun
from checkmaite.jobs_ray.client.backend import RayBackend
from checkmaite.jobs_ray_simple.backend import RaySimpleBackend
from checkmaite.store_parquet import ParquetStore


def what_ours_are(
    handle: JobHandle, inline: InlineBackend, ray: RayBackend, simple: RaySimpleBackend, parquet: ParquetStore
) -> None:
    _job: Job = handle
    _backends: list[JobBackend] = [inline, ray, simple]
    _stores: list[AnalyticsStore] = [parquet, NullStore()]
    _keeper: KeepsRevisions = parquet
    _artifacts: KeepsArtifacts = parquet
    _history: KeepsHistory = parquet
    _probed: HasProbe = parquet
    _forgets: KeepsRevisions = NullStore()  # type: ignore[assignment]
    _capability: Capability = SampleCapability()
    _run: CapabilityRun = SampleRun(run_uid="run-1")


def writing(store: AnalyticsStore, run: CapabilityRun) -> None:
    assert_type(store.write([run, run]), list[WriteReceipt])
    assert_type(store.write_with_receipt(run), WriteReceipt)
    assert_type(store.get_run_uri("run-1"), str | None)
    assert_type(store.list_tables(), list[str])
    assert_type(store.describe_table("runs"), TableDescription)
    store.write(run, provenance="ada")  # type: ignore[arg-type]
    store.read_table("runs", limit="3")  # type: ignore[arg-type]
    if isinstance(store, KeepsHistory):
        assert_type(store.tag("report-2026-11"), Tag)
        assert_type(store.tags(), list[Tag])
    if isinstance(store, KeepsRevisions):
        assert_type(store.find_run("run-1", revision=2), StoredRun | None)


def asking(backend: JobBackend) -> None:
    assert_type(backend.list_jobs(JobQuery(job_name="first")), list[Job])
    backend.shutdown(True)  # type: ignore[call-arg]


class Partial:
    """A store that lacks most of what a store has."""

    uri = "nowhere"

    def list_tables(self) -> list[str]:
        return []


_store: Any = Partial()
_no_store: AnalyticsStore = Partial()  # type: ignore[assignment]
