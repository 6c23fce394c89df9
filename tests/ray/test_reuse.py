from __future__ import annotations

import pytest

from tests.reusing import ReuseStory


@pytest.mark.usefixtures("suite_options")
class TestReuseRay(ReuseStory):
    kind = "ray"
