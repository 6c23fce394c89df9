"""Makes an environment for each claim of the metadata with uv, and runs a job through each backend in it.

`hatch run compatibility:lowest` takes the lowest versions that our metadata allows; `hatch run compatibility:pythons
3.12 3.13` takes the newest, with other Pythons, as far as this machine has them.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[2]
EXTRAS = {"checkmaite-jobs-core": "[testing,encryption]", "checkmaite-store-parquet": "[s3,sql]"}


def uv(*arguments: str) -> None:
    """Run uv of this environment."""
    subprocess.run([sys.executable, "-m", "uv", "--quiet", *arguments], check=True)


def smoke(python: str, *options: str) -> None:
    """Install every package into a new environment, and use it."""
    with tempfile.TemporaryDirectory(prefix="compat-") as folder:
        uv("venv", "--python", python, f"{folder}/venv")
        members = sorted((ROOT / "packages").glob("*/pyproject.toml"))
        wanted = [
            f"{each.parent}{EXTRAS.get(each.parent.name, '')}"
            for each in members
            if each.parent.name != "checkmaite-jobs"
        ]
        uv("pip", "install", "--python", f"{folder}/venv/bin/python", *options, *wanted)
        subprocess.run([f"{folder}/venv/bin/python", "-I", str(ROOT / "tools/compatibility/smoke.py")], check=True)


def main() -> None:
    """The lowest versions, or other Pythons."""
    match sys.argv[1:]:
        case ["lowest"]:
            smoke(sys.executable, "--resolution", "lowest-direct")
        case pythons:
            for python in pythons:
                smoke(python)


if __name__ == "__main__":
    main()
