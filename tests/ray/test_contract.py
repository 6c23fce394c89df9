from __future__ import annotations

import pytest
from checkmaite.jobs.testing import JobBackendContract

from tests.suites import SuiteWithoutResults


@pytest.mark.usefixtures("suite_options")
class TestRay(SuiteWithoutResults):
    kind = "ray"
    patience_s = 120.0  # a busy machine needs long to start the process of a worker


@pytest.mark.usefixtures("suite_options")
class TestRayWithParquet(JobBackendContract):
    kind = "ray"
    patience_s = 120.0  # a busy machine needs long to start the process of a worker
    analytics_store = {"backend": "parquet", "uri": "{folder}/store"}
