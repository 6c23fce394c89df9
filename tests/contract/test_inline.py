from __future__ import annotations

from checkmaite.jobs.testing import JobBackendContract


class TestInlineBackend(JobBackendContract):
    kind = "inline"


class TestInlineBackendWithParquet(JobBackendContract):
    kind = "inline"
    analytics_store = {"backend": "parquet", "uri": "{folder}/store"}
