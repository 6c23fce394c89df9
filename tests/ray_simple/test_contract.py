from __future__ import annotations

import pytest
from checkmaite.jobs.testing import JobBackendContract


@pytest.mark.usefixtures("local_ray")
class TestRaySimple(JobBackendContract):
    kind = "ray-simple"


@pytest.mark.usefixtures("local_ray")
class TestRaySimpleWithParquet(JobBackendContract):
    kind = "ray-simple"
    analytics_store = {"backend": "parquet", "uri": "{folder}/store"}
