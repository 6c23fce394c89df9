"""Options of ``configure_job_backend("ray-simple", ...)`` and of one of its jobs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from attrs import frozen, validators
from checkmaite.jobs.spi import RunOptions, option

_ONLY_REGISTRY = (
    '"ray-simple" keeps no registry: its jobs are known to this process alone. Leave it out, or use '
    'configure_job_backend("ray", ...), which shares jobs between clients and takes this option.'
)
_REGISTRY_OPTIONS = (
    "idempotency_scope",
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
    "artifact_store",
)


def _address(_: object, attribute: Any, value: str | None) -> None:
    if value is None or value in {"local", "auto"}:
        return
    host, separator, port = value.removeprefix("ray://").rpartition(":")
    if not (host and separator and port.isdigit()) or "://" in host or "@" in host:
        raise ValueError(f"{value!r} is not an address")


@frozen
class RaySimpleOptions:
    """Where Ray is, and how jobs run on it."""

    address: str | None = option(
        'the cluster: "local" starts a Ray of this process\'s own, "auto" finds one on this machine, "host:port" '
        'attaches to one, "ray://host:10001" goes through its client server. Left out: the Ray that this process is '
        "connected to already, else a local one.",
        default=None,
        validator=_address,
    )
    runtime_env: Mapping[str, Any] | None = option(
        'how workers are prepared, as Ray takes it: {"working_dir": ".", "env_vars": {"NAME": "value"}}.',
        default=None,
        repr=False,  # env_vars may hold secrets
    )
    num_cpus: int | None = option(
        "CPUs of a local Ray; those of the machine when left out. Only for a Ray that is started here.",
        default=None,
        validator=validators.optional(validators.ge(1)),
    )
    num_gpus: int | None = option(
        "GPUs of a local Ray; those it finds when left out. Only for a Ray that is started here.",
        default=None,
        validator=validators.optional(validators.ge(0)),
    )
    object_store_memory: int | None = option(
        "bytes of shared memory of a local Ray, at least 75 MiB. Only for a Ray that is started here.",
        default=None,
        validator=validators.optional(validators.ge(75 * 2**20)),
    )
    max_retries: int = option(
        "how often Ray starts a job again whose worker died, -1 for without limit; an exception of the job "
        "itself is never retried.",
        default=3,
        validator=validators.ge(-1),
    )
    connect_timeout_s: float = option(
        "seconds to reach a running cluster; more than 0.", default=30.0, validator=validators.gt(0)
    )
    max_retained_terminal_jobs: int = option(
        "finished jobs that list_jobs() and get_job() remember; 1 or more.",
        default=10_000,
        validator=validators.ge(1),
    )
    force_reinit: bool = option(
        "True ends the Ray that this process is connected to, when its options differ, and connects anew.",
        default=False,
    )

    def __attrs_post_init__(self) -> None:
        if self.is_remote:
            for name in ("num_cpus", "num_gpus", "object_store_memory"):
                if getattr(self, name) is not None:
                    raise ValueError(
                        f'{name} sizes a Ray that is started here, with address="local"; the one at {self.address!r} '
                        "has its size already. Leave it out."
                    )

    @property
    def is_remote(self) -> bool:
        """Whether jobs may run on other machines."""
        return self.address not in {None, "local"}

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
