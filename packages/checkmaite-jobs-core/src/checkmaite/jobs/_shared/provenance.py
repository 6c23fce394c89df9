"""Who ran what, where and for whom: the facts stored beside every run.

Provenance is resolved where a job is submitted and travels with it; a worker never re-reads it from its own
environment.
"""

from __future__ import annotations

import os
import sys
import threading
import warnings
from collections.abc import Mapping
from datetime import datetime
from operator import attrgetter
from typing import Any

from attrs import fields_dict, frozen
from checkmaite.jobs._shared.errors import ArgumentError, ConfigurationError
from checkmaite.jobs._shared.problems import Problem, unknown_name
from checkmaite.jobs._shared.values import is_encodable, shown

_ENVIRONMENT_PREFIX = "CHECKMAITE_PROVENANCE_"
_SETTABLE = ("user_id", "workspace_id", "environment", "executor", "cluster_id", "request_id")
_INSTANTS = ("submitted_at", "completed_at")
SHARED_FIELDS = (*_SETTABLE, "backend")
"""The fields of `Provenance` that are not about one job."""


@frozen(kw_only=True)
class Provenance:
    """The provenance columns of one run; None where nobody said.

    Attributes:
        user_id: Who asked for the run.
        workspace_id: The workspace or experiment; the idempotency scope when unset.
        environment: For example ``dev`` or ``prod``.
        executor: What started it, for example a pipeline's name.
        cluster_id: The cluster that it ran on.
        request_id: An outer request that the run belongs to.
        job_id: The job; set by the backend.
        backend: The job backend's name; set by the backend.
        submitted_at: When the job was handed in (UTC), by the submitter's clock; set by the backend. When it was
            accepted is ``created_at`` of the job.
        completed_at: When the run ended (UTC), by the worker's clock; set by the worker just before the write.
        run_event_id: Identity of this execution of the run; the job id.
        fingerprints: What the run stands on, as JSON: digests of the capability's state and code, of the config and of
            every model, dataset and metric; set by the worker.
    """

    user_id: str | None = None
    workspace_id: str | None = None
    environment: str | None = None
    executor: str | None = None
    cluster_id: str | None = None
    request_id: str | None = None
    job_id: str | None = None
    backend: str | None = None
    submitted_at: datetime | None = None
    completed_at: datetime | None = None
    run_event_id: str | None = None
    fingerprints: str | None = None

    def for_job(self, *, job_id: str, backend: str, submitted_at: datetime) -> Provenance:
        """These facts with the backend's own added."""
        return Provenance(
            user_id=self.user_id,
            workspace_id=self.workspace_id,
            environment=self.environment,
            executor=self.executor,
            cluster_id=self.cluster_id,
            request_id=self.request_id,
            job_id=job_id,
            backend=backend,
            submitted_at=submitted_at,
            run_event_id=job_id,
        )

    @classmethod
    def of(cls, given: Mapping[str, Any]) -> Provenance:
        """Provenance from a mapping of its fields.

        Raises:
            ArgumentError: A name is unknown, or a value is of the wrong kind.
        """
        known = fields_dict(cls)
        problems = [
            unknown_name(str(name), str(name), known, what="provenance field") for name in given if name not in known
        ]
        for name, value in given.items():
            wanted = datetime if name in _INSTANTS else str
            if name in known and value is not None and not isinstance(value, wanted):
                cause = f"expected {'an instant' if wanted is datetime else 'text'}, got {shown(value)}."
                problems.append(Problem(f"provenance.{name}", cause, "Pass one, or None."))
        if problems:
            raise ArgumentError("This is no provenance.", problems)
        return cls(**given)

    @property
    def shared(self) -> tuple[str | None, ...]:
        """The values of `SHARED_FIELDS`."""
        values: tuple[str | None, ...] = _shared(self)
        return values


_shared = attrgetter(*SHARED_FIELDS)


class _Configured:
    """What `configure_provenance` was last told, for this process."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._values: Mapping[str, str] = {}

    def update(self, values: Mapping[str, str | None]) -> None:
        with self._lock:
            merged = {**self._values, **values}
            self._values = {name: value for name, value in merged.items() if value is not None}

    def clear(self) -> None:
        with self._lock:
            self._values = {}

    def values(self) -> Mapping[str, str]:
        return self._values


_configured = _Configured()


def configure_provenance(**values: str | None) -> Provenance:
    """Set provenance defaults for every later submission of this process.

    Args:
        **values: Any of `user_id`, `workspace_id`, `environment`, `executor`, `cluster_id`, `request_id`.
            None takes a default back, so that the environment variable counts again.

    Returns:
        The defaults now in force.

    Raises:
        ConfigurationError: An unknown name, or a value that is not text or cannot be written; nothing was changed.
    """
    problems = [
        unknown_name(name, name, _SETTABLE, what="provenance field") for name in values if name not in _SETTABLE
    ]
    problems += [
        Problem(name, f"expected text, got {type(value).__name__}.", "Pass a string or None.")
        for name, value in values.items()
        if name in _SETTABLE and value is not None and not isinstance(value, str)
    ]
    problems += [
        _unwritable(name, value) for name, value in values.items() if isinstance(value, str) and not is_encodable(value)
    ]
    if problems:
        raise ConfigurationError("Provenance was not changed.", problems)
    _configured.update(values)
    return get_provenance_defaults()


def get_provenance_defaults() -> Provenance:
    """The defaults that a submission made now would get.

    A value given to `configure_provenance` comes first, then one given to the CheckMAITE package's own
    ``configure_provenance``, then the environment variable ``CHECKMAITE_PROVENANCE_USER_ID`` (``_WORKSPACE_ID``,
    ``_ENVIRONMENT``, ``_EXECUTOR``, ``_CLUSTER_ID``, ``_REQUEST_ID``); an empty variable counts as unset.
    """
    found: dict[str, Any] = {name: os.environ.get(_ENVIRONMENT_PREFIX + name.upper()) or None for name in _SETTABLE}
    return Provenance(**{**found, **_of_the_package(), **_configured.values()})


def _of_the_package() -> dict[str, str]:
    """What the CheckMAITE package holds as provenance defaults, where it is imported; its own call is documented."""
    ask = getattr(sys.modules.get("checkmaite"), "get_provenance_defaults", None)
    if ask is None:
        return {}
    try:
        held = ask()
        values = {name: getattr(held, name, None) for name in _SETTABLE}
    except Exception as error:  # noqa: BLE001 - another package's code; what it said is passed on
        warnings.warn(
            f"What the CheckMAITE package holds as provenance does not reach the rows of jobs ({type(error).__name__}: "
            f"{error}). Call checkmaite.jobs.configure_provenance() instead of checkmaite.configure_provenance().",
            RuntimeWarning,
            stacklevel=2,
        )
        return {}
    return {name: value for name, value in values.items() if isinstance(value, str) and value}


def unwritable_fields(provenance: Provenance) -> list[Problem]:
    """Texts that no store can write: of environment variables that hold other bytes than UTF-8."""
    values = {name: getattr(provenance, name) for name in _SETTABLE}
    return [
        _unwritable(f"provenance.{name}", value) for name, value in values.items() if value and not is_encodable(value)
    ]


def _unwritable(path: str, value: str) -> Problem:
    cause = f"{value!r} holds characters that cannot be written as UTF-8."
    name = path.rpartition(".")[2]
    return Problem(path, cause, f"Mend it, or the variable {_ENVIRONMENT_PREFIX}{name.upper()} that it came from.")


def reset_provenance() -> None:
    """Forget everything that `configure_provenance` was told."""
    _configured.clear()


def provenance_columns() -> tuple[str, ...]:
    """Names of the provenance columns, in the order of `Provenance`."""
    return tuple(fields_dict(Provenance))
