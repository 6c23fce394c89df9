from __future__ import annotations

from typing import Any

import pytest

from tests.maintaining import MaintenanceStory


class TestMaintenanceRay(MaintenanceStory):
    kind = "ray"

    @pytest.fixture(autouse=True)
    def _own(self, own_options: dict[str, Any]) -> None:
        self.options = {name: value for name, value in own_options.items() if name != "analytics_store"}
