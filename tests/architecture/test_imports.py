"""What importing the core brings into a process. Runs in the environment that has core alone, too."""

import subprocess
import sys

import pytest

HEAVY = ["duckdb", "pyarrow", "pytest", "ray", "s3fs"]

LISTING = """
import sys
import {door}
print(*sorted(name for name in {heavy} if name in sys.modules))
"""


@pytest.mark.parametrize("door", ["checkmaite.jobs", "checkmaite.jobs.spi"])
def test_a_fresh_interpreter_stays_light(door: str) -> None:
    listing = LISTING.format(door=door, heavy=HEAVY)
    run = subprocess.run([sys.executable, "-W", "error", "-c", listing], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    assert run.stdout.split() == []
