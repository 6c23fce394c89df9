"""What 10,000 jobs cost that wait for a resource which the cluster does not have."""

from __future__ import annotations

import itertools
import statistics
import time
from typing import Any

import work
from attrs import frozen
from checkmaite.jobs import submit_capabilities, submit_capability
from cluster import Cluster, Registry
from figures import ROUNDS, Figure, p50_ms
from processes import cpu_s, memory_mb

_JOBS = 10_000
_BATCH = 1_000
_IDLE_S = 10.0
_SETTLE_S = 5.0
_TIMES = 30
_PROCESSES = 2
"""The registry and its one controller."""
_numbers = itertools.count()


@frozen
class Queued:
    """What was measured of one registry.

    Attributes:
        before_mb: Memory of registry and controller before.
        added_mb: What the queued jobs added.
        idle: CPU of the two when nothing happens, in % of a core.
        empty_ms: One submission before.
        full_ms: One submission beside the queued jobs.
    """

    before_mb: float
    added_mb: float
    idle: float
    empty_ms: float
    full_ms: float


def queue_jobs(registry: Registry) -> Queued:
    """Queue 10,000 jobs on a new registry."""
    empty_ms = _submit_ms()
    pids = registry.pids(_PROCESSES)
    before_mb = memory_mb(pids)
    for _ in range(_JOBS // _BATCH):
        submit_capabilities([_waiting() for _ in range(_BATCH)])
    time.sleep(_SETTLE_S)  # until what the last batch has set off is over
    added_mb = memory_mb(pids) - before_mb
    before_s = cpu_s(pids)
    time.sleep(_IDLE_S)
    idle = 100 * (cpu_s(pids) - before_s) / _IDLE_S
    return Queued(before_mb, added_mb, idle, empty_ms, _submit_ms())


def queued_figures(found: Queued, with_what: str = "") -> list[Figure]:
    """The figures of one registry."""
    per_thousand = found.added_mb * 1_000 / _JOBS
    jobs = f"{_JOBS:,} queued jobs{with_what}"
    return [
        Figure(
            name=f'"ray": {jobs}, memory of registry and controllers per 1,000 jobs',
            baseline=found.before_mb,
            measured=found.before_mb + found.added_mb,
            unit="MB",
            figure=per_thousand,
            reach="at most +25 MB",
            met=per_thousand <= 25,
        ),
        Figure(
            name=f'"ray": {jobs}, idle CPU of registry and controllers',
            baseline=0,
            measured=found.idle,
            unit="% of a core",
            figure=found.idle,
            reach="below 5",
            met=found.idle < 5,
        ),
        Figure(
            name=f'"ray": one submit_capability call beside {jobs}, p50',
            baseline=found.empty_ms,
            measured=found.full_ms,
            unit="ms",
            figure=found.full_ms / found.empty_ms,
            reach="at most 1.50",
            met=found.full_ms / found.empty_ms <= 1.5,
        ),
    ]


def queued_jobs(cluster: Cluster) -> list[Figure]:
    with cluster.registry() as registry:
        return queued_figures(queue_jobs(registry))


def _waiting() -> dict[str, Any]:
    resources = {"num_cpus": 1, "custom": {"nowhere": 1}}
    return {"capability": work.Nothing(), "config": next(_numbers), "resources": resources}


def _submit_ms() -> float:
    """The median of the rounds' p50; the jobs wait like the others."""
    p50_ms(lambda: submit_capability(**_waiting()), _TIMES)
    return statistics.median(p50_ms(lambda: submit_capability(**_waiting()), _TIMES) for _ in range(ROUNDS))
