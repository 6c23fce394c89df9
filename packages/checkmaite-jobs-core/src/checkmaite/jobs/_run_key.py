"""The identity of a run: what makes two submissions the same."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from enum import Enum
from typing import Any, cast

import attrs
from attrs import frozen
from checkmaite.jobs._naming import plain_text
from checkmaite.jobs._values import with_article

_json = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode
_RULE = "Give the capability a run_key() method, or make config and ids plain values."


@frozen(kw_only=True)
class RunKey:
    """Identity of a run within a scope.

    Attributes:
        value: The key; equal keys mean the same run.
        run_uid: The uid that the run will have, where the key is known to be that; None otherwise.
    """

    value: str
    run_uid: str | None = None


class NoRunKeyError(ValueError):
    """The identity of a run cannot be computed; the message says why.

    Attributes:
        remedy: What to do about it.
    """

    def __init__(self, why: str, remedy: str) -> None:
        self.remedy = remedy
        super().__init__(why)


def run_key(
    capability: Any,
    *,
    models: object = None,
    datasets: object = None,
    metrics: object = None,
    config: object = None,
) -> RunKey:
    """The run key of a submission.

    The first that there is of: ``capability.run_key(models=, datasets=, metrics=, config=)``; the uid that its run
    class computes, ``capability._RUN_TYPE.compute_uid(capability_id=, config=, dataset_metadata=, model_metadata=,
    metric_metadata=)``; a SHA-256 over canonical JSON of the capability's id, the config and the ids of models,
    datasets and metrics, in their order.

    Raises:
        NoRunKeyError: None of the three can be computed.
    """
    own = getattr(capability, "run_key", None)
    if callable(own):
        key = own(models=models, datasets=datasets, metrics=metrics, config=config)
        if not isinstance(key, str) or not key:
            raise NoRunKeyError(f"capability.run_key() returned {key!r} instead of a text", "Return a non-empty text.")
        return RunKey(value=plain_text(key))
    compute_uid = getattr(getattr(capability, "_RUN_TYPE", None), "compute_uid", None)
    if callable(compute_uid):
        uid = compute_uid(
            capability_id=capability.id,
            config=config,
            dataset_metadata=[_metadata(each, path) for path, each in _each("datasets", datasets)],
            model_metadata=[_metadata(each, path) for path, each in _each("models", models)],
            metric_metadata=[_metadata(each, path) for path, each in _each("metrics", metrics)],
        )
        if not isinstance(uid, str) or not uid:
            raise NoRunKeyError(
                f"the run class's compute_uid() returned {uid!r} instead of a text", "Return a non-empty text."
            )
        return RunKey(value=plain_text(uid), run_uid=plain_text(uid))
    identity = {
        "capability_id": capability.id,
        "config": _canonical(config, "config"),
        "datasets": [_id(each, path) for path, each in _each("datasets", datasets)],
        "metrics": [_id(each, path) for path, each in _each("metrics", metrics)],
        "models": [_id(each, path) for path, each in _each("models", models)],
    }
    return RunKey(value=hashlib.sha256(_json(identity).encode()).hexdigest())


def _each(name: str, given: object) -> Iterable[tuple[str, object]]:
    """The objects in what a user gave: nothing, one object, a mapping's values, or a sequence's items."""
    if given is None:
        return
    if isinstance(given, Mapping):
        for key, each in given.items():
            yield f"{name}[{key!r}]", each
    elif isinstance(given, (list, tuple, set, frozenset)):
        for index, each in enumerate(given):
            yield f"{name}[{index}]", each
    else:
        yield name, given


def _metadata(each: object, path: str) -> Mapping[str, Any]:
    metadata = getattr(each, "metadata", None)
    if isinstance(metadata, Mapping) and metadata.get("id") is not None:
        return metadata
    if isinstance(each, type):
        raise NoRunKeyError(f"{path} is the class {each.__name__}, not an object of it", f"Pass {each.__name__}(...).")
    if isinstance(each, Iterator):
        raise NoRunKeyError(f"{path} is an iterator, which can be read only once", "Pass a list.")
    raise NoRunKeyError(
        f"{path} has no metadata['id'], so the run cannot be told from others",
        "Give every model, dataset and metric a metadata mapping with an 'id'.",
    )


def _id(each: object, path: str) -> str:
    return str(_metadata(each, path)["id"])


def _canonical(value: object, path: str) -> Any:
    """`value` as JSON values that depend on nothing but its content."""
    if value is None or isinstance(value, (bool, int, float, str)):
        return value.value if isinstance(value, Enum) else value
    if isinstance(value, Enum):
        return _canonical(value.value, path)
    if isinstance(value, Mapping):
        if unnamed := [key for key in value if not isinstance(key, str)]:
            raise NoRunKeyError(f"{path} has the key {unnamed[0]!r}, which is not text", _RULE)
        return {key: _canonical(each, f"{path}.{key}") for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [_canonical(each, f"{path}[{index}]") for index, each in enumerate(value)]
    if isinstance(value, (set, frozenset)):
        return sorted((_canonical(each, path) for each in value), key=lambda each: json.dumps(each, sort_keys=True))
    if attrs.has(type(value)):
        fields = attrs.fields(cast("type[Any]", type(value)))
        return {item.name: _canonical(getattr(value, item.name), f"{path}.{item.name}") for item in fields}
    if dataclasses.is_dataclass(value):
        names = [item.name for item in dataclasses.fields(value)]
        return {name: _canonical(getattr(value, name), f"{path}.{name}") for name in names}
    dump = getattr(value, "model_dump", None)
    if callable(dump) and not isinstance(value, type):
        return _canonical(dump(mode="json"), path)
    raise NoRunKeyError(f"{path} holds {with_article(type(value).__name__)}, which has no canonical JSON form", _RULE)
