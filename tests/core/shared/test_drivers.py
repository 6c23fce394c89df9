"""What drivers of object stores raise, and what a user reads; the real drivers are tried in tests/clouds."""

from __future__ import annotations

import sys
from enum import StrEnum
from typing import Any

import pytest
from checkmaite.jobs import (
    MissingDependencyError,
    StoreError,
    StoreNotFoundError,
    StorePermissionError,
    StoreUnavailableError,
)
from checkmaite.jobs._shared import drivers
from checkmaite.jobs._shared.object_errors import means_refused, means_unknown_caller, translation
from checkmaite.jobs.spi import ObjectStore


@pytest.mark.parametrize(
    ("scheme", "package", "extra"),
    [("s3", "s3fs", "s3"), ("gs", "gcsfs", "gcs"), ("az", "adlfs", "azure"), ("abfss", "adlfs", "azure")],
)
def test_a_missing_driver_is_told_with_its_extra(
    monkeypatch: pytest.MonkeyPatch, scheme: str, package: str, extra: str
) -> None:
    opened = sys.modules["fsspec.registry"].__dict__["_registry"]  # of that name fsspec has something else
    monkeypatch.delitem(opened, scheme, raising=False)
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(MissingDependencyError) as caught:
        ObjectStore(f"{scheme}://bucket/folder").find("object")
    assert caught.value.requirement == f"checkmaite-jobs-core[{extra}]"


def http_error(code: Any, message: str = "") -> Exception:
    """As gcsfs raises it."""
    kind = type("HttpError", (Exception,), {"__module__": "gcsfs.retry"})
    error: Exception = kind(message)
    error.code = code  # type: ignore[attr-defined]
    return error


def azure_error(status: int, code: object = None, name: str = "HttpResponseError") -> Exception:
    """As azure-core raises it; replies to HEAD have their code from a header, as an enumeration."""
    error: Exception = type(name, (Exception,), {})("Server failed")
    error.status_code, error.error_code = status, code  # type: ignore[attr-defined]
    return error


class Word(StrEnum):
    """As in azure-storage-blob."""

    NOT_THERE = "ContainerNotFound"


REPLIES = [
    (http_error(401, "Invalid Credentials, 401"), StorePermissionError, "have expired, or were never right"),
    (http_error(403, "no access, 403"), StorePermissionError, "access was refused"),
    (OSError("Forbidden: b/bucket/o/x\nada does not have storage.objects.get access"), StorePermissionError, "refused"),
    (http_error("503", "busy, 503"), StoreUnavailableError, "did not answer"),
    (http_error(429, "slow down, 429"), StoreUnavailableError, "did not answer"),
    (azure_error(403, "AuthenticationFailed"), StorePermissionError, "have expired, or were never right"),
    (azure_error(401, "InvalidAuthenticationInfo"), StorePermissionError, "have expired, or were never right"),
    (azure_error(403, "AuthorizationPermissionMismatch"), StorePermissionError, "access was refused"),
    (azure_error(403, "AWordOfNextYear"), StorePermissionError, "access was refused"),
    (azure_error(404, Word.NOT_THERE, "ResourceNotFoundError"), StoreNotFoundError, "create the bucket"),
    (azure_error(503, "ServerBusy"), StoreUnavailableError, "did not answer"),
    (type("ServiceRequestError", (Exception,), {})("Cannot connect"), StoreUnavailableError, "did not answer"),
    (type("DefaultCredentialsError", (Exception,), {})("none found"), StorePermissionError, "access was refused"),
]


@pytest.mark.parametrize(("error", "kind", "said"), REPLIES, ids=[str(number) for number in range(len(REPLIES))])
def test_replies_of_google_and_azure(error: Exception, kind: type[StoreError], said: str) -> None:
    told = translation(error, "gs://bucket/x", "said", renews=True)
    assert type(told) is kind
    assert said in str(told)


def test_who_may_come_in_with_other_credentials() -> None:
    for known in (azure_error(403, "AuthorizationPermissionMismatch"), http_error(503), FileNotFoundError()):
        assert not means_unknown_caller(known)
    for unknown in (http_error(401), azure_error(403, "AuthenticationFailed"), OSError("Forbidden: b/x")):
        assert means_unknown_caller(unknown)
    assert not means_refused(http_error(404))


def test_what_of_the_options_is_a_credential(tmp_path: Any) -> None:
    file = tmp_path / "key.json"
    file.touch()
    for where in (None, "google_default", "cloud", "anon", str(file)):
        assert not drivers.has_credentials("gs", {"token": where, "project": "p"}), where
    for token in ("ya29." + "x" * 2000, {"refresh_token": "x"}):
        assert drivers.has_credentials("gs", {"token": token}), token
    assert drivers.has_credentials("az", {"account_name": "a", "sas_token": "s"})
    assert not drivers.has_credentials("az", {"account_name": "a"})
    assert drivers.has_credentials("s3", {"client_kwargs": {"aws_access_key_id": "k"}})
    assert not drivers.has_credentials("s3", {"profile": "evaluations", "endpoint_url": "http://x"})


def test_the_creation_of_a_large_object_in_google_is_one_request() -> None:
    """A driver sends large ones in pieces, and its condition would be left to what the server makes of them."""
    assert drivers.creation_options("gs", 2**30) == {"mode": "create", "chunksize": 2**30 + 1}
    assert drivers.creation_options("az", 2**30) == drivers.creation_options("s3", 2**30) == {"mode": "create"}
