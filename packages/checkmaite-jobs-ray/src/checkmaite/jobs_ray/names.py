"""Names: of actors, derived from what the user chose, and of options as ``checkmaite.jobs`` 0.6.1 had them."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping

_READABLE = 40
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


def registry_name(scope: str) -> str:
    """The default registry of a scope: readable, and told apart from similar scopes by a digest."""
    slug = re.sub(r"[^A-Za-z0-9_-]+", "-", scope).strip("-")[:_READABLE]
    return f"registry-{slug}-{hashlib.sha256(scope.encode()).hexdigest()[:10]}"


def controller_name(registry: str, number: int) -> str:
    """The controller with this number of a registry's pool."""
    return f"{registry}-controller-{number}"


def hooks_name(registry: str) -> str:
    """The process of a registry's hooks."""
    return f"{registry}-hooks"
