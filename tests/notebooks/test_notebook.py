"""A real notebook, run by a real kernel: what it shows, and that it is replaced where it stands."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient

SUBMITS = """
import threading
from pathlib import Path

from checkmaite.jobs import configure_job_backend, list_jobs, submit_capabilities, wait_all
from checkmaite.jobs.testing import SampleCapability

configure_job_backend("inline", analytics_store={"backend": "parquet", "uri": "store"}, max_workers=3)
jobs = submit_capabilities(
    [
        {"capability": SampleCapability(act=act, folder="."), "config": {"run_uid": f"run-{act}"}, "job_name": name}
        for act, name in [("return", "quick"), ("wait", "slow <b>one</b>"), ("fail", "broken")]
    ]
)
jobs
"""
PRINTS = """
import time

while not Path("started").exists():
    time.sleep(0.01)
print("a job goes on in the meantime:", jobs[1].wait(0))
"""
WAITS = """
Path("go").touch()
statuses = wait_all(jobs)
[each.join(60) for each in threading.enumerate() if each.name == "checkmaite-notebook"]
"""


@pytest.fixture(scope="module")
def outputs(tmp_path_factory: pytest.TempPathFactory) -> list[list[Any]]:
    """What each of the cells shows in the end."""
    folder = tmp_path_factory.mktemp("notebook")
    cells = [SUBMITS, PRINTS, WAITS, "list_jobs(limit=2)", "jobs[0].table()", "jobs[0].table().to_polars().height"]
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell.strip()) for cell in cells])
    NotebookClient(
        notebook, timeout=120, kernel_name="python3", resources={"metadata": {"path": str(folder)}}
    ).execute()
    assert Path(folder, "go").exists()
    return [cell.outputs for cell in notebook.cells]


def shown(outputs: list[Any], media_type: str = "text/html") -> list[str]:
    return [output.data[media_type] for output in outputs if "data" in output and media_type in output.data]


def test_a_table_is_replaced_where_it_stands_until_all_jobs_are_final(outputs: list[list[Any]]) -> None:
    (table,) = shown(outputs[0])
    assert "3 jobs: 2 completed, 1 failed" in table
    assert "slow &lt;b&gt;one&lt;/b&gt;" in table
    assert "<summary>ValueError: the sample was told to fail</summary>" in table
    (text,) = shown(outputs[0], "text/plain")
    assert text.splitlines()[0] == "3 jobs: 2 completed, 1 failed"


def test_a_cell_prints_while_jobs_of_the_same_process_run(outputs: list[list[Any]]) -> None:
    """IPython puts a function of its own in the place of the stream's `write` for as long as a cell runs."""
    printed = "".join(output.text for output in outputs[1] if output.output_type == "stream")
    assert printed == "a job goes on in the meantime: RUNNING\n"


def test_waiting_shows_one_bar(outputs: list[list[Any]]) -> None:
    (bar,) = shown(outputs[2])
    assert "3/3 jobs, 1 failed" in bar


def test_listings_and_rows_are_tables(outputs: list[list[Any]]) -> None:
    (listed,), (rows,) = shown(outputs[3]), shown(outputs[4])
    assert "2 jobs: 1 completed, 1 failed" in listed
    assert "<caption>sample_scores</caption>" in rows
    assert shown(outputs[5], "text/plain") == ["1"]
