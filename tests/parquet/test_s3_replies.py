"""What a refused request of S3 means. It is core that says so, where s3fs is installed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError
from botocore.retries.standard import ThrottledRetryableChecker, TransientRetryableChecker
from checkmaite.jobs import StoreError, StoreNotFoundError, StorePermissionError, StoreUnavailableError
from checkmaite.jobs.spi import ObjectStore


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
    objects = ObjectStore("s3://bucket/folder", {"key": "given", "secret": "with it"})
    objects._filesystem = Refuses(code)
    with pytest.raises(StoreError) as caught:
        REQUESTS[request_name](objects)
    assert type(caught.value) is kind
    assert caught.value.retryable is (kind is StoreUnavailableError)
