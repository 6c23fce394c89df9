from __future__ import annotations

import pytest
from checkmaite.jobs.testing import JobBackendContract

from tests.suites import SuiteWithoutResults


@pytest.mark.usefixtures("suite_options")
class TestRay(SuiteWithoutResults):
    kind = "ray"


@pytest.mark.usefixtures("suite_options")
class TestRayWithParquet(JobBackendContract):
    kind = "ray"
    analytics_store = {"backend": "parquet", "uri": "{folder}/store"}
