"""How long one job keeps its user waiting, in raw round trips: ``ray.get`` of a no-op task."""

from __future__ import annotations

import itertools
import statistics
import tempfile
import time

import work
from checkmaite.jobs import submit_capability
from cluster import Cluster, ray
from figures import Comparison, Figure, block, p50_ms, seconds

_TIMES = 20
_numbers = itertools.count()


def latency(cluster: Cluster) -> list[Figure]:
    """One job after the other: each is over before the next is submitted."""
    raw = block(lambda: _round_trip_ms(cluster))
    submit, news = _with_journal(cluster, in_memory=True)
    kept_submit, kept_news = _with_journal(cluster, in_memory=False)

    def compared(name: str, measured: list[float]) -> Comparison:
        return Comparison(name=f'"ray": {name}, p50', unit="ms", baseline=raw, measured=measured)

    return [
        compared("one submit_capability call", submit).at_most(3),
        compared("one submit_capability call, journal on disk", kept_submit).known(),
        compared("results stored until result() returns", news).at_most(3),
        compared("results stored until result() returns, journal on disk", kept_news).known(),
    ]


def _with_journal(cluster: Cluster, *, in_memory: bool) -> tuple[list[float], list[float]]:
    """Milliseconds of submissions, and of news."""
    with tempfile.TemporaryDirectory() as folder:
        place = {"journal_uri": None if in_memory else f"{folder}/journal"}
        with cluster.registry({"backend": "parquet", "uri": f"{folder}/store"}, **place):
            return block(_submit_ms), block(_news_ms)


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
        took.append(time.time() - float(ref.outputs_uri or "nan"))
    return statistics.median(took) * 1000
