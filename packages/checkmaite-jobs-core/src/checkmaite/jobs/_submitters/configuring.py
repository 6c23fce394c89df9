"""Reads the arguments of `configure_job_backend`, and reports every fault at once."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

from attrs import NOTHING, evolve, fields, frozen, validators
from checkmaite.jobs._shared.config import DEFAULT_RETRY_S, BackendContext, option, parse_options
from checkmaite.jobs._shared.discovery import (
    BACKENDS_GROUP,
    artifact_folder,
    hook_specs,
    load_plugin,
    open_store,
    store_spec,
)
from checkmaite.jobs._shared.errors import ConfigurationError
from checkmaite.jobs._shared.hooks import TellsHooks
from checkmaite.jobs._shared.places import remember_place, remember_store
from checkmaite.jobs._shared.problems import Problem

_STORES = ("analytics_store", "artifact_store")


@frozen
class CommonOptions:
    """Options that every backend has.

    Attributes:
        store_retry_s: See `configure_job_backend`.
        hooks: Likewise.
    """

    store_retry_s: float | None = option(
        "seconds for which the results of a finished run are tried to be stored while the store does not answer; "
        "0: once. None: no limit.",
        default=DEFAULT_RETRY_S,
        validator=validators.optional(validators.ge(0)),
    )
    hooks: Mapping[str, Any] | None = option(
        "what is told of each job that is submitted, started and finished: options by the name of a hook, for example "
        '{"webhook": {"url": "https://example.org/jobs"}}. None: nothing.',
        default=None,
    )


_COMMON = frozenset(item.name for item in fields(CommonOptions))


def read_configuration(
    kind: str, analytics_store: Any, artifact_store: Any, backend_options: Mapping[str, Any]
) -> tuple[Any, Any, BackendContext]:
    """A backend's class, its options and what it is given.

    Args:
        kind: As for `configure_job_backend`; so are the others.
        analytics_store: `attrs.NOTHING` when it was left out.
        artifact_store: None when it was left out.
        backend_options: The backend's own options, and the common ones.

    Raises:
        ConfigurationError: Something is wrong; the error lists everything that is.
    """
    backend_type, problems = load_plugin(BACKENDS_GROUP, kind, path="kind")
    config = None
    own = {name: value for name, value in backend_options.items() if name not in _COMMON}
    if not problems:
        config, problems = parse_options(backend_type.config_type, own, beside=(*_STORES, *_COMMON))
    common, faults = parse_options(
        CommonOptions, {name: backend_options[name] for name in _COMMON if name in backend_options}
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
    hooks, faults = hook_specs(common.hooks if common else None)
    problems += faults
    if hooks and config is not None and not issubclass(backend_type, TellsHooks):
        problems.append(Problem("hooks", f"the job backend {kind!r} tells no hooks.", "Leave them out."))
    if problems or spec is None or common is None:
        raise ConfigurationError(
            f"The job backend {kind!r} cannot be configured like this; nothing was changed.", problems
        )
    if isinstance(uri := spec.options.get("uri"), str):
        remember_place(uri, spec.options.get("storage_options") or {})
        remember_store(uri, partial(open_store, spec))
    if artifacts is not None:
        remember_place(artifacts.uri, artifacts.storage_options)
    store = evolve(spec, artifacts=artifacts, retry_s=common.store_retry_s)
    return backend_type, config, BackendContext(store, hooks)
