from __future__ import annotations

from pathlib import Path

from tests.delta.backing import check_that_results_are_stored


def test_jobs_of_inline_store_their_results(tmp_path: Path) -> None:
    check_that_results_are_stored("inline", tmp_path)
