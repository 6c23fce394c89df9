"""Remembers each configured place, so that this process can read documents and rows by their URIs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

_known: dict[str, Mapping[str, Any]] = {}
_stores: dict[str, Callable[[], Any]] = {}


def remember_place(uri: str, storage_options: Mapping[str, Any]) -> None:
    """Remember the storage options for everything below a URI; a later call replaces an earlier one."""
    _known[uri.rstrip("/")] = storage_options


def remember_store(uri: str, opened: Callable[[], Any]) -> None:
    """Remember how the store with this URI is opened."""
    _stores[uri.rstrip("/")] = opened


def storage_options_of(uri: str) -> Mapping[str, Any]:
    """The options of the innermost known place that holds the URI; none when no place does."""
    place = _innermost(uri, _known)
    return {} if place is None else _known[place]


def store_of(uri: str) -> Any:
    """The innermost known store that holds the URI; None when no store does."""
    place = _innermost(uri, _stores)
    return None if place is None else _stores[place]()


def _innermost(uri: str, places: Mapping[str, object]) -> str | None:
    return max((place for place in places if uri.startswith(f"{place}/")), key=len, default=None)
