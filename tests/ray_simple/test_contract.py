from __future__ import annotations

import pytest
from checkmaite.jobs.testing import JobBackendContract

from tests.suites import SuiteWithoutResults


@pytest.mark.usefixtures("local_ray")
class TestRaySimple(SuiteWithoutResults):
    kind = "ray-simple"
    patience_s = 120.0  # a busy machine needs long to start the process of a worker


@pytest.mark.usefixtures("local_ray")
class TestRaySimpleWithParquet(JobBackendContract):
    kind = "ray-simple"
    patience_s = 120.0  # a busy machine needs long to start the process of a worker
    analytics_store = {"backend": "parquet", "uri": "{folder}/store"}
