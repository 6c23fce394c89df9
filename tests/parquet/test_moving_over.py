"""What users of the CheckMAITE package's own analytics store write."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest
from checkmaite.jobs import ArgumentError, Provenance
from checkmaite.jobs.testing import SampleRun
from checkmaite.store_parquet import ParquetStore

RUN = SampleRun(run_uid="u", records=[{"table_name": "scores", "x": 1}])


@pytest.fixture
def store(tmp_path: Path) -> ParquetStore:
    return ParquetStore(tmp_path)


@pytest.mark.parametrize("method", ["write", "write_with_receipt"])
def test_provenance_may_be_a_mapping(store: ParquetStore, method: str) -> None:
    at = datetime(2026, 1, 2, tzinfo=UTC)
    getattr(store, method)(RUN, provenance={"user_id": "ada", "completed_at": at})
    row = store.read_table("runs", columns=["user_id", "completed_at", "job_id"]).to_pylist()[0]
    assert row == {"user_id": "ada", "completed_at": at, "job_id": None}


def test_a_mapping_that_is_no_provenance_is_refused(store: ParquetStore) -> None:
    with pytest.raises(ArgumentError, match="Did you mean 'user_id'"):
        store.write([RUN], provenance={"user_di": "ada"})
    with pytest.raises(ArgumentError, match="expected a Provenance or a mapping, got the text 'ada'"):
        store.write([RUN], provenance="ada")  # type: ignore[arg-type]
    assert store.list_tables() == []


def test_several_runs_have_a_receipt_each(store: ParquetStore) -> None:
    """Deliberately different: one receipt cannot say of several runs what was there already."""
    with pytest.raises(ArgumentError, match=r"write\(runs\) returns a receipt for each"):
        store.write_with_receipt([RUN])  # type: ignore[arg-type]
    assert [receipt.run_uid for receipt in store.write([RUN])] == ["u"]


def test_a_ref_names_what_a_reader_opens_and_the_commit_apart(store: ParquetStore) -> None:
    import pyarrow.parquet as pq

    receipt = store.write_with_receipt(RUN, provenance=Provenance())
    assert pq.read_table(receipt.store_uri).column("x").to_pylist() == [1]
    assert store.get_run_uri("u") == receipt.store_uri != receipt.commit_uri
    assert pq.read_table(receipt.commit_uri).column("capability_table").unique().to_pylist() == ["scores"]
