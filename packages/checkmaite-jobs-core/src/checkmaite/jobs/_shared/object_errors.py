"""Translates the exceptions of filesystems into this project's errors, whose texts show no secret."""

from __future__ import annotations

import asyncio
import errno
import os
from collections.abc import Mapping

from checkmaite.jobs._shared.errors import StoreError, StoreNotFoundError, StorePermissionError, StoreUnavailableError

_PERMISSION_CODES = frozenset({"AccessDenied", "InvalidAccessKeyId", "SignatureDoesNotMatch", "InvalidToken", "403"})
_EXPIRED_CODES = frozenset({"ExpiredToken", "ExpiredTokenException", "RequestExpired", "TokenRefreshRequired"})
_MISSING_CODES = frozenset({"NoSuchBucket", "NoSuchKey", "404"})
_CONFLICT_CODES = frozenset({"ConditionalRequestConflict", "409"})
_PASSING_CODES = frozenset(
    {
        *_CONFLICT_CODES,
        "InternalError",
        "OperationAborted",
        "RequestTimeout",
        "RequestTimeoutException",
        "PriorRequestNotComplete",
        "ServiceUnavailable",
        "SlowDown",
        "Throttling",
        "ThrottlingException",
        "ThrottledException",
        "RequestThrottled",
        "RequestThrottledException",
        "TooManyRequests",
        "TooManyRequestsException",
        "RequestLimitExceeded",
        "BandwidthLimitExceeded",
        "LimitExceededException",
        "ProvisionedThroughputExceededException",
        "TransactionInProgressException",
        "EC2ThrottledException",
        "408",
        "429",
        "500",
        "502",
        "503",
        "504",
    }
)
"""What S3 and its like say when the same request may succeed later: botocore retries these too, but not for long."""
_NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT})
"""A full disk, or a full quota: somebody makes room, and the same call succeeds."""
_EXISTS_CODES = frozenset({"PreconditionFailed", "412"})


def means_exists(error: OSError) -> bool:
    """Whether an exclusive create was refused because the object is there."""
    return code_of(error) in _EXISTS_CODES


def means_conflict(error: OSError) -> bool:
    """Whether an exclusive create met another request about the object: whether that made it is not known."""
    return code_of(error) in _CONFLICT_CODES


def means_expired(error: Exception) -> bool:
    """Whether the credentials have expired."""
    return code_of(error) in _EXPIRED_CODES


def has_no_words(error: Exception) -> bool:
    """Whether S3 refused a request without saying why: its reply to a HEAD request has no body."""
    return code_of(error) == "400"


def translation(error: Exception, uri: str, said: str, *, renews: bool = False) -> StoreError:
    """The error that users see.

    Args:
        error: What a filesystem raised.
        uri: The object or folder concerned.
        said: The exception's own words, without secrets.
        renews: Whether credentials come from where there may be new ones: the environment, a file, a provider.
    """
    code, name = code_of(error), type(error).__name__
    if code in _EXPIRED_CODES:
        whence = (
            "They are the environment's, a file's or a provider's, which is asked again each time: renew them there."
            if renews
            else "They are in storage_options, and stay as they were when the backend was configured: configure it "
            "with new ones, or leave them out there and let the environment of each process supply them."
        )
        expired = StorePermissionError(f"{uri}: the credentials have expired ({code}). {whence}", uri=uri)
        expired.retryable = renews
        return expired
    reason = os.strerror(error.errno) if isinstance(error, OSError) and error.errno else code or name
    if isinstance(error, OSError) and error.errno in _NO_ROOM:
        return StoreUnavailableError(f"{uri}: there is no room left ({reason}). Make some, then try again.", uri=uri)
    is_read_only = isinstance(error, OSError) and error.errno == errno.EROFS
    if isinstance(error, PermissionError) or is_read_only or code in _PERMISSION_CODES or name == "NoCredentialsError":
        return StorePermissionError(
            f"{uri}: access was refused ({code or name}). Check the credentials and what they may do there.", uri=uri
        )
    if isinstance(error, FileNotFoundError) or code in _MISSING_CODES:
        remedy = "Check the path, or create the bucket." if "://" in uri else "Check the path."
        return StoreNotFoundError(f"{uri}: it does not exist. {remedy}", uri=uri)
    if isinstance(error, (FileExistsError, NotADirectoryError, IsADirectoryError)):
        return StoreError(
            f"{uri}: a file is where a folder must be, or the reverse. Move it, or choose another.", uri=uri
        )
    unreachable = (ConnectionError, TimeoutError, asyncio.TimeoutError)
    if (
        isinstance(error, unreachable)
        or "Connect" in name
        or "Timeout" in name
        or code in _PASSING_CODES | _CONFLICT_CODES
    ):
        return StoreUnavailableError(f"{uri}: the store did not answer ({code or name}). Try again later.", uri=uri)
    if isinstance(error, (AttributeError, TypeError, ValueError)):
        return StoreError(f"{uri}: the store cannot be used ({said}). Check its storage_options.", uri=uri)
    return StoreError(
        f"{uri}: the store cannot be used ({reason}). Check the disk or the service that it is on.", uri=uri
    )


def code_of(error: BaseException | None) -> str:
    """The code that an S3 reply carried, found along the chain of causes; empty when there is none."""
    while error is not None:
        response = getattr(error, "response", None)
        if isinstance(response, Mapping):
            return str(response.get("Error", {}).get("Code", ""))
        error = error.__cause__ or error.__context__
    return ""
