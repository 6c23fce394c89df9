"""The objects in what a user gives as models, datasets or metrics."""

from __future__ import annotations

from collections.abc import Iterator, Mapping


def each_given(name: str, given: object) -> Iterator[tuple[str, object]]:
    """Each object with its path: nothing, one object, a mapping's values, or a sequence's items, a set's by id."""
    if given is None:
        return
    if isinstance(given, Mapping):
        for key, each in given.items():
            yield f"{name}[{key!r}]", each
    elif isinstance(given, (list, tuple, set, frozenset)):
        ordered = sorted(given, key=lambda each: id_of(each) or "") if isinstance(given, (set, frozenset)) else given
        for index, each in enumerate(ordered):
            yield f"{name}[{index}]", each
    else:
        yield name, given


def id_of(value: object) -> str | None:
    """``value.metadata["id"]`` as text; None when there is none."""
    try:
        metadata = getattr(value, "metadata", None)
        found = metadata.get("id") if isinstance(metadata, Mapping) else None
        return None if found is None else str(found)
    except Exception:  # noqa: BLE001 - a property of the user's may raise anything; then it says nothing
        return None
