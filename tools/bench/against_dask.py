"""Short jobs against tasks of dask.distributed, which gets an environment of its own."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path

from cluster import Cluster
from figures import ROUNDS, Comparison, Figure
from throughput import SHORT, rates, run_jobs

_TASKS = 2_000
_WANTED = "distributed>=2025.1"


def dask(cluster: Cluster) -> list[Figure]:
    """No-op jobs that are said to be short, the journal on the local disk, against as many tasks of two workers."""
    theirs = _dask_rates()
    with tempfile.TemporaryDirectory() as journal, cluster.registry(journal_uri=journal):
        ours = rates(_TASKS, lambda count: run_jobs(count, **SHORT))
    name = f'"ray": short jobs, {_TASKS:,} at once, journal on disk, against tasks of dask.distributed'
    return [Comparison(name=name, unit="1/s", baseline=theirs, measured=ours).at_least(3.0)]


def _dask_rates() -> list[float]:
    with tempfile.TemporaryDirectory() as folder:
        python = Path(folder) / "bin" / "python"
        subprocess.run([sys.executable, "-m", "venv", folder], check=True)
        subprocess.run([python, "-m", "pip", "install", "--quiet", _WANTED], check=True)
        script = Path(__file__).with_name("dask_rates.py")
        said = subprocess.run(
            [python, "-I", script, str(_TASKS), str(ROUNDS)], check=True, stdout=subprocess.PIPE, text=True
        )
    found: list[float] = json.loads(said.stdout)
    return found
