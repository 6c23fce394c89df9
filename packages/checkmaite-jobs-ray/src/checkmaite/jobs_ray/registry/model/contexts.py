"""What may be written down of a context, and how a client makes it whole again.

Values of ``storage_options`` and ``env_vars`` may be secrets, and folders that a client has uploaded are gone with the
cluster. The journal keeps what they are called. After a loss of the cluster they come from the next client of the scope
that configures the same store and a runtime environment of the same parts.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections import Counter
from collections.abc import Mapping
from typing import Any, NamedTuple

from attrs import evolve
from checkmaite.jobs.spi import DEFAULT_RETRY_S, ArtifactFolder, Code, StoreSpec, Terms, versions_here
from checkmaite.jobs_ray.wire import Context

_UPLOADED = ("working_dir", "py_modules")


class RedactedStore(NamedTuple):
    """A store's specification without anything that may be a secret.

    Attributes:
        backend: The store's name.
        plain: Its options that are no secrets.
        hidden: Names of the others.
        artifacts: Where documents go, when that is not the store.
        artifacts_hidden: Whether that needs more than its URI.
        retry_s: How long results are tried to be stored, as for `StoreSpec`.
        artifacts_private: Whether documents on a disk are for their owner alone.
    """

    backend: str
    plain: Mapping[str, Any]
    hidden: tuple[str, ...]
    artifacts: str | None = None
    artifacts_hidden: bool = False
    retry_s: float | None = DEFAULT_RETRY_S
    artifacts_private: bool = False


class RedactedContext(NamedTuple):
    """A context without anything that may be a secret.

    Attributes:
        store: Of the store.
        facts: Provenance, by field.
        versions: What the submitter ran: protocol, Python, core.
        runtime_env: The parts of the runtime environment: names of variables, digests of what is not secret; None when
            there is none.
        code: Which code its jobs run: digest, folders and files; None where that was not said.
        unknown: What a newer version has written of it and this one does not know; see `journal.fields`.
    """

    store: RedactedStore
    facts: Mapping[str, str | None]
    versions: tuple[int, str, str]
    runtime_env: Mapping[str, Any] | None
    code: tuple[str, tuple[str, ...], tuple[tuple[str, str], ...]] | None = None
    unknown: Mapping[str, Any] | None = None

    @property
    def lacks(self) -> tuple[str, ...]:
        """What a client has to supply before a job can start, as it would be configured."""
        hidden = [f"analytics_store.{name}" for name in self.store.hidden]
        hidden += ["artifact_store.storage_options"] * self.store.artifacts_hidden
        for name, part in sorted((self.runtime_env or {}).items()):
            hidden += (
                [f"runtime_env.env_vars.{each}" for each in part] if name == "env_vars" else [f"runtime_env.{name}"]
            )
        return tuple(hidden)


def redacted_context(context: Context) -> RedactedContext:
    """What may be written down of a context."""
    terms, runtime_env = context
    versions = terms.versions
    return RedactedContext(
        _redacted_store(terms.store),
        dict(terms.facts),
        (versions.protocol, versions.python, versions.core),
        _redacted_runtime_env(runtime_env),
        (terms.code.digest, terms.code.paths, terms.code.files) if terms.code else None,
    )


def whole_context(redacted: RedactedContext, offer: Context | None = None) -> Context | None:
    """The context in full; what it lacks is taken from an offer, if that fits. None when it stays incomplete.

    Its orders are read from the journal, and written for workers in the language of this process, whatever the
    submitter's was.
    """
    if not redacted.lacks:
        store = redacted.store
        artifacts = None
        if store.artifacts is not None:
            artifacts = ArtifactFolder(uri=store.artifacts, private_files=store.artifacts_private)
        spec, runtime_env = StoreSpec(store.backend, dict(store.plain), artifacts, store.retry_s), None
    elif offer is None or (
        _redacted_store(evolve(offer.terms.store, retry_s=redacted.store.retry_s)),
        _redacted_runtime_env(offer.runtime_env),
    ) != (redacted.store, redacted.runtime_env):
        return None
    else:
        spec, runtime_env = evolve(offer.terms.store, retry_s=redacted.store.retry_s), offer.runtime_env
    _, python, core = redacted.versions
    versions = evolve(versions_here(), python=python, core=core)
    code = Code(*redacted.code) if redacted.code else None
    return Context(Terms(store=spec, facts=redacted.facts, versions=versions, code=code), runtime_env)


def _redacted_store(spec: StoreSpec) -> RedactedStore:
    hidden = tuple(sorted(name for name, value in spec.options.items() if not _is_plain(name, value)))
    plain = {name: value for name, value in spec.options.items() if name not in hidden}
    folder = spec.artifacts
    redacted = RedactedStore(spec.backend, plain, hidden, retry_s=spec.retry_s)
    if folder is None:
        return redacted
    return redacted._replace(
        artifacts=folder.uri,
        artifacts_hidden=bool(folder.storage_options),
        artifacts_private=folder.private_files,
    )


def _is_plain(name: str, value: object) -> bool:
    """Whether an option of a store is no secret: its URI was refused if it held one."""
    if isinstance(value, float):
        return math.isfinite(value)  # JSON has no other numbers
    return name == "uri" or value is None or isinstance(value, (bool, int)) or value in ("", [], (), {})


def _redacted_runtime_env(runtime_env: Mapping[str, Any] | None) -> Mapping[str, Any] | None:
    if not runtime_env:
        return None
    redacted: dict[str, Any] = {}
    for name, part in runtime_env.items():
        if name == "env_vars":
            redacted[name] = sorted(part)
        elif name in _UPLOADED:
            redacted[name] = None
        else:
            redacted[name] = hashlib.sha256(json.dumps(part, sort_keys=True, default=str).encode()).hexdigest()
    return redacted


# -- those of live jobs, and of the last that have ended ---------------------------------------------------------------

_IDLE = 8
"""Contexts without a live job that are remembered: else a client that submits one job after the other would have its
context written with each of them, with what workers are told of its code, up to 32 KB."""


class RedactedContexts:
    """Redacted contexts by their ids, in the order in which they were introduced.

    What is forgotten, and when, follows from that order and from which jobs live: so a registry and whoever reads its
    journal, from a snapshot on or not, know the same.
    """

    def __init__(self) -> None:
        self._known: dict[str, RedactedContext] = {}
        self._uses: Counter[str] = Counter()

    def __contains__(self, context: str) -> bool:
        return context in self._known

    def __getitem__(self, context: str) -> RedactedContext:
        return self._known[context]

    def items(self) -> list[tuple[str, RedactedContext]]:
        """All that are known."""
        return list(self._known.items())

    def introduce(self, context: str, redacted: RedactedContext) -> None:
        """Get to know a context that jobs will have."""
        self._known[context] = redacted

    def use(self, context: str) -> None:
        """One more live job has it."""
        self._uses[context] += 1

    def is_used(self, context: str) -> bool:
        """Whether a live job has it."""
        return context in self._uses

    def drop(self, context: str) -> None:
        """A job that had it is final."""
        self._uses[context] -= 1
        if self._uses[context] <= 0:
            del self._uses[context]
            idle = [each for each in self._known if each not in self._uses]
            for each in idle[:-_IDLE]:
                del self._known[each]
