"""Deleting objects, and what a refused request means; creating and reading are proved by the stores that do."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError
from botocore.retries.standard import ThrottledRetryableChecker, TransientRetryableChecker
from checkmaite.jobs import StoreError, StoreNotFoundError, StorePermissionError, StoreUnavailableError, _objects
from checkmaite.jobs.spi import ObjectStore


@pytest.mark.parametrize("scheme", ["", "memory://"])
def test_a_deleted_object_is_gone_and_may_be_created_again(tmp_path: Path, scheme: str) -> None:
    objects = ObjectStore(f"{scheme}{tmp_path}/{uuid.uuid4()}")
    objects.delete("folder/name")
    assert objects.create("folder/name", b"one")
    objects.delete("folder/name")
    objects.delete("folder/name")
    assert objects.names("folder") == []
    with pytest.raises(StoreNotFoundError):
        objects.read("folder/name")
    assert objects.create("folder/name", b"two")


def test_folders_and_names_are_durable_when_create_returns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also when another process had created the object, and died before it had made the name durable."""
    synced: list[str] = []
    monkeypatch.setattr(_objects, "_sync_folder", lambda folder: synced.append(str(folder.relative_to(tmp_path))))
    objects = ObjectStore(str(tmp_path / "a"))
    assert objects.create("b/name", b"one")
    assert synced == [".", "a", "a/b"]
    assert not objects.create("b/name", b"two")
    assert synced == [".", "a", "a/b", "a/b"]


class Refuses:
    """A filesystem like s3fs, whose every request gets one and the same error as its reply."""

    def __init__(self, code: str) -> None:
        self._code = code

    def _request(self, *_: Any, **__: Any) -> Any:
        from s3fs.errors import translate_boto_error

        raise translate_boto_error(ClientError({"Error": {"Code": self._code, "Message": "no"}}, "PutObject"))

    pipe_file = cat_file = info = rm_file = ls = _request

    def invalidate_cache(self, path: str) -> None: ...

    def _strip_protocol(self, uri: str) -> str:
        return uri


PASSING = {
    "InternalError",
    "OperationAborted",
    "RequestLimitExceeded",
    "RequestTimeout",
    "ServiceUnavailable",
    "SlowDown",
    "Throttling",
    "ThrottlingException",
    *map(str, TransientRetryableChecker._TRANSIENT_STATUS_CODES),
    *TransientRetryableChecker._TRANSIENT_ERROR_CODES,
    *ThrottledRetryableChecker._THROTTLED_ERROR_CODES,
}
REPLIES: list[tuple[str, type[StoreError]]] = [
    *((code, StoreUnavailableError) for code in sorted(PASSING)),
    ("AccessDenied", StorePermissionError),
    ("ExpiredToken", StorePermissionError),
    ("NoSuchBucket", StoreNotFoundError),
    ("InvalidArgument", StoreError),
    ("EntityTooLarge", StoreError),
]
REQUESTS: dict[str, Callable[[ObjectStore], object]] = {
    "create": lambda objects: objects.create("key", b"content"),
    "read": lambda objects: objects.read("key"),
}


@pytest.mark.parametrize("request_name", REQUESTS)
@pytest.mark.parametrize(("code", "kind"), REPLIES)
def test_what_an_s3_reply_means(code: str, kind: type[StoreError], request_name: str) -> None:
    """All that botocore would try again, and S3's own words for it, may succeed later."""
    objects = ObjectStore("s3://bucket/folder")
    objects._filesystem = Refuses(code)
    with pytest.raises(StoreError) as caught:
        REQUESTS[request_name](objects)
    assert type(caught.value) is kind
    assert caught.value.retryable is (kind is StoreUnavailableError)
