"""Cost against work: seconds per job for more and more jobs, as figures and as a chart."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from pathlib import Path

from cluster import Cluster
from figures import Comparison, Figure, seconds
from throughput import run_jobs

CHART = "cost-against-work.png"
_ROUNDS = {100: 9, 1_000: 5, 10_000: 1}
_LONG_ROUNDS = {100_000: 1}


def growth(cluster: Cluster) -> list[Figure]:
    """Milliseconds per job, each number of jobs in one batch on one registry; raw tasks take turns."""
    found: list[Figure] = []
    with cluster.registry():
        run_jobs(100), cluster.raw(100)
        for count, rounds in {**_ROUNDS, **(_LONG_ROUNDS if cluster.long else {})}.items():
            pairs = [
                (_per_job_ms(seconds(lambda: cluster.raw(count)), count), _per_job_ms(_timed(count), count))  # noqa: B023
                for _ in range(rounds)
            ]
            found.append(Comparison(name=f'"ray": {count:,} no-op jobs', unit="ms a job", rounds=pairs).known())
    return [*found, *_steps(found)]


def draw(figures: Sequence[Figure], folder: Path) -> Path | None:
    """The chart of the figures of `growth` among these; None when there are none."""
    points = [
        (_count(each), each.baseline, each.measured) for each in figures if each.unit == "ms a job" and not each.reach
    ]
    if not points:
        return None
    import matplotlib as mpl

    mpl.use("agg")
    from matplotlib import pyplot

    counts, raw, ours = zip(*points, strict=True)
    figure, axes = pyplot.subplots(figsize=(6, 4))
    axes.plot(counts, ours, marker="o", label='"ray"')
    axes.plot(counts, raw, marker="s", label="raw Ray tasks")
    axes.set(xscale="log", xlabel="no-op jobs in one batch", ylabel="milliseconds per job", title="Cost against work")
    axes.set_ylim(bottom=0)
    axes.grid(visible=True, alpha=0.3)
    axes.legend()
    figure.tight_layout()
    path = folder / CHART
    figure.savefig(path, dpi=150)
    return path


def _timed(count: int) -> float:
    return seconds(lambda: run_jobs(count))


def _per_job_ms(took_s: float, count: int) -> float:
    return took_s * 1000 / count


def _count(figure: Figure) -> int:
    return int(figure.name.split()[1].replace(",", ""))


def _steps(found: Sequence[Figure]) -> list[Figure]:
    """The cost per job from one number of jobs to ten times as many, which is linear when it stays the same."""
    return [
        Figure(
            name=f'"ray": cost per job, {_count(more):,} against {_count(fewer):,}',
            baseline=fewer.measured,
            measured=more.measured,
            unit="ms a job",
            figure=(ratio := more.measured / fewer.measured),
            reach="at most 1.20",
            met=ratio <= 1.2,
        )
        for fewer, more in itertools.pairwise(found)
    ]
