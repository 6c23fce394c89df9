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
from endpoint import journal_places
from figures import ROUNDS, Comparison, Figure, block, seconds

_JOBS = 2_000
_STORING_JOBS = 1_000
_STORED_SHORT_JOBS = 500
_POOL_JOBS = 1_000
_POOL_ROUNDS = 3
_SHORT_ROUNDS = 3
JOURNAL_REACHES = (0.85, 0.50)
"""Of the rate without a journal: on the local disk, and on an S3 endpoint."""
SHORT: Any = {"resources": {"short": True}}
"""Arguments of jobs that are said to be short."""
_ONE_BY_ONE: Any = {"packs_by_history": False}
"""Options of a registry whose jobs have a task each."""
_numbers = itertools.count()


def run_jobs(count: int, capability: Any = None, **arguments: Any) -> None:
    """So many jobs, each another run, from the submission to the last result."""
    doing = work.Nothing() if capability is None else capability
    wait_all(submit_capabilities([{"capability": doing, "config": next(_numbers), **arguments} for _ in range(count)]))


def rates(count: int, run: Callable[[int], object], rounds: int = ROUNDS) -> list[float]:
    """How many of `count` are done in a second: a block of rounds."""
    return block(lambda: count / seconds(lambda: run(count)), rounds, warm=lambda: run(count // 4))


def run_storing_jobs(count: int) -> None:
    """So many jobs that store one row each."""
    run_jobs(count, work.OneRow())


def ray_simple(cluster: Cluster) -> list[Figure]:
    raw = rates(_JOBS, cluster.raw)
    configure_job_backend("ray-simple", address=cluster.driver, analytics_store=NULL)
    ours = rates(_JOBS, run_jobs)
    shutdown_job_backend()
    name = f'"ray-simple": no-op jobs, {_JOBS:,} at once'
    return [Comparison(name=name, unit="1/s", baseline=raw, measured=ours).at_least(0.80)]


def null_store(cluster: Cluster) -> list[Figure]:
    """Without a journal against raw tasks; with one against without."""
    name = f'"ray": no-op jobs, {_JOBS:,} at once'
    raw = rates(_JOBS, cluster.raw)
    memory = _rates(cluster, None)
    found = [Comparison(name=name, unit="1/s", baseline=raw, measured=memory).at_least(0.40)]
    with journal_places() as places:
        for (where, uri), reach in zip(places.items(), JOURNAL_REACHES, strict=True):
            kept = _rates(cluster, uri)
            title = f"{name}, journal {where} against none"
            found.append(Comparison(name=title, unit="1/s", baseline=memory, measured=kept).at_least(reach))
    return found


def short_jobs(cluster: Cluster) -> list[Figure]:
    """Jobs that are said to be short, with the journal on the local disk: against raw tasks, and against other jobs."""
    raw = rates(_JOBS, cluster.raw)
    with tempfile.TemporaryDirectory() as folder:
        journal = str(Path(folder) / "journal")
        with cluster.registry(journal_uri=journal):
            short = rates(_JOBS, lambda count: run_jobs(count, **SHORT))
        parquet = {"backend": "parquet", "uri": str(Path(folder) / "store")}
        with cluster.registry(parquet, journal_uri=journal, **_ONE_BY_ONE):
            others = rates(_STORED_SHORT_JOBS, run_storing_jobs, _SHORT_ROUNDS)
            storing = rates(_STORED_SHORT_JOBS, lambda count: run_jobs(count, work.OneRow(), **SHORT), _SHORT_ROUNDS)
    name = f'"ray": short jobs, {_JOBS:,} at once, journal on disk'
    row = f'"ray": short jobs that store one row as Parquet, {_STORED_SHORT_JOBS:,} at once, against others'
    return [
        Comparison(name=name, unit="1/s", baseline=raw, measured=short).at_least(1.5),
        Comparison(name=row, unit="1/s", baseline=others, measured=storing).at_least(2.0),
    ]


def parquet_store(cluster: Cluster) -> list[Figure]:
    with tempfile.TemporaryDirectory() as folder:
        contents = _two_files(Path(folder) / "sample")
        target = Path(folder) / "raw"
        target.mkdir()
        assert cluster.driver, "the cluster is up"
        write_two = ray.remote(work.write_two)

        def write(count: int) -> None:
            ray.get([write_two.remote(str(target), next(_numbers), contents) for _ in range(count)])

        raw = rates(_STORING_JOBS, write)
        with cluster.registry({"backend": "parquet", "uri": str(Path(folder) / "store")}):
            ours = rates(_STORING_JOBS, run_storing_jobs)
    name = f'"ray": jobs that store one row as Parquet, {_STORING_JOBS:,} at once'
    return [Comparison(name=name, unit="1/s", baseline=raw, measured=ours).at_least(0.60)]


def pool_sizes(cluster: Cluster) -> list[Figure]:
    """Pools of one, two and four, so that the default can be chosen; each job has a task, so that they differ."""
    raw = rates(_POOL_JOBS, cluster.raw)
    found = []
    for size in (1, 2, 4):
        with cluster.registry(controller_pool_size=size, **_ONE_BY_ONE):
            ours = rates(_POOL_JOBS, run_jobs, _POOL_ROUNDS)
        name = f'"ray": no-op jobs with controller_pool_size={size}'
        found.append(Comparison(name=name, unit="1/s", baseline=raw, measured=ours).known())
    return found


def _rates(cluster: Cluster, journal_uri: str | None) -> list[float]:
    with cluster.registry(journal_uri=journal_uri):
        return rates(_JOBS, run_jobs)


def _two_files(folder: Path) -> tuple[bytes, bytes]:
    """The bytes of a run with one row: its rows and its commit."""
    ParquetStore(str(folder)).write(SampleRun(run_uid="sample"))
    rows, commit = sorted((path.read_bytes() for path in folder.rglob("*.parquet")), key=len)
    return rows, commit
