"""What importing the core brings into a process. Runs in the environment that has core alone, too."""

import subprocess
import sys

import pytest

HEAVY = {"duckdb", "pyarrow", "pytest", "ray", "s3fs"}
LATE = {
    "asyncio",
    "cattrs",
    "concurrent.futures",
    "fsspec",
    "hashlib",
    "importlib.metadata",
    "json",
    "logging",
    "pickle",
    "socket",
    "urllib.parse",
    "uuid",
}


def brought_by(door: str) -> set[str]:
    """The modules that a fresh interpreter has after importing the door, without those that attrs brings."""
    listing = f"import sys, attrs; before = {{*sys.modules}}; import {door}; print(*{{*sys.modules}} - before)"
    run = subprocess.run([sys.executable, "-W", "error", "-c", listing], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    return set(run.stdout.split())


@pytest.mark.parametrize("door", ["checkmaite.jobs", "checkmaite.jobs.spi", "checkmaite.jobs.testing"])
def test_a_fresh_interpreter_stays_light(door: str) -> None:
    brought = brought_by(door)
    assert door in brought
    assert brought & HEAVY == set()


def test_what_submitting_needs_is_not_imported_before() -> None:
    """Capabilities import the users' door for `Record` or `report_progress` alone, on every worker."""
    assert brought_by("checkmaite.jobs") & LATE == set()
