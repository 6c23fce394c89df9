"""Classes that attrs or dataclasses made: which fields they have, and whether pickle takes just these."""

from __future__ import annotations

import dataclasses
from functools import lru_cache
from typing import Any, cast

import attrs

GENERATORS = ("attr._make", "dataclasses")
"""Modules whose functions are put into such classes."""
_PICKLING = ("__reduce__", "__reduce_ex__", "__getstate__")
_HEAP_TYPE = 1 << 9


def is_field_class(kind: Any) -> bool:
    """Whether a class was made by attrs or dataclasses, and neither it nor its bases say themselves what is pickled."""
    return _is_field_class(kind)


@lru_cache(maxsize=1024)
def _is_field_class(kind: Any) -> bool:
    bases = [each for each in kind.__mro__ if each is not object]
    said = (vars(each)[name] for each in bases for name in _PICKLING if name in vars(each))
    made_in_python = all(each.__flags__ & _HEAP_TYPE for each in bases)  # a list or an array has content beside fields
    made_of_fields = attrs.has(kind) or dataclasses.is_dataclass(kind)
    return made_of_fields and made_in_python and all(getattr(each, "__module__", None) in GENERATORS for each in said)


def field_names(kind: Any) -> tuple[str, ...]:
    """The fields of such a class."""
    return _field_names(kind)


@lru_cache(maxsize=1024)
def _field_names(kind: Any) -> tuple[str, ...]:
    fields = attrs.fields(cast("Any", kind)) if attrs.has(kind) else dataclasses.fields(cast("Any", kind))
    return tuple(item.name for item in fields)
