"""The CheckMAITE package and ours in one environment, installed in either order.

The package is pretended: a wheel with its files that matter here, each of which says that it is the package's.
"""

from __future__ import annotations

import sys
import zipfile
from pathlib import Path

import pytest

from tests.distributions.building import Distributions, FreshEnvironment, run

FILES = [
    "__init__.py",
    "core/__init__.py",
    "jobs/__init__.py",
    "jobs/_api.py",
    "jobs/_result.py",
    "jobs/_store.py",
    "jobs/_submission.py",
    "jobs/_worker.py",
    "jobs/backends/__init__.py",
    "jobs/backends/ray/__init__.py",
    "jobs/backends/ray/controller.py",
    "jobs/backends/ray/job_backend.py",
    "jobs/backends/ray/registry.py",
    "jobs/backends/ray/worker.py",
    "jobs/backends/ray_simple/__init__.py",
    "jobs/backends/ray_simple/job_backend.py",
    "jobs/protocol.py",
]
"""Of checkmaite 0.6.1's RECORD, all modules of its ``jobs/``; tests/checkmaite compares them."""

USE = """
import importlib, pickle, warnings
import checkmaite
assert checkmaite.WHOSE == "the package's"
from checkmaite.core import WHOSE
import checkmaite.jobs
from checkmaite.jobs import JobStatus, configure_job_backend, submit_capability
from checkmaite.jobs.testing import SampleCapability
from checkmaite.jobs._submitters.api import submit_capabilities
assert not hasattr(checkmaite.jobs, "WHOSE")
configure_job_backend("inline", analytics_store={"backend": "null"})
print(submit_capability(SampleCapability(), config={"run_uid": "u"}).wait(120))
with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)
    from checkmaite.jobs import protocol
print(protocol.JobStatus is JobStatus, protocol.JobError is checkmaite.jobs.JobsError, hasattr(protocol, "WHOSE"))
for name in ("backends", "backends.ray", "_api", "_store", "_submission", "_worker", "_result"):
    try:
        importlib.import_module(f"checkmaite.jobs.{name}")
    except ModuleNotFoundError as error:
        assert "checkmaite-jobs-core has replaced" in str(error), error
    else:
        raise AssertionError(name)
assert pickle.loads(pickle.dumps(JobStatus.FAILED)) is JobStatus.FAILED
"""
USED = ["COMPLETED", "True True False"]


@pytest.fixture(scope="session")
def package(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The pretended wheel of the package."""
    folder = tmp_path_factory.mktemp("package")
    info = "checkmaite-0.6.1.dist-info"
    files = {f"checkmaite/{name}": 'WHOSE = "the package\'s"\n' for name in FILES}
    files[f"{info}/METADATA"] = "Metadata-Version: 2.1\nName: checkmaite\nVersion: 0.6.1\n"
    files[f"{info}/WHEEL"] = "Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    files[f"{info}/RECORD"] = "".join(f"{name},,\n" for name in [*files, f"{info}/RECORD"])
    wheel = folder / "checkmaite-0.6.1-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        for name, text in files.items():
            archive.writestr(name, text)
    return str(wheel)


@pytest.mark.parametrize("first", ["the package", "ours"])
def test_either_order_leaves_both_usable(
    distributions: Distributions, fresh: FreshEnvironment, package: str, tmp_path: Path, first: str
) -> None:
    ours = [*distributions.pip_options, "checkmaite-jobs-core[testing]"]
    for arguments in ([package], ours) if first == "the package" else (ours, [package]):
        fresh.install(*arguments)
    assert fresh.run("-c", USE, cwd=tmp_path).splitlines() == USED
    run(sys.executable, "-m", "pip", "--python", fresh.python, "uninstall", "--quiet", "--yes", "checkmaite")
    assert fresh.run("-c", "from checkmaite.jobs import JobStatus; print(JobStatus.FAILED)", cwd=tmp_path) == "FAILED\n"


def test_alone_it_is_where_it_was_installed(
    distributions: Distributions, growing: FreshEnvironment, tmp_path: Path
) -> None:
    growing.install(*distributions.pip_options, "checkmaite-jobs-core[testing]")
    said = growing.run("-c", "import checkmaite.jobs; print(checkmaite.jobs.__file__)", cwd=tmp_path)
    assert Path(said.strip()).parts[-3:] == ("checkmaite", "jobs", "__init__.py")


def test_a_start_of_python_costs_next_to_nothing(
    distributions: Distributions, growing: FreshEnvironment, tmp_path: Path
) -> None:
    growing.install(*distributions.pip_options, "checkmaite-jobs-core[testing]")
    place = growing.run("-c", "import _checkmaite_jobs_place as place; print(place.__file__)", cwd=tmp_path).strip()
    script = f"""
import os, sys
before = set(sys.modules)
sys.path.insert(0, {str(Path(place).parent)!r})
import _checkmaite_jobs_place
print(*sorted(set(sys.modules) - before))
"""
    assert growing.run("-S", "-c", script, cwd=tmp_path) == "__future__ _checkmaite_jobs_place\n"
