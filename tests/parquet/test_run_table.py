"""The rows of one job's result, as what a user works with."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from attrs import frozen
from checkmaite.jobs import (
    CapabilityRunRef,
    JobFailedError,
    MissingDependencyError,
    Record,
    configure_job_backend,
    get_job_backend,
    shutdown_job_backend,
    submit_capability,
)
from checkmaite.jobs.testing import SampleCapability, SampleRecord, SampleRun


@frozen
class OtherRecord(Record):
    table_name = "other_scores"

    score: float


class Both:
    """A capability whose run has rows in two tables."""

    id = "both"

    def run(self, *, config: Any, **_: Any) -> SampleRun:
        return SampleRun(run_uid=config["run_uid"], records=[SampleRecord("model-1", 0.5), OtherRecord(1.5)])


@pytest.fixture(autouse=True)
def _backend(tmp_path: Path) -> Iterator[None]:
    configure_job_backend("inline", analytics_store={"backend": "parquet", "uri": str(tmp_path / "store")})
    yield
    shutdown_job_backend()


def submitted(capability: Any = None, **arguments: Any) -> Any:
    return submit_capability(capability or SampleCapability(), config={"run_uid": "run"}, **arguments)


def test_rows_are_arrow_pandas_and_polars_in_one_call() -> None:
    submitted().result(60)
    table = submitted(force=True).table()
    assert (table.name, table.run_uid, len(table)) == ("sample_scores", "run", 1), "of the newest result alone"
    assert table.to_arrow().column("score").to_pylist() == [0.5]
    assert table.to_pandas()["score"].tolist() == table.to_polars()["score"].to_list() == [0.5]
    assert pa.table(table).equals(table.to_arrow())
    assert repr(table).startswith("<RunTable 'sample_scores' of the run 'run': 1 rows; ")
    assert "model-1" in table._repr_html_()


def test_of_several_tables_one_is_named() -> None:
    job = submitted(Both())
    with pytest.raises(LookupError, match="pass one of other_scores, sample_scores"):
        job.table()
    with pytest.raises(LookupError, match="no rows in 'none'"):
        job.table("none")
    assert job.table("other_scores").to_arrow().column("score").to_pylist() == [1.5]


def test_a_ref_reads_from_the_store_that_has_its_rows_whichever_backend_is_active() -> None:
    ref = submitted().result(60)
    store = get_job_backend().analytics_store
    configure_job_backend("inline", analytics_store={"backend": "null"})
    assert len(ref.records()) == len(ref.records("sample_scores", store=store)) == 1
    elsewhere = CapabilityRunRef(run_uid="run", capability_id="sample", store_uri="/nowhere/at/all.parquet")
    with pytest.raises(LookupError, match="pass store="):
        elsewhere.records()
    assert len(elsewhere.records(store=store)) == 1


def test_what_there_is_not_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(JobFailedError):
        submitted(SampleCapability(act="fail")).table()
    with pytest.raises(LookupError, match="gave no rows"):
        CapabilityRunRef(run_uid="run", capability_id="sample").records()
    table = submitted().table()
    monkeypatch.setitem(sys.modules, "polars", None)
    with pytest.raises(MissingDependencyError, match="polars"):
        table.to_polars()
