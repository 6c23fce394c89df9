from __future__ import annotations

from checkmaite.jobs.testing import JobBackendContract

from tests.suites import SuiteWithoutResults


class TestInlineBackend(SuiteWithoutResults):
    kind = "inline"


class TestInlineBackendWithParquet(JobBackendContract):
    kind = "inline"
    analytics_store = {"backend": "parquet", "uri": "{folder}/store"}
