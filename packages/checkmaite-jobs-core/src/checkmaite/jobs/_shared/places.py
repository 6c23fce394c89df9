"""Where this process reads and writes documents: the storage options of each place that was configured."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_known: dict[str, Mapping[str, Any]] = {}


def remember_place(uri: str, storage_options: Mapping[str, Any]) -> None:
    """Take note of the options of all that is below a URI; the last word counts."""
    _known[uri.rstrip("/")] = storage_options


def storage_options_of(uri: str) -> Mapping[str, Any]:
    """The options of the innermost known place that holds the URI; none when no place does."""
    places = [place for place in _known if uri.startswith(f"{place}/")]
    return _known[max(places, key=len)] if places else {}
