"""Which column type an annotation or a value means, and the value as it is stored."""

from __future__ import annotations

import dataclasses
import math
import types
import typing
from collections.abc import Collection, Iterable, Mapping
from datetime import date, datetime
from enum import Enum, StrEnum
from pathlib import PurePath
from typing import Any, Literal, NewType, Union, get_args, get_origin
from uuid import UUID
from weakref import WeakKeyDictionary

import attrs
from checkmaite.jobs._shared.problems import Problem
from checkmaite.jobs._shared.scalars import Cause, is_nan, text_cause
from checkmaite.jobs._shared.values import shown, with_article

_INT64 = range(-(2**63), 2**63)


class ColumnType(StrEnum):
    """The types a column can have; every column may also be null."""

    BOOL = "bool"
    INT = "int64"
    FLOAT = "float64"
    TEXT = "string"
    BYTES = "bytes"
    DATE = "date"
    INSTANT = "timestamp[us, UTC]"


_BY_CLASS: Mapping[type, ColumnType] = {
    bool: ColumnType.BOOL,
    int: ColumnType.INT,
    float: ColumnType.FLOAT,
    str: ColumnType.TEXT,
    bytes: ColumnType.BYTES,
    datetime: ColumnType.INSTANT,
    date: ColumnType.DATE,
    UUID: ColumnType.TEXT,
    PurePath: ColumnType.TEXT,
}

_FLAT = (
    "Store text, numbers, booleans, dates, aware datetimes or bytes; make nested values columns or tables of their own."
)
_NUMBERS = frozenset({ColumnType.INT, ColumnType.FLOAT})


def declared_columns(record_type: type, *, only: Collection[str]) -> tuple[dict[str, ColumnType], list[Problem]]:
    """Column types that a record class declares for the columns in `only`, and what is wrong with them.

    A mapping declares nothing. An annotation of Any, or none, declares nothing for its column.
    """
    declared: dict[str, ColumnType] = {}
    problems: list[Problem] = []
    for name, kind in _declared(record_type).items():
        if name not in only:
            continue
        if isinstance(kind, ColumnType):
            declared[name] = kind
        elif kind is not None:
            problems.append(Problem(name, kind.text, kind.remedy))
    return declared, problems


_declarations: WeakKeyDictionary[type, Mapping[str, ColumnType | Cause | None]] = WeakKeyDictionary()


def _declared(record_type: type) -> Mapping[str, ColumnType | Cause | None]:
    """What a class declares for its columns: looked up once, as evaluating its annotations takes long."""
    found = _declarations.get(record_type)
    if found is None:
        found = {name: _type_of_annotation(annotation) for name, annotation in _annotations(record_type).items()}
        _declarations[record_type] = found
    return found


def inferred_type(values: Iterable[object]) -> ColumnType | None:
    """The type of a column that nothing declares, from all of its plain values; None when they say nothing.

    Floats win over whole numbers. NaN is a float among numbers and where it is alone; elsewhere it is a missing value.
    """
    found: ColumnType | None = None
    has_nan = False
    for value in values:
        if is_nan(value):
            has_nan = True
            continue
        kind = _type_of_class(type(value))
        found = (merged(found, kind) if found and kind else None) or found or kind
    if has_nan and (found is None or found is ColumnType.INT):
        return ColumnType.FLOAT
    return found


def merged(first: ColumnType, second: ColumnType) -> ColumnType | None:
    """The type of a column that is given both: floats for whole numbers and floats; None when there is no such type."""
    if first is second:
        return first
    return ColumnType.FLOAT if {first, second} == _NUMBERS else None


def stored_value(plain: Any, kind: ColumnType) -> tuple[Any, Cause | None]:
    """A plain value as a column of type `kind` stores it, or the cause why it cannot."""
    if plain is None or (kind not in _NUMBERS and is_nan(plain)):
        return None, None
    if isinstance(plain, Cause):
        return None, plain
    found = _type_of_class(type(plain))
    match kind, found:
        case ColumnType.FLOAT, ColumnType.INT:
            return exact_float(plain)
        case ColumnType.INT, ColumnType.INT if plain not in _INT64:
            return None, Cause(f"{shown(plain)} does not fit in 64 bits.", "Store it as text or as a float.")
        case ColumnType.TEXT, ColumnType.TEXT if cause := text_cause(plain):
            return None, cause
        case _ if found is kind:
            return plain, None
    if found is None:
        return None, unstorable(plain)
    return None, Cause(
        f"{shown(plain)} is {found}, but the column is {kind}.", "Declare and store one type for a column."
    )


def exact_float(number: int) -> tuple[float | None, Cause | None]:
    """A whole number as a float, or the cause why that would be another number."""
    try:
        real = float(number)
    except OverflowError:
        real = math.inf
    if real == number:
        return real, None
    return None, Cause(
        f"{shown(number)} is not exact as a float, and the column holds floats.",
        "Store all of the column's values as floats, or all as whole numbers or text.",
    )


def unstorable(value: object) -> Cause:
    """Why a value of this class has no place in a column."""
    return Cause(f"{with_article(type(value).__name__)} cannot be stored in a flat column.", _FLAT)


def _type_of_class(cls: type) -> ColumnType | None:
    for parent in cls.__mro__:
        if parent in _BY_CLASS:
            return _BY_CLASS[parent]
    return None


def _annotations(record_type: type) -> Mapping[str, Any]:
    if issubclass(record_type, Mapping):
        return {}
    model_fields = getattr(record_type, "model_fields", None)
    if isinstance(model_fields, Mapping):
        return {name: getattr(field, "annotation", Any) for name, field in model_fields.items()}
    try:
        hints = typing.get_type_hints(record_type)
    except NameError:
        hints = {}  # an annotation names something that exists only for type checkers: its column is inferred
    if attrs.has(record_type):
        return {field.name: hints.get(field.name, Any) for field in attrs.fields(record_type)}
    if dataclasses.is_dataclass(record_type):
        return {field.name: hints.get(field.name, Any) for field in dataclasses.fields(record_type)}
    return hints


def _type_of_annotation(annotation: Any) -> ColumnType | Cause | None:
    """The column type, None when nothing is declared, or the cause why the annotation cannot be a column."""
    origin = get_origin(annotation)
    if annotation is Any or isinstance(annotation, (str, typing.TypeVar)):
        return None
    if origin is typing.Annotated:
        return _type_of_annotation(get_args(annotation)[0])
    if isinstance(annotation, NewType):
        return _type_of_annotation(annotation.__supertype__)
    if hasattr(annotation, "__value__"):  # `type X = ...`, from Python 3.12 on
        return _type_of_annotation(annotation.__value__)
    if origin in (Union, types.UnionType):
        return _one_of([_type_of_annotation(arg) for arg in get_args(annotation) if arg is not type(None)])
    if origin is Literal:
        return _one_of([_type_of_class(type(arg)) for arg in get_args(annotation) if arg is not None])
    if isinstance(annotation, type) and origin is None:
        if issubclass(annotation, Enum):
            return _one_of([_type_of_class(type(member.value)) for member in annotation])
        kind = _type_of_class(annotation)
        if kind is not None or annotation is object or _is_scalar_like(annotation):
            return kind
    name = getattr(annotation, "__name__", None) or str(annotation)
    return Cause(
        f"is declared {name}, which is not a flat column.",
        "Declare text, numbers, booleans, dates, datetimes or bytes; "
        "make nested values columns or tables of their own.",
    )


def _is_scalar_like(cls: type) -> bool:
    """Whether values of the class are taken for what they hold, as NumPy's scalars are."""
    return callable(getattr(cls, "item", None)) and hasattr(cls, "shape") and not hasattr(cls, "__setitem__")


def _one_of(kinds: list[Any]) -> ColumnType | Cause | None:
    """The one type that alternatives agree on; whole numbers and floats agree on floats."""
    for kind in kinds:
        if isinstance(kind, Cause):
            return kind
    distinct = set(kinds)
    if distinct == _NUMBERS:
        return ColumnType.FLOAT
    if len(distinct) == 1:
        return typing.cast("ColumnType | None", distinct.pop())
    if None in distinct:
        return None
    return Cause(
        f"is declared as one of {', '.join(sorted(str(kind) for kind in distinct))}.",
        "Declare one type for a column.",
    )
