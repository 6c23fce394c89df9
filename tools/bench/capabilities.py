"""How warm capabilities go through each backend beside a synchronous run, and what large objects cost.

`hatch run checkmaite:measure` prints what it has measured; nothing is asserted, since machines differ. Each backend is
in a process of its own with a Ray of its own, and they take turns, so that what else the machine does meets all of
them. With ``--theirs PYTHON``, the Python of an environment with the CheckMAITE package alone, the backends of its own
`checkmaite.jobs` are among them. This module runs there too, so it imports ours where it needs it.
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

ROUNDS = 30
BATCHES = 5
JOBS = 40
_IMAGES = 24
_numbers = itertools.count()


def _weight() -> dict[str, list[float]]:
    """PSS and USS in MB of all processes of this process's Ray that run Python, by what each is."""
    found: dict[str, list[float]] = {}
    for process in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.Error):  # it has ended
            title = " ".join(process.cmdline())
            if title.startswith("ray::"):
                info = process.memory_full_info()
                sums = found.setdefault(title.removeprefix("ray::").split(".")[0], [0, 0, 0])
                sums[:] = [sums[0] + 1, sums[1] + info.pss / 1e6, sums[2] + info.uss / 1e6]
    return found


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


def _large() -> str:
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
    return f"700 MB: accepted after {accepted:.1f} s, done after {taken:.1f} s; {peaks.end()} MB"


def _plain() -> float:
    """What Ray alone takes to bring the same to a task, in seconds."""
    tensors = [Large("large-model", 200), Large("large-dataset", 500)]
    reading = ray.remote(lambda given: len(given))  # type: ignore[var-annotated]
    ray.get(reading.remote([]))
    return _seconds(lambda: ray.get(reading.remote(ray.put(tensors))))


# -- one backend in a process of its own -------------------------------------------------------------------------------


def _synchronous() -> None:
    MaiteEvaluation().run(**_given(), use_cache=False).collect_md_report(0.5)


def _bare(capability: Any, given: dict[str, Any]) -> None:
    capability.run(**given, use_cache=False).collect_md_report(0.5)


def _seconds(act: Callable[[], object]) -> float:
    began = time.perf_counter()
    act()
    return time.perf_counter() - began


def _serve(kind: str, *, ours: bool) -> None:
    """Do what is asked on standard input, a word a line, and answer each with a line."""
    from checkmaite.jobs import configure_job_backend, shutdown_job_backend, submit_capability

    folder = Path(tempfile.mkdtemp())
    ray.init(
        address="local",
        num_cpus=2,
        include_dashboard=False,
        log_to_driver=False,
        object_store_memory=4 * 2**30,
        _node_ip_address="127.0.0.1",
    )
    options: dict[str, Any] = {"idempotency_scope": uuid.uuid4().hex} if kind == "ray" else {}
    if ours and kind == "ray":
        options["journal_uri"] = str(folder / "journal")
    if kind != "inline":
        options["artifact_store"] = {"uri": str(folder / "artifacts")}
    began = time.perf_counter()
    configure_job_backend(kind, analytics_store={"backend": "parquet", "uri": str(folder / kind)}, **options)
    task = ray.remote(_bare)

    def submitted() -> Any:
        return submit_capability(MaiteEvaluation(), **_given())

    def job() -> tuple[float, float]:
        begun = time.perf_counter()
        waiting = submitted()
        accepted = time.perf_counter() - begun
        waiting.result(300)
        return accepted, time.perf_counter() - begun

    def batch() -> float:
        return JOBS / _seconds(lambda: [each.result(300) for each in [submitted() for _ in range(JOBS)]])

    acts: dict[str, Callable[[], Any]] = {
        "synchronous": lambda: _seconds(_synchronous),
        "bare": lambda: _seconds(lambda: ray.get(task.remote(MaiteEvaluation(), _given()))),
        "job": job,
        "batch": batch,
        "weight": _weight,
        "large": _large,
        "plain": _plain,
    }
    job()
    print(json.dumps(time.perf_counter() - began), flush=True)
    for line in sys.stdin:
        print(json.dumps(acts[line.strip()]()), flush=True)
    shutdown_job_backend(wait=True)
    ray.shutdown()


class _Backend:
    """A process with a backend, and what it has measured."""

    def __init__(self, kind: str, theirs: str | None = None) -> None:
        self.name = f"theirs, {kind}" if theirs else kind
        module = [theirs or sys.executable, "-W", "ignore", "-m", "tools.bench.capabilities"]
        self._noise = Path(tempfile.mkdtemp()) / "stderr"
        with self._noise.open("w") as noise:
            self._process = subprocess.Popen(
                [*module, "--serve", kind, *(["--are-theirs"] if theirs else [])],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=noise,
                text=True,
            )
        self.first_s = self._answer()
        self.jobs: list[tuple[float, float]] = []
        self.rates: list[float] = []

    def ask(self, what: str) -> Any:
        """The answer to a word."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{what}\n")
        self._process.stdin.flush()
        return self._answer()

    def end(self) -> None:
        """End it, and its Ray."""
        self._process.communicate()

    def _answer(self) -> Any:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            with contextlib.suppress(ValueError):  # what libraries print
                return json.loads(line)
        raise RuntimeError(self._noise.read_text()[-5_000:])


# -- all of them by turns ----------------------------------------------------------------------------------------------


def _median_and_least(seconds: Sequence[float]) -> str:
    return f"{statistics.median(seconds) * 1000:.0f} / {min(seconds) * 1000:.0f} ms"


def _take_turns(backends: Sequence[_Backend], rounds: int) -> None:
    """One job after the other on warm workers, and then batches of them."""
    for each in backends:
        for what in ("batch", "synchronous", "bare"):  # so that all workers are there, and warm
            each.ask(what)
    synchronous, bare = [], []
    for number in range(rounds):
        asker = backends[number % len(backends)]
        synchronous.append(asker.ask("synchronous"))
        bare.append(asker.ask("bare"))
        for each in backends:
            each.jobs.append(tuple(each.ask("job")))
    print(f"synchronous run with its report: {_median_and_least(synchronous)}", flush=True)
    print(f"a bare Ray task that does the same: {_median_and_least(bare)}", flush=True)
    for each in backends:
        _tell(each, synchronous)
    for _ in range(BATCHES):
        for each in backends:
            each.rates.append(each.ask("batch"))
    for each in backends:
        _tell_weight(each)


def _tell(backend: _Backend, synchronous: Sequence[float]) -> None:
    taken = [each for _, each in backend.jobs]
    median = statistics.median(taken) - statistics.median(synchronous)
    least = min(taken) - min(synchronous)
    print(
        f"{backend.name}: first job after {backend.first_s:.1f} s; warm {_median_and_least(taken)}, beyond the "
        f"synchronous run {median * 1000:+.0f} / {least * 1000:+.0f}; until it is accepted "
        f"{_median_and_least([each for each, _ in backend.jobs])}",
        flush=True,
    )


def _tell_weight(backend: _Backend) -> None:
    found = backend.ask("weight")
    parts = [f"{name.strip()} {pss:.0f}/{uss:.0f} in {number:.0f}" for name, (number, pss, uss) in found.items()]
    said = ", ".join(parts)
    pss, uss = (sum(each[place] for each in found.values()) for place in (1, 2))
    rates = " ".join(f"{rate:.1f}" for rate in backend.rates)
    print(
        f"{backend.name}: jobs/s in batches of {JOBS}: median {statistics.median(backend.rates):.1f} ({rates}); "
        f"PSS {pss:.0f} MB, USS {uss:.0f} MB ({said})",
        flush=True,
    )


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description="Measure capabilities as jobs.")
    parser.add_argument("--theirs", help="Python of an environment with the CheckMAITE package alone")
    parser.add_argument("--kinds", default="inline,ray-simple,ray")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--large", action=argparse.BooleanOptionalAction, default=True)
    parser.add_argument("--serve", help="the kind of the backend that this process has")
    parser.add_argument("--are-theirs", action="store_true", help="it is theirs")
    asked = parser.parse_args(arguments)
    torch.set_num_threads(1)
    if asked.serve:
        _serve(asked.serve, ours=not asked.are_theirs)
        return
    print(f"load {os.getloadavg()[0]:.1f}", flush=True)
    backends = [_Backend(kind) for kind in asked.kinds.split(",")]
    if asked.theirs:
        backends.append(_Backend("ray-simple", asked.theirs))
    _take_turns(backends, asked.rounds)
    if asked.large:
        print(f"ray.put of 700 MB and a task: {backends[-1].ask('plain'):.1f} s", flush=True)
        for each in backends:
            if not each.name.startswith("theirs"):
                print(f"{each.name}: {each.ask('large')}", flush=True)
    print(f"load {os.getloadavg()[0]:.1f}", flush=True)
    for each in backends:
        each.end()


if __name__ == "__main__":
    main()
