"""Options of ``checkmaite.jobs`` 0.6.1 that have another name here, or none."""

from __future__ import annotations

from collections.abc import Mapping

RENAMED: Mapping[str, str] = {
    "controller_heartbeat_interval_s": "heartbeat_interval_s",
    "registry_controller_heartbeat_ttl_s": "lease_ttl_s",
}
"""What means the same by another name."""

_NO_SWEEP = "The registry forgets finished jobs by itself, as terminal_job_retention_s says: leave it out."

REFUSED: Mapping[str, str] = {
    "controller_actor_prefix": "Controllers are named after their registry: pass registry_actor_name, or leave it out.",
    "controller_startup_timeout_s": "Jobs share controllers that run already. registry_startup_timeout_s bounds the "
    "registry's start; leave this one out.",
    "controller_terminal_retry_interval_s": "Controllers tell ends with their next sign of life, within "
    "heartbeat_interval_s: leave it out.",
    "max_scheduling_jobs_per_scope": "Jobs that wait count among those of max_active_jobs_per_scope: pass that one.",
    "registry_reservation_ttl_s": "A submission is accepted whole or not at all, so nothing stays reserved: leave it "
    "out. lease_ttl_s bounds a controller's silence.",
    "registry_sweep_batch_limit": _NO_SWEEP,
    "registry_sweep_interval_s": _NO_SWEEP,
    "registry_sweep_on_submit": _NO_SWEEP,
}
"""Those that mean nothing here, each with what is nearest."""
