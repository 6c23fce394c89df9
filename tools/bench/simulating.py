"""How fast the simulation of registry, journal, controllers and clients goes: more seeds a minute find more faults."""

from __future__ import annotations

import subprocess
import sys

from cluster import HERE, Cluster
from figures import Figure

_SEEDS = 300
_ROOT = HERE.parent.parent
_MODULE = "tests.ray_registry.simulation"


def simulation(_: Cluster) -> list[Figure]:
    done = subprocess.run(
        [sys.executable, "-m", _MODULE, "--seeds", f"0:{_SEEDS}"],
        cwd=_ROOT,
        check=True,
        capture_output=True,
        text=True,
    )
    took_s = float(done.stdout.split()[3])  # "300 seeds in 5.1 s: ..."
    rate = _SEEDS / took_s
    return [
        Figure(
            name="simulation: seeds",
            baseline=0,
            measured=rate,
            unit="1/s",
            figure=rate,
            reach="2,000 in a minute",
            met=rate >= 2_000 / 60,
        )
    ]
