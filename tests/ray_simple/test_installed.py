"""Environments that Ray makes for jobs: with pip, in a copy of its own virtual environment, and from an image."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

from tests.ray.test_code import wheel
from tests.ray_simple.conftest import SLIM
from tests.scripts import printed, run_script

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


PODMAN = """#!PYTHON
# In the place of podman: what is to run in the image runs beside it, with its variables and folders.
import os, sys
command, variables, folders = sys.argv[2:], dict(os.environ), {}
while command[0].startswith("-"):
    option = command.pop(0)
    if option == "-v":
        here, there, *_ = command.pop(0).split(":")
        folders[there] = here
    elif option == "--env":
        name, _, value = command.pop(0).partition("=")
        variables[name] = value
    elif option == "--entrypoint":
        command.pop(0)
image, *command = command
for there, here in folders.items():
    command = [each.replace(f"'{there}/", f"'{here}/") for each in command]
print(image, file=open("IMAGES", "a"))
os.execve("PYTHON", ["PYTHON", *(each for each in command if each != "python")], variables)
"""
IN_IMAGE = """
import os
from checkmaite.jobs import *
from checkmaite.jobs.testing import SampleRun

class Looks:
    id = "looks"
    def run(self, **_):
        print("ran with", os.environ["COLOUR"])
        return SampleRun(run_uid="run")

configure_job_backend(
    "ray-simple",
    address="local",
    num_cpus=1,
    object_store_memory=100_000_000,
    analytics_store={"backend": "null"},
    runtime_env={"image_uri": "team/image:1", "env_vars": {"COLOUR": "green"}},
)
job = submit_capability(Looks())
print(job.exception(120), job.logs())
shutdown_job_backend()
"""


def test_a_job_runs_in_the_image_that_its_environment_names(tmp_path: Path) -> None:
    """Nothing that is added to a task of ours keeps Ray from starting it in an image."""
    images, podman = tmp_path / "images", tmp_path / "bin" / "podman"
    podman.parent.mkdir()
    podman.write_text(PODMAN.replace("PYTHON", sys.executable).replace("IMAGES", str(images)))
    podman.chmod(0o755)
    said = run_script(SLIM + IN_IMAGE, tmp_path, PATH=f"{podman.parent}{os.pathsep}{os.environ['PATH']}")
    assert said == "None ran with green\n\n"
    assert set(images.read_text().split()) == {"team/image:1"}
