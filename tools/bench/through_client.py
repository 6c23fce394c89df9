"""The same batch through ``ray://`` and direct, from two processes, one after the other."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

from cluster import HERE, Cluster, Registry
from figures import Comparison, Figure, block

_JOBS = 500


def ray_client(cluster: Cluster) -> list[Figure]:
    with cluster.registry() as registry:
        direct, client = (batch_rates(registry, address) for address in (cluster.driver, cluster.client))
    name = f'"ray": {_JOBS:,} no-op jobs at once through ray://'
    return [Comparison(name=name, unit="1/s", baseline=direct, measured=client).at_least(0.5)]


def batch_rates(registry: Registry, address: str) -> list[float]:
    """Jobs a second of a process that submits batches at that address."""
    side = _Side({**registry.options, "address": address})
    try:
        side.rate()  # this side's modules imported; the next one, which starts workers, is left out, too
        return block(side.rate)
    finally:
        side.end()


class _Side:
    """A process that runs a batch each time it is asked."""

    def __init__(self, options: dict[str, Any]) -> None:
        self._process = subprocess.Popen(
            [sys.executable, str(HERE / "batches.py"), json.dumps(options), str(_JOBS)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def rate(self) -> float:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write("once more\n")
        self._process.stdin.flush()
        return _JOBS / float(self._process.stdout.readline())

    def end(self) -> None:
        self._process.communicate()
