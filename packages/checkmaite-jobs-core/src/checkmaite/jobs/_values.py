"""Values that users give: which numbers can be worked with, and how errors show what was given."""

from __future__ import annotations

import math

_SHOWN_BITS = 128


def is_finite(value: float) -> bool:
    """Whether a number is one that JSON and clocks know: neither NaN nor infinite, nor too large for a float."""
    try:
        return math.isfinite(value)
    except OverflowError:
        return False


def shown(value: object) -> str:
    """A value as an error may show it: never the content of a container, which may hold secrets."""
    if isinstance(value, int) and value.bit_length() > _SHOWN_BITS:
        return f"a number of {value.bit_length()} bits"
    text = repr(value) if isinstance(value, (bool, int, float)) or value is None else type(value).__name__
    return f"the text {value!r}" if isinstance(value, str) and len(value) <= 40 else text


def with_article(noun: str) -> str:
    """A noun as an error names one of its kind: ``an int``, ``a list``."""
    return f"{'an' if noun[:1].lower() in set('aeio') else 'a'} {noun}"
