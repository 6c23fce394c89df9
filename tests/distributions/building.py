"""Builds the distributions, asks pip about them, and makes fresh virtual environments for them."""

import json
import os
import subprocess
import sys
import tomllib
import venv
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
FOLDERS = {
    "checkmaite-jobs": None,  # no code: it is its dependencies
    "checkmaite-jobs-cli": "checkmaite/jobs_cli/",
    "checkmaite-jobs-core": "checkmaite/jobs/",
    "checkmaite-jobs-ray": "checkmaite/jobs_ray/",
    "checkmaite-jobs-ray-simple": "checkmaite/jobs_ray_simple/",
    "checkmaite-jobs-ui": "checkmaite/jobs_ui/",
    "checkmaite-store-delta": "checkmaite/store_delta/",
    "checkmaite-store-parquet": "checkmaite/store_parquet/",
}
NAMES = list(FOLDERS)
SAMPLES = ("sample-store", "sample-backend")
PIP = [sys.executable, "-m", "pip", "--disable-pip-version-check"]


def run(*command: str | Path, cwd: Path | None = None, env: dict[str, str] | None = None) -> str:
    """The command's standard output; a failure shows all that the command said."""
    done = subprocess.run(command, cwd=cwd, env=env, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.fail(f"{' '.join(map(str, command))}\n{done.stdout}\n{done.stderr}")
    return done.stdout


def build(project: Path, folder: Path, *targets: str) -> None:
    """Builds as `hatch build` does, with the backend that is already installed."""
    options = [option for target in targets for option in ("-t", target)]
    run(sys.executable, "-m", "hatchling", "build", *options, "-d", folder, cwd=project)


def normalized(name: str) -> str:
    return name.lower().replace("_", "-").replace(".", "-")


class Distributions:
    """Wheels and sdists of this tree, and wheels of the sample plug-ins, in one folder that pip can install from."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        core = tomllib.loads((ROOT / "packages/checkmaite-jobs-core/pyproject.toml").read_text("utf-8"))
        self.version: str = core["project"]["version"]
        for name in NAMES:
            build(ROOT / "packages" / name, folder, "wheel", "sdist")
        for name in SAMPLES:
            build(ROOT / "tests/plugins" / name, folder, "wheel")
        self._constraints = folder / "constraints.txt"
        self._constraints.write_text("".join(f"{name}=={self.version}\n" for name in NAMES), "utf-8")

    def wheel(self, name: str) -> Path:
        return self.folder / f"{name.replace('-', '_')}-{self.version}-py3-none-any.whl"

    def sdist(self, name: str) -> Path:
        return self.folder / f"{name.replace('-', '_')}-{self.version}.tar.gz"

    def sample(self, name: str) -> str:
        return str(self.folder / f"{name.replace('-', '_')}-0-py3-none-any.whl")

    @property
    def pip_options(self) -> list[str]:
        """Ours from here and in this tree's version; everything else from wherever pip is configured to look."""
        return ["--find-links", str(self.folder), "--constraint", str(self._constraints)]

    def resolve(self, requirement: str, report: Path) -> dict[str, dict[str, Any]]:
        """What pip would install into an empty environment: normalized name -> its entry in pip's report."""
        run(
            *PIP, "install", "--quiet", "--dry-run", "--ignore-installed",
            "--report", report, *self.pip_options, requirement,
        )  # fmt: skip
        entries = json.loads(report.read_text("utf-8"))["install"]
        return {normalized(entry["metadata"]["name"]): entry for entry in entries}


class FreshEnvironment:
    """A virtual environment that sees nothing of the one that runs the tests."""

    def __init__(self, folder: Path) -> None:
        venv.EnvBuilder(symlinks=os.name != "nt").create(folder)
        self.python = folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")

    def install(self, *arguments: str) -> None:
        # What is imported is compiled then; the rest, most of Ray, is not.
        run(*PIP, "--python", self.python, "install", "--quiet", "--no-compile", *arguments)

    def installed(self) -> set[str]:
        listing = json.loads(run(*PIP, "--python", self.python, "list", "--format", "json"))
        return {normalized(entry["name"]) for entry in listing}

    def run(self, *arguments: str | Path, cwd: Path) -> str:
        """Runs Python there, without `PYTHON*` variables and without the current folder on its path."""
        return self.command(self.python.name, "-P", *arguments, cwd=cwd)

    def command(self, name: str, *arguments: str | Path, cwd: Path) -> str:
        """Runs a command that is installed there, likewise."""
        env = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
        return run(self.python.with_name(name), *arguments, cwd=cwd, env=env)
