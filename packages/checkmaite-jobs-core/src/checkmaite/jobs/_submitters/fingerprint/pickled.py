"""What pickle takes of an object: attributes, items, and how it is made."""

from __future__ import annotations

import copyreg
import functools
from collections.abc import Mapping
from typing import Any

from attrs import frozen
from checkmaite.jobs._shared.values import with_article
from checkmaite.jobs._submitters.fingerprint.hashing import node
from checkmaite.jobs._submitters.fingerprint.paths import MOST_VALUES
from checkmaite.jobs._submitters.fingerprint.referred import attribute
from checkmaite.jobs._submitters.fingerprint.walk import Opaque, Steps, Walk, named, told

_KEPT_ASIDE = frozenset({"_attrs_cached_hash"})
_KEPT_ASIDE_BY = {
    "pandas": ("_cache", "_readonly"),
    "scipy": ("_has_canonical_format", "_has_sorted_indices"),
    "sklearn": ("_stop_words_id",),  # an address
}
"""Attributes of a library's objects that say how they were used, and nothing about what they are."""
_PICKLE_PROTOCOL = 4  # 5 hands buffers out instead of content


@frozen
class Pickled:
    """What pickle takes of an object, as an object of its own: when it fails, its surroundings keep their digest."""

    value: Any


def reduced_steps(value: Any, walk: Walk) -> Steps:
    """What pickle would take of an object: how it is made, its state, its items."""
    taken = _taken(value)
    if isinstance(taken, str):
        return node(
            "global", [str(getattr(value, "__module__", None) or type(value).__module__).encode(), taken.encode()]
        )
    make, arguments, state, items, pairs, setter = (*taken, None, None, None, None)[:6]
    parts = [(yield ".__class__", type(value)), (yield ".__reduce__()", make)]
    parts.append((yield "", tuple(attribute(each, walk) for each in arguments or ())))
    if isinstance(state, dict) and all(type(name) is str for name in state):
        parts.append(node("attributes", (yield from attribute_parts(state, type(value), walk))))
    elif isinstance(state, tuple) and len(state) == 2 and isinstance(state[1], dict):  # with __slots__
        both = {**(state[0] or {}), **state[1]}
        parts.append(node("attributes", (yield from attribute_parts(both, type(value), walk))))
    else:
        parts.append((yield "", attribute(state, walk)))
    parts.append((yield "", attribute(list(items), walk) if items is not None else None))
    parts.append(node("pairs", (yield from paired_parts(list(pairs), walk)) if pairs is not None else []))
    parts.append((yield "", setter))
    return node("object", parts)


def _taken(value: Any) -> Any:
    reduce = copyreg.dispatch_table.get(type(value))
    try:
        taken = reduce(value) if reduce is not None else value.__reduce_ex__(_PICKLE_PROTOCOL)
    except Exception as error:  # noqa: BLE001 - the user's code may raise anything, and it is told
        raise Opaque(f"{named(value)}, which pickle cannot take apart ({told(error)})") from None
    if isinstance(taken, str) or (isinstance(taken, tuple) and 2 <= len(taken) <= 6):
        return taken
    raise Opaque(f"{named(value)}, whose __reduce_ex__() returned {with_article(type(taken).__name__)}")


def attribute_parts(state: Mapping[str, Any], kind: type, walk: Walk) -> Any:
    """The parts of a mapping of attributes by name; what was computed from others and kept is left out."""
    parts: list[bytes] = []
    kept = _kept_aside(kind)
    for name in sorted(state):
        if name not in kept and not isinstance(static_attribute(kind, name), functools.cached_property):
            parts += name.encode(), (yield f".{name}", attribute(state[name], walk))
    return parts


@functools.lru_cache(maxsize=1024)
def _kept_aside(kind: type) -> frozenset[str]:
    libraries = {str(each.__module__).partition(".")[0] for each in kind.__mro__}
    return _KEPT_ASIDE.union(*(_KEPT_ASIDE_BY.get(each, ()) for each in libraries))


def static_attribute(kind: type, name: str) -> Any:
    """What a class or one of its bases has under a name, as it stands there; None for nothing."""
    return next((vars(each)[name] for each in kind.__mro__ if name in vars(each)), None)


def paired_parts(items: Any, walk: Walk | None = None) -> Any:
    """The parts of a mapping's items: keys first, so that values are met in an order that insertion does not change."""
    keyed = []
    for key, each in items:
        known = walk.quick(key) if walk is not None else None
        keyed.append(((yield ".keys()", key) if known is None else known, key, each))
    keyed.sort(key=lambda entry: entry[0])
    parts: list[bytes] = []
    for done, key, each in keyed:
        taken = each if walk is None or len(items) > MOST_VALUES else attribute(each, walk)
        parts += done, (yield f"[{key!r}]" if type(key) in (str, int) else "[...]", taken)
    return parts
