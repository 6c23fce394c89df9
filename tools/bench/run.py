"""Measures what checkmaite-jobs costs, each figure as a ratio or a difference to a baseline of the same run.

Run it with ``hatch run bench``. It prints a table, and writes ``bench-output/bench.json`` and charts. A figure that
misses its reach is reported as missed, never left out; machines are noisy, so ratios count and absolute numbers do not.
"""

from __future__ import annotations

import argparse
import json
import resource
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from against_dask import dask
from attrs import asdict
from cluster import Cluster
from figures import Figure
from first_paint import first_paint
from first_result import first_result
from growth import draw, growth
from history import history
from importing import import_cost
from latency import latency
from light import light
from memory import memory
from queued import queued_jobs
from recorded import CHART, RECORD, chart, record, regressions
from recovery import journal_size, recovery
from reporting import progress_cost
from rich.console import Console
from rich.table import Table
from simulating import simulation
from staging import staged_model
from storing import reading_of_many, s3_requests, store_reading, write_cost
from through_client import ray_client
from throughput import null_store, parquet_store, pool_sizes, ray_simple, short_jobs
from with_journals import with_journals

OUTPUT = Path("bench-output")
MEASURES: dict[str, Callable[[Cluster], list[Figure]]] = {
    measure.__name__.replace("_", "-"): measure
    for measure in (
        import_cost,
        first_result,
        write_cost,
        s3_requests,
        store_reading,
        ray_simple,
        null_store,
        short_jobs,
        parquet_store,
        latency,
        ray_client,
        progress_cost,
        first_paint,
        queued_jobs,
        light,
        memory,
        history,
        recovery,
        journal_size,
        simulation,
        growth,
        with_journals,
        pool_sizes,
        dask,
        reading_of_many,
        staged_model,
    )
}
LONG = frozenset(
    {
        "dask",
        "first-paint",
        "first-result",
        "growth",
        "light",
        "memory",
        "pool-sizes",
        "reading-of-many",
        "staged-model",
        "with-journals",
    }
)
"""Measured only when they are asked for by name, or with ``--long``: without them a run takes less than six minutes."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--only", metavar="NAME", action="append", choices=MEASURES, help=f"any of {', '.join(MEASURES)}"
    )
    parser.add_argument("--long", action="store_true", help="measure what takes minutes, too")
    parser.add_argument("--record", action="store_true", help=f"keep the figures in {RECORD.name}, for later runs")
    asked = parser.parse_args()
    console = Console(width=150)
    figures: list[Figure] = []
    took_s: dict[str, float] = {}
    with Cluster(long=asked.long) as cluster:
        for name in asked.only or [each for each in MEASURES if asked.long or each not in LONG]:
            began = time.monotonic()
            figures += MEASURES[name](cluster)
            took_s[name] = time.monotonic() - began
            console.print(f"measured {name} in {took_s[name]:.0f} s", highlight=False)
    console.print(table(figures))
    console.print(compared := chart(figures), highlight=False, markup=False, soft_wrap=True)
    OUTPUT.mkdir(exist_ok=True)
    path = OUTPUT / "bench.json"
    machine = {"python": sys.version.split()[0], "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}
    given = {"machine": machine, "took_s": took_s, "figures": [asdict(each) for each in figures]}
    path.write_text(json.dumps({**given, "regressions": list(regressions(figures))}, indent=2))
    (OUTPUT / CHART).write_text(compared)
    if asked.record:
        record(figures)
    for written in filter(None, (path, OUTPUT / CHART, draw(figures, OUTPUT))):
        console.print(f"Written to {written.resolve()}", soft_wrap=True)


def table(figures: Sequence[Figure]) -> Table:
    found = Table("figure", "baseline", "measured", "unit", "ratio or difference", "reach", "")
    for each in figures:
        found.add_row(
            each.name,
            f"{each.baseline:,.1f}" if each.baseline >= 1 else f"{each.baseline:.3f}",
            f"{each.measured:,.1f}" if each.measured >= 1 else f"{each.measured:.3f}",
            each.unit,
            f"{each.figure:.2f}",
            each.reach,
            {None: "", True: "met", False: "MISSED"}[each.met],
        )
    return found


if __name__ == "__main__":
    main()
