"""What may be written down of a context, and how a client makes it whole again.

Values of ``storage_options`` and ``env_vars`` may be secrets, and folders that a client has uploaded are gone with the
cluster. The journal keeps what they are called. After a loss of the cluster they come from the next client of the scope
that configures the same store and a runtime environment of the same parts.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from typing import Any, NamedTuple

from attrs import evolve
from checkmaite.jobs.spi import DEFAULT_RETRY_S, ArtifactFolder, Code, StoreSpec, Terms, versions_here
from checkmaite.jobs_ray._messages import Context

_UPLOADED = ("working_dir", "py_modules")


class StoreShape(NamedTuple):
    """A store's specification without anything that may be a secret.

    Attributes:
        backend: The store's name.
        plain: Its options that are no secrets.
        hidden: Names of the others.
        artifacts: Where documents go, when that is not the store.
        artifacts_hidden: Whether that needs more than its URI.
        retry_s: How long results are tried to be stored, as for `StoreSpec`.
    """

    backend: str
    plain: Mapping[str, Any]
    hidden: tuple[str, ...]
    artifacts: str | None = None
    artifacts_hidden: bool = False
    retry_s: float | None = DEFAULT_RETRY_S


class Shape(NamedTuple):
    """A context without anything that may be a secret.

    Attributes:
        store: Of the store.
        facts: Provenance, by field.
        versions: What the submitter ran: protocol, Python, core.
        environment: The parts of the runtime environment: names of variables, digests of what is not secret; None when
            there is none.
        code: Which code its jobs run: digest, folders and files; None where that was not said.
    """

    store: StoreShape
    facts: Mapping[str, str | None]
    versions: tuple[int, str, str]
    environment: Mapping[str, Any] | None
    code: tuple[str, tuple[str, ...], tuple[tuple[str, str], ...]] | None = None

    @property
    def lacks(self) -> tuple[str, ...]:
        """What a client has to supply before a job can start, as it would be configured."""
        hidden = [f"analytics_store.{name}" for name in self.store.hidden]
        hidden += ["artifact_store.storage_options"] * self.store.artifacts_hidden
        for name, part in sorted((self.environment or {}).items()):
            hidden += (
                [f"runtime_env.env_vars.{each}" for each in part] if name == "env_vars" else [f"runtime_env.{name}"]
            )
        return tuple(hidden)


def shape_of(context: Context) -> Shape:
    """What may be written down of a context."""
    terms, environment = context
    versions = terms.versions
    return Shape(
        _store_shape(terms.store),
        dict(terms.facts),
        (versions.protocol, versions.python, versions.core),
        _environment_shape(environment),
        (terms.code.digest, terms.code.paths, terms.code.files) if terms.code else None,
    )


def context_of(shape: Shape, offer: Context | None = None) -> Context | None:
    """The context of a shape; what it lacks is taken from an offer, if that fits. None when it stays incomplete.

    Its orders are read from the journal, and written for workers in the language of this process, whatever the
    submitter's was.
    """
    if not shape.lacks:
        artifacts = ArtifactFolder(uri=shape.store.artifacts) if shape.store.artifacts is not None else None
        store = shape.store
        spec, environment = StoreSpec(store.backend, dict(store.plain), artifacts, store.retry_s), None
    elif offer is None or (
        _store_shape(evolve(offer.terms.store, retry_s=shape.store.retry_s)),
        _environment_shape(offer.runtime_env),
    ) != (shape.store, shape.environment):
        return None
    else:
        spec, environment = evolve(offer.terms.store, retry_s=shape.store.retry_s), offer.runtime_env
    _, python, core = shape.versions
    versions = evolve(versions_here(), python=python, core=core)
    code = Code(*shape.code) if shape.code else None
    return Context(Terms(store=spec, facts=shape.facts, versions=versions, code=code), environment)


def _store_shape(spec: StoreSpec) -> StoreShape:
    hidden = tuple(sorted(name for name, value in spec.options.items() if not _is_plain(name, value)))
    plain = {name: value for name, value in spec.options.items() if name not in hidden}
    folder = spec.artifacts
    shape = StoreShape(spec.backend, plain, hidden, retry_s=spec.retry_s)
    if folder is None:
        return shape
    return shape._replace(artifacts=folder.uri, artifacts_hidden=bool(folder.storage_options))


def _is_plain(name: str, value: object) -> bool:
    """Whether an option of a store is no secret: its URI was refused if it held one."""
    if isinstance(value, float):
        return math.isfinite(value)  # JSON has no other numbers
    return name == "uri" or value is None or isinstance(value, (bool, int)) or value in ("", [], (), {})


def _environment_shape(environment: Mapping[str, Any] | None) -> Mapping[str, Any] | None:
    if not environment:
        return None
    shape: dict[str, Any] = {}
    for name, part in environment.items():
        if name == "env_vars":
            shape[name] = sorted(part)
        elif name in _UPLOADED:
            shape[name] = None
        else:
            shape[name] = hashlib.sha256(json.dumps(part, sort_keys=True, default=str).encode()).hexdigest()
    return shape
