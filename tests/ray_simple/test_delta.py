from __future__ import annotations

from pathlib import Path

import pytest

from tests.delta.backing import check_that_results_are_stored


@pytest.mark.usefixtures("local_ray")
def test_jobs_store_their_results_in_delta_tables(tmp_path: Path) -> None:
    check_that_results_are_stored("ray-simple", tmp_path)
