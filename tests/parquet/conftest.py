from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from checkmaite.store_parquet import ParquetStore

from tests.parquet.compacting import CompactingStore


@pytest.fixture
def s3_requests(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The requests that are made of S3 servers, by their names."""
    import s3fs

    requests: list[str] = []
    call_s3 = s3fs.S3FileSystem._call_s3

    async def counted(self: Any, method: str, *args: Any, **kwargs: Any) -> Any:
        requests.append(method)
        return await call_s3(self, method, *args, **kwargs)

    monkeypatch.setattr(s3fs.S3FileSystem, "_call_s3", counted)
    return requests


@pytest.fixture(params=["local", "compacted", "s3"])
def open_store(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[], ParquetStore]:
    """Opens the same store each time it is called."""
    if request.param in ("local", "compacted"):
        kind = ParquetStore if request.param == "local" else CompactingStore
        return lambda: kind(str(tmp_path / "store"))
    bucket, options = request.getfixturevalue("bucket"), request.getfixturevalue("s3_options")
    return lambda: ParquetStore(f"s3://{bucket}/store", options)
