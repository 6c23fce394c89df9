from __future__ import annotations

from tests.reusing import ReuseStory


class TestReuseInline(ReuseStory):
    kind = "inline"
