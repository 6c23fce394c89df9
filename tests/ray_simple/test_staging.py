from __future__ import annotations

import pytest

from tests.staging import StagingStory


@pytest.mark.usefixtures("local_ray")
class TestStagingRaySimple(StagingStory):
    kind = "ray-simple"
