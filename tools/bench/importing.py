"""What ``import checkmaite.jobs`` costs against bare Python."""

from __future__ import annotations

import statistics
import subprocess
import sys

from cluster import Cluster
from figures import ROUNDS, Figure

_SCRIPT = (
    "import resource, subprocess, sys, time; began = time.perf_counter(); "
    "subprocess.run([sys.executable, '-c', sys.argv[1]], check=True); "
    "print(time.perf_counter() - began, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024)"
)


def import_cost(_: Cluster) -> list[Figure]:
    rounds = [(_python("pass"), _python("import checkmaite.jobs")) for _ in range(4 * ROUNDS)]
    bare_s, ours_s = (statistics.median(each[side][0] for each in rounds) for side in (0, 1))
    bare_mb, ours_mb = (statistics.median(each[side][1] for each in rounds) for side in (0, 1))
    added_ms, added_mb = (ours_s - bare_s) * 1000, ours_mb - bare_mb
    return [
        Figure(
            name="import checkmaite.jobs, time",
            baseline=bare_s * 1000,
            measured=ours_s * 1000,
            unit="ms",
            figure=added_ms,
            reach="at most +120 ms",
            met=added_ms <= 120,
        ),
        Figure(
            name="import checkmaite.jobs, memory",
            baseline=bare_mb,
            measured=ours_mb,
            unit="MB",
            figure=added_mb,
            reach="at most +25 MB",
            met=added_mb <= 25,
        ),
    ]


def _python(code: str) -> tuple[float, float]:
    """Seconds and peak megabytes of a fresh interpreter that runs `code`."""
    done = subprocess.run([sys.executable, "-c", _SCRIPT, code], check=True, capture_output=True, text=True)
    took, size = done.stdout.split()
    return float(took), float(size)
