from __future__ import annotations

import pytest

from tests.reusing import ReuseStory


@pytest.mark.usefixtures("local_ray")
class TestReuseRaySimple(ReuseStory):
    kind = "ray-simple"
