"""What classes declare of their fields, held against what is read.

A checksum says that an object is as it was written, not that this project wrote it. A value of another kind would be
met long after its row was read, by whoever shows the job, and nobody could tell where it came from.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from datetime import UTC, datetime
from math import isfinite
from sys import intern
from types import NoneType, UnionType
from typing import Any, Union, get_args, get_origin

_KINDS: Mapping[Any, frozenset[type]] = {
    str: frozenset({str}),
    bool: frozenset({bool}),
    int: frozenset({int}),
    float: frozenset({int, float}),  # JSON of other programs, and of users who say 1 for 1.0
    NoneType: frozenset({NoneType}),
}
_FIRST, _LAST = datetime(1900, 1, 1, tzinfo=UTC).timestamp(), datetime(9999, 1, 1, tzinfo=UTC).timestamp()


def kinds_of(declared: Any) -> frozenset[type] | None:
    """The classes that JSON values of a declared type have; None where it says more than JSON can."""
    several = get_args(declared) if get_origin(declared) in (Union, UnionType) else (declared,)
    kinds = [_KINDS.get(each) for each in several]
    return None if None in kinds else frozenset(kind for each in kinds for kind in each or ())


def without_none(declared: Any) -> tuple[Any, bool]:
    """What a type says beside None, and whether it says None."""
    if get_origin(declared) not in (Union, UnionType):
        return declared, declared is Any
    others = tuple(each for each in get_args(declared) if each is not NoneType)
    return Union[others], len(others) < len(get_args(declared))  # noqa: UP007 - of as many as there are


def check_all(values: Collection[Any], kinds: frozenset[type]) -> None:
    """See that all values are of these classes, and that numbers are some.

    Raises:
        ValueError: One is not.
    """
    found = {*map(type, values)}
    if not found <= kinds or (float in found and not all(isfinite(each) for each in values if each is not None)):
        strange = next(
            each for each in values if type(each) not in kinds or (type(each) is float and not isfinite(each))
        )
        raise ValueError(f"{strange!r:.80} is no {' or '.join(sorted(kind.__name__ for kind in kinds))}")


def checked(kinds: frozenset[type]) -> Callable[[Any], Any]:
    """A function that gives a value of these classes back.

    It raises a ValueError for every other one.
    """

    def value(said: Any) -> Any:
        if type(said) not in kinds or type(said) is float:
            check_all((said,), kinds)
        return said

    return value


def checked_mapping(kinds: frozenset[type] | None) -> Callable[[Any], Any]:
    """Likewise for a mapping with such values; of anything when None."""

    def value(said: Any) -> Any:
        if type(said) is not dict:
            raise ValueError(f"{said!r:.80} is no mapping")
        if kinds is not None:
            check_all(said.values(), kinds)
        return said

    return value


def texts(said: Any) -> tuple[str, ...]:
    """Texts, in order.

    Raises:
        ValueError: It is something else.
    """
    if not isinstance(said, (list, tuple)):
        raise ValueError(f"{said!r:.80} is no list of texts")
    check_all(said, _KINDS[str])
    return tuple(said)


def text(said: Any) -> str:
    """A text that many values have in common.

    Raises:
        ValueError: It is something else.
    """
    if type(said) is not str:
        raise ValueError(f"{said!r:.80} is no text")
    return intern(said)


def count(said: Any) -> int:
    """How many there are of something, as a column of a table can hold it.

    Raises:
        ValueError: It is something else.
    """
    if type(said) is not int or not 0 <= said < 2**63:
        raise ValueError(f"{said!r:.80} is no count")
    return said


def seconds(said: Any) -> float:
    """An instant, in seconds since the epoch.

    Raises:
        ValueError: It is none that a calendar has.
    """
    if type(said) not in _KINDS[float] or not _FIRST < said < _LAST:
        raise ValueError(f"{said!r:.80} is no instant")
    moment: float = said
    return moment


def instant(said: Any) -> datetime:
    """The instant itself.

    Raises:
        ValueError: It is none that a calendar has.
    """
    return datetime.fromtimestamp(seconds(said), UTC)
