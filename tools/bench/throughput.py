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
from endpoint import put_ms, s3_bucket
from figures import Comparison, Figure, block, seconds

_SIMPLE_JOBS = 1_000
_JOBS = 2_000
_POOL_JOBS = 1_000
_POOL_ROUNDS = 3
_numbers = itertools.count()


def run_jobs(count: int, capability: Any = None) -> None:
    """So many jobs, each another run, from the submission to the last result."""
    doing = work.Nothing() if capability is None else capability
    wait_all(submit_capabilities([{"capability": doing, "config": next(_numbers)} for _ in range(count)]))


def rates(count: int, run: Callable[[], object]) -> list[float]:
    """How many of `count` are done in a second: a block of rounds."""
    return block(lambda: count / seconds(run))


def ray_simple(cluster: Cluster) -> list[Figure]:
    raw = rates(_SIMPLE_JOBS, lambda: cluster.raw(_SIMPLE_JOBS))
    configure_job_backend("ray-simple", address=cluster.driver, analytics_store=NULL)
    ours = rates(_SIMPLE_JOBS, lambda: run_jobs(_SIMPLE_JOBS))
    shutdown_job_backend()
    return [Comparison(name='"ray-simple": no-op jobs', unit="1/s", baseline=raw, measured=ours).at_least(0.70)]


def null_store(cluster: Cluster) -> list[Figure]:
    """Without a journal against raw tasks; with one against without."""
    raw = rates(_JOBS, lambda: cluster.raw(_JOBS))
    memory = _no_op_rates(cluster, None)
    with tempfile.TemporaryDirectory() as folder:
        disk = _no_op_rates(cluster, folder)
    with s3_bucket() as bucket:
        latency_ms = put_ms(bucket)
        s3 = _no_op_rates(cluster, f"{bucket}/journal")
    name = f'"ray": no-op jobs, {_JOBS:,} at once'
    on_s3 = f"{name}, journal on S3 (a PUT takes {latency_ms:.1f} ms) against none"
    return [
        Comparison(name=name, unit="1/s", baseline=raw, measured=memory).at_least(0.40),
        Comparison(name=f"{name}, journal on disk against none", unit="1/s", baseline=memory, measured=disk).at_least(
            0.85
        ),
        Comparison(name=on_s3, unit="1/s", baseline=memory, measured=s3).at_least(0.50),
    ]


def parquet_store(cluster: Cluster) -> list[Figure]:
    with tempfile.TemporaryDirectory() as folder:
        contents = _two_files(Path(folder) / "sample")
        target = Path(folder) / "raw"
        target.mkdir()
        write_two = ray.remote(work.write_two)
        raw = rates(
            _JOBS, lambda: ray.get([write_two.remote(str(target), next(_numbers), contents) for _ in range(_JOBS)])
        )
        with cluster.registry({"backend": "parquet", "uri": str(Path(folder) / "store")}):
            ours = rates(_JOBS, lambda: run_jobs(_JOBS, work.OneRow()))
    name = f'"ray": jobs that store one row as Parquet, {_JOBS:,} at once'
    return [Comparison(name=name, unit="1/s", baseline=raw, measured=ours).at_least(0.60)]


def pool_sizes(cluster: Cluster) -> list[Figure]:
    """Pools of one, two and three, so that the default can be chosen."""
    raw = rates(_POOL_JOBS, lambda: cluster.raw(_POOL_JOBS))
    found = []
    for size in (1, 2, 3):
        with cluster.registry(controller_pool_size=size):
            ours = block(lambda: _POOL_JOBS / seconds(lambda: run_jobs(_POOL_JOBS)), _POOL_ROUNDS)
        name = f'"ray": no-op jobs with controller_pool_size={size}'
        found.append(Comparison(name=name, unit="1/s", baseline=raw, measured=ours).known())
    return found


def _no_op_rates(cluster: Cluster, journal_uri: str | None) -> list[float]:
    with cluster.registry(journal_uri=journal_uri):
        return rates(_JOBS, lambda: run_jobs(_JOBS))


def _two_files(folder: Path) -> tuple[bytes, bytes]:
    """The bytes of a run with one row: its rows and its commit."""
    ParquetStore(str(folder)).write(SampleRun(run_uid="sample"))
    rows, commit = sorted((path.read_bytes() for path in folder.rglob("*.parquet")), key=len)
    return rows, commit
