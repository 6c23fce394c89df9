"""How each kind of object is taken apart: what equal objects have in common, in every process."""

from __future__ import annotations

import copyreg
import functools
import inspect
import types
from abc import ABCMeta
from collections.abc import Callable, Iterator, Mapping
from enum import Enum
from pathlib import PurePath
from typing import Any

from checkmaite.jobs._shared.staged import Staged
from checkmaite.jobs._shared.values import with_article
from checkmaite.jobs._submitters.fingerprint.arrays import array_case
from checkmaite.jobs._submitters.fingerprint.field_classes import field_names, is_field_class
from checkmaite.jobs._submitters.fingerprint.functions import code_steps, function_steps, global_name, type_steps
from checkmaite.jobs._submitters.fingerprint.hashing import SLICE, content, node
from checkmaite.jobs._submitters.fingerprint.paths import MOST_VALUES, names_some
from checkmaite.jobs._submitters.fingerprint.pickled import (
    Pickled,
    attribute_parts,
    paired_parts,
    reduced_steps,
    static_attribute,
)
from checkmaite.jobs._submitters.fingerprint.referred import UNREAD, Referring, attribute, referring_steps
from checkmaite.jobs._submitters.fingerprint.walk import Opaque, Steps, Walk, loaded, named

_GIVEN_KEYS = ("fingerprint", "digest", "sha256")
_OF_THREADS = ("threading", "queue", "concurrent.futures.thread")
"""Modules whose objects are changed by whoever waits for them."""


def case_of(value: Any, walk: Walk) -> Steps:
    """The steps of an object: the first case that fits."""
    exact = _EXACT.get(type(value))
    if exact is not None:
        return exact(value, walk)
    if isinstance(value, type):
        return type_steps(value, walk)
    return _given(value, walk) or _structural(value, walk)


class _Ordinary:
    """What has attributes and nothing else."""


_PICKLING = ("__reduce_ex__", "__reduce__", "__getstate__", "__getattribute__")
_SAY_MORE = (
    *("__getnewargs__", "__getnewargs_ex__", "__dask_tokenize__", "__getattr__"),
    *("fingerprint", "metadata", "state_dict"),
)
"""Where a class has one of these, more than an object's class and attributes may say what its content is."""


def is_ordinary(kind: Any) -> bool:
    """Whether two objects of a class with the same attributes have the same content."""
    return (
        type(kind) in (type, ABCMeta)
        and kind.__basicsize__ == _Ordinary.__basicsize__
        and kind.__itemsize__ == 0
        and kind.__dictoffset__ != 0
        and all(getattr(kind, name, None) is getattr(object, name, None) for name in _PICKLING)
        and kind not in copyreg.dispatch_table
        and not any(hasattr(kind, name) for name in _SAY_MORE)
    )


def _given(value: Any, walk: Walk) -> Steps | None:
    """The steps of an object that says itself, or whose metadata say, what its content is."""
    own = getattr(type(value), "fingerprint", None)
    if callable(own) and _takes_nothing(own):
        return _own_steps(value, value.fingerprint)
    metadata = _attribute(value, "metadata")
    if isinstance(metadata, Mapping):
        for key in _GIVEN_KEYS:
            said = metadata.get(key)
            if isinstance(said, (str, bytes, int)) and said:
                return _told_steps(value, "metadata", said)
    token = getattr(type(value), "__dask_tokenize__", None)
    if callable(token):
        return _own_steps(value, value.__dask_tokenize__, any_value=True)
    return None


def _takes_nothing(method: Callable[..., Any]) -> bool:
    try:
        inspect.signature(method).bind(None)
    except (TypeError, ValueError):
        return False
    return True


def _attribute(value: Any, name: str) -> Any:
    try:
        return getattr(value, name, None)
    except Exception:  # noqa: BLE001 - a property of the user's may raise anything; then it says nothing
        return None


def _own_steps(value: Any, ask: Callable[[], Any], *, any_value: bool = False) -> Steps:
    said = ask()
    if not any_value and not isinstance(said, (str, bytes, int)):
        raise Opaque(f"{named(value)}, whose {ask.__name__}() returned {with_article(type(said).__name__)}")
    return (yield from _told_steps(value, ask.__name__, said))


def _told_steps(value: Any, source: str, said: Any) -> Steps:
    kind = yield ".__class__", type(value)
    return node(f"told by {source}", [kind, (yield f".{source}", said)])


def _structural(value: Any, walk: Walk) -> Steps:
    if type(value).__module__ in _OF_THREADS:
        raise Opaque(f"{named(value)}, which is of this process alone")
    if isinstance(value, Enum):
        return _enum_steps(value)
    if isinstance(value, PurePath):
        return _path_steps(value)
    array = array_case(value, walk)
    if array is not None:
        return array
    model = loaded("pydantic", "BaseModel")
    if isinstance(value, model) and _is_pickled_as(value, model):
        return _model_steps(value, walk)
    if is_field_class(type(value)):
        return _record_steps(value, walk)
    if callable(getattr(type(value), "state_dict", None)):
        return _stateful_steps(value)
    return reduced_steps(value, walk)


def _sequence_steps(value: Any, walk: Walk) -> Steps:
    parts: list[bytes] = []
    if len(value) > SLICE:
        for start in range(0, len(value), SLICE):
            parts += [(yield f"[{start}:]", value[start : start + SLICE])]
        return node(f"long {type(value).__name__}", parts)
    for index, each in enumerate(value):
        known = walk.quick(each)
        parts.append((yield index, each) if known is None else known)
    return node(type(value).__name__, parts)


def _set_steps(value: Any, walk: Walk) -> Steps:
    parts: list[bytes] = []
    for each in value:
        known = walk.quick(each)
        parts.append((yield "{...}", each) if known is None else known)
    return node(type(value).__name__, sorted(parts))


def _mapping_steps(value: Any, walk: Walk) -> Steps:
    """Keys first, so that values are met in an order that does not depend on the order of insertion."""
    if walk.refers and len(value) > MOST_VALUES and names_some(value):
        walk.tell_unread(UNREAD)
    return node("dict", (yield from paired_parts(value.items(), walk)))


def _enum_steps(value: Enum) -> Steps:
    kind = yield ".__class__", type(value)
    return node("enum", [kind, str(value.name).encode(), (yield ".value", value.value)])


def _path_steps(value: PurePath) -> Steps:
    """A path stands for its text, and what it names is not read. Its class has moved between versions of Python."""
    return node("path", [type(value).__name__.encode(), str(value).encode("utf-8", "surrogateescape")])
    yield


def _model_steps(value: Any, walk: Walk) -> Steps:
    """A pydantic model: its fields, also those of a subclass, its extra and its private attributes."""
    kind = yield ".__class__", type(value)
    fields = type(value).__pydantic_fields__
    named = {name: each for name, each in vars(value).items() if name in fields}
    parts = yield from attribute_parts(named, type(value), walk)
    extra = yield ".model_extra", value.__pydantic_extra__ or {}
    private = yield from attribute_parts(value.__pydantic_private__ or {}, type(value), walk)
    return node("model", [kind, *parts, extra, node("private", private)])


def _record_steps(value: Any, walk: Walk) -> Steps:
    """An object of attrs or a dataclass: its fields, and what was set on it beside them."""
    kind = yield ".__class__", type(value)
    found = {name: getattr(value, name) for name in field_names(type(value)) if hasattr(value, name)}
    parts = yield from attribute_parts({**getattr(value, "__dict__", {}), **found}, type(value), walk)
    return node("record", [kind, *parts])


def _stateful_steps(value: Any) -> Steps:
    """An object with ``state_dict()``: its entries by name, and what else pickle takes, such as sizes and modes."""
    kind = yield ".__class__", type(value)
    parts = [kind]
    if not _is_plain_module(value):
        state = value.state_dict()
        parts.append((yield ".state_dict()", dict(state) if isinstance(state, Mapping) else state))
    return node("stateful", [*parts, (yield "", Pickled(value))])


def _is_plain_module(value: Any) -> bool:
    """Whether pickle takes all that ``state_dict()`` would give: of a torch module that overrides nothing, it does."""
    module = loaded("torch.nn", "Module")
    if not isinstance(value, module) or not isinstance(vars(value).get("_parameters"), dict):  # compiled to TorchScript
        return False
    return _agrees(value, module, "state_dict") and _is_pickled_as(value, module)


def _is_pickled_as(value: Any, base: Any) -> bool:
    """Whether pickle takes of an object what it takes of those of a base: no class has changed that."""
    return _agrees(value, base, "__getstate__", "__reduce__", "__reduce_ex__")


def _agrees(value: Any, base: Any, *names: str) -> bool:
    """Whether an object has what its base has under these names."""
    return all(static_attribute(type(value), name) is static_attribute(base, name) for name in names)


def _bare(value: Any, walk: Walk) -> Steps:
    raise Opaque("a bare object, which has no content")
    yield


def _buffer(value: Any, walk: Walk) -> Steps:
    return content(type(value).__name__, bytes(value), walk.pace)
    yield


def _method_steps(value: Any, walk: Walk) -> Steps:
    return node("method", [(yield ".__self__", value.__self__), (yield ".__func__", value.__func__)])


def _module_steps(value: types.ModuleType, walk: Walk) -> Steps:
    walk.modules.add(value.__name__)
    return node("module", [value.__name__.encode()])
    yield


def _property_steps(value: property, walk: Walk) -> Steps:
    return node("property", [(yield ".fget", value.fget), (yield ".fset", value.fset), (yield ".fdel", value.fdel)])


def _wrapping_steps(value: Any, walk: Walk) -> Steps:
    return node(type(value).__name__, [(yield ".__wrapped__", value.__wrapped__)])


def _cached_property_steps(value: functools.cached_property[Any], walk: Walk) -> Steps:
    return node("cached_property", [(yield ".func", value.func)])


def _partial_steps(value: functools.partial[Any], walk: Walk) -> Steps:
    parts = [(yield ".func", value.func)]
    for index, each in enumerate(value.args):
        parts.append((yield index, attribute(each, walk)))
    keywords = yield from paired_parts(value.keywords.items(), walk)
    return node("partial", [*parts, node("keywords", keywords), (yield ".__dict__", dict(vars(value)))])


def _proxy_steps(value: Mapping[Any, Any], walk: Walk) -> Steps:
    return node("mappingproxy", [(yield "", dict(value))])


def _cell_steps(value: types.CellType, walk: Walk) -> Steps:
    try:
        inside = value.cell_contents
    except ValueError:
        return b"-"
    return node("cell", [(yield "", attribute(inside, walk))])


def _dict_view(value: Any, walk: Walk) -> Iterator[Any]:
    return _sequence_steps(list(value), walk)


_EXACT: dict[type, Callable[[Any, Walk], Steps]] = {
    list: _sequence_steps,
    tuple: _sequence_steps,
    set: _set_steps,
    frozenset: _set_steps,
    dict: _mapping_steps,
    types.MappingProxyType: _proxy_steps,
    bytearray: _buffer,
    memoryview: _buffer,
    object: _bare,
    types.FunctionType: function_steps,
    types.BuiltinFunctionType: global_name,
    types.CodeType: code_steps,
    types.MethodType: _method_steps,
    types.ModuleType: _module_steps,
    types.CellType: _cell_steps,
    property: _property_steps,
    staticmethod: _wrapping_steps,
    classmethod: _wrapping_steps,
    functools._lru_cache_wrapper: _wrapping_steps,
    Referring: referring_steps,
    Staged: lambda value, walk: walk.staged_steps(value),
    Pickled: lambda value, walk: reduced_steps(value.value, walk),
    functools.cached_property: _cached_property_steps,
    functools.partial: _partial_steps,
}
