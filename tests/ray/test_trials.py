"""Two short trials: real processes are killed while a disk is full, S3 fails and clocks are set. Nothing is lost."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.timeout(900)  # a machine that is busy with other things takes longer to start what was killed
def test_short_trials_lose_nothing(tmp_path: Path) -> None:
    """These two have few jobs, S3 as well as a disk, and each thing that can be killed but the whole cluster."""
    asked = ["--only", "mixed", "--seed", "20", "--trials", "2", "--seconds", "4", "--output", str(tmp_path)]
    done = subprocess.run(
        [sys.executable, "-m", "tools.trials", *asked], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    found = json.loads((tmp_path / "trials.json").read_text())
    assert [(each["seed"], each["losses"]) for each in found["trials"]] == [(20, []), (21, [])]
    assert found["totals"]["kills"] > 0
