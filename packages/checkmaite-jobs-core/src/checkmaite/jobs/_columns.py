"""Which column type an annotation or a value means, and the value as it is stored."""

from __future__ import annotations

import dataclasses
import types
import typing
from collections.abc import Collection, Mapping
from datetime import UTC, date, datetime
from enum import Enum, StrEnum
from typing import Any, Literal, NewType, Union, get_args, get_origin
from uuid import UUID
from weakref import WeakKeyDictionary

import attrs
from checkmaite.jobs._problems import Problem
from checkmaite.jobs._values import with_article

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


@attrs.frozen
class Cause:
    """Why a value cannot be stored, and what to do."""

    text: str
    remedy: str


_BY_CLASS: Mapping[type, ColumnType] = {
    bool: ColumnType.BOOL,
    int: ColumnType.INT,
    float: ColumnType.FLOAT,
    str: ColumnType.TEXT,
    bytes: ColumnType.BYTES,
    datetime: ColumnType.INSTANT,
    date: ColumnType.DATE,
    UUID: ColumnType.TEXT,
}


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


def inferred_type(value: object, so_far: ColumnType | None) -> ColumnType | None:
    """The type of a column that nothing declares, from one more of its values; floats win over whole numbers."""
    kind = _type_of_class(type(_plain(value)))
    if kind is None:
        return so_far
    if so_far is ColumnType.INT and kind is ColumnType.FLOAT:
        return kind
    return so_far or kind


def stored_value(value: object, kind: ColumnType) -> tuple[Any, Cause | None]:
    """`value` as a column of type `kind` stores it, or the cause why it cannot."""
    plain = _plain(value)
    found = _type_of_class(type(plain))
    match kind, found:
        case ColumnType.FLOAT, ColumnType.INT:
            return float(typing.cast(int, plain)), None
        case ColumnType.INT, ColumnType.INT if plain not in _INT64:
            return None, Cause(f"{plain} does not fit in 64 bits.", "Store it as text or as a float.")
        case ColumnType.INSTANT, ColumnType.INSTANT:
            return _in_utc(typing.cast(datetime, plain))
        case _ if found is kind:
            return (str(plain) if isinstance(plain, UUID) else plain), None
    if found is None:
        return None, Cause(
            f"{with_article(type(value).__name__)} cannot be stored in a flat column.",
            "Store text, numbers, booleans, dates, aware datetimes or bytes; "
            "make nested values columns or tables of their own.",
        )
    return None, Cause(f"{value!r} is {found}, but the column is {kind}.", "Declare and store one type for a column.")


def _in_utc(instant: datetime) -> tuple[datetime | None, Cause | None]:
    if instant.tzinfo is None or instant.utcoffset() is None:
        return None, Cause(
            f"{instant.isoformat()} is naive: it does not say in which time zone it is.",
            "Use an aware datetime, for example datetime.now(UTC).",
        )
    return instant.astimezone(UTC), None


def _plain(value: object) -> object:
    """An enum's value, and a NumPy-like scalar as the Python number it holds."""
    if isinstance(value, Enum):
        return value.value
    if getattr(value, "shape", None) == () and callable(item := getattr(value, "item", None)):
        return item()
    return value


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
    if distinct == {ColumnType.INT, ColumnType.FLOAT}:
        return ColumnType.FLOAT
    if len(distinct) == 1:
        return typing.cast("ColumnType | None", distinct.pop())
    if None in distinct:
        return None
    return Cause(
        f"is declared as one of {', '.join(sorted(str(kind) for kind in distinct))}.",
        "Declare one type for a column.",
    )
