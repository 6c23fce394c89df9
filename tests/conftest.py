"""What tests of several folders share."""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Iterator
from typing import Any

import pytest


@pytest.fixture(scope="session")
def atomic_s3() -> Iterator[None]:
    """Makes moto's conditional put atomic, as S3's is; moto itself looks whether the object is there, then puts it."""
    from moto.s3.responses import S3Response

    put, locks = S3Response.put_object, defaultdict[tuple[str, str], threading.Lock](threading.Lock)

    def put_alone(self: S3Response) -> Any:
        with locks[self.bucket_name, self.parse_key_name()]:
            return put(self)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(S3Response, "put_object", put_alone)
        yield


@pytest.fixture
def careless_bucket(s3_endpoint: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """A bucket of that server, to be made, where ``If-None-Match`` means nothing, as with older stores like S3."""
    from moto.s3.responses import S3Response

    name, put = "careless", S3Response.put_object

    def put_anyway(self: S3Response) -> Any:
        if self.bucket_name == name:
            self.headers = {each: value for each, value in self.headers.items() if each.lower() != "if-none-match"}
        return put(self)

    monkeypatch.setattr(S3Response, "put_object", put_anyway)
    return name


@pytest.fixture(scope="session")
def s3_endpoint(atomic_s3: None) -> Iterator[str]:
    """The URL of an S3 server on loopback."""
    from moto.moto_server.threaded_moto_server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()
