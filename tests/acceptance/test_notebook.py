"""The tutorial's notebook, run cell by cell as its reader runs it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient

NOTEBOOK = Path(__file__).parents[2] / "docs/tutorial/first-evaluation.ipynb"


def test_the_tutorial_runs_and_finds_the_best_threshold(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("JUPYTER_RUNTIME_DIR", "JUPYTER_DATA_DIR", "JUPYTER_CONFIG_DIR", "IPYTHONDIR"):
        monkeypatch.setenv(name, str(tmp_path / name))  # nothing in the home of whoever runs the tests
    read: Any = nbformat
    book = read.read(NOTEBOOK, as_version=4)
    read.validate(book)
    assert [cell for cell in book.cells if cell.cell_type == "code" and cell.outputs] == [], "committed as it is run"
    NotebookClient(book, timeout=240, resources={"metadata": {"path": str(tmp_path)}}).execute()
    said = {
        cell.id: "".join(each.get("text", "") or each.get("data", {}).get("text/plain", "") for each in cell.outputs)
        for cell in book.cells
        if cell.cell_type == "code"
    }
    assert said["submit"].endswith(str(["COMPLETED"] * 4)), "after what jobs print, and a bar"
    assert said["logs"].strip() == "99 of 100 right"
    assert said["query"] == "{'limit': 41, 'value': 1.0, 'dataset': 'numbers-0-to-99'}"
    assert "REUSED" in said["again"].upper()
    assert "FAILED TypeError" in said["fail"]
    assert (tmp_path / "analytics_store/accuracy").is_dir()
