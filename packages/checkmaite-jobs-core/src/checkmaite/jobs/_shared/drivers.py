"""Opens fsspec's filesystems, and knows in what those of S3, Google Cloud Storage and Azure differ for `ObjectStore`.

This is the only module that knows fsspec. No driver is imported before its filesystem is opened.
"""

from __future__ import annotations

import inspect
import os
from collections.abc import Mapping
from importlib.util import find_spec
from typing import Any

import fsspec.registry
from attrs import frozen
from checkmaite.jobs._shared.errors import MissingDependencyError, StoreError
from fsspec.implementations.local import LocalFileSystem
from fsspec.registry import known_implementations


@frozen
class Service:
    """A service of objects in buckets.

    Attributes:
        extra: The extra that brings its driver.
        package: The driver.
        credentials: Options of the driver, or of its client, that hold credentials: without them it looks for some
            around it.
    """

    extra: str
    package: str
    credentials: frozenset[str]


_S3 = Service(
    "s3",
    "s3fs",
    frozenset({"key", "secret", "token", "username", "password", "aws_access_key_id", "aws_session_token"}),
)
_GCS = Service("gcs", "gcsfs", frozenset({"token"}))
_AZURE = Service(
    "azure",
    "adlfs",
    frozenset({"account_key", "sas_token", "connection_string", "client_secret", "credential"}),
)
_SERVICES = {"s3": _S3, "s3a": _S3, "gs": _GCS, "gcs": _GCS, "az": _AZURE, "abfs": _AZURE, "abfss": _AZURE}
_WAYS = frozenset({"google_default", "cache", "cloud", "anon", "browser"})
"""What gcsfs takes for `token` that is none: where it shall look for one."""
_OF_ALL = frozenset({"skip_instance_cache", "use_listings_cache", "listings_expiry_time", "max_paths"})
_NEARLY = 0.8


def service_of(scheme: str) -> Service | None:
    """The service that URLs of a scheme are about, if it is one that an extra is for."""
    return _SERVICES.get(scheme)


def check_scheme(uri: str) -> None:
    """See that the filesystem of a path or an fsspec URL is installed here, without importing it.

    Raises:
        ValueError: It is not, or there is none for such URLs; the message says what to do.
    """
    scheme, separator, _ = uri.partition("://")
    if not separator or scheme in fsspec.registry:
        return
    service, known = _SERVICES.get(scheme), known_implementations.get(scheme)
    if service is not None:
        package, brings = service.package, f"checkmaite-jobs[{service.extra}]"
    elif known is not None:
        package = brings = str(known["class"]).partition(".")[0]
    else:
        raise ValueError(f"no filesystem is known for {scheme}:// URLs")
    if find_spec(package) is None:
        raise ValueError(f'{scheme}:// URLs need {package}, which is not installed: pip install "{brings}" brings it')


def opened(uri: str, options: Mapping[str, Any], *, looks_again: bool = False) -> Any:
    """The filesystem of a path or a URL.

    Args:
        uri: The path or the URL.
        options: Given to it.
        looks_again: Whether it shall find its credentials anew: a filesystem of the same options that is open
            already has those that it once found.

    Raises:
        MissingDependencyError: Its driver is not installed.
        StoreError: There is none for such URLs, or it has no such option.
    """
    scheme, separator, _ = uri.partition("://")
    if not separator:
        return LocalFileSystem()
    given = dict(options)
    service = _SERVICES.get(scheme)
    if service is not None:
        # A driver answers from its last listing, without end: an object that came after it would be 'not there'.
        given["use_listings_cache"] = False  # also when the user says otherwise: it would give wrong answers
    if service is _AZURE:
        given.setdefault("anon", False)  # earlier drivers ask as nobody unless told
    if service is _S3 and "endpoint_url" in given:
        client = dict(given.get("client_kwargs") or {})
        given["client_kwargs"] = {"endpoint_url": given.pop("endpoint_url"), **client}
    if looks_again:
        given["skip_instance_cache"] = True
    if service is not None:
        if find_spec(service.package) is None:  # a worker has core, whatever store it has
            raise _missing(scheme, f"checkmaite-jobs-core[{service.extra}]")
        _check_names(uri, fsspec.get_filesystem_class(scheme), service, given)
    elif scheme not in known_implementations and scheme not in fsspec.registry:
        raise StoreError(f"{uri}: no filesystem is known for {scheme}://.", uri=uri)
    try:
        return fsspec.filesystem(scheme, **given)
    except ImportError as error:
        raise _missing(scheme, error.name or scheme) from error


def _missing(scheme: str, requirement: str) -> MissingDependencyError:
    return MissingDependencyError(f"{scheme}:// URLs need a package that is not installed.", requirement=requirement)


def has_credentials(scheme: str, options: Mapping[str, Any]) -> bool:
    """Whether credentials are among the options, so that a process looks for none around it."""
    service = _SERVICES.get(scheme)
    if service is None:
        return False
    names = service.credentials.intersection((*options, *(options.get("client_kwargs") or ())))
    if service is _GCS and names:
        return not _says_where(options.get("token"))
    return bool(names)


def _says_where(token: object) -> bool:
    """Whether gcsfs takes this for the way to a token, or the path of a file with one."""
    return token is None or (
        isinstance(token, str) and (token in _WAYS or os.path.exists(token))  # noqa: PTH110 - a token may be too long for a Path
    )


def creation_options(scheme: str, size: int) -> dict[str, Any]:
    """What makes the creation of an object of so many bytes exclusive; see `ObjectStore.create`."""
    if _SERVICES.get(scheme) is _GCS:
        return {"mode": "create", "chunksize": size + 1}  # one request, which has the condition, whatever its size
    return {"mode": "create"}


def ask_about_bucket(scheme: str, filesystem: Any, bucket: str) -> None:
    """Ask whether there is such a bucket.

    Raises:
        FileNotFoundError: There is none.
        Exception: Whatever else the filesystem raises; whoever may use its objects may perhaps not ask about a bucket.
    """
    if _SERVICES.get(scheme) is _GCS:  # to ask about a bucket is another right than to list what is in it
        filesystem.call("GET", "b/{}/o", bucket, maxResults=1, json_out=True)
    else:
        filesystem.info(bucket)


def _check_names(uri: str, kind: type, service: Service, options: Mapping[str, Any]) -> None:
    """Refuse what is nearly the name of an option: a driver ignores names that it does not know.

    Others are left to it: it passes some on, to its client or to what finds its credentials.
    """
    from difflib import get_close_matches  # slow to import, and needed only once a process

    known = {
        name
        for each in kind.__mro__
        for name, parameter in inspect.signature(each.__init__).parameters.items()  # type: ignore[misc] # of any class
        if parameter.kind in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY) and name != "self"
    }
    for name in options.keys() - known - _OF_ALL:
        for near in get_close_matches(name, sorted(known), n=1, cutoff=_NEARLY):
            said = f"storage_options has {name!r}, which is no option of {service.package}. Did you mean {near!r}?"
            raise StoreError(f"{uri}: {said}", uri=uri)
