from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from checkmaite.store_delta import DeltaStore


@pytest.fixture(params=["local", "s3"])
def open_store(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[], DeltaStore]:
    """Opens the same store each time it is called."""
    if request.param == "local":
        return lambda: DeltaStore(tmp_path / "store")
    bucket, options = request.getfixturevalue("bucket"), request.getfixturevalue("s3_options")
    return lambda: DeltaStore(f"s3://{bucket}/store", options)
