"""How many jobs get done in a second, against raw Ray tasks that do the same."""

from __future__ import annotations

import itertools
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import work
from checkmaite.jobs import configure_job_backend, shutdown_job_backend, submit_capabilities, wait_all
from checkmaite.jobs.testing import SampleRun
from checkmaite.store_parquet import ParquetStore
from cluster import NULL, Cluster, ray
from figures import ROUNDS, Comparison, Figure, seconds

_SIMPLE_JOBS = 1_000
_JOBS = 2_000
_POOL_JOBS = 1_000
_numbers = itertools.count()


def run_jobs(count: int, capability: Any = None) -> None:
    """So many jobs, each another run, from the submission to the last result."""
    doing = work.Nothing() if capability is None else capability
    wait_all(submit_capabilities([{"capability": doing, "config": next(_numbers)} for _ in range(count)]))


def compare(name: str, count: int, raw: Callable[[], object], ours: Callable[[], object]) -> Comparison:
    """Rates of the two by turns, after one round that starts workers and imports modules."""
    raw(), ours()
    took = [(seconds(raw), seconds(ours)) for _ in range(ROUNDS)]
    return Comparison(name=name, unit="1/s", rounds=[(count / bare, count / own) for bare, own in took])


def ray_simple(cluster: Cluster) -> list[Figure]:
    configure_job_backend("ray-simple", address=cluster.driver, analytics_store=NULL)
    name = '"ray-simple": no-op jobs'
    found = compare(name, _SIMPLE_JOBS, lambda: cluster.raw(_SIMPLE_JOBS), lambda: run_jobs(_SIMPLE_JOBS))
    shutdown_job_backend()
    return [found.at_least(0.70)]


def null_store(cluster: Cluster) -> list[Figure]:
    with cluster.registry():
        name = f'"ray": no-op jobs, {_JOBS:,} at once'
        found = compare(name, _JOBS, lambda: cluster.raw(_JOBS), lambda: run_jobs(_JOBS))
    return [found.at_least(0.40)]


def parquet_store(cluster: Cluster) -> list[Figure]:
    with tempfile.TemporaryDirectory() as folder:
        contents = _two_files(Path(folder) / "sample")
        (Path(folder) / "raw").mkdir()
        store = {"backend": "parquet", "uri": str(Path(folder) / "store")}
        with cluster.registry(store):
            write_two = ray.remote(work.write_two)

            def raw() -> None:
                target = str(Path(folder) / "raw")
                ray.get([write_two.remote(target, next(_numbers), contents) for _ in range(_JOBS)])

            name = f'"ray": jobs that store one row as Parquet, {_JOBS:,} at once'
            found = compare(name, _JOBS, raw, lambda: run_jobs(_JOBS, work.OneRow()))
    return [found.at_least(0.60)]


def pool_sizes(cluster: Cluster) -> list[Figure]:
    """Pools of one, two and three by turns, so that the default can be chosen."""
    sizes = (1, 2, 3)
    rates: dict[int, list[tuple[float, float]]] = {size: [] for size in sizes}
    for _ in range(3):
        for size in sizes:
            with cluster.registry(controller_pool_size=size):
                run_jobs(_POOL_JOBS)
                for _ in range(2):
                    bare, own = seconds(lambda: cluster.raw(_POOL_JOBS)), seconds(lambda: run_jobs(_POOL_JOBS))
                    rates[size].append((_POOL_JOBS / bare, _POOL_JOBS / own))
    return [
        Comparison(name=f'"ray": no-op jobs with controller_pool_size={size}', unit="1/s", rounds=rounds).known()
        for size, rounds in rates.items()
    ]


def _two_files(folder: Path) -> tuple[bytes, bytes]:
    """The bytes of a run with one row: its rows and its commit."""
    ParquetStore(str(folder)).write(SampleRun(run_uid="sample"))
    rows, commit = sorted((path.read_bytes() for path in folder.rglob("*.parquet")), key=len)
    return rows, commit
