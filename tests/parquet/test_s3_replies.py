"""What a refused request of S3 means. It is core that says so, where s3fs is installed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError
from botocore.retries.standard import ThrottledRetryableChecker, TransientRetryableChecker
from checkmaite.jobs import (
    Provenance,
    StoreError,
    StoreNotFoundError,
    StorePermissionError,
    StoreUnavailableError,
)
from checkmaite.jobs.spi import ObjectStore
from checkmaite.jobs.testing import SampleRun
from checkmaite.store_parquet import ParquetStore

from tools.trials.proxy import FaultProxy


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
    ("ConditionalRequestConflict", StoreUnavailableError),
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
def test_what_an_s3_reply_means(
    code: str, kind: type[StoreError], request_name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All that botocore would try again, and S3's own words for it, may succeed later."""
    objects = ObjectStore("s3://bucket/folder", {"key": "given", "secret": "with it"})
    objects._filesystem = Refuses(code)
    monkeypatch.setattr("checkmaite.jobs._shared.objects._CONFLICT_PAUSES_S", ())
    with pytest.raises(StoreError) as caught:
        REQUESTS[request_name](objects)
    assert type(caught.value) is kind
    assert caught.value.retryable is (kind is StoreUnavailableError)


@pytest.fixture
def conflicts(s3_endpoint: str) -> Iterator[FaultProxy]:
    """A way to that server on which half of all exclusive creates meet a conflict, and create nothing."""
    proxy = FaultProxy(int(s3_endpoint.rpartition(":")[2]))
    yield proxy
    proxy.close()


def test_a_conflict_is_no_sign_that_an_object_is_there(
    conflicts: FaultProxy, bucket: str, s3_options: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Runs whose rows met one were committed without them, and no run of the table could be read any more."""
    monkeypatch.setattr("checkmaite.jobs._shared.objects._CONFLICT_PAUSES_S", [0.0] * 30)
    store = ParquetStore(f"s3://{bucket}/store", {**s3_options, "endpoint_url": conflicts.endpoint})
    conflicts.trouble("409", 0.5)
    receipts = [store.write_with_receipt(SampleRun(run_uid=f"run-{n}"), provenance=Provenance()) for n in range(12)]
    assert all(receipt.created for receipt in receipts)
    assert not store.write_with_receipt(SampleRun(run_uid="run-0"), provenance=Provenance()).created
    assert conflicts.done["409"] > 12
    assert store.read_table("sample_scores").num_rows == 12
    assert len(set(store.read_table("runs").column("run_uid").to_pylist())) == 12
