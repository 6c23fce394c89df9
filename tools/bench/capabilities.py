"""How long a warm capability takes through each backend beside a synchronous run, and what large objects cost.

`hatch run checkmaite:measure` prints one line each; nothing is asserted, since machines differ.
"""

from __future__ import annotations

import contextlib
import os
import statistics
import tempfile
import threading
import time
import uuid
from collections.abc import Callable
from pathlib import Path

import psutil
import ray
import torch
from checkmaite.jobs import configure_job_backend, shutdown_job_backend, submit_capability
from checkmaite.jobs.testing import SampleRun

from tests.checkmaite.cases import CASES
from tests.checkmaite.digits import random_weights

ROUNDS = 15


def _milliseconds(act: Callable[[], object]) -> float:
    act()
    act()
    taken = []
    for _ in range(ROUNDS):
        began = time.perf_counter()
        act()
        taken.append(time.perf_counter() - began)
    return statistics.median(taken) * 1000


def _weight() -> str:
    """PSS of all processes of Ray that belong to this one, and of registry and controllers."""
    found: dict[str, list[float]] = {"ray::": [], "JobRegistry": [], "JobController": []}
    for process in psutil.process_iter(["cmdline"]):
        title = " ".join(process.info["cmdline"] or ())
        for name, weights in found.items():
            if title.startswith("ray::") and name in title:
                weights.append(process.memory_full_info().pss / 1e6)
    return ", ".join(f"{name} {sum(weights):.0f} MB in {len(weights)}" for name, weights in found.items())


class Large:
    """A model of 200 MB, or a dataset of 500 MB, in memory."""

    def __init__(self, name: str, megabytes: int) -> None:
        self.metadata = {"id": name}
        self.tensor = torch.ones(megabytes * 250_000)


class Weighs:
    """A capability that only wants to have them."""

    id = "weighs"

    def run(self, *, models: list[Large], datasets: list[Large], **_: object) -> SampleRun:
        return SampleRun(run_uid=f"{models[0].tensor.nbytes + datasets[0].tensor.nbytes}", capability_id=self.id)


class Peaks(threading.Thread):
    """The most private memory that each process has had beyond what it had before, in MB."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self._over = threading.Event()
        self._before: dict[str, float] = {}
        self.most: dict[str, float] = {}

    def run(self) -> None:
        while not self._over.wait(0.05):
            for process in psutil.process_iter(["cmdline"]):
                title = (process.info["cmdline"] or [""])[0]
                named = title if title.startswith("ray::") else "client" if process.pid == os.getpid() else ""
                if named:
                    with contextlib.suppress(psutil.Error):  # it has ended
                        now = process.memory_full_info().uss / 1e6
                        name = "client" if named == "client" else f"{named} {process.pid}"
                        self._before.setdefault(name, now)
                        self.most[name] = max(self.most.get(name, 0), now - self._before[name])

    def end(self) -> str:
        self._over.set()
        self.join()
        return ", ".join(f"{name} +{most:.0f}" for name, most in self.most.items() if most > 20)


def _large() -> None:
    models, datasets = [Large("large-model", 200)], [Large("large-dataset", 500)]
    peaks = Peaks()
    peaks.start()
    time.sleep(1)
    began = time.perf_counter()
    job = submit_capability(Weighs(), models=models, datasets=datasets, config={})  # type: ignore[list-item]
    accepted = time.perf_counter() - began
    job.result(300)
    print(
        f"  700 MB: accepted after {accepted:.1f} s, done after {time.perf_counter() - began:.1f} s; {peaks.end()} MB"
    )


def main() -> None:
    folder = Path(tempfile.mkdtemp())
    os.environ.setdefault("TORCH_HOME", str(folder))
    random_weights(Path(os.environ["TORCH_HOME"]))
    ray.init(
        address="local",
        num_cpus=2,
        include_dashboard=False,
        log_to_driver=False,
        object_store_memory=4 * 2**30,
        _node_ip_address="127.0.0.1",
    )
    case = CASES["ic evaluation"]
    capability, given = case.capability(), case.arguments()
    synchronous = _milliseconds(lambda: capability.run(**given, use_cache=False).collect_md_report(0.5))
    print(f"synchronous run with its report: {synchronous:.0f} ms")
    for kind, options in {
        "inline": {},
        "ray-simple": {},
        "ray": {"idempotency_scope": uuid.uuid4().hex, "journal_uri": str(folder / "journal")},
    }.items():
        began = time.perf_counter()
        store = {"backend": "parquet", "uri": str(folder / kind)}
        configure_job_backend(kind, analytics_store=store, **options)  # type: ignore[arg-type]
        configured = time.perf_counter() - began
        began = time.perf_counter()
        submit_capability(capability, **given, reuse="never").result(300)
        first = time.perf_counter() - began
        warm = _milliseconds(lambda: submit_capability(capability, **given, reuse="never").result(300))
        submitted = _milliseconds(lambda: submit_capability(capability, **given, reuse="never").job_id)
        print(
            f"{kind}: configured in {configured:.2f} s, first job {first:.1f} s, warm job {warm:.0f} ms "
            f"({warm - synchronous:+.0f}), of which submitting {submitted:.0f} ms; {_weight()}",
            flush=True,
        )
        _large()
        shutdown_job_backend(wait=True)
    ray.shutdown()


if __name__ == "__main__":
    main()
