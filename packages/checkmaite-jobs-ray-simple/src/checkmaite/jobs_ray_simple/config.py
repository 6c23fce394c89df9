"""Options of ``configure_job_backend("ray-simple", ...)`` and of one of its jobs."""

from __future__ import annotations

from collections.abc import Mapping

from attrs import frozen, validators
from checkmaite.jobs.spi import RunOptions, check_policy, option
from checkmaite.jobs_ray_simple.cluster.maintenance import DEFAULT_MAINTENANCE_JOBS
from checkmaite.jobs_ray_simple.cluster.options import ConnectionOptions, isolation_level

_ONLY_REGISTRY = (
    '"ray-simple" keeps no registry: its jobs are known to this process alone. Leave it out, or use '
    'configure_job_backend("ray", ...), which shares jobs between clients and takes this option.'
)
_REGISTRY_OPTIONS = (
    "idempotency_scope",
    "scope_key",
    "registry_actor_name",
    "registry_namespace",
    "registry_max_pending_calls",
    "registry_num_cpus",
    "registry_memory",
    "registry_resources",
    "registry_update_timeout_s",
    "registry_startup_timeout_s",
    "controller_max_pending_calls",
    "controller_retention_s",
    "controller_num_cpus",
    "controller_memory",
    "controller_resources",
    "controller_pool_size",
    "max_retained_terminal_controllers",
    "max_retained_terminal_jobs_per_scope",
    "max_active_jobs_per_scope",
    "max_attempts",
    "scheduling_timeout_s",
    "heartbeat_interval_s",
    "lease_ttl_s",
    "terminal_job_retention_s",
    "recovery",
    "journal_uri",
    "private_files",
)


@frozen
class RaySimpleOptions(ConnectionOptions):
    """Where Ray is, and how jobs run on it."""

    max_retries: int = option(
        "how often Ray starts a job again whose worker died, -1 for without limit; an exception of the job "
        "itself is never retried.",
        default=3,
        validator=validators.ge(-1),
    )
    max_retained_terminal_jobs: int = option(
        "finished jobs that list_jobs() and get_job() remember; 1 or more.",
        default=10_000,
        validator=validators.ge(1),
    )

    store_maintenance_jobs: int | None = option(
        "completed jobs after which a worker is let maintain the store, beside the jobs and with the least priority; "
        "None: never.",
        default=DEFAULT_MAINTENANCE_JOBS,
        validator=validators.optional(validators.ge(1)),
    )
    packs_by_history: bool = option(
        "whether jobs of a capability whose last 20 runs in this process's Ray took less than 20 ms each are run in "
        'packs, as those with resources={"short": True} are.',
        default=True,
        validator=validators.instance_of(bool),
    )
    reuse: str = option(
        'when a result that is there is used again, for jobs that do not say so themselves: "auto", where run key and '
        'fingerprints agree; "always", where the run key agrees; "never"; or "require".',
        default="auto",
        validator=check_policy,
    )

    @classmethod
    def refused_options(cls) -> Mapping[str, str]:
        """Options of "ray" that mean nothing without a registry, each with the reason."""
        return dict.fromkeys(_REGISTRY_OPTIONS, _ONLY_REGISTRY)


@frozen(kw_only=True)
class RaySimpleRunOptions(RunOptions):
    """What can be said of one job."""

    max_retries: int | None = option(
        "how often Ray starts this job again when its worker died; the backend's max_retries when left out.",
        default=None,
        validator=validators.optional(validators.ge(-1)),
    )
    isolation: str | None = option(
        '"process" or "reuse", as the backend\'s isolation, which counts when left out.',
        default=None,
        validator=isolation_level,
    )
