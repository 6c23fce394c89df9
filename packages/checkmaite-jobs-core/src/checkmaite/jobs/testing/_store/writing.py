"""What every analytics store promises of a write."""

from __future__ import annotations

import pickle
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from checkmaite.jobs import (
    AnalyticsStore,
    Provenance,
    StoreError,
    StoreNotFoundError,
)
from checkmaite.jobs.spi import HasMaintenance, HasProbe, provenance_columns
from checkmaite.jobs.testing._samples import SampleRecord, SampleRun
from checkmaite.jobs.testing._store.suite import PROVENANCE, SUBMITTED_AT, StoreSuite, scores


class WritingContract(StoreSuite):
    """A run is stored once, whole, with where it came from."""

    def test_a_written_run_is_found_and_read(self, store: AnalyticsStore, tmp_path: Path) -> None:
        run = self.run()
        receipt = store.write_with_receipt(run, provenance=PROVENANCE)
        assert (receipt.run_uid, receipt.created, dict(receipt.rows)) == (run.run_uid, True, {"sample_scores": 1})
        other = self.make_store(tmp_path)
        assert other.get_run_uri(run.run_uid) == receipt.store_uri is not None
        assert other.list_tables() == ["runs", "sample_scores"]
        (row,) = other.read_table("sample_scores").to_pylist()
        assert row == {"run_uid": run.run_uid, "model_id": "model-1", "score": 0.5}
        assert other.describe_table("sample_scores").rows == 1

    def test_runs_says_where_results_came_from(self, store: AnalyticsStore) -> None:
        run = self.run()
        store.write(run, provenance=PROVENANCE)
        rows = store.read_table("runs").to_pylist()
        assert sorted((row["entity_type"], row["entity_id"]) for row in rows) == [
            ("dataset", "dataset-1"),
            ("model", "model-1"),
            ("model", "model-2"),
        ]
        for row in rows:
            assert row["run_uid"] == run.run_uid
            assert (row["capability_id"], row["capability_table"]) == ("sample", "sample_scores")
            assert (row["user_id"], row["job_id"], row["run_event_id"]) == ("ada", "job-1", "job-1")
            assert row["submitted_at"] == SUBMITTED_AT
            assert row["created_at"].tzinfo is not None

    def test_a_run_that_names_nothing_has_one_row(self, store: AnalyticsStore) -> None:
        store.write(self.run(dataset_metadata=(), model_metadata=()))
        (row,) = store.read_table("runs").to_pylist()
        assert (row["entity_type"], row["entity_id"]) == (None, None)

    def test_the_first_write_wins(self, store: AnalyticsStore, tmp_path: Path) -> None:
        run = self.run()
        first = store.write_with_receipt(run, provenance=PROVENANCE)
        changed = SampleRun(run_uid=run.run_uid, records=[SampleRecord("model-1", 0.9)])
        again = self.make_store(tmp_path).write_with_receipt(
            changed, provenance=Provenance().for_job(job_id="job-2", backend="suite", submitted_at=SUBMITTED_AT)
        )
        assert (again.created, again.store_uri) == (False, first.store_uri)
        assert store.read_table("sample_scores").column("score").to_pylist() == [0.5]
        assert len(store.read_table("runs")) == 3

    def test_writers_at_once_leave_one_copy(self, store: AnalyticsStore, tmp_path: Path) -> None:
        run = self.run()
        with ThreadPoolExecutor(8) as pool:
            receipts = list(pool.map(lambda _: self.make_store(tmp_path).write_with_receipt(run), range(8)))
        assert sum(receipt.created for receipt in receipts) <= 1
        assert len({receipt.store_uri for receipt in receipts}) == 1
        assert len(store.read_table("sample_scores")) == 1
        assert len(store.read_table("runs")) == 3

    def test_a_run_without_rows_stores_nothing(self, store: AnalyticsStore) -> None:
        receipt = store.write_with_receipt(self.run(records=[]))
        assert (receipt.store_uri, receipt.created) == (None, False)
        assert store.list_tables() == []

    def test_a_store_travels_to_workers(self, store: AnalyticsStore) -> None:
        run = self.run()
        there = pickle.loads(pickle.dumps(store))  # noqa: S301 - our own bytes
        there.write(run)
        assert store.get_run_uri(run.run_uid) is not None

    def test_a_probe_writes_nothing_that_a_reader_sees(self, store: AnalyticsStore, tmp_path: Path) -> None:
        if not isinstance(store, HasProbe):
            return
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(lambda _: store.probe(), range(4)))
        assert store.list_tables() == []
        store.write(self.run())
        store.probe()
        assert store.list_tables() == ["runs", "sample_scores"]
        broken = self.make_broken_store(tmp_path)
        if isinstance(broken, HasProbe):
            with pytest.raises(StoreError):
                broken.probe()

    def test_maintenance_changes_no_answer(self, store: AnalyticsStore) -> None:
        if not isinstance(store, HasMaintenance):
            return
        store.maintain()
        assert store.list_tables() == []
        runs = [self.run() for _ in range(3)]
        store.write(runs)
        store.maintain()
        store.maintain()
        assert store.describe_table("sample_scores").runs == 3
        assert not store.write_with_receipt(runs[0]).created

    def test_runs_has_all_of_the_provenance(self, store: AnalyticsStore) -> None:
        instants = {"submitted_at": SUBMITTED_AT, "completed_at": SUBMITTED_AT + timedelta(hours=1)}
        said = {name: instants.get(name, f"the {name}") for name in provenance_columns()}
        began = datetime.now(UTC)
        store.write(self.run(), provenance=Provenance.of(said))
        for row in store.read_table("runs").to_pylist():
            assert {name: row[name] for name in said} == said
            assert began - timedelta(seconds=1) <= row["created_at"] <= datetime.now(UTC)

    def test_equal_records_are_kept_each(self, store: AnalyticsStore) -> None:
        records = [SampleRecord("model-1", 0.5), SampleRecord("model-1", 0.5), SampleRecord("model-2", 0.25)]
        receipt = store.write_with_receipt(self.run(records=records))
        assert dict(receipt.rows) == {"sample_scores": 3}
        assert scores(store.read_table("sample_scores")) == [0.25, 0.5, 0.5]

    def test_uids_are_taken_as_they_are(self, store: AnalyticsStore) -> None:
        """However a store names what it writes: no two uids mean the same, and none means a place outside."""
        uids = ["a/b", "a_b", "a%2Fb", "A_B", ".", "..", "../up", "/", "~", "é", "with a space", "it's"]
        uids += ["x" * 300, "x" * 299 + "y"]
        runs = [SampleRun(run_uid=uid, records=[SampleRecord(uid, 0.5)]) for uid in uids]
        assert [receipt.created for receipt in store.write(runs)] == [True] * len(uids)
        assert len({store.get_run_uri(uid) for uid in uids} - {None}) == len(uids)
        rows = store.read_table("sample_scores", run_uids=uids).to_pylist()
        assert sorted((row["run_uid"], row["model_id"]) for row in rows) == sorted(zip(uids, uids, strict=True))
        (row,) = store.read_table("sample_scores", run_uids=["a_b"]).to_pylist()
        assert row["model_id"] == "a_b"

    def test_readers_see_whole_runs_or_nothing(self, store: AnalyticsStore, tmp_path: Path) -> None:
        """Whoever finds a run in one table finds it in every other, whichever of them he reads first."""
        names = [f"part_{number}" for number in range(6)]
        writing, torn, seen = threading.Event(), set[tuple[str, str]](), set[str]()

        def found(reader: AnalyticsStore, name: str) -> set[str]:
            with suppress(StoreNotFoundError):
                return set(reader.read_table(name, columns=["run_uid"]).column("run_uid").to_pylist())
            return set()

        def read() -> None:
            reader = self.make_store(tmp_path)
            while not writing.is_set():
                for first, last in ((names[0], names[-1]), (names[-1], "runs"), ("runs", names[0])):
                    whole = found(reader, first)
                    torn.update((uid, last) for uid in whole - found(reader, last))
                    seen.update(whole)

        with ThreadPoolExecutor(1) as pool:
            reading = pool.submit(read)
            try:
                for _ in range(10):
                    store.write(self.run(records=[{"table_name": name, "x": 1} for name in names]))
            finally:
                writing.set()
            reading.result()
        assert not torn, "a run was found in one table and was missing in another"

    def test_a_store_that_was_read_before_sees_what_others_write(self, store: AnalyticsStore, tmp_path: Path) -> None:
        other = self.make_store(tmp_path)
        for number in range(1, 3):
            run = self.run()
            assert store.get_run_uri(run.run_uid) is None
            assert other.write_with_receipt(run).created
            assert store.get_run_uri(run.run_uid) is not None
            assert len(store.read_table("sample_scores")) == number
            assert store.query_sql("select * from sample_scores").num_rows == number
