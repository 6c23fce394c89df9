"""Makes an environment for each claim of the metadata with uv, and uses what is installed there.

`hatch run compatibility:lowest` takes the lowest versions that our metadata allows, and runs a job through each
backend; `hatch run compatibility:pythons 3.12 3.13` takes the newest, with other Pythons, as far as this machine has
them; `hatch run compatibility:suite 3.12 3.13` runs the tests that need no Ray with those.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).parents[2]
EXTRAS = {"checkmaite-jobs-core": "[testing,encryption,otel]", "checkmaite-store-parquet": "[s3,gcs,azure,sql]"}
WITHOUT_RAY = ("checkmaite-jobs-core", "checkmaite-store-parquet")
TOOLS = ("hypothesis", "pytest-timeout")
TESTS = ("tests/core", "tests/contract/test_inline.py", "tests/architecture/test_imports.py")


def uv(*arguments: str) -> None:
    """Run uv of this environment."""
    subprocess.run([sys.executable, "-m", "uv", "--quiet", *arguments], check=True)


@contextmanager
def environment(python: str, names: list[str], *options: str) -> Iterator[str]:
    """The Python of a new environment with these distributions of ours, and what the options say."""
    with tempfile.TemporaryDirectory(prefix="compat-") as folder:
        uv("venv", "--python", python, f"{folder}/venv")
        found = f"{folder}/venv/bin/python"
        wanted = [f"{ROOT}/packages/{name}{EXTRAS.get(name, '')}" for name in names]
        uv("pip", "install", "--python", found, *options, *wanted)
        yield found


def smoke(python: str, *options: str) -> None:
    """Install every package into a new environment, and run a job through each backend."""
    names = [path.parent.name for path in sorted((ROOT / "packages").glob("*/pyproject.toml"))]
    names.remove("checkmaite-jobs")
    with environment(python, names, *options) as found:
        subprocess.run([found, "-I", str(ROOT / "tools/compatibility/smoke.py")], check=True)


def suite(python: str) -> None:
    """Run the tests that need no Ray."""
    with environment(python, list(WITHOUT_RAY), *TOOLS) as found:
        subprocess.run([found, "-m", "pytest", "-q", "-p", "no:cacheprovider", *TESTS], cwd=ROOT, check=True)


def main() -> None:
    """The lowest versions, or other Pythons."""
    match sys.argv[1:]:
        case ["lowest"]:
            smoke(sys.executable, "--resolution", "lowest-direct")
        case ["suite", *pythons]:
            for python in pythons:
                suite(python)
        case pythons:
            for python in pythons:
                smoke(python)


if __name__ == "__main__":
    main()
