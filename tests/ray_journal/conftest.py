from __future__ import annotations

from pathlib import Path

import pytest
from checkmaite.jobs.spi import ObjectStore

CREDENTIALS = {"key": "test-access-key", "secret": "test-secret-key"}


@pytest.fixture(params=["local", "s3"])
def objects(request: pytest.FixtureRequest, tmp_path: Path) -> ObjectStore:
    """An empty place for a journal, on a disk and in a bucket."""
    if request.param == "local":
        return ObjectStore(str(tmp_path / "journal"))
    import s3fs

    endpoint = request.getfixturevalue("s3_endpoint")
    bucket = f"bucket-{tmp_path.name.replace('_', '-').lower()}"[:60].rstrip("-")
    s3fs.S3FileSystem(**CREDENTIALS, client_kwargs={"endpoint_url": endpoint}).mkdir(bucket)
    return ObjectStore(f"s3://{bucket}/journal", {**CREDENTIALS, "endpoint_url": endpoint})
