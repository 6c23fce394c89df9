"""Builds the five distributions once, and makes fresh virtual environments to install them into."""

import json
import os
import subprocess
import sys
import tomllib
import venv
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = sorted(path.parent for path in ROOT.glob("packages/*/pyproject.toml"))


def run(*command: str | Path, cwd: Path | None = None, env: dict[str, str] | None = None) -> str:
    """The command's standard output; a failure shows what the command said."""
    done = subprocess.run(command, cwd=cwd, env=env, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.fail(f"{' '.join(map(str, command))}\n{done.stdout}\n{done.stderr}")
    return done.stdout


class Built:
    """The wheels and sdists of the five distributions, built from this tree."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.version: str = tomllib.loads((PACKAGES[0] / "pyproject.toml").read_text("utf-8"))["project"]["version"]
        for package in PACKAGES:
            run(sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-t", "sdist", "-d", folder, cwd=package)

    def wheel(self, name: str) -> Path:
        return self.folder / f"{name.replace('-', '_')}-{self.version}-py3-none-any.whl"

    def sdist(self, name: str) -> Path:
        return self.folder / f"{name.replace('-', '_')}-{self.version}.tar.gz"

    def pip_arguments(self, name: str, extra: str = "") -> list[str]:
        """For `pip install`: this distribution and its siblings as built here, all else from pip's own index."""
        constraints = self.folder / "constraints.txt"
        constraints.write_text("".join(f"{package.name}=={self.version}\n" for package in PACKAGES), "utf-8")
        requirement = f"{name}[{extra}]" if extra else name
        return [requirement, "--constraint", str(constraints), "--find-links", str(self.folder)]

    def resolved(self, requirements: Iterable[str]) -> dict[str, dict[str, Any]]:
        """What pip would install into an empty environment: name -> its entry in pip's report."""
        report = self.folder / "report.json"
        run(*_PIP, "install", "--dry-run", "--ignore-installed", "--quiet", "--report", report, *requirements)
        entries: list[dict[str, Any]] = json.loads(report.read_text("utf-8"))["install"]
        return {entry["metadata"]["name"].lower().replace("_", "-"): entry for entry in entries}


class FreshEnvironment:
    """A virtual environment that sees nothing of the one that runs the tests."""

    def __init__(self, folder: Path) -> None:
        venv.EnvBuilder(symlinks=os.name != "nt").create(folder)
        self.python = folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")

    def install(self, *arguments: str) -> None:
        run(*_PIP, "--python", self.python, "install", "--quiet", *arguments)

    def installed(self) -> set[str]:
        listing = json.loads(run(*_PIP, "--python", self.python, "list", "--format", "json"))
        return {entry["name"].lower().replace("_", "-") for entry in listing}

    def run(self, *arguments: str | Path, cwd: Path) -> str:
        """Runs Python there; `PYTHON*` variables and the current folder's packages stay out of it."""
        env = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
        return run(self.python, "-P", *arguments, cwd=cwd, env=env)


_PIP = [sys.executable, "-m", "pip", "--disable-pip-version-check"]


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Built:
    return Built(tmp_path_factory.mktemp("distributions"))


@pytest.fixture
def fresh(tmp_path: Path) -> FreshEnvironment:
    return FreshEnvironment(tmp_path / "venv")
