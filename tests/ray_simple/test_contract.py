from __future__ import annotations

import pytest
from checkmaite.jobs.testing import JobBackendContract

from tests.suites import SuiteWithoutResults


@pytest.mark.usefixtures("local_ray")
class TestRaySimple(SuiteWithoutResults):
    kind = "ray-simple"


@pytest.mark.usefixtures("local_ray")
class TestRaySimpleWithParquet(JobBackendContract):
    kind = "ray-simple"
    analytics_store = {"backend": "parquet", "uri": "{folder}/store"}
