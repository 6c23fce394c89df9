"""What Ray installs for jobs with pip: into a copy of the virtual environment that the cluster's Python stands in."""

from __future__ import annotations

import subprocess
import sysconfig
import venv
from pathlib import Path

from tests.ray.test_code import wheel
from tests.ray_simple.conftest import SLIM
from tests.scripts import printed

SCRIPT = """
from importlib.metadata import version
from checkmaite.jobs import *
import mycaps

configure_job_backend(
    "ray-simple",
    address="local",
    num_cpus=1,
    object_store_memory=100_000_000,
    analytics_store={"backend": "null"},
    runtime_env={"pip": {"packages": ["WHEEL"], "pip_install_options": ["--no-index", "--no-deps", "-q"]}},
)
job = submit_capability(mycaps.Versioned())
print(job.exception(120), job.logs(), version("mycaps"))
shutdown_job_backend()
"""


def test_a_job_runs_the_version_that_pip_installs_for_it(tmp_path: Path) -> None:
    """The submitter has another one. The environment is small, since Ray copies all of it."""
    wheels = {version: wheel(tmp_path, version) for version in (1, 2)}
    folder = tmp_path / "env"
    venv.create(folder, symlinks=True)
    (installed,) = folder.glob("lib/*/site-packages")
    (installed / "tests.pth").write_text(f"import site; site.addsitedir({sysconfig.get_path('purelib')!r})\n")
    (installed / "virtualenv.py").write_text("'''In a virtual environment Ray asks only whether it is there.'''\n")
    python = str(folder / "bin" / "python")
    subprocess.run([python, "-m", "pip", "install", "-q", "--no-index", "--no-deps", wheels[1]], check=True)
    (tmp_path / "script.py").write_text(SLIM + SCRIPT.replace("WHEEL", wheels[2]))
    done = subprocess.run([python, "script.py"], cwd=tmp_path, capture_output=True, text=True, timeout=200, check=False)
    assert done.returncode == 0, done.stderr
    assert " ".join(printed(done.stdout)).split()[:4] == ["None", "ran", "2", "2"], done.stdout + done.stderr
