"""One value of a record as plain Python: what frameworks put around numbers, texts and 'missing' is taken off.

NumPy and pandas are looked at only where they are loaded already, so a process without them imports neither.
"""

from __future__ import annotations

import sys
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from enum import Enum
from pathlib import PurePath
from typing import Any
from uuid import UUID

from attrs import frozen

_NOWHERE = object()
_MISSING = (("pandas", "NA"), ("pandas", "NaT"), ("numpy.ma", "masked"))
_PLAIN = frozenset({str, int, float, bool, bytes, type(None), date})


@frozen
class Cause:
    """Why a value cannot be stored, and what to do."""

    text: str
    remedy: str


def plain_value(value: object) -> Any:
    """A value as plain Python, None when it means 'missing', or the cause why it can never be stored.

    An enum is its value, a path or UUID its text, a NumPy-like scalar the number that it holds. What NumPy and pandas
    call 'missing' is None; NaN stays, for in a column of numbers it is a value.
    """
    if type(value) in _PLAIN:
        return value
    if isinstance(value, Enum):
        return plain_value(value.value)
    if _is_missing(value):
        return None
    if isinstance(value, (PurePath, UUID)):
        return str(value)
    if isinstance(value, datetime):
        return _instant(value)
    if isinstance(value, timedelta):
        return Cause("is a duration, which no column holds.", "Store its seconds: value.total_seconds().")
    if isinstance(value, Decimal):
        return Cause(
            "is a Decimal, which no column keeps exactly.", "Store float(value), or str(value) to keep every digit."
        )
    if getattr(value, "shape", None) == () and callable(item := getattr(value, "item", None)):
        return _item(value, item())
    return str.__str__(value) if isinstance(value, str) else value


def is_nan(value: object) -> bool:
    """Whether a plain value is the float NaN."""
    return isinstance(value, float) and value != value


def text_cause(text: str) -> Cause | None:
    """Why a text cannot be stored; None when it can."""
    if text.isascii():
        return None
    try:
        text.encode()
    except UnicodeEncodeError as error:
        return Cause(
            f"holds a lone surrogate (at {error.start}), which is half a character and has no UTF-8.",
            'Mend the text: text.encode("utf-8", "replace").decode().',
        )
    return None


def _item(value: object, item: object) -> Any:
    """What a NumPy-like scalar holds. Its `item` gives a bare integer for dates and durations of nanoseconds."""
    kind = getattr(getattr(value, "dtype", None), "kind", "")
    if kind not in ("M", "m"):
        return item if type(item) is type(value) else plain_value(item)
    if item is None:  # NumPy's NaT
        return None
    if kind == "m":
        return Cause("is a duration, which no column holds.", "Store its seconds: value / numpy.timedelta64(1, 's').")
    if isinstance(item, date) and not isinstance(item, datetime):
        return item
    return Cause(
        "is a NumPy datetime, which does not say in which time zone it is.",
        'Say which: pandas.Timestamp(value, tz="UTC"), or a datetime with tzinfo=UTC.',
    )


def _instant(value: datetime) -> datetime | Cause:
    """An aware datetime in UTC, of the standard library's class."""
    if value.tzinfo is None or value.utcoffset() is None:
        return Cause(
            f"{value.isoformat()} is naive: it does not say in which time zone it is.",
            "Use an aware datetime, for example datetime.now(UTC).",
        )
    if getattr(value, "nanosecond", 0):
        return Cause(
            f"{value.isoformat()} has nanoseconds, but a column keeps microseconds.", 'Round it: value.floor("us").'
        )
    try:
        there = value.astimezone(UTC)
    except (OverflowError, ValueError):
        return Cause(f"{value.isoformat()} is in UTC outside the years 1 to 9999.", "Store it as text.")
    if type(there) is not datetime:
        there = datetime.combine(there.date(), there.time(), tzinfo=UTC)
    return there


def _is_missing(value: object) -> bool:
    """Whether it is `pandas.NA`, `pandas.NaT` or `numpy.ma.masked`: each is one object, and most lie about equality."""
    return any(value is getattr(sys.modules.get(module), name, _NOWHERE) for module, name in _MISSING)
