"""The Python of the README and of pages of the documentation is run as it stands, as a script in an empty folder."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def blocks_of(page: str) -> list[str]:
    return re.findall(r"^```python\n(.*?)^```", (ROOT / page).read_text(), flags=re.MULTILINE | re.DOTALL)


BLOCKS = blocks_of("README.md")

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
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def check_example(stdout: str, folder: Path) -> None:
    """What the README's example prints in this folder."""
    assert re.search("PENDING|SCHEDULING|RUNNING|COMPLETED", stdout)
    assert f"{folder}/analytics_store/squares/count-5.parquet" in stdout
    assert "total: [[30]]" in stdout


def test_the_example_runs_as_it_stands_and_the_page_on_the_journal_finds_its_jobs(tmp_path: Path) -> None:
    (readme,) = BLOCKS
    assert AS_WRITTEN in readme
    check_example(run_script(readme, tmp_path), tmp_path)
    script, history = (block.replace("local-dev", "readme") for block in blocks_of("docs/how-to/journal.md"))
    assert "COMPLETED" in run_script(script, tmp_path)
    assert "count-5" in run_script(history, tmp_path)


PRINTED = [
    "docs/explanation/durability.md",
    "docs/explanation/identity-and-reuse.md",
    "docs/explanation/store-layout.md",
    "docs/reference/tables.md",
]


@pytest.mark.parametrize("page", PRINTED)
def test_a_page_prints_what_it_says(page: str, tmp_path: Path) -> None:
    (script,) = blocks_of(page)
    assert f"```text\n{run_script(script, tmp_path)}```" in (ROOT / page).read_text()


def test_the_page_on_submitting_runs_as_one_script(tmp_path: Path) -> None:
    said = run_script("\n".join(blocks_of("docs/how-to/submitting.md")), tmp_path).splitlines()
    *said, refused, capability, resources, remedy = said
    first, *completed, statuses, together, done, called, report = said
    assert first == "COMPLETED count-to-5"
    assert completed == ["count-to COMPLETED"] * 10
    assert statuses.split() == ["COMPLETED"] * 10
    assert together == "count-to-20 and 10 more"
    assert done == "10 done"
    assert called == "count-to is over: COMPLETED"
    assert report == "4 numbers, threshold 0.9"
    assert refused.startswith("Nothing was submitted.")
    assert "Pass CountTo(...)." in capability
    assert "resources.num_gpus" in resources
    assert remedy == "Write wait_all([job]), or job.wait()."


def test_the_page_on_large_objects_prints_what_it_says(tmp_path: Path) -> None:
    page = "docs/how-to/large-objects.md"
    (script,) = blocks_of(page)
    said = re.sub(r"sha256 \w+", "sha256 41e6ac8aedd4cba8", run_script(script, tmp_path))  # NumPy's version is in it
    assert f"```text\n{said.replace(str(tmp_path), '.')}```" in (ROOT / page).read_text()


def test_the_page_on_the_store_says_how_provenance_is_configured(tmp_path: Path) -> None:
    (block,) = (block for block in blocks_of("docs/how-to/analytics-store.md") if "configure_provenance" in block)
    said = run_script(block, tmp_path)
    assert "user_id='ada'" in said
    assert "environment=None" in said


def test_the_page_on_the_store_says_how_rows_are_mended(tmp_path: Path) -> None:
    (block,) = (block for block in blocks_of("docs/how-to/analytics-store.md") if "read_salvaged_run" in block)
    *said, scores = run_script(block, tmp_path).splitlines()
    assert "records[1].score: a list cannot be stored" in "\n".join(said)
    assert scores == "[0.9, 0.8]"


def test_there_is_one_example_of_twenty_lines() -> None:
    (block,) = BLOCKS
    assert len([line for line in block.splitlines() if line.strip()]) <= 20


@pytest.mark.parametrize("options", ['"ray-simple", address="local"', '"inline"'])
def test_the_example_runs_on_other_backends(tmp_path: Path, options: str) -> None:
    (block,) = BLOCKS
    check_example(run_script(block.replace(AS_WRITTEN, options), tmp_path), tmp_path)
