"""What a large model costs that is staged once and given to many jobs, beside one that is small."""

from __future__ import annotations

import hashlib
import os
import uuid
from pathlib import Path
from tempfile import TemporaryDirectory
from types import SimpleNamespace
from typing import Any

import numpy as np
from checkmaite.jobs import stage, submit_capabilities, unstage, wait_all
from cluster import Cluster
from endpoint import READS, s3_bucket
from figures import Comparison, Figure, seconds
from work import Looks

_GIGABYTES = float(os.environ.get("BENCH_STAGED_GB", "2"))
_JOBS = 50
_ROUNDS = 3


def staged_model(cluster: Cluster) -> list[Figure]:
    """Fifty jobs with a staged model: what is read of the store, and what a job takes once it is there."""
    with TemporaryDirectory() as folder, s3_bucket(reads=Path(folder) / READS) as bucket:
        options = {"artifact_store": {"uri": f"{bucket}/models"}}
        with cluster.registry(**options):
            _jobs(stage(_model(8)), 2)  # starts workers
            small, large = _model(1000), _model(int(_GIGABYTES * 1e9))
            hashed = [seconds(lambda: hashlib.sha256(large.weights).digest()) for _ in range(_ROUNDS)]
            staged = [seconds(lambda: stage(large)) for _ in range(2)]
            reference, little = stage(large), stage(small)
            before = _read(Path(folder))
            first = seconds(lambda: _jobs(reference, _JOBS))
            fetched = _read(Path(folder)) - before
            again = [seconds(lambda: _jobs(reference, _JOBS)) for _ in range(_ROUNDS)]
            beside = [seconds(lambda: _jobs(little, _JOBS)) for _ in range(_ROUNDS)]
            unstage(reference)
    what = f"{_JOBS} jobs with a staged model of {_GIGABYTES:g} GB"
    return [
        Comparison(
            name=f"{what}: read from the store", unit="GB", baseline=[_GIGABYTES], measured=[fetched / 1e9]
        ).at_most(1.01),
        Comparison(
            name=f"{what}, on the node already, beside one of 1 kB", unit="s", baseline=beside, measured=again
        ).known(),
        Comparison(name=f"{what}: the first, with the fetch", unit="s", baseline=again, measured=[first]).known(),
        Comparison(name="stage() of it, beside its SHA-256", unit="s", baseline=hashed, measured=staged[:1]).known(),
        Comparison(name="stage() of it once more", unit="s", baseline=hashed, measured=staged[1:]).known(),
    ]


def _model(size: int) -> Any:
    return SimpleNamespace(metadata={"id": "model"}, weights=np.random.default_rng(size).random(size // 8))


def _jobs(reference: Any, count: int) -> None:
    jobs = submit_capabilities(
        {"capability": Looks(), "models": [reference], "config": uuid.uuid4().hex} for _ in range(count)
    )
    wait_all(jobs)
    assert all(job.status == "COMPLETED" for job in jobs), jobs[0].explain()


def _read(folder: Path) -> int:
    file = folder / READS
    return sum(map(int, file.read_text().split())) if file.exists() else 0
