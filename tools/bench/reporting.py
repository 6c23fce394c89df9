"""What ``report_progress`` costs a worker that calls it in a tight loop."""

from __future__ import annotations

import ast
import statistics

import work
from checkmaite.jobs import submit_capability
from cluster import Cluster
from figures import Figure

_ROUNDS = 31
_STEPS = 1_000
_STEP_S = 50e-6


def progress_cost(cluster: Cluster) -> list[Figure]:
    """Rounds of a loop on a worker, by turns with and without a report after each step of work."""
    with cluster.registry():
        reports = work.Reports(rounds=_ROUNDS, steps=_STEPS, step_s=_STEP_S)
        pairs = ast.literal_eval(str(submit_capability(reports, config="reports").result().report))
    added = statistics.median(told / plain - 1 for plain, told in pairs) * 100
    plain_us, told_us = (statistics.median(each[side] for each in pairs) / _STEPS * 1e6 for side in (0, 1))
    return [
        Figure(
            name='"ray": report_progress after every step of a loop',
            baseline=plain_us,
            measured=told_us,
            unit="us a step",
            figure=added,
            reach="below +1 %",
            met=added < 1,
        )
    ]
