"""A capability that needs nothing: where your own stand in an image."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any


class SumOfSquares:
    """Adds up the squares of the numbers below a limit, and says where that was done."""

    id = "sum-of-squares"

    def run(self, *, config: Mapping[str, int], **_given: Any) -> SimpleNamespace:
        """Compute them; a run's uid follows from its config."""
        limit = config["limit"]
        row = {
            "table_name": "sums",
            "sum": sum(number * number for number in range(limit)),
            "python": platform.python_version(),
        }
        return SimpleNamespace(
            run_uid=f"sum-of-squares-{limit}",
            capability_id=self.id,
            dataset_metadata=[{"id": f"below-{limit}"}],
            model_metadata=[],
            metric_metadata=[],
            extract=lambda: [row],
        )
