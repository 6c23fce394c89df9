from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from checkmaite.store_parquet import ParquetStore

_numbers = itertools.count()
CREDENTIALS = {"key": "test-access-key", "secret": "test-secret-key"}


@pytest.fixture
def s3_options(s3_endpoint: str) -> dict[str, Any]:
    return {**CREDENTIALS, "endpoint_url": s3_endpoint}


@pytest.fixture
def bucket(s3_endpoint: str) -> str:
    import s3fs

    name = f"bucket-{next(_numbers)}"
    s3fs.S3FileSystem(**CREDENTIALS, client_kwargs={"endpoint_url": s3_endpoint}).mkdir(name)
    return name


@pytest.fixture(params=["local", "s3"])
def open_store(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[], ParquetStore]:
    """Opens the same store each time it is called."""
    if request.param == "local":
        return lambda: ParquetStore(str(tmp_path / "store"))
    bucket, options = request.getfixturevalue("bucket"), request.getfixturevalue("s3_options")
    return lambda: ParquetStore(f"s3://{bucket}/store", options)
