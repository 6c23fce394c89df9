from __future__ import annotations

from checkmaite.jobs.testing import JobBackendContract


class TestRaySimpleBackend(JobBackendContract):
    kind = "ray-simple"
    options = {"address": "local", "num_cpus": 2, "object_store_memory": 100_000_000}
    analytics_store = {"backend": "parquet", "uri": "{folder}/store"}
