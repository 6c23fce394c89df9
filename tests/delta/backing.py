"""What a backend does with a Delta store, told with each of them."""

from __future__ import annotations

import uuid
from pathlib import Path
from typing import Any

from checkmaite.jobs import JobStatus, ReuseKind, configure_job_backend, shutdown_job_backend, submit_capability
from checkmaite.jobs.testing import SampleCapability
from checkmaite.store_delta import DeltaStore

SOON_S = 90.0


def check_that_results_are_stored(kind: str, folder: Path, **options: Any) -> DeltaStore:
    """A job's rows and report are in the tables; the same job is that result, and a forced one its next revision."""
    uri, uid = str(folder / "store"), uuid.uuid4().hex

    def submit(**arguments: Any) -> Any:
        job = submit_capability(SampleCapability(folder=str(folder)), config={"run_uid": uid}, **arguments)
        assert job.wait(SOON_S) is JobStatus.COMPLETED, job.explain()
        return job

    configure_job_backend(kind, analytics_store={"backend": "delta", "uri": uri}, **options)
    try:
        job = submit()
        first = job.result(0)
        assert (first.store_uri, first.revision) == (f"{uri}/sample_scores#{uid}", 1)
        assert str(first.report).startswith("# sample")
        again = submit()
        assert again.result(0).store_uri == first.store_uri
        assert again.job_id == job.job_id or again.reuse.kind is ReuseKind.REUSED
        forced = submit(force=True)
        assert forced.result(0).revision == 2
        store = DeltaStore(uri)
        assert store.list_tables() == ["runs", "sample_scores"]
        rows = store.query_sql("select job_id, score from sample_scores join runs using (run_uid)").to_pylist()
        assert rows == [{"job_id": forced.job_id, "score": 0.5}] * 3
        return store
    finally:
        shutdown_job_backend(wait=True)
