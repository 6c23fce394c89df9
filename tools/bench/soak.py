"""Whether registry and controller grow: no-op jobs in one scope that remembers the last of them, with a chart.

Run it with ``hatch run soak``: a million jobs, of which 10,000 are remembered, in about half an hour; ``--jobs`` and
``--retained`` say other numbers. It ends with exit code 1 when memory has grown.
"""

from __future__ import annotations

import argparse
import itertools
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import work
from checkmaite.jobs import submit_capabilities, wait_all
from cluster import Cluster, Registry
from processes import cpu_s, memory_mb, own_memory_mb

_BATCH = 2_000
_IDLE_S = 10.0
_PROCESSES = 2
_SHARE = 0.25
_MOST_GROWTH = 1.05
OUTPUT = Path("bench-output")


class Sample(NamedTuple):
    """What registry and controller had after so many jobs, in MB: all of theirs (PSS), and what is their own."""

    jobs: int
    pss_mb: float
    own_mb: float


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--jobs", type=int, default=1_000_000)
    parser.add_argument("--retained", type=int, default=10_000)
    parser.add_argument("--samples", type=int, default=100)
    asked = parser.parse_args()
    with (
        tempfile.TemporaryDirectory() as journal,
        Cluster(long=True) as cluster,
        cluster.registry(journal_uri=journal, max_retained_terminal_jobs_per_scope=asked.retained) as registry,
    ):
        idle_mb, idle_percent = _idle(registry)
        samples = list(_soak(registry, asked.jobs, max(_BATCH, asked.jobs // asked.samples)))
    settled = [each for each in samples if each.jobs > 2 * asked.retained] or samples
    growth = _late(settled) / _early(settled)
    print(f"idle: {idle_mb:.0f} MB (PSS) of registry and controller, {idle_percent:.2f} % of a core")
    print(f"own memory in the last quarter of the samples against the first: {growth:.3f}, reach {_MOST_GROWTH}")
    OUTPUT.mkdir(exist_ok=True)
    found: dict[str, Any] = {"idle_mb": idle_mb, "idle_percent": idle_percent, "growth": growth, "samples": samples}
    (OUTPUT / "soak.json").write_text(json.dumps(found))
    _draw(samples, OUTPUT / "soak.png")
    sys.exit(growth > _MOST_GROWTH)


def _idle(registry: Registry) -> tuple[float, float]:
    """Memory, and CPU in % of a core, of a registry and a controller that have had one job."""
    _run(itertools.count(), 1)
    pids = registry.pids(_PROCESSES)
    time.sleep(_IDLE_S)
    before_s = cpu_s(pids)
    time.sleep(_IDLE_S)
    return memory_mb(pids), 100 * (cpu_s(pids) - before_s) / _IDLE_S


def _soak(registry: Registry, jobs: int, between: int) -> Any:
    numbers = itertools.count(1)
    pids = registry.pids(_PROCESSES)
    began, due = time.monotonic(), 0
    for done in range(0, jobs, _BATCH):
        _run(numbers, min(_BATCH, jobs - done))
        if done + _BATCH < due:
            continue
        due += between
        sample = Sample(done + _BATCH, memory_mb(pids), own_memory_mb(pids))
        took_s = time.monotonic() - began
        print(
            f"{took_s:6.0f} s  {sample.jobs:9,} jobs  {sample.pss_mb:6.1f} MB  {sample.own_mb:6.1f} MB own", flush=True
        )
        yield sample


def _run(numbers: Any, count: int) -> None:
    resources = {"short": True}
    wait_all(
        submit_capabilities(
            [{"capability": work.Nothing(), "config": next(numbers), "resources": resources} for _ in range(count)]
        )
    )


def _early(samples: Sequence[Sample]) -> float:
    return statistics.median(each.own_mb for each in samples[: max(1, int(len(samples) * _SHARE))])


def _late(samples: Sequence[Sample]) -> float:
    return statistics.median(each.own_mb for each in samples[-max(1, int(len(samples) * _SHARE)) :])


def _draw(samples: Sequence[Sample], path: Path) -> None:
    import matplotlib as mpl

    mpl.use("agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(6, 4))
    axes.plot([each.jobs for each in samples], [each.pss_mb for each in samples], label="PSS")
    axes.plot([each.jobs for each in samples], [each.own_mb for each in samples], label="their own")
    axes.set(xlabel="no-op jobs that have ended", ylabel="MB", title="Registry and controller")
    axes.set_ylim(bottom=0)
    axes.grid(visible=True, alpha=0.3)
    axes.legend()
    figure.tight_layout()
    figure.savefig(path, dpi=150)


if __name__ == "__main__":
    main()
