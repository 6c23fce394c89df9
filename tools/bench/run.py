"""Measures what checkmaite-jobs costs, each figure as a ratio to a baseline of the same run.

Run it with ``hatch run bench``. It prints a table and writes ``bench-output/bench.json``. A figure that
misses its reach is reported as missed, never left out; machines are noisy, so ratios count and absolute numbers do not.
"""

from __future__ import annotations

import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import ray
from attrs import asdict, frozen
from checkmaite.jobs import configure_job_backend, shutdown_job_backend, submit_capabilities, wait_all
from checkmaite.jobs.testing import SampleRun
from checkmaite.store_parquet import ParquetStore
from rich.console import Console
from rich.table import Table

OUTPUT = Path("bench-output")
ROUNDS = 5
TASKS = 1000


@frozen(kw_only=True)
class Figure:
    """One measured figure; values are medians of `ROUNDS` rounds or more."""

    name: str
    baseline: float
    measured: float
    unit: str
    figure: float
    reach: str
    met: bool


def seconds(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def python(code: str) -> tuple[float, float]:
    """Seconds and peak megabytes of a fresh interpreter that runs `code`."""
    script = (
        "import resource, subprocess, sys, time; began = time.perf_counter(); "
        "subprocess.run([sys.executable, '-c', sys.argv[1]], check=True); "
        "print(time.perf_counter() - began, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024)"
    )
    done = subprocess.run([sys.executable, "-c", script, code], check=True, capture_output=True, text=True)
    took, size = done.stdout.split()
    return float(took), float(size)


def import_cost() -> list[Figure]:
    rounds = [(python("pass"), python("import checkmaite.jobs")) for _ in range(4 * ROUNDS)]
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


class Nothing:
    """A capability that does nothing and gives no rows."""

    id = "nothing"

    def run(self, *, config: Any, **_: Any) -> Any:
        named = {"dataset_metadata": (), "model_metadata": (), "metric_metadata": ()}
        return SimpleNamespace(run_uid=str(config), capability_id=self.id, extract=list, **named)


@ray.remote
def nothing(number: int) -> int:
    return number


def throughput() -> Figure:
    ray.init(
        address="local",
        num_cpus=2,
        include_dashboard=False,
        log_to_driver=False,
        object_store_memory=100_000_000,
        _node_ip_address="127.0.0.1",
    )
    configure_job_backend("ray-simple", analytics_store={"backend": "null"})
    capability = Nothing()

    def raw() -> None:
        ray.get([nothing.remote(number) for number in range(TASKS)])

    def ours() -> None:
        wait_all(submit_capabilities([{"capability": capability, "config": number} for number in range(TASKS)]))

    raw(), ours()  # warm: workers started, modules imported
    rounds = [(seconds(raw), seconds(ours)) for _ in range(ROUNDS)]
    shutdown_job_backend()
    ray.shutdown()
    rates = [(TASKS / bare, TASKS / took) for bare, took in rounds]
    ratio = statistics.median(took / bare for bare, took in rates)
    return Figure(
        name='"ray-simple" no-op jobs against raw Ray tasks',
        baseline=statistics.median(bare for bare, _ in rates),
        measured=statistics.median(took for _, took in rates),
        unit="1/s",
        figure=ratio,
        reach="at least 0.70",
        met=ratio >= 0.70,
    )


def write_cost() -> list[Figure]:
    with tempfile.TemporaryDirectory() as folder:
        store = ParquetStore(folder)
        writes = iter(range(1_000_000))

        def present(count: int) -> float:
            number = next(writes)
            while number < count:
                store.write(SampleRun(run_uid=f"run-{number}"))
                number = next(writes)
            took = [seconds(lambda: store.write(SampleRun(run_uid=f"run-{next(writes)}"))) for _ in range(100)]
            return statistics.median(took) * 1000

        store.write(SampleRun(run_uid="warm"))
        empty = present(0)
        return [
            Figure(
                name=f"one store write with {count:,} runs present",
                baseline=empty,
                measured=(measured := present(count)),
                unit="ms",
                figure=measured / empty,
                reach="at most 1.2 of empty",
                met=measured / empty <= 1.2,
            )
            for count in (1_000, 10_000)
        ]


def main() -> None:
    console = Console(width=140)
    figures: list[Figure] = []
    for measure in (import_cost, throughput, write_cost):
        console.print(f"measuring {measure.__name__.replace('_', ' ')} ...")
        found = measure()
        figures += found if isinstance(found, list) else [found]
    table = Table("figure", "baseline", "measured", "unit", "ratio or difference", "reach", "")
    for each in figures:
        table.add_row(
            each.name,
            f"{each.baseline:,.1f}",
            f"{each.measured:,.1f}",
            each.unit,
            f"{each.figure:.2f}",
            each.reach,
            "met" if each.met else "MISSED",
        )
    console.print(table)
    OUTPUT.mkdir(exist_ok=True)
    path = OUTPUT / "bench.json"
    machine = {"python": sys.version.split()[0], "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}
    path.write_text(json.dumps({"machine": machine, "figures": [asdict(each) for each in figures]}, indent=2))
    console.print(f"Written to {path.resolve()}", soft_wrap=True)


if __name__ == "__main__":
    main()
