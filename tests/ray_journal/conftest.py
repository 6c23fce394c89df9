from __future__ import annotations

from pathlib import Path

import pytest
from checkmaite.jobs.spi import ObjectStore


@pytest.fixture(params=["local", "s3"])
def objects(request: pytest.FixtureRequest, tmp_path: Path) -> ObjectStore:
    """An empty place for a journal, on a disk and in a bucket."""
    if request.param == "local":
        return ObjectStore(str(tmp_path / "journal"))
    bucket, options = request.getfixturevalue("bucket"), request.getfixturevalue("s3_options")
    return ObjectStore(f"s3://{bucket}/journal", options)
