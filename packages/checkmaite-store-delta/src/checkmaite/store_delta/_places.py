"""What callers pass: where a Delta store can be, and what the deltalake library calls fsspec's options. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from checkmaite.jobs import ArgumentError, ConfigurationError, Problem
from checkmaite.jobs.spi import check_place, is_finite, shown, usable_uri
from checkmaite.store_delta import _azure, _google

_SCHEMES = ("file", "local", "s3", "s3a", "gs", "gcs", "az", "abfs", "abfss")
_SERVICES = {"s3": "s3", "s3a": "s3", "gs": "google", "gcs": "google", "az": "azure", "abfs": "azure", "abfss": "azure"}
_S3 = {
    "key": "aws_access_key_id",
    "secret": "aws_secret_access_key",
    "token": "aws_session_token",
    "endpoint_url": "aws_endpoint_url",
    "region_name": "aws_region",
    "anon": "aws_skip_signature",
}
_FINDING = frozenset({"profile"})
"""Options of fsspec that say where credentials are: the library is told what is found there."""
_READING_ONLY = frozenset({"default_block_size", "default_cache_type", "default_fill_cache", "use_listings_cache"})
"""Options of fsspec that are about how it reads; the library reads in its own way."""

_KNOWN = {
    "s3": frozenset(_S3) | _FINDING,
    "google": _google.SAID | _google.UNHEARD,
    "azure": _azure.SAID | _azure.UNHEARD | _azure.FINDING,
}
_PROBLEMS = {"google": _google.google_problems, "azure": _azure.azure_problems}

DEFAULT_GRACE_S = 24 * 3600.0
_SHORTEST_GRACE_S = 2 * 3600
"""Twice as long as an attempt may take."""


def check_grace(grace_s: object) -> None:
    """Refuse a grace in which a reader, a writer or a compactor may be at work.

    Raises:
        ArgumentError: It is too short, or no number.
    """
    if (
        isinstance(grace_s, bool)
        or not isinstance(grace_s, (int, float))
        or not is_finite(grace_s)
        or grace_s < _SHORTEST_GRACE_S
    ):
        remedy = f"Pass {_SHORTEST_GRACE_S} or more, or leave it out for a day."
        raise ArgumentError("Nothing was deleted.", [Problem("grace_s", f"{shown(grace_s)} is no such time.", remedy)])


def service_of(uri: str) -> str | None:
    """The service that a URI is about, ``s3``, ``google`` or ``azure``; None for a folder."""
    scheme, separator, _ = uri.partition("://")
    return _SERVICES.get(scheme) if separator else None


def library_uri(uri: str) -> str:
    """A URI as the library knows it: to fsspec Google's has a second name."""
    scheme, separator, rest = uri.partition("://")
    return f"gs://{rest}" if separator and scheme == "gcs" else uri


def usable_place(instance: object, attribute: Any, value: str) -> None:
    """An option's validator: the text is a path, or a URL that both fsspec and the deltalake library know.

    Raises:
        ValueError: It is not.
    """
    scheme, separator, _ = value.partition("://")
    if separator and scheme not in _SCHEMES:
        raise ValueError(f"the deltalake library knows no {scheme}:// URLs; it knows {', '.join(_SCHEMES)}")
    usable_uri(instance, attribute, value)


def check_delta_place(uri: object, storage_options: object, delta_options: object) -> None:
    """Refuse what cannot be a store's place.

    Raises:
        ConfigurationError: It is of the wrong kind, or there can be no store.
    """
    check_place(uri, storage_options)
    problems = []
    try:
        usable_place(None, None, str(uri))
    except ValueError as error:
        problems.append(Problem("uri", f"{error}.", "Pass a folder, or another URL."))
    if delta_options is not None and not isinstance(delta_options, Mapping):
        cause = f"expected a mapping, got {type(delta_options).__name__}."  # a text may be a secret
        problems.append(Problem("delta_options", cause, 'Pass, for example, {"timeout": "30s"}.'))
    elif wrong := [name for name, value in dict(delta_options or {}).items() if not _is_text(name, value)]:
        cause = f"the library takes texts, which {shown(wrong[0])} or its value is not."
        problems.append(Problem("delta_options", cause, 'Pass, for example, {"timeout": "30s"}.'))
    service = service_of(uri) if isinstance(uri, str) else None
    if service is not None:
        given: Any = storage_options
        options = _flat(given) if service == "s3" else dict[str, Any](given or {})
        problems += [
            Problem(
                f"storage_options.{name}",
                "is an option of fsspec alone, so that the deltalake library would do without it.",
                "Say it in delta_options as the library calls it, and leave it out here.",
            )
            for name in options
            if name not in _KNOWN[service] | _READING_ONLY and not (service == "azure" and name.startswith("exclude_"))
        ]
        if service in _PROBLEMS:
            problems += _PROBLEMS[service](options)
    if problems:
        raise ConfigurationError("The store cannot be opened.", problems)


def delta_options_of(uri: str, storage_options: Any, delta_options: Mapping[str, str] | None) -> dict[str, str]:
    """The options of the library: those of fsspec in its words, then its own.

    Credentials that are not among them each process finds for itself, see `FoundOptions`.
    """
    found: dict[str, str] = {}
    if service_of(uri) == "s3":
        for name, value in _flat(storage_options).items():
            if name in _S3 and value is not None:
                found[_S3[name]] = str(value).lower() if isinstance(value, bool) else str(value)
        if (endpoint := found.get("aws_endpoint_url")) is not None:
            found.setdefault("aws_region", "us-east-1")  # which servers like S3 do not ask for, and the library does
            if endpoint.startswith("http://"):
                found["aws_allow_http"] = "true"
    return {**found, **(delta_options or {})}


def profile_of(storage_options: Any) -> str | None:
    """The profile whose credentials are meant, if one was named."""
    return _flat(storage_options).get("profile")


def _flat(storage_options: Any) -> dict[str, Any]:
    given = dict(storage_options or {})
    return {**given.pop("client_kwargs", {}), **given}


def _is_text(name: object, value: object) -> bool:
    return isinstance(name, str) and isinstance(value, str)
