"""The proxy before S3: what it lets through, and each way in which it lets a request go wrong."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator
from typing import Any

import botocore.session
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError, HTTPClientError

from tools.trials.proxy import FaultProxy

ONCE = Config(retries={"total_max_attempts": 1}, s3={"addressing_style": "path"})


@pytest.fixture
def proxy(s3_endpoint: str) -> Iterator[FaultProxy]:
    found = FaultProxy(int(s3_endpoint.rpartition(":")[2]))
    yield found
    found.close()


@pytest.fixture
def s3(proxy: FaultProxy) -> Iterator[Any]:
    keys = {"aws_access_key_id": "test", "aws_secret_access_key": "test"}
    session = botocore.session.get_session()
    client = session.create_client("s3", "us-east-1", endpoint_url=proxy.endpoint, config=ONCE, **keys)
    yield client
    client.close()


@pytest.fixture
def at(s3: Any) -> dict[str, str]:
    """Where the test may put an object."""
    bucket = f"bucket-{uuid.uuid4().hex}"
    s3.create_bucket(Bucket=bucket)
    return {"Bucket": bucket, "Key": "key"}


def content(s3: Any, at: dict[str, str]) -> bytes:
    return bytes(s3.get_object(**at)["Body"].read())


def test_without_trouble_everything_passes(s3: Any, at: dict[str, str], proxy: FaultProxy) -> None:
    body = bytes(range(256)) * 4_000
    s3.put_object(**at, Body=body)
    assert content(s3, at) == body
    assert s3.head_object(**at)["ContentLength"] == len(body)
    s3.delete_object(**at)
    with pytest.raises(ClientError, match="NoSuchKey"):
        s3.get_object(**at)
    assert not proxy.done


@pytest.mark.parametrize(("what", "code"), [("500", "InternalError"), ("503", "SlowDown")])
def test_a_request_is_refused(s3: Any, at: dict[str, str], proxy: FaultProxy, what: str, code: str) -> None:
    proxy.trouble(what)
    with pytest.raises(ClientError, match=code):
        s3.put_object(**at, Body=b"x")
    proxy.trouble(None)
    assert proxy.done == {what: 1}
    with pytest.raises(ClientError, match="NoSuchKey"):
        s3.get_object(**at)


def test_an_exclusive_create_meets_a_conflict_and_others_do_not(s3: Any, at: dict[str, str], proxy: FaultProxy) -> None:
    proxy.trouble("409")
    with pytest.raises(ClientError, match="ConditionalRequestConflict"):
        s3.put_object(**at, Body=b"x", IfNoneMatch="*")
    s3.put_object(**at, Body=b"y")
    assert content(s3, at) == b"y"
    assert proxy.done == {"409": 1}


@pytest.mark.parametrize(("what", "is_there"), [("cut", False), ("lost-reply", True)])
def test_a_connection_is_cut(s3: Any, at: dict[str, str], proxy: FaultProxy, what: str, is_there: bool) -> None:
    proxy.trouble(what)
    with pytest.raises(HTTPClientError):
        s3.put_object(**at, Body=b"x")
    proxy.trouble(None)
    found = s3.list_objects_v2(Bucket=at["Bucket"]).get("KeyCount")
    assert found == is_there


def test_a_reply_is_late(s3: Any, at: dict[str, str], proxy: FaultProxy, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tools.trials.proxy.SLOW_S", 0.1)
    proxy.trouble("slow")
    began = time.monotonic()
    s3.put_object(**at, Body=b"x")
    assert time.monotonic() - began > 0.1
    assert content(s3, at) == b"x"


def test_a_share_of_requests_goes_wrong(s3: Any, at: dict[str, str], proxy: FaultProxy) -> None:
    s3.put_object(**at, Body=b"x")
    proxy.trouble("500", 0.5)
    failed = 0
    for _ in range(40):
        try:
            s3.head_object(**at)
        except ClientError:
            failed += 1
    assert failed == proxy.done["500"]
    assert 5 < failed < 35
