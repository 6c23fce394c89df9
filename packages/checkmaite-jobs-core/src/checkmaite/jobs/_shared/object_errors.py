"""Translates the exceptions of filesystems into this project's errors, whose texts show no secret."""

from __future__ import annotations

import asyncio
import errno
import os
from collections.abc import Mapping

from checkmaite.jobs._shared.errors import StoreError, StoreNotFoundError, StorePermissionError, StoreUnavailableError

_EXPIRED_CODES = frozenset({"ExpiredToken", "ExpiredTokenException", "RequestExpired", "TokenRefreshRequired"})
_NOT_TAKEN_CODES = frozenset({"401", "AuthenticationFailed", "InvalidAuthenticationInfo"})
"""What Google and Azure say of credentials that have expired, and of wrong ones too."""
_UNKNOWN_CALLER_CODES = frozenset(
    {
        *_EXPIRED_CODES,
        *_NOT_TAKEN_CODES,
        "403",
        "InvalidAccessKeyId",
        "SignatureDoesNotMatch",
        "InvalidToken",
        "NoAuthenticationInformation",
        "AuthorizationFailure",
    }
)
"""Somebody with other credentials may be let in: a key was replaced, a secret changed, a signature has ended."""
_PERMISSION_CODES = frozenset(
    {
        *(_UNKNOWN_CALLER_CODES - _EXPIRED_CODES - _NOT_TAKEN_CODES),
        "AccessDenied",
        "AccountIsDisabled",
        "AuthorizationPermissionMismatch",
        "AuthorizationProtocolMismatch",
        "AuthorizationResourceTypeMismatch",
        "AuthorizationServiceMismatch",
        "AuthorizationSourceIPMismatch",
        "InsufficientAccountPermissions",
        "KeyBasedAuthenticationNotPermitted",
        "PublicAccessNotPermitted",
        "UnauthorizedBlobOverwrite",
    }
)
_NO_CREDENTIALS = frozenset(
    {"NoCredentialsError", "ClientAuthenticationError", "CredentialUnavailableError", "DefaultCredentialsError"}
)
"""Exceptions of botocore, Azure and Google that are raised before anything is sent: none were found."""
_MISSING_CODES = frozenset(
    {"NoSuchBucket", "NoSuchKey", "BlobNotFound", "ContainerNotFound", "ResourceNotFound", "404"}
)
_CONFLICT_CODES = frozenset({"ConditionalRequestConflict", "409"})
_PASSING_CODES = frozenset(
    {
        *_CONFLICT_CODES,
        "InternalError",
        "OperationAborted",
        "OperationTimedOut",
        "ServerBusy",
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
_UNREACHED = (
    "Connect",
    "Timeout",
    "ProxyError",
    "TransportError",
    "ServiceRequestError",
    "ServiceResponseError",
    "ClientOSError",
)
"""In the names of what HTTP clients raise when there was no whole answer."""
_EXISTS_CODES = frozenset({"PreconditionFailed", "412"})


def means_exists(error: OSError) -> bool:
    """Whether an exclusive create was refused because the object is there."""
    return code_of(error) in _EXISTS_CODES


def means_conflict(error: OSError) -> bool:
    """Whether an exclusive create met another request about the object: whether that made it is not known."""
    return code_of(error) in _CONFLICT_CODES


def means_unknown_caller(error: Exception) -> bool:
    """Whether a store does not know the credentials that it was shown, or not any more, or there were none."""
    return code_of(error) in _UNKNOWN_CALLER_CODES or type(error).__name__ in _NO_CREDENTIALS


def means_refused(error: Exception) -> bool:
    """Whether these credentials may not do this."""
    return isinstance(error, PermissionError) or code_of(error) in _PERMISSION_CODES


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
    if code in _EXPIRED_CODES | _NOT_TAKEN_CODES:
        whence = (
            "They are the environment's, a file's or a provider's, which is asked again each time: renew them there."
            if renews
            else "They are in storage_options, and stay as they were when the backend was configured: configure it "
            "with new ones, or leave them out there and let the environment of each process supply them."
        )
        what = "have expired" if code in _EXPIRED_CODES else "have expired, or were never right"
        expired = StorePermissionError(f"{uri}: the credentials {what} ({code}). {whence}", uri=uri)
        expired.retryable = renews
        return expired
    reason = os.strerror(error.errno) if isinstance(error, OSError) and error.errno else code or name
    if isinstance(error, OSError) and error.errno in _NO_ROOM:
        return StoreUnavailableError(f"{uri}: there is no room left ({reason}). Make some, then try again.", uri=uri)
    is_read_only = isinstance(error, OSError) and error.errno == errno.EROFS
    if means_refused(error) or is_read_only or name in _NO_CREDENTIALS:
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
        or any(word in name for word in _UNREACHED)
        or code in _PASSING_CODES | _CONFLICT_CODES
    ):
        return StoreUnavailableError(f"{uri}: the store did not answer ({code or name}). Try again later.", uri=uri)
    if isinstance(error, (AttributeError, TypeError, ValueError)):
        return StoreError(f"{uri}: the store cannot be used ({said}). Check its storage_options.", uri=uri)
    return StoreError(
        f"{uri}: the store cannot be used ({reason}). Check the disk or the service that it is on.", uri=uri
    )


def code_of(error: BaseException | None) -> str:
    """The code that a store's reply carried, found along the chain of causes; empty when there is none."""
    while error is not None:
        response = getattr(error, "response", None)
        if isinstance(response, Mapping):  # botocore's
            return str(response.get("Error", {}).get("Code", ""))
        if found := _azure_code(error) or _google_code(error):
            return found
        error = error.__cause__ or error.__context__
    return ""


def _azure_code(error: BaseException) -> str:
    """The word of a reply of Azure if that is known here, else its status."""
    word, status = getattr(error, "error_code", None), getattr(error, "status_code", None)
    text = str(getattr(word, "value", word))
    is_known = text in _PERMISSION_CODES | _UNKNOWN_CALLER_CODES | _MISSING_CODES | _PASSING_CODES
    return text if is_known else str(status) if isinstance(status, int) else ""


def _google_code(error: BaseException) -> str:
    """The status of a reply of Google's: gcsfs keeps that of most, and tells a 403 in an `OSError` of its own words."""
    if type(error) is OSError and str(error).startswith("Forbidden: "):
        return "403"
    return str(getattr(error, "code", "")) if type(error).__module__ == "gcsfs.retry" else ""
