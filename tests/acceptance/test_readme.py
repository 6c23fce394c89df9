"""The README's Python is run as it stands, as a script in an empty folder."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
BLOCKS = re.findall(r"^```python\n(.*?)^```", (ROOT / "README.md").read_text(), flags=re.MULTILINE | re.DOTALL)

AS_WRITTEN = '"ray", address="local", idempotency_scope="readme"'


def run_script(text: str, folder: Path) -> str:
    script = folder / "example.py"
    script.write_text(text)
    loopback = {"RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0", "RAY_USAGE_STATS_ENABLED": "0"}
    done = subprocess.run(
        [sys.executable, str(script)],
        cwd=folder,
        env={**os.environ, **loopback},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_page_on_the_journal_runs(tmp_path: Path) -> None:
    page = (ROOT / "docs/how-to/journal.md").read_text()
    script, history = re.findall(r"^```python\n(.*?)^```", page, flags=re.MULTILINE | re.DOTALL)
    (readme,) = BLOCKS
    run_script(readme.replace("readme", "local-dev"), tmp_path)
    assert "COMPLETED" in run_script(script, tmp_path)
    assert "count-5" in run_script(history, tmp_path)


def test_there_is_one_example_of_twenty_lines() -> None:
    (block,) = BLOCKS
    assert len([line for line in block.splitlines() if line.strip()]) <= 20


@pytest.mark.parametrize("options", [AS_WRITTEN, '"ray-simple", address="local"', '"inline"'])
def test_the_example_runs(tmp_path: Path, options: str) -> None:
    (block,) = BLOCKS
    assert AS_WRITTEN in block
    stdout = run_script(block.replace(AS_WRITTEN, options), tmp_path)
    assert re.search("PENDING|SCHEDULING|RUNNING|COMPLETED", stdout)
    assert f"{tmp_path}/analytics_store/runs/count-5.parquet" in stdout
    assert "total: [[30]]" in stdout
