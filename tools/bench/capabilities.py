"""How a warm capability goes through each backend beside a synchronous run, and what large objects cost.

`hatch run checkmaite:measure` prints one line each; nothing is asserted, since machines differ. With
``--theirs PYTHON``, the Python of an environment with the CheckMAITE package alone, the backends of its own
`checkmaite.jobs` are measured in the same run. This module runs there too, so it imports ours where it needs it.
"""

from __future__ import annotations

import argparse
import contextlib
import copy
import itertools
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import psutil
import ray
import torch
from checkmaite.core.image_classification import MaiteEvaluation
from checkmaite.core.image_classification.metrics import accuracy_multiclass_torch_metric_factory

from tests.checkmaite.digits import Classified, Classifier

ROUNDS = 15
JOBS = 40
_IMAGES = 24
_numbers = itertools.count()


def _milliseconds(act: Callable[[], object], rounds: int = ROUNDS) -> float:
    act()
    taken = []
    for _ in range(rounds):
        began = time.perf_counter()
        act()
        taken.append(time.perf_counter() - began)
    return statistics.median(taken) * 1000


def _weight() -> str:
    """PSS of all of this process's Ray: of those that run Python, and of registry and controllers among them."""
    found: dict[str, list[float]] = {"ray::": [], "JobRegistry": [], "JobController": []}
    for process in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.Error):  # it has ended
            title = " ".join(process.cmdline())
            for name, weights in found.items():
                if title.startswith("ray::") and name in title:
                    weights.append(process.memory_full_info().pss / 1e6)
    return ", ".join(f"{name} {sum(weights):.0f} MB in {len(weights)}" for name, weights in found.items() if weights)


@cache
def _loaded() -> tuple[Classified, Classifier]:
    """Made once: scikit-learn reads a file for them, which takes longer than a submission."""
    return Classified(_IMAGES), Classifier()


def _given() -> dict[str, Any]:
    """A model, a metric, and a dataset whose name is new, so that no result is used again."""
    digits, model = _loaded()
    renamed = copy.copy(digits)
    renamed.metadata = {**digits.metadata, "id": f"digits-{next(_numbers)}"}
    return {
        "models": [model],
        "datasets": [renamed],
        "metrics": [accuracy_multiclass_torch_metric_factory(num_classes=10)],
    }


class Large:
    """A model of 200 MB, or a dataset of 500 MB, in memory."""

    def __init__(self, name: str, megabytes: int) -> None:
        self.metadata = {"id": name}
        self.tensor = torch.ones(megabytes * 250_000)


_WEIGH = """
import json, os, select, sys

def sizes(pid):
    with open(f"/proc/{pid}/status") as file:
        told = dict(line.split(":", 1) for line in file)
    return [int(told[name].split()[0]) / 1000 for name in ("RssAnon", "RssShmem")]

pids, before, most = sys.argv[1:], {}, {}
while not select.select([sys.stdin], [], [], 0.01)[0]:
    for pid in pids:
        try:
            now = sizes(pid)
        except (OSError, KeyError):
            continue
        first = before.setdefault(pid, now)
        most[pid] = [max(known, size - begun) for known, size, begun in zip(most.get(pid, [0, 0]), now, first)]
    print("", flush=True)
print(json.dumps(most))
"""
"""Runs in a process of its own: this one's interpreter stands still while it copies. It reads what costs nothing:
`memory_full_info` walks all pages, during which the process that has them can touch no new one."""


class Peaks:
    """The most memory that each process has had beyond what it had before, in MB, its own and shared."""

    def __init__(self) -> None:
        processes = [psutil.Process(), *psutil.Process().children(recursive=True)]
        self._names = {str(each.pid): (each.cmdline() or [""])[0].partition(".")[0] for each in processes}
        self._names[str(os.getpid())] = "client"
        self._weighing = subprocess.Popen(
            [sys.executable, "-c", _WEIGH, *self._names], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert self._weighing.stdout is not None
        self._weighing.stdout.readline()

    def end(self) -> str:
        told = self._weighing.communicate("over")[0].splitlines()[-1]
        return ", ".join(
            f"{self._names[pid]} +{own:.0f} and +{shared:.0f} shared"
            for pid, (own, shared) in json.loads(told).items()
            if own > 20 or shared > 20
        )


def _large() -> None:
    from checkmaite.jobs import submit_capability
    from checkmaite.jobs.testing import SampleRun

    class Weighs:
        """A capability that only wants to have them."""

        id = "weighs"

        def run(self, *, models: list[Large], datasets: list[Large], **_: object) -> SampleRun:
            return SampleRun(run_uid=f"{models[0].tensor.nbytes + datasets[0].tensor.nbytes}", capability_id=self.id)

    models, datasets = [Large("large-model", 200)], [Large("large-dataset", 500)]
    peaks = Peaks()
    began = time.perf_counter()
    job = submit_capability(Weighs(), models=models, datasets=datasets, config={})  # type: ignore[list-item]
    accepted = time.perf_counter() - began
    job.result(300)
    taken = time.perf_counter() - began
    print(f"  700 MB: accepted after {accepted:.1f} s, done after {taken:.1f} s; {peaks.end()} MB", flush=True)


def _plain() -> None:
    """What Ray alone takes to bring the same to a task."""
    tensors = [Large("large-model", 200), Large("large-dataset", 500)]
    reading = ray.remote(lambda given: len(given))  # type: ignore[var-annotated]
    ray.get(reading.remote([]))
    began = time.perf_counter()
    ray.get(reading.remote(ray.put(tensors)))
    print(f"ray.put of 700 MB and a task: {time.perf_counter() - began:.1f} s", flush=True)


def _measured(kind: str, synchronous: float, folder: Path, *, ours: bool) -> None:
    from checkmaite.jobs import configure_job_backend, shutdown_job_backend, submit_capability

    options: dict[str, Any] = {"idempotency_scope": uuid.uuid4().hex} if kind == "ray" else {}
    if ours and kind == "ray":
        options["journal_uri"] = str(folder / "journal")
    if kind != "inline":
        options["artifact_store"] = {"uri": str(folder / "artifacts")}
    began = time.perf_counter()
    configure_job_backend(kind, analytics_store={"backend": "parquet", "uri": str(folder / kind)}, **options)

    def one() -> Any:
        return submit_capability(MaiteEvaluation(), **_given())

    one().result(300)
    first = time.perf_counter() - began
    # Each job of their "ray" leaves a process of 1 GB.
    rounds, jobs = (ROUNDS, JOBS) if ours or kind != "ray" else (2, 4)
    warm = _milliseconds(lambda: one().result(300), rounds)
    began = time.perf_counter()
    waiting = [one() for _ in range(jobs)]
    submitted = (time.perf_counter() - began) / jobs * 1000
    for job in waiting:
        job.result(300)
    rate = jobs / (time.perf_counter() - began)
    print(
        f"{'ours' if ours else 'theirs'}, {kind}: first job after {first:.1f} s, warm job {warm:.0f} ms "
        f"({warm - synchronous:+.0f}), of which submitting {submitted:.0f} ms; {rate:.1f} jobs/s; {_weight()}",
        flush=True,
    )
    if ours:
        _large()
    shutdown_job_backend(wait=True)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description="Measure capabilities as jobs.")
    parser.add_argument("--theirs", help="Python of an environment with the CheckMAITE package alone")
    parser.add_argument("--kinds", default="inline,ray-simple,ray")
    parser.add_argument("--are-theirs", action="store_true", help="this environment is that one")
    asked = parser.parse_args(arguments)
    torch.set_num_threads(1)
    folder = Path(tempfile.mkdtemp())
    synchronous = _milliseconds(lambda: MaiteEvaluation().run(**_given(), use_cache=False).collect_md_report(0.5))
    print(f"synchronous run with its report: {synchronous:.0f} ms", flush=True)
    for kind in asked.kinds.split(","):
        ray.init(
            address="local",
            num_cpus=2,
            include_dashboard=False,
            log_to_driver=False,
            object_store_memory=4 * 2**30,
            _node_ip_address="127.0.0.1",
        )
        if kind == "ray-simple":
            _plain()
        _measured(kind, synchronous, folder, ours=not asked.are_theirs)
        ray.shutdown()
    if asked.theirs:
        module = [asked.theirs, "-W", "ignore", "-m", "tools.bench.capabilities"]
        subprocess.run([*module, "--are-theirs", "--kinds", "ray-simple,ray"], check=True)


if __name__ == "__main__":
    main()
