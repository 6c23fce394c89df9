"""The package's own analytics store and ours in one folder, and what CI has recorded of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import checkmaite
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from checkmaite.jobs import configure_job_backend, get_provenance_defaults, shutdown_job_backend, submit_capability
from checkmaite.store_parquet import ParquetStore

from tests.checkmaite.store_recording import package_store, quality, record

RECORDED = Path(__file__).parents[1] / "parquet" / "recorded" / f"checkmaite-{checkmaite.__version__}"
COUNT = "SELECT count(*) AS rows, count(DISTINCT run_uid) AS runs FROM digits_quality"


def schemas(folder: Path) -> list[tuple[str, pa.Schema]]:
    return [(path.parent.name, pq.read_schema(path)) for path in sorted(folder.rglob("*.parquet"))]


def test_what_is_recorded_is_what_the_package_writes(tmp_path: Path) -> None:
    record(str(tmp_path))
    assert schemas(tmp_path) == schemas(RECORDED)


@pytest.mark.parametrize("first", ["theirs", "ours"])
def test_each_store_reads_what_the_other_wrote(tmp_path: Path, first: str) -> None:
    theirs, ours = package_store(str(tmp_path)), ParquetStore(tmp_path)

    def they_write() -> None:
        theirs.write([quality(0.1), quality(0.2)], provenance={"run_event_id": "theirs", "user_id": "ada"})

    if first == "theirs":
        they_write()
    ours.write([quality(0.3), quality(0.4)], provenance={"run_event_id": "ours"})
    if first == "ours":
        they_write()
    for table in (theirs.query_sql(COUNT).to_arrow(), ours.query_sql(COUNT)):
        assert table.to_pylist() == [{"rows": 8, "runs": 4}]
    events = "SELECT DISTINCT run_event_id FROM runs ORDER BY 1"
    for table in (theirs.query_sql(events).to_arrow(), ours.query_sql(events)):
        assert table.column(0).to_pylist() == ["ours", "theirs"]
    assert {"digits_quality", "runs"} <= set(theirs.list_tables())
    assert ours.list_tables() == ["digits_quality", "runs"]
    assert ours.describe_table("digits_quality").runs == 4
    assert theirs.describe_table("digits_quality").keys() == {
        each.name for each in ours.describe_table("digits_quality").columns
    }


def test_a_second_event_of_a_run_is_kept_by_both(tmp_path: Path) -> None:
    theirs, ours = package_store(str(tmp_path)), ParquetStore(tmp_path)
    ours.write(quality(0.1), provenance={"run_event_id": "first"})
    theirs.write([quality(0.1)], provenance={"run_event_id": "second"})
    assert ours.read_table("digits_quality").num_rows == 2
    assert set(ours.read_table("runs").column("run_event_id").to_pylist()) == {"first", "second"}
    assert theirs.query_sql(COUNT).to_dicts() == [{"rows": 2, "runs": 1}]


class Rates:
    """A capability whose run is one of the package's."""

    id = "rates"

    def run(self, *, models: Any, datasets: Any, metrics: Any, config: Any, use_cache: bool) -> Any:
        return quality(config)

    def run_key(self, **_: Any) -> str:
        return "rates"


def test_provenance_of_the_packages_own_call_reaches_rows(tmp_path: Path) -> None:
    checkmaite.configure_provenance(user_id="ada", cluster_id="atlas")
    try:
        assert (get_provenance_defaults().user_id, get_provenance_defaults().cluster_id) == ("ada", "atlas")
        backend = configure_job_backend("inline", analytics_store={"uri": str(tmp_path)})
        submit_capability(Rates(), config=0.3).result(timeout=60)
        rows = backend.analytics_store.read_table("runs", columns=["user_id", "cluster_id"]).to_pylist()
        assert {tuple(row.values()) for row in rows} == {("ada", "atlas")}
    finally:
        checkmaite.reset_provenance()
        shutdown_job_backend()
