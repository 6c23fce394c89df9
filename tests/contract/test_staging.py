from __future__ import annotations

from tests.staging import StagingStory


class TestStagingInline(StagingStory):
    kind = "inline"
