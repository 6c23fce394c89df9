"""Registry and controllers are as light beside the CheckMAITE package as without it: they do not run its `__init__`."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import venv
from pathlib import Path

import pytest

_OURS = ("jobs", "jobs_ray", "jobs_ray_simple", "store_parquet")
_WEIGH = """
import json, sys, uuid
import psutil, ray
if "beside" in sys.argv:
    import checkmaite.core
from checkmaite.jobs import configure_job_backend, submit_capability
from checkmaite.jobs.testing import SampleCapability
ray.init(address="local", num_cpus=1, include_dashboard=False, log_to_driver=False, _node_ip_address="127.0.0.1",
         object_store_memory=100 * 2**20)
store = {"backend": "parquet", "uri": "store"}
configure_job_backend("ray", analytics_store=store, idempotency_scope=uuid.uuid4().hex, journal_uri="journal")
submit_capability(SampleCapability(), config={"run_uid": "one"}).result(120)
found = {}
for process in psutil.Process().children(recursive=True):
    title = " ".join(process.cmdline())
    for actor in ("JobRegistry", "JobController"):
        if title.startswith("ray::") and actor in title:
            found[actor] = process.memory_full_info().pss
print(json.dumps([found, "torch" in sys.modules]))
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


def weights(python: str, folder: Path, *arguments: str) -> tuple[dict[str, int], bool]:
    """PSS of each actor once a job is done, and whether the client has imported torch."""
    folder.mkdir()
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(
        [python, "-W", "ignore", "-c", _WEIGH, *arguments],
        env=environment, cwd=folder, stdout=subprocess.PIPE, text=True, check=True,
    )  # fmt: skip
    found, has_torch = json.loads(done.stdout.splitlines()[-1])
    return found, has_torch


@pytest.mark.timeout(600)
def test_registry_and_controllers_are_as_light_as_without_the_package(
    without_the_package: Path, tmp_path: Path
) -> None:
    plain, plain_has_torch = weights(str(without_the_package), tmp_path / "plain")
    beside, has_torch = weights(sys.executable, tmp_path / "beside", "beside")
    assert (plain_has_torch, has_torch) == (False, True)
    assert plain.keys() == beside.keys() == {"JobRegistry", "JobController"}
    for actor, weight in beside.items():
        assert weight <= 1.2 * plain[actor], (actor, plain, beside)
