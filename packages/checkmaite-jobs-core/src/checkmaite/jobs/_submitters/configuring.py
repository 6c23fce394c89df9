"""Reads the arguments of `configure_job_backend`, and reports every fault at once."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

from attrs import NOTHING, evolve, frozen, validators
from checkmaite.jobs._shared.config import DEFAULT_RETRY_S, BackendContext, option, parse_options
from checkmaite.jobs._shared.discovery import BACKENDS_GROUP, artifact_folder, load_plugin, open_store, store_spec
from checkmaite.jobs._shared.errors import ConfigurationError
from checkmaite.jobs._shared.places import remember_place, remember_store
from checkmaite.jobs._shared.problems import Problem

_STORES = ("analytics_store", "artifact_store")


@frozen
class StoringOptions:
    """Options of storing that every backend has.

    Attributes:
        store_retry_s: See `configure_job_backend`.
    """

    store_retry_s: float | None = option(
        "seconds for which the results of a finished run are tried to be stored while the store does not answer; "
        "0: once. None: no limit.",
        default=DEFAULT_RETRY_S,
        validator=validators.optional(validators.ge(0)),
    )


_OF_STORING = frozenset({"store_retry_s"})


def read_configuration(
    kind: str, analytics_store: Any, artifact_store: Any, backend_options: Mapping[str, Any]
) -> tuple[Any, Any, BackendContext]:
    """A backend's class, its options and what it is given.

    Args:
        kind: As for `configure_job_backend`; so are the others.
        analytics_store: `attrs.NOTHING` when it was left out.
        artifact_store: None when it was left out.
        backend_options: The backend's own options, and those of storing.

    Raises:
        ConfigurationError: Something is wrong; the error lists everything that is.
    """
    backend_type, problems = load_plugin(BACKENDS_GROUP, kind, path="kind")
    config = None
    own = {name: value for name, value in backend_options.items() if name not in _OF_STORING}
    if not problems:
        config, problems = parse_options(backend_type.config_type, own, beside=(*_STORES, *_OF_STORING))
    storing, faults = parse_options(
        StoringOptions, {name: backend_options[name] for name in _OF_STORING if name in backend_options}
    )
    problems += faults
    remote = bool(getattr(config, "is_remote", False))
    if analytics_store is NOTHING:
        example = 'Pass, for example, analytics_store={"backend": "parquet", "uri": "./analytics_store"}.'
        spec, faults = None, [Problem("analytics_store", "is required.", example)]
    else:
        spec, faults = store_spec(analytics_store, remote=remote)
    problems += faults
    artifacts, faults = artifact_folder(artifact_store, remote=remote)
    problems += faults
    if problems or spec is None or storing is None:
        raise ConfigurationError(
            f"The job backend {kind!r} cannot be configured like this; nothing was changed.", problems
        )
    if isinstance(uri := spec.options.get("uri"), str):
        remember_place(uri, spec.options.get("storage_options") or {})
        remember_store(uri, partial(open_store, spec))
    if artifacts is not None:
        remember_place(artifacts.uri, artifacts.storage_options)
    return backend_type, config, BackendContext(evolve(spec, artifacts=artifacts, retry_s=storing.store_retry_s))
