"""The run key that earlier versions computed, so that their completed jobs are still found.

That key was made from JSON of the config, which left out the names of classes, a subclass's fields in a pydantic field
declared with its base, and what told inf, nan and None apart in a field of any type. So it stands for a config without
doubt only where the declared types leave one possibility.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import types
import typing
from collections.abc import Iterator, Mapping
from enum import Enum
from functools import lru_cache
from pathlib import PurePath
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import attrs
from attrs import frozen
from checkmaite.jobs._submitters.fingerprint import each_given, field_names, id_of

_json = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode
_UNDECLARED: Any = object()
_PLAIN = frozenset({str, int, float, bool, type(None)})


@frozen(kw_only=True)
class FormerKey:
    """The key of a run in earlier versions.

    Attributes:
        value: The key.
        doubt: Why another config may have had the same key; empty when none can.
    """

    value: str
    doubt: str = ""


def former_key(
    capability: Any, *, models: object, datasets: object, metrics: object, config: object
) -> FormerKey | None:
    """The key that earlier versions made of a run's config and ids; None if they refused it."""
    plain = type(config) is dict and {*map(type, config)} <= {str} and {*map(type, config.values())} <= _PLAIN
    try:
        identity = {
            "capability_id": capability.id,
            "config": config if plain else _canonical(config),
            "datasets": [id_of(each) for _, each in each_given("datasets", datasets)],
            "metrics": [id_of(each) for _, each in each_given("metrics", metrics)],
            "models": [id_of(each) for _, each in each_given("models", models)],
        }
        value = hashlib.sha256(_json(identity).encode()).hexdigest()
    except Exception:  # noqa: BLE001 - whatever a model raises when it is written, that made earlier versions refuse the run
        return None
    if plain:  # as most are: there is one way to write it
        return FormerKey(value=value)
    declared = _hints(getattr(type(capability), "run", None)).get("config", _UNDECLARED)
    return FormerKey(value=value, doubt=next(_doubts(config, declared, "config"), ""))


def _canonical(value: object) -> Any:
    """A config as earlier versions wrote it.

    Raises:
        TypeError: They refused it.
    """
    if value is None or isinstance(value, (bool, int, float, str)):
        return value.value if isinstance(value, Enum) else value
    if isinstance(value, Enum):
        return _canonical(value.value)
    if isinstance(value, Mapping):
        if not all(isinstance(key, str) for key in value):
            raise TypeError
        return {key: _canonical(each) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [_canonical(each) for each in value]
    if isinstance(value, (set, frozenset)):
        return sorted((_canonical(each) for each in value), key=lambda each: json.dumps(each, sort_keys=True))
    if attrs.has(type(value)) or dataclasses.is_dataclass(value):
        return {name: _canonical(getattr(value, name)) for name in field_names(type(value))}
    dump = getattr(value, "model_dump", None)
    if callable(dump) and not isinstance(value, type):
        return _canonical(dump(mode="json"))
    raise TypeError


def _doubts(value: Any, declared: Any, path: str, *, dumped: bool = False) -> Iterator[str]:
    """What else may have had the same JSON, if anything.

    Args:
        value: A part of the config.
        declared: The type that is declared for its place.
        path: Its place.
        dumped: Whether pydantic wrote it, which writes values of many types as text or as null.
    """
    kind: Any = type(value)
    if not dumped and kind in _PLAIN:
        return
    declared = _without_none(declared)
    if isinstance(value, Enum) or attrs.has(kind) or dataclasses.is_dataclass(value) or hasattr(kind, "model_dump"):
        if declared is not kind or kind.__subclasses__():
            yield f"{path} is a {kind.__name__}, whose name the key of earlier versions left out"
        elif not isinstance(value, Enum):
            yield from _field_doubts(value, path)
    elif isinstance(value, Mapping):
        inside = get_args(declared)[1] if len(get_args(declared)) == 2 else _UNDECLARED
        for key, each in value.items():
            yield from _doubts(each, inside, f"{path}.{key}", dumped=dumped)
    elif isinstance(value, (list, tuple, set, frozenset)):
        inside = get_args(declared)[0] if get_args(declared) else _UNDECLARED
        for index, each in enumerate(value):
            yield from _doubts(each, inside, f"{path}[{index}]", dumped=dumped)
    elif dumped and not _is_declared(value, declared):
        yield f"{path} is declared so that other values may have been written in the same way"


def _field_doubts(value: Any, path: str) -> Iterator[str]:
    kind: Any = type(value)
    hints = _hints(kind)
    if not hasattr(kind, "model_dump"):
        for name in field_names(kind):
            yield from _doubts(getattr(value, name), hints.get(name, _UNDECLARED), f"{path}.{name}")
        return
    written = getattr(kind, "__pydantic_decorators__", None)
    if written is None or written.field_serializers or written.model_serializers:
        yield f"{path} is a {kind.__name__}, which says itself how it is written"
    elif (
        value.__pydantic_private__
        or value.__pydantic_extra__
        or any(item.exclude for item in kind.__pydantic_fields__.values())
    ):
        yield f"{path} is a {kind.__name__} with values that the key of earlier versions may have left out"
    else:
        for name in kind.__pydantic_fields__:
            yield from _doubts(getattr(value, name), hints.get(name, _UNDECLARED), f"{path}.{name}", dumped=True)


def _is_declared(value: Any, declared: Any) -> bool:
    """Whether a declared type is a value's own, or None alone stands for null there."""
    if value is None:
        return declared is not _UNDECLARED and declared not in (Any, object)
    if get_origin(declared) is Literal:
        return value in get_args(declared)
    return declared is type(value) or (isinstance(value, PurePath) and declared in type(value).__mro__)


def _without_none(declared: Any) -> Any:
    """What ``T | None``, ``Optional[T]`` or an annotated T declares: T. Another union declares nothing for sure."""
    while get_origin(declared) is Annotated:
        declared = get_args(declared)[0]
    if get_origin(declared) not in (Union, types.UnionType):
        return declared
    inside = [each for each in get_args(declared) if each is not type(None)]
    return _without_none(inside[0]) if len(inside) == 1 else _UNDECLARED


@lru_cache(maxsize=256)
def _hints(declaring: Any) -> Mapping[str, Any]:
    """The declared types of a class's fields, or of a function's parameters."""
    try:
        return typing.get_type_hints(declaring)
    except Exception:  # noqa: BLE001 - names that are only there for type checkers; then nothing is declared
        return {}
