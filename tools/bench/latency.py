"""How long one job keeps its user waiting, in raw round trips: ``ray.get`` of a no-op task."""

from __future__ import annotations

import itertools
import statistics
import tempfile
import time

import work
from checkmaite.jobs import submit_capability
from cluster import Cluster, ray
from figures import ROUNDS, Comparison, Figure, p50_ms, seconds

_TIMES = 40
_numbers = itertools.count()


def latency(cluster: Cluster) -> list[Figure]:
    """One job after the other: each is over before the next is submitted."""
    with tempfile.TemporaryDirectory() as folder, cluster.registry({"backend": "parquet", "uri": folder}):
        _submit_ms(), _news_ms(), _round_trip_ms(cluster)
        rounds = [(_round_trip_ms(cluster), _submit_ms(), _news_ms()) for _ in range(ROUNDS)]
    submit = [(bare, submitted) for bare, submitted, _ in rounds]
    news = [(bare, told) for bare, _, told in rounds]
    return [
        Comparison(name='"ray": one submit_capability call, p50', unit="ms", rounds=submit).at_most(3),
        Comparison(name='"ray": results stored until result() returns, p50', unit="ms", rounds=news).at_most(3),
    ]


def _round_trip_ms(cluster: Cluster) -> float:
    return p50_ms(lambda: ray.get(cluster.nothing.remote(0)), _TIMES)


def _submit_ms() -> float:
    took = []
    for _ in range(_TIMES):
        jobs = []
        took.append(seconds(lambda: jobs.append(submit_capability(work.Nothing(), config=next(_numbers)))))  # noqa: B023
        jobs[0].result()
    return statistics.median(took) * 1000


def _news_ms() -> float:
    """From the worker's clock right after the store's write to this process's when `result` has returned."""
    took = []
    for _ in range(_TIMES):
        ref = submit_capability(work.TellsCommit(), config=next(_numbers)).result()
        took.append(time.time() - float(ref.report or "nan"))
    return statistics.median(took) * 1000
