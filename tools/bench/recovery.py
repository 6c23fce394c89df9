"""What the journal costs later: the time and memory of a recovery, and its size. No Ray takes part."""

from __future__ import annotations

import json
import shutil
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from cluster import HERE, Cluster
from figures import ROUNDS, Figure
from logic import Journaled, Logic, Remembered, remembered

_BATCH = 500
_SIZED = 5_000
_PAYLOAD_BYTES = 2_048
_RETAINED = 1_000
_FORGOTTEN = 10_000


def recovery(cluster: Cluster) -> list[Figure]:
    """A new registry reads 101,000 jobs, most of them from a snapshot; with ``--long`` also without any snapshot."""
    folder = remembered().folder
    jobs = f"recovery of {Remembered.finished:,} finished jobs"
    bare_mb = statistics.median(_replayed()[1] for _ in range(ROUNDS))
    took_s, peak_mb = _medians([_replayed(folder) for _ in range(ROUNDS)])
    in_snapshot = f"{jobs}, {Remembered.in_snapshot:,} of them in a snapshot"
    found = [_time(in_snapshot, took_s, reach_s=3), _memory(in_snapshot, bare_mb, peak_mb, reach_mb=400)]
    if cluster.long:
        shutil.rmtree(Path(folder) / "snap")
        slow_s, slow_mb = _medians([_replayed(folder)])
        found += [_time(f"{jobs} without a snapshot", slow_s), _memory(f"{jobs} without a snapshot", bare_mb, slow_mb)]
    return found


def journal_size(_: Cluster) -> list[Figure]:
    """Bytes that a job adds, and what is left of very many that were forgotten."""
    return [
        _bytes_of("a no-op job", 0),
        _bytes_of(f"a job with {_PAYLOAD_BYTES:,} bytes of payload", _PAYLOAD_BYTES),
        _bounded(),
    ]


def _bytes_of(what: str, payload_bytes: int) -> Figure:
    with tempfile.TemporaryDirectory() as folder:
        written = Journaled(folder, Logic(), batch=_BATCH, snapshots=False)
        written.finish(_SIZED, payload_bytes=payload_bytes)
        in_segments = _size(folder) / _SIZED
        written.snapshot(prune=False)
        in_snapshot = _size(folder) / _SIZED - in_segments
    return Figure(
        name=f"journal: {what}, in segments against in a snapshot",
        baseline=in_snapshot,
        measured=in_segments,
        unit="bytes",
        figure=in_segments / in_snapshot,
    )


def _bounded() -> Figure:
    """The largest size while so many jobs are forgotten, against the largest while as many more are."""
    with tempfile.TemporaryDirectory() as folder:
        written = Journaled(folder, Logic(retained=_RETAINED), batch=_BATCH)
        before, after = (_largest(written, folder) for _ in range(2))
    return Figure(
        name=f"journal: {_RETAINED:,} jobs kept, {2 * _FORGOTTEN:,} forgotten against {_FORGOTTEN:,}, largest size",
        baseline=before / 1000,
        measured=after / 1000,
        unit="kB",
        figure=after / before,
        reach="at most 1.10",
        met=after / before <= 1.1,
    )


def _largest(written: Journaled, folder: str) -> int:
    sizes = []
    for _ in range(_FORGOTTEN // _BATCH):
        written.finish(_BATCH)
        sizes.append(_size(folder))
    return max(sizes)


def _size(folder: str) -> int:
    return sum(path.stat().st_size for path in Path(folder).rglob("*") if path.is_file())


def _time(name: str, took_s: float, *, reach_s: float | None = None) -> Figure:
    reach = "" if reach_s is None else f"below {reach_s:g} s"
    met = None if reach_s is None else took_s < reach_s
    return Figure(name=name, baseline=0, measured=took_s, unit="s", figure=took_s, reach=reach, met=met)


def _memory(name: str, bare_mb: float, peak_mb: float, *, reach_mb: float | None = None) -> Figure:
    added_mb = peak_mb - bare_mb
    reach = "" if reach_mb is None else f"below +{reach_mb:g} MB"
    met = None if reach_mb is None else added_mb < reach_mb
    return Figure(name=name, baseline=bare_mb, measured=peak_mb, unit="MB peak", figure=added_mb, reach=reach, met=met)


def _medians(rounds: list[tuple[float, float]]) -> tuple[float, float]:
    return statistics.median(each[0] for each in rounds), statistics.median(each[1] for each in rounds)


def _replayed(*folder: str) -> tuple[float, float]:
    """Seconds and peak megabytes of a process that reads a journal."""
    done = subprocess.run(
        [sys.executable, str(HERE / "replaying.py"), *folder], check=True, capture_output=True, text=True
    )
    took_s, peak_mb, jobs = json.loads(done.stdout)
    assert jobs == (Remembered.finished + Remembered.live if folder else 0), "all jobs are there again"
    return took_s, peak_mb
