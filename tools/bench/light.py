"""What a registry and its one controller take when nothing happens, and for each job that is live."""

from __future__ import annotations

import itertools
import tempfile
import time
from typing import Any

import work
from checkmaite.jobs import submit_capabilities, submit_capability
from cluster import Cluster
from figures import Figure
from processes import cpu_s, memory_mb

_JOBS = 5_000
_BATCH = 1_000
_SETTLE_S = 10.0
_IDLE_S = 30.0
_PROCESSES = 2
"""The registry and its one controller."""
_MOST_MB = 150.0
_MOST_MB_PER_THOUSAND = 8.0
_MOST_IDLE = 1.0
_numbers = itertools.count()


def light(cluster: Cluster) -> list[Figure]:
    """A registry with its journal on the local disk that has had one job, and then 5,000 that wait."""
    with (
        tempfile.TemporaryDirectory() as folder,
        cluster.registry(journal_uri=folder) as registry,
    ):
        submit_capability(work.Nothing(), config=next(_numbers)).result()
        pids = registry.pids(_PROCESSES)
        time.sleep(_SETTLE_S)
        before_s = cpu_s(pids)
        time.sleep(_IDLE_S)
        idle = 100 * (cpu_s(pids) - before_s) / _IDLE_S
        idle_mb = memory_mb(pids)
        for _ in range(_JOBS // _BATCH):
            submit_capabilities([_waiting() for _ in range(_BATCH)])
        time.sleep(_SETTLE_S)  # until what the last batch has set off is over
        full_mb = memory_mb(pids)
    per_thousand = (full_mb - idle_mb) * 1_000 / _JOBS
    who = '"ray": registry and one controller, journal on disk'
    return [
        Figure(
            name=f"{who}, memory (PSS) when idle",
            baseline=0,
            measured=idle_mb,
            unit="MB",
            figure=idle_mb,
            reach=f"at most {_MOST_MB:.0f} MB",
            met=idle_mb <= _MOST_MB,
        ),
        Figure(
            name=f"{who}, CPU when idle",
            baseline=0,
            measured=idle,
            unit="% of a core",
            figure=idle,
            reach=f"below {_MOST_IDLE:.0f}",
            met=idle < _MOST_IDLE,
        ),
        Figure(
            name=f"{who}, memory per 1,000 live jobs, of {_JOBS:,}",
            baseline=idle_mb,
            measured=full_mb,
            unit="MB",
            figure=per_thousand,
            reach=f"at most +{_MOST_MB_PER_THOUSAND:.0f} MB",
            met=per_thousand <= _MOST_MB_PER_THOUSAND,
        ),
    ]


def _waiting() -> dict[str, Any]:
    """A job that waits for a resource which the cluster does not have."""
    resources = {"num_cpus": 1, "custom": {"nowhere": 1}}
    return {"capability": work.Nothing(), "config": next(_numbers), "resources": resources}
