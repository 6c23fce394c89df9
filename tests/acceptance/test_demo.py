"""The demo, run as its reader runs it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

from tests.scripts import printed

DEMO = Path(__file__).parents[2] / "tools/demo/digits.py"
PNG = b"\x89PNG"


def test_the_demo_computes_once_uses_again_and_makes_anew_what_differs(tmp_path: Path) -> None:
    loopback = {"RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0", "RAY_USAGE_STATS_ENABLED": "0"}
    done = subprocess.run(
        [sys.executable, str(DEMO)],
        cwd=tmp_path,
        env={**os.environ, **loopback, "COLUMNS": "120"},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    lines = printed(done.stdout)
    said = "\n".join(lines)
    first, second, third = re.split("Second: .*|Third: .*", said)
    assert "36/36 jobs: 36 completed" in first
    assert "36 of 36 results are new." in first
    assert re.search(r"http://127\.0\.0\.1:\d+/\S{32,}/", first)
    assert first.count("degrees") == 3, "a severity has its unit"
    assert "36 of 36 results are used again" in second
    assert "REUSED: job-" in second
    assert "24 of 36 results are used again" in third
    assert "12 of 36 results were STALE" in third
    assert "models[0] 'random-forest'" in third
    assert "WARNING" not in done.stdout + done.stderr
    assert (tmp_path / "demo-output/accuracy.png").read_bytes().startswith(PNG)
    report = tmp_path / "demo-output/report"
    assert f"Report:  {(report / 'index.html').resolve()}" in said
    assert "digits-demo" in (report / "data.js").read_text()
