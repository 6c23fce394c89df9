"""The identity of a run: what makes two submissions the same."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from typing import Any

from attrs import frozen
from checkmaite.jobs._shared.identities import identity_cause
from checkmaite.jobs._shared.naming import plain_text
from checkmaite.jobs._shared.scalars import text_cause
from checkmaite.jobs._shared.staged import Staged
from checkmaite.jobs._submitters.fingerprint import Opaque, each_given, identity_of
from checkmaite.jobs._submitters.former_key import FormerKey, former_key

_json = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode
_RULE = "Give the capability a run_key() method, or make config and ids plain values."


@frozen(kw_only=True)
class RunKey:
    """Identity of a run within a scope.

    Attributes:
        value: The key; equal keys mean the same run.
        run_uid: The uid that the run will have, where the key is known to be that; None otherwise.
        former: The key that earlier versions gave to this run, where it was another one.
    """

    value: str
    run_uid: str | None = None
    former: FormerKey | None = None

    @property
    def former_value(self) -> str | None:
        """The key of earlier versions, if a completed job that has it is of this very run; else None."""
        return self.former.value if self.former is not None and not self.former.doubt else None


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
    metric_metadata=)``; a SHA-256 over canonical JSON of the capability's id, the config's identity and the
    ids of models, datasets and metrics, in their order. A config's identity is a digest of its values and of the names
    of their classes: the same in every process for equal configs, another one when anything differs.

    Raises:
        NoRunKeyError: None of the three can be computed.
    """
    own = getattr(capability, "run_key", None)
    if callable(own):
        key = own(models=models, datasets=datasets, metrics=metrics, config=config)
        if not isinstance(key, str) or not key.strip():
            raise NoRunKeyError(f"capability.run_key() returned {key!r} instead of a text", "Return a non-empty text.")
        if fault := text_cause(key):
            raise NoRunKeyError(f"what capability.run_key() returned {fault.text.rstrip('.')}", fault.remedy)
        return RunKey(value=plain_text(key))
    compute_uid = getattr(getattr(capability, "_RUN_TYPE", None), "compute_uid", None)
    if callable(compute_uid):
        uid = compute_uid(
            capability_id=capability.id,
            config=config,
            dataset_metadata=[_metadata(each, path) for path, each in each_given("datasets", datasets)],
            model_metadata=[_metadata(each, path) for path, each in each_given("models", models)],
            metric_metadata=[_metadata(each, path) for path, each in each_given("metrics", metrics)],
        )
        if not isinstance(uid, str) or not uid.strip():
            raise NoRunKeyError(
                f"the run class's compute_uid() returned {uid!r} instead of a text", "Return a non-empty text."
            )
        if fault := identity_cause(uid):
            raise NoRunKeyError(f"what the run class's compute_uid() returned {fault.text.rstrip('.')}", fault.remedy)
        return RunKey(value=plain_text(uid), run_uid=plain_text(uid))
    try:
        config_identity = identity_of(config, "config")
    except Opaque as why:
        raise NoRunKeyError(str(why), _RULE) from None
    identity = {
        "capability_id": capability.id,
        "config": config_identity,
        "datasets": [_id(each, path) for path, each in each_given("datasets", datasets)],
        "metrics": [_id(each, path) for path, each in each_given("metrics", metrics)],
        "models": [_id(each, path) for path, each in each_given("models", models)],
    }
    return RunKey(
        value=hashlib.sha256(_json(identity).encode()).hexdigest(),
        former=former_key(capability, models=models, datasets=datasets, metrics=metrics, config=config),
    )


def _metadata(each: object, path: str) -> Mapping[str, Any]:
    metadata = getattr(each, "metadata", None)
    if isinstance(metadata, Mapping) and metadata.get("id") is not None:
        return metadata
    if isinstance(each, type):
        raise NoRunKeyError(f"{path} is the class {each.__name__}, not an object of it", f"Pass {each.__name__}(...).")
    if isinstance(each, Staged):
        raise NoRunKeyError(
            f"{path} is {each!r}, which has no metadata['id']",
            f"Stage models, datasets and metrics one by one: [stage(each) for each in {path.partition('[')[0]}].",
        )
    if isinstance(each, Iterator):
        raise NoRunKeyError(f"{path} is an iterator, which can be read only once", "Pass a list.")
    raise NoRunKeyError(
        f"{path} has no metadata['id'], so the run cannot be told from others",
        "Give every model, dataset and metric a metadata mapping with an 'id'.",
    )


def _id(each: object, path: str) -> str:
    return str(_metadata(each, path)["id"])
