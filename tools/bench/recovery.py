"""What the journal costs later: the time and memory of a recovery, and its size. No Ray takes part."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from cluster import HERE, Cluster
from figures import ROUNDS, Figure
from logic import Journaled, Logic

_FINISHED = 100_000
_SINCE = 10_000
_LIVE = 1_000
_BATCH = 500
_KB = 1024


def recovery(_: Cluster) -> list[Figure]:
    """A new registry reads 101,000 jobs, most of them from a snapshot; and without any snapshot."""
    return [*_recovered("a snapshot and segments", snapshot=True), *_recovered("no snapshot", snapshot=False)]


def _recovered(how: str, *, snapshot: bool) -> list[Figure]:
    with tempfile.TemporaryDirectory() as folder:
        written = Journaled(folder, Logic(), batch=_BATCH, snapshots=False)
        written.finish(_FINISHED - _SINCE)
        if snapshot:
            written.snapshot()
        written.finish(_SINCE)
        written.logic.start(_LIVE)
        written.write()
        expected = len(written.logic.machine.book.records)
        del written
        bare_mb = statistics.median(_replayed()[1] for _ in range(ROUNDS))
        rounds = [_replayed(folder) for _ in range(ROUNDS)]
    assert {jobs for *_, jobs in rounds} == {expected}, "all jobs are there again"
    took_s, peak_mb = (statistics.median(each[side] for each in rounds) for side in (0, 1))
    name = f"recovery of {_FINISHED:,} finished and {_LIVE:,} live jobs, {how}"
    return [
        Figure(
            name=f"{name}: time",
            baseline=0,
            measured=took_s,
            unit="s",
            figure=took_s,
            reach="below 3 s" if snapshot else "",
            met=took_s < 3 if snapshot else None,
        ),
        Figure(
            name=f"{name}: peak memory",
            baseline=bare_mb,
            measured=peak_mb,
            unit="MB",
            figure=peak_mb - bare_mb,
            reach="below +400 MB" if snapshot else "",
            met=peak_mb - bare_mb < 400 if snapshot else None,
        ),
    ]


def _replayed(*folder: str) -> tuple[float, float, int]:
    """Seconds, peak megabytes and number of jobs of a process that reads a journal."""
    done = subprocess.run(
        [sys.executable, str(HERE / "replaying.py"), *folder], check=True, capture_output=True, text=True
    )
    took_s, peak_mb, jobs = json.loads(done.stdout)
    return took_s, peak_mb, jobs
