"""Cost against work: seconds per job for more and more jobs, as figures and as a chart."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from cluster import Cluster
from figures import Comparison, Figure, seconds
from throughput import run_jobs

CHART = "cost-against-work.png"
_ROUNDS = {100: 9, 1_000: 5}
_LONG_ROUNDS = {10_000: 3, 100_000: 1}
_WARM = 1_000


def growth(cluster: Cluster) -> list[Figure]:
    """Milliseconds per job, each number of jobs in one batch on one registry; raw tasks come before all of them."""
    rounds = {**_ROUNDS, **(_LONG_ROUNDS if cluster.long else {})}
    raw = _costs(rounds, cluster.raw)
    with cluster.registry():
        ours = _costs(rounds, run_jobs)
    found = [
        Comparison(
            name=f'"ray": {count:,} no-op jobs', unit="ms a job", baseline=raw[count], measured=ours[count]
        ).known()
        for count in rounds
    ]
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


def _costs(rounds: Mapping[int, int], run: Callable[[int], object]) -> dict[int, list[float]]:
    """Milliseconds per job in each round, by the number of jobs."""
    run(_WARM)
    return {
        count: [seconds(lambda: run(count)) * 1000 / count for _ in range(times)]  # noqa: B023
        for count, times in rounds.items()
    }


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
