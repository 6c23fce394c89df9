"""Options of the ``"ray-simple"`` backend."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from attrs import frozen, validators

from checkmaite.jobs.spi import RunOptions, option

_ONLY_RAY = (
    'Only the "ray" backend has it, which keeps jobs in a registry: configure_job_backend("ray", ...). '
    'The "ray-simple" backend runs every submission, for this client alone.'
)


@frozen
class RaySimpleOptions:
    """Options of ``configure_job_backend("ray-simple", ...)``."""

    address: str = option(
        '"local" starts Ray on this machine; "auto", "host:port" or "ray://host:port" use a cluster that runs.',
        default="local",
    )
    runtime_env: Mapping[str, Any] | None = option(
        "Ray's runtime environment of every job, for example {'working_dir': '.', 'env_vars': {...}}.",
        default=None,
        repr=False,
    )
    num_cpus: int | None = option(
        'CPUs that a "local" Ray offers; None offers all of this machine.',
        default=None,
        validator=validators.optional(validators.ge(1)),
    )
    num_gpus: int | None = option(
        'GPUs that a "local" Ray offers; None offers those it finds.',
        default=None,
        validator=validators.optional(validators.ge(0)),
    )
    object_store_memory: int | None = option(
        'bytes of shared memory of a "local" Ray, at least 78,643,200; None lets Ray choose.',
        default=None,
        validator=validators.optional(validators.ge(78_643_200)),
    )
    max_retries: int = option(
        "times that a job is started again after its worker was lost; -1 without limit. "
        "An exception of the capability is never retried.",
        default=3,
        validator=validators.ge(-1),
    )
    force_reinit: bool = option(
        "True shuts down a Ray that this process has initialised differently, and the jobs on it.", default=False
    )
    connect_timeout_s: float = option("seconds to wait for a cluster.", default=30.0, validator=validators.gt(0))
    max_retained_terminal_jobs: int = option(
        "finished jobs that list_jobs() and get_job() remember.", default=10_000, validator=validators.ge(1)
    )

    @property
    def is_remote(self) -> bool:
        """Whether workers may run on other machines."""
        return self.address != "local"

    @staticmethod
    def refused_options() -> Mapping[str, str]:
        """Options of the "ray" backend that mean nothing here, with the reason."""
        names = (
            "idempotency_scope registry_actor_name registry_namespace registry_max_pending_calls "
            "controller_max_pending_calls controller_retention_s max_retained_terminal_controllers journal_uri recovery"
        )
        return dict.fromkeys(names.split(), _ONLY_RAY)


@frozen(kw_only=True)
class RaySimpleRunOptions(RunOptions):
    """Options of one job."""

    max_retries: int | None = option(
        "as in configure_job_backend, for this job; None takes the backend's.",
        default=None,
        validator=validators.optional(validators.ge(-1)),
    )
