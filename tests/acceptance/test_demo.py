"""The demo, run as its reader runs it: twice."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tests.scripts import printed

DEMO = Path(__file__).parents[2] / "tools/demo/digits.py"
BEFORE = "36 of 36 results are used again: they are of an earlier run."
PNG = b"\x89PNG"


def run_demo(folder: Path) -> list[str]:
    loopback = {"RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0", "RAY_USAGE_STATS_ENABLED": "0"}
    done = subprocess.run(
        [sys.executable, str(DEMO)],
        cwd=folder,
        env={**os.environ, **loopback, "COLUMNS": "120"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return printed(done.stdout)


def test_the_demo_computes_once_and_draws_twice(tmp_path: Path) -> None:
    first = run_demo(tmp_path)
    picture = tmp_path / "demo-output/accuracy.png"
    assert any("36/36" in line for line in first)
    assert f"Plot:    {picture.resolve()}" in first
    assert BEFORE not in first
    assert picture.read_bytes().startswith(PNG)
    picture.unlink()
    second = run_demo(tmp_path)
    assert BEFORE in second
    assert picture.read_bytes().startswith(PNG)
    assert [line for line in second if "│" in line] == [line for line in first if "│" in line], "the same table"
