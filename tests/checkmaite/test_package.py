"""The package's `checkmaite.jobs` is ours here, and beside it the package is what it was."""

from __future__ import annotations

import checkmaite
import checkmaite.core
import checkmaite.jobs
from checkmaite.core import image_classification, object_detection


def test_ours_stands_in_the_place_of_the_packages_own() -> None:
    assert checkmaite.__version__ == "0.6.1"  # type: ignore[attr-defined]
    assert hasattr(checkmaite.jobs, "plan_capabilities")
    assert hasattr(image_classification, "DataevalBias")
    assert hasattr(object_detection, "DataevalBias")
