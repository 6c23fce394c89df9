"""One job through each backend, its rows and its output read again: what works wherever the metadata says so."""

from __future__ import annotations

import os
import sys
import tempfile
from importlib.metadata import version
from types import SimpleNamespace
from typing import Any

os.environ.update(RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER="0", RAY_USAGE_STATS_ENABLED="0")  # before Ray is imported

from checkmaite.jobs import configure_job_backend, shutdown_job_backend, submit_capability

BACKENDS: dict[str, dict[str, Any]] = {
    "inline": {},
    "ray-simple": {"address": "local", "num_cpus": 1},
    "ray": {"address": "local", "num_cpus": 1, "idempotency_scope": "smoke"},
}


class Ten:
    """A run with one row."""

    id = "ten"

    def run(self, *, config: str, **_given: Any) -> SimpleNamespace:
        """Print, and give the row."""
        print("ten")
        about: dict[str, Any] = {"dataset_metadata": [], "model_metadata": [], "metric_metadata": []}
        rows = [{"table_name": "numbers", "value": 10}]
        return SimpleNamespace(run_uid=f"ten-{config}", capability_id=self.id, extract=lambda: rows, **about)


def main() -> None:
    """Run one on each, into the same store."""
    with tempfile.TemporaryDirectory(prefix="smoke-") as folder:
        for count, (kind, options) in enumerate(BACKENDS.items(), 1):
            backend = configure_job_backend(kind, analytics_store={"backend": "parquet", "uri": folder}, **options)
            job = submit_capability(Ten(), config=kind)
            assert job.result(timeout=180).run_uid == f"ten-{kind}"
            assert job.logs() == "ten\n"
            store: Any = backend.analytics_store
            store.compact()
            assert store.query_sql("SELECT count(*) AS rows FROM numbers").to_pylist() == [{"rows": count}]
            assert store.read_table("numbers").num_rows == count
            shutdown_job_backend()
            print(kind, "works")
    names = ("ray", "pyarrow", "duckdb", "fsspec", "attrs", "cattrs")
    print(f"Python {sys.version.split()[0]},", ", ".join(f"{name} {version(name)}" for name in names))


if __name__ == "__main__":
    main()
