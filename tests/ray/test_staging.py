from __future__ import annotations

import pytest

from tests.staging import StagingStory


@pytest.mark.usefixtures("suite_options")
class TestStagingRay(StagingStory):
    kind = "ray"
