"""The package's `checkmaite.jobs` is ours here, and beside it the package is what it was."""

from __future__ import annotations

import importlib.metadata

import checkmaite
import checkmaite.core
import checkmaite.jobs
from checkmaite.core import image_classification, object_detection


def test_ours_stands_in_the_place_of_the_packages_own() -> None:
    assert checkmaite.__version__ == "0.6.1"  # type: ignore[attr-defined]
    assert hasattr(checkmaite.jobs, "plan_capabilities")
    assert hasattr(image_classification, "DataevalBias")
    assert hasattr(object_detection, "DataevalBias")


def test_ci_pretends_the_modules_that_the_package_has() -> None:
    from tests.distributions.test_beside_checkmaite import FILES

    recorded = importlib.metadata.distribution("checkmaite").files or ()
    theirs = {str(file).removeprefix("checkmaite/") for file in recorded if str(file).startswith("checkmaite/jobs/")}
    assert {name for name in theirs if name.endswith(".py")} == {name for name in FILES if name.startswith("jobs/")}
