"""The one cattrs converter: strict, because it reads what a user wrote."""

from __future__ import annotations

import os
from collections.abc import Mapping
from functools import cache
from typing import TYPE_CHECKING, Any, TypeVar

from checkmaite.jobs._shared.keys import KeyPlace, SecretText
from checkmaite.jobs._shared.values import is_finite, shown

if TYPE_CHECKING:
    from cattrs import Converter

T = TypeVar("T")


def _strict_bool(value: object, _: type) -> bool:
    if not isinstance(value, bool):
        raise TypeError(f"expected True or False, got {shown(value)}")
    return value


def _strict_int(value: object, _: type) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"expected a whole number, got {shown(value)}")
    return value


def _strict_float(value: object, _: type) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise TypeError(f"expected a number, got {shown(value)}")
    if not is_finite(value):
        raise ValueError(f"{shown(value)} is not a finite number")
    return float(value)


def _strict_str(value: object, _: type) -> str:
    if isinstance(value, os.PathLike):
        value = os.fspath(value)
    if not isinstance(value, str):
        raise TypeError(f"expected text, got {shown(value)}")
    return value


def _strict_mapping(value: object, _: type) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        # Only its type: where a mapping is expected, a text may be a secret.
        raise TypeError(f"expected a mapping, got {type(value).__name__}")
    if unnamed := [key for key in value if not isinstance(key, str)]:
        raise TypeError(f"expected text keys, got {unnamed[0]!r}")
    return dict(value)


@cache
def _converter() -> Converter:
    from cattrs import Converter  # a fifth of the import, needed only once something is configured

    converter = Converter(forbid_extra_keys=True, detailed_validation=False)
    converter.register_structure_hook(bool, _strict_bool)
    converter.register_structure_hook(int, _strict_int)
    converter.register_structure_hook(float, _strict_float)
    converter.register_structure_hook(str, _strict_str)
    converter.register_structure_hook_func(lambda kind: kind == Mapping[str, Any], _strict_mapping)
    for kind in (KeyPlace, SecretText):
        converter.register_structure_hook(kind, lambda value, kind: kind.from_given(value))
    return converter


def structure(value: object, kind: type[T]) -> T:
    """`value`, made of builtins, as a `kind`. Nothing is coerced: text is not a number, 1 is not True.

    Raises:
        TypeError, ValueError, KeyError: It does not fit.
    """
    return _converter().structure(value, kind)
