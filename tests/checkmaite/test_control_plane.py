"""Registry and controllers weigh and start as without the CheckMAITE package: they do not run its `__init__`."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import venv
from pathlib import Path

import pytest

_OURS = ("jobs", "jobs_ray", "jobs_ray_simple", "store_parquet")
_BEGIN = """
import json, sys, time, uuid
import psutil, ray
if "beside" in sys.argv:
    import checkmaite.core
from checkmaite.jobs import configure_job_backend, shutdown_job_backend, submit_capability
from checkmaite.jobs.testing import SampleCapability
ray.init(address="local", num_cpus=1, include_dashboard=False, log_to_driver=False, _node_ip_address="127.0.0.1",
         object_store_memory=100 * 2**20)

def configure():
    name = uuid.uuid4().hex
    store = {"backend": "parquet", "uri": "store"}
    configure_job_backend("ray", analytics_store=store, idempotency_scope=name, registry_actor_name=name,
                          journal_uri=f"journal-{name}")

def processes():
    found = {}
    for process in psutil.Process().children(recursive=True):
        try:
            title = " ".join(process.cmdline())
        except psutil.Error:  # it has ended
            continue
        for actor in ("JobRegistry", "JobController"):
            if title.startswith("ray::") and actor in title:
                found[actor] = process
    return found
"""
_WEIGH = """
configure()
submit_capability(SampleCapability(), config={"run_uid": "one"}).result(120)
found = {actor: process.memory_full_info().pss for actor, process in processes().items()}
print(json.dumps([found, "torch" in sys.modules]))
"""
_START = """
def taken():
    return {actor: sum(process.cpu_times()[:2]) for actor, process in processes().items()}

least = {}
for _ in range(3):
    configure()
    before, now = {}, taken()
    while len(now) < 2 or any(now[actor] - before.get(actor, 0) > 0.03 for actor in now):
        time.sleep(1)  # until they have begun: idle ones take a hundredth of a second in a second
        before, now = now, taken()
    least = {actor: min(seconds, least.get(actor, seconds)) for actor, seconds in now.items()}
    shutdown_job_backend()
    for named in ray.util.list_named_actors(all_namespaces=True):
        ray.kill(ray.get_actor(named["name"], namespace=named["namespace"]))
    while processes():
        time.sleep(0.1)
print(json.dumps([least, "torch" in sys.modules]))
"""


@pytest.fixture(scope="module")
def without_the_package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Python of an environment with all that this one has but the CheckMAITE package."""
    folder = tmp_path_factory.mktemp("plain")
    venv.create(folder, with_pip=False)
    site = folder / f"lib/python{sys.version_info.major}.{sys.version_info.minor}/site-packages"
    (site / "checkmaite").mkdir()
    for place in (Path(each) for each in sys.path if each.endswith("site-packages")):
        for name in _OURS:
            if (place / "checkmaite" / name).exists() and not (site / "checkmaite" / name).exists():
                (site / "checkmaite" / name).symlink_to(place / "checkmaite" / name)
        for entry in place.iterdir():
            is_the_package = entry.name == "checkmaite" or entry.name.startswith("checkmaite-")
            if not (is_the_package or entry.suffix == ".pth" or (site / entry.name).exists()):
                (site / entry.name).symlink_to(entry)
    return folder / "bin/python"


def measured(script: str, python: str, folder: Path, *arguments: str) -> tuple[dict[str, float], bool]:
    """What a script has found of each actor, and whether the client has imported torch."""
    folder.mkdir()
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(
        [python, "-W", "ignore", "-c", _BEGIN + script, *arguments],
        env=environment, cwd=folder, stdout=subprocess.PIPE, text=True, check=True,
    )  # fmt: skip
    found, has_torch = json.loads(done.stdout.splitlines()[-1])
    return found, has_torch


@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    ("script", "most"), [(_WEIGH, 1.2), (_START, 1.3)], ids=["memory once a job is done", "CPU to start"]
)
def test_registry_and_controllers_are_as_light_as_without_the_package(
    without_the_package: Path, tmp_path: Path, script: str, most: float
) -> None:
    plain, plain_has_torch = measured(script, str(without_the_package), tmp_path / "plain")
    beside, has_torch = measured(script, sys.executable, tmp_path / "beside", "beside")
    assert (plain_has_torch, has_torch) == (False, True)
    assert plain.keys() == beside.keys() == {"JobRegistry", "JobController"}
    for actor, cost in beside.items():
        assert cost <= most * plain[actor], (actor, plain, beside)
