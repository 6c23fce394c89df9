"""Makes names of objects from texts that users chose."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from typing import Any
from urllib.parse import quote

_LONGEST_NAME = 180
"""Characters of an encoded name that are kept; digest and suffix still fit in the 255 bytes of a file name."""


def object_name(text: str) -> str:
    """A text, such as a run uid, as one part of a key: percent-encoded, never hidden, cut with a digest when long."""
    name = quote(text, safe="-_.~=+@")
    if name.startswith("."):
        name = f"%2E{name[1:]}"
    if len(name) <= _LONGEST_NAME:
        return name
    digest = hashlib.sha256(text.encode()).hexdigest()[:32]
    return f"{name[:_LONGEST_NAME]}%{digest}"


def plain_text(text: Any) -> Any:
    """Text without the user's subclass of `str`, which another process may be unable to import; anything else as is."""
    return str.__str__(text) if isinstance(text, str) else text


def case_twins(names: Iterable[str]) -> Iterator[tuple[str, str]]:
    """Names that differ from an earlier one only in case, which SQL does not see: the earlier one and this."""
    first: dict[str, str] = {}
    for name in names:
        if (twin := first.setdefault(name.casefold(), name)) != name:
            yield twin, name
