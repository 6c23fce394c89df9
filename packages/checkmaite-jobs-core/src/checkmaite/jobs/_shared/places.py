"""Remembers the storage options of each configured place, so that this process can read documents by URI."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_known: dict[str, Mapping[str, Any]] = {}


def remember_place(uri: str, storage_options: Mapping[str, Any]) -> None:
    """Remember the storage options for everything below a URI; a later call replaces an earlier one."""
    _known[uri.rstrip("/")] = storage_options


def storage_options_of(uri: str) -> Mapping[str, Any]:
    """The options of the innermost known place that holds the URI; none when no place does."""
    places = [place for place in _known if uri.startswith(f"{place}/")]
    return _known[max(places, key=len)] if places else {}
