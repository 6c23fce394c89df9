from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from checkmaite.jobs.spi import ObjectStore
from moto.moto_server.threaded_moto_server import ThreadedMotoServer

CREDENTIALS = {"key": "test-access-key", "secret": "test-secret-key"}


@pytest.fixture(scope="session")
def s3_endpoint(atomic_s3: None) -> Iterator[str]:
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


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
