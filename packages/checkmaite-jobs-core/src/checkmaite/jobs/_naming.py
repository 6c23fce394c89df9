"""Texts of users as names of objects: no I/O."""

from __future__ import annotations

import hashlib
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
