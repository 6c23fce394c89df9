from __future__ import annotations

from pathlib import Path
from typing import Any

from checkmaite.jobs import read_job_history

from tests.delta.backing import check_that_results_are_stored


def test_jobs_store_their_results_in_delta_tables_with_the_journal_beside(
    own_options: dict[str, Any], tmp_path: Path
) -> None:
    options = {name: value for name, value in own_options.items() if name not in ("analytics_store", "journal_uri")}
    store = check_that_results_are_stored("ray", tmp_path, **options)
    assert (Path(store.uri) / "_jobs").is_dir()
    place = {name: options[name] for name in ("idempotency_scope", "registry_actor_name", "registry_namespace")}
    history = read_job_history("ray", analytics_store={"backend": "delta", "uri": store.uri}, **place)
    assert history.column("status").to_pylist() == ["COMPLETED", "COMPLETED"]
    assert sorted(history.column("revision").to_pylist()) == [1, 2]
