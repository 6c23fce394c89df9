"""How long the first result of a script takes that starts a Ray on this machine."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Mapping

from cluster import HERE, Cluster
from figures import Comparison, Figure, seconds

_ROUNDS = 3
_REACHES = {"ray-simple": 1.1, "ray": 1.25}
_CONFIGURED = 1.1
_UNTIL = {
    "ready_s": "script until the backend is configured",
    "result_s": "script until its first result",
    "whole_s": "script with one job, until its process has ended",
}


def first_result(_: Cluster) -> list[Figure]:
    """Scripts of their own, by turns: a raw task without rows, and a job of each backend that stores one row."""
    kinds = ("raw", *_REACHES)
    rounds = [{kind: _run(kind) for kind in kinds} for _ in range(_ROUNDS)]
    return [
        Comparison(
            name=f'"{kind}": {what}',
            unit="s",
            baseline=[each["raw"][until] for each in rounds],
            measured=[each[kind][until] for each in rounds],
        ).at_most(_CONFIGURED if until == "ready_s" else reach)
        for kind, reach in _REACHES.items()
        for until, what in _UNTIL.items()
    ]


def _run(kind: str) -> Mapping[str, float]:
    """How many seconds a script needs for what."""
    said = []
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, str(HERE / "starting.py"), kind, folder]
        whole_s = seconds(
            lambda: said.append(subprocess.run(command, check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL))
        )
    return {**json.loads(said[0].stdout.splitlines()[-1]), "whole_s": whole_s}
