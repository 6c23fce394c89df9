"""Values that users give: which numbers can be worked with, and how errors show what was given."""

from __future__ import annotations

import math
from operator import index

_SHOWN_BITS = 128


def as_float(value: object) -> float | None:
    """A real number of any kind, NumPy's included, as a float; None for anything else, True and text included."""
    if type(value) is float:
        return value
    from numbers import Real  # not needed for what most users give

    if isinstance(value, bool) or not isinstance(value, Real):
        return None
    try:
        return float(value)
    except OverflowError:
        return -math.inf if value < 0 else math.inf


def as_whole(value: object) -> int | None:
    """A whole number of any kind, NumPy's included, as an int; None for anything else, True and 1.0 included."""
    if type(value) is int:
        return value
    if isinstance(value, bool):
        return None
    try:
        return index(value)  # type: ignore[arg-type]
    except TypeError:
        return None


def is_encodable(text: str) -> bool:
    """Whether a text can leave Python: a lone surrogate, such as a broken file name holds, cannot."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


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
