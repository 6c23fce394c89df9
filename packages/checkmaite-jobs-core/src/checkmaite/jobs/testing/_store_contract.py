"""What every analytics store promises, as tests."""

from __future__ import annotations

import math
import pickle
import uuid
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from attrs import evolve, frozen
from checkmaite.jobs import (
    AnalyticsStore,
    Provenance,
    QueryError,
    Record,
    RecordError,
    Report,
    StoreError,
    StoreNotFoundError,
)
from checkmaite.jobs.spi import HasProbe, KeepsRevisions
from checkmaite.jobs.testing._samples import SampleRecord, SampleRun

_SUBMITTED_AT = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
_PROVENANCE = Provenance(user_id="ada").for_job(job_id="job-1", backend="suite", submitted_at=_SUBMITTED_AT)


def _by(job_id: str) -> Provenance:
    return Provenance().for_job(job_id=job_id, backend="suite", submitted_at=_SUBMITTED_AT)


def _scores(table: Any) -> list[float]:
    return sorted(table.column("score").to_pylist())


@frozen
class _Wide(Record):
    table_name = "sample_wide"

    text: str
    whole: int
    real: float
    truth: bool
    at: datetime
    raw: bytes
    maybe: float | None = None


class AnalyticsStoreContract:
    """Inherit it, make the store, and every promise of `AnalyticsStore` is tested."""

    def make_store(self, folder: Path) -> AnalyticsStore:
        """A store that is empty at first; called again with the same folder it opens the same store."""
        raise NotImplementedError

    def make_broken_store(self, folder: Path) -> AnalyticsStore | None:
        """A store that cannot be reached or read; None leaves out the test that errors are not taken for empty."""
        return None

    @pytest.fixture
    def store(self, tmp_path: Path) -> AnalyticsStore:
        """The store of one test."""
        return self.make_store(tmp_path)

    def run(self, **fields: Any) -> SampleRun:
        """A run with a uid of its own."""
        return SampleRun(run_uid=uuid.uuid4().hex, **fields)

    def test_an_empty_store_is_empty(self, store: AnalyticsStore) -> None:
        assert store.get_run_uri("never") is None
        assert store.list_tables() == []
        with pytest.raises(StoreNotFoundError):
            store.read_table("sample_scores")
        with pytest.raises(StoreNotFoundError):
            store.describe_table("sample_scores")

    def test_a_written_run_is_found_and_read(self, store: AnalyticsStore, tmp_path: Path) -> None:
        run = self.run()
        receipt = store.write_with_receipt(run, provenance=_PROVENANCE)
        assert (receipt.run_uid, receipt.created, dict(receipt.rows)) == (run.run_uid, True, {"sample_scores": 1})
        other = self.make_store(tmp_path)
        assert other.get_run_uri(run.run_uid) == receipt.store_uri is not None
        assert other.list_tables() == ["runs", "sample_scores"]
        (row,) = other.read_table("sample_scores").to_pylist()
        assert row == {"run_uid": run.run_uid, "model_id": "model-1", "score": 0.5}
        assert other.describe_table("sample_scores").rows == 1

    def test_runs_says_where_results_came_from(self, store: AnalyticsStore) -> None:
        run = self.run()
        store.write(run, provenance=_PROVENANCE)
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
            assert row["submitted_at"] == _SUBMITTED_AT
            assert row["created_at"].tzinfo is not None

    def test_a_run_that_names_nothing_has_one_row(self, store: AnalyticsStore) -> None:
        store.write(self.run(dataset_metadata=(), model_metadata=()))
        (row,) = store.read_table("runs").to_pylist()
        assert (row["entity_type"], row["entity_id"]) == (None, None)

    def test_the_first_write_wins(self, store: AnalyticsStore, tmp_path: Path) -> None:
        run = self.run()
        first = store.write_with_receipt(run, provenance=_PROVENANCE)
        changed = SampleRun(run_uid=run.run_uid, records=[SampleRecord("model-1", 0.9)])
        again = self.make_store(tmp_path).write_with_receipt(
            changed, provenance=Provenance().for_job(job_id="job-2", backend="suite", submitted_at=_SUBMITTED_AT)
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

    @pytest.fixture
    def keeper(self, store: AnalyticsStore) -> KeepsRevisions:
        """The store of one test, where it keeps more than one result of a run."""
        if not isinstance(store, KeepsRevisions):
            pytest.skip("this store keeps one result of a run, which is allowed: it has no find_run()")
        return store

    def test_a_result_may_supersede_another(self, store: AnalyticsStore, keeper: KeepsRevisions) -> None:
        run = self.run()
        first = keeper.write_with_receipt(run, provenance=_PROVENANCE, supersede=True)
        changed = evolve(run, records=[SampleRecord("model-1", 0.9)])
        second = keeper.write_with_receipt(changed, provenance=_by("job-2"), supersede=True)
        assert [(each.revision, each.created) for each in (first, second)] == [(1, True), (2, True)]
        assert _scores(store.read_table("sample_scores")) == [0.9]
        assert len(store.read_table("runs")) == 3
        assert store.get_run_uri(run.run_uid) == second.store_uri
        asked: Any = store  # which reads by revision too
        assert _scores(asked.read_table("sample_scores", revision=1)) == [0.5]
        assert _scores(asked.read_table("sample_scores", revision="all")) == [0.5, 0.9]
        every = asked.read_table("runs", revision="all").column("revision").to_pylist()
        assert sorted(every) == [1, 1, 1, 2, 2, 2]
        joined = "select sum(score) as total from sample_scores join runs using (run_uid) where entity_type = 'dataset'"
        assert store.query_sql(joined).column("total").to_pylist() == [0.9]
        assert asked.query_sql(joined, revision=1).column("total").to_pylist() == [0.5]

    def test_a_result_is_found_whole(self, keeper: KeepsRevisions) -> None:
        run = self.run()
        text = Report(kind="inline_text", text="# one\n" * 5_000)
        receipt = keeper.write_with_receipt(run, provenance=_PROVENANCE, report=text)
        other = Report(kind="artifact", media_type="image/png", uri="s3://elsewhere/plot.png", filename="plot.png")
        keeper.write_with_receipt(run, provenance=_by("job-2"), report=other, supersede=True)
        found = [keeper.find_run(run.run_uid, revision=1), keeper.find_run(run.run_uid, run_event_id="job-1")]
        assert found[0] is not None
        assert found[0] == found[1]
        assert (found[0].ref.report, found[0].ref.commit_uri) == (text, receipt.commit_uri)
        assert found[0].provenance == _PROVENANCE
        newest = keeper.find_run(run.run_uid)
        assert newest is not None
        assert (newest.ref.revision, newest.ref.report, newest.provenance.job_id) == (2, other, "job-2")
        assert keeper.find_run(run.run_uid, revision=3) is None
        assert keeper.find_run("never") is None

    def test_what_a_result_stands_on_is_kept(self, store: AnalyticsStore, keeper: KeepsRevisions) -> None:
        run = self.run()
        prints = [f'{{"scheme": 1, "config": "{number}"}}' for number in range(2)]
        for number, text in enumerate(prints):
            keeper.write_with_receipt(run, provenance=evolve(_by(f"job-{number}"), fingerprints=text), supersede=True)
        for number, text in enumerate(prints):
            found = keeper.find_run(run.run_uid, revision=number + 1)
            assert found is not None
            assert found.provenance.fingerprints == text
        assert set(store.read_table("runs").column("fingerprints").to_pylist()) == {prints[1]}

    def test_one_execution_stores_one_result(self, store: AnalyticsStore, keeper: KeepsRevisions) -> None:
        run = self.run()
        for number, provenance in enumerate((_PROVENANCE, _by("job-2"), _by("job-2"), _PROVENANCE)):
            changed = evolve(run, records=[SampleRecord("model-1", number)])
            receipt = keeper.write_with_receipt(changed, provenance=provenance, supersede=True)
            assert (receipt.created, receipt.revision) == (number < 2, 1 + (number in (1, 2)))
        asked: Any = store
        assert _scores(asked.read_table("sample_scores", revision="all")) == [0, 1]

    def test_writers_of_next_results_get_a_number_each(self, keeper: KeepsRevisions, tmp_path: Path) -> None:
        run = self.run()

        def write(number: int) -> Any:
            store: Any = self.make_store(tmp_path)
            return store.write_with_receipt(run, provenance=_by(f"job-{number}"), supersede=True)

        with ThreadPoolExecutor(4) as pool:
            receipts = list(pool.map(write, range(4)))
        assert sorted(receipt.revision for receipt in receipts) == [1, 2, 3, 4]
        for number, receipt in enumerate(receipts):
            found = keeper.find_run(run.run_uid, revision=receipt.revision)
            assert found is not None
            assert found.provenance.job_id == f"job-{number}"

    def test_values_come_back_as_they_were(self, store: AnalyticsStore) -> None:
        record = _Wide("é", -(2**62), 1.0, True, _SUBMITTED_AT, b"\x00\xff")
        run = self.run(records=[record, {"table_name": "sample_plain", "count": 3, "name": "x"}])
        store.write(run)
        (row,) = store.read_table("sample_wide").to_pylist()
        assert row == {
            "run_uid": run.run_uid,
            "text": "é",
            "whole": -(2**62),
            "real": 1.0,
            "truth": True,
            "at": _SUBMITTED_AT,
            "raw": b"\x00\xff",
            "maybe": None,
        }
        (plain,) = store.read_table("sample_plain", columns=["count"], run_uids=[run.run_uid]).to_pylist()
        assert plain == {"count": 3}

    def test_a_score_of_exactly_one_is_a_score(self, store: AnalyticsStore, tmp_path: Path) -> None:
        """Mappings declare nothing, and a number may happen to be whole, in the first run or a later one."""
        for scores in ((0.5, 1, 0, 2), (1, 0.5, 0, 2)):
            table = f"sample_from_{str(scores[0]).replace('.', '_')}"
            for number, score in enumerate(scores):
                writer = store if number % 2 else self.make_store(tmp_path)
                writer.write(self.run(records=[{"table_name": table, "score": score}]))
            assert sorted(store.read_table(table).column("score").to_pylist()) == [0, 0.5, 1, 2]
            with pytest.raises(RecordError, match="score"):
                store.write(self.run(records=[{"table_name": table, "score": 2**53 + 1}]))

    def test_a_number_that_no_float_keeps_stays_as_it_is(self, store: AnalyticsStore) -> None:
        store.write(self.run(records=[{"table_name": "sample_large", "x": 2**53 + 1}]))
        with pytest.raises(RecordError, match="x"):
            store.write(self.run(records=[{"table_name": "sample_large", "x": 0.5}]))
        assert store.read_table("sample_large").column("x").to_pylist() == [2**53 + 1]

    def test_a_run_that_was_refused_fixes_no_type(self, store: AnalyticsStore, tmp_path: Path) -> None:
        store.write(self.run(records=[{"table_name": "sample_plain", "x": "text"}]))
        bad = [{"table_name": "sample_plain", "x": 1, "y": "text"}, {"table_name": "sample_new", "z": "text"}]
        with pytest.raises(RecordError, match="x"):
            store.write(self.run(records=bad))
        good = [{"table_name": "sample_plain", "x": "text", "y": 1}, {"table_name": "sample_new", "z": 1}]
        for writer in (store, self.make_store(tmp_path)):
            writer.write(self.run(records=good))
        assert store.read_table("sample_new").column("z").to_pylist() == [1, 1]

    def test_a_nan_is_a_number_among_numbers_and_nothing_elsewhere(self, store: AnalyticsStore) -> None:
        run = self.run(records=[{"table_name": "sample_nan", "x": math.nan, "y": math.nan}])
        store.write(self.run(records=[{"table_name": "sample_nan", "x": 1.5, "y": "text"}]))
        store.write([run, run])
        (row,) = store.read_table("sample_nan", run_uids=[run.run_uid]).to_pylist()
        assert math.isnan(row["x"])
        assert row["y"] is None

    @pytest.mark.parametrize(
        "bad",
        [
            {"table_name": "t", "x": [1, 2]},
            {"table_name": "t", "x": {"y": 1}},
            {"table_name": "t", "at": datetime(2026, 1, 1)},  # noqa: DTZ001 - naive on purpose
            {"table_name": "runs", "x": 1},
            {"table_name": "../escape", "x": 1},
            {"x": 1},
            {"table_name": "t", "x": 2**70},
            {"table_name": "t", "x": "half a character: \ud800"},
            {"table_name": "t", "__filename": 1},
            {"table_name": "t", "at": datetime.min.replace(tzinfo=timezone(timedelta(hours=1)))},
            None,
            object(),
        ],
        ids=[
            "list",
            "mapping",
            "naive",
            "reserved",
            "path",
            "no-table",
            "too-large",
            "surrogate",
            "reserved-column",
            "year",
            "none",
            "no-record",
        ],
    )
    def test_a_bad_record_leaves_nothing(self, store: AnalyticsStore, bad: object) -> None:
        run = self.run(records=[SampleRecord("model-1", 0.5), bad])
        with pytest.raises(RecordError, match=r"records\[1\]"):
            store.write(run)
        assert store.get_run_uri(run.run_uid) is None
        assert store.list_tables() == []

    def test_a_run_without_rows_stores_nothing(self, store: AnalyticsStore) -> None:
        receipt = store.write_with_receipt(self.run(records=[]))
        assert (receipt.store_uri, receipt.created) == (None, False)
        assert store.list_tables() == []

    def test_sql_joins_results_with_runs(self, store: AnalyticsStore) -> None:
        runs = [self.run() for _ in range(3)]
        assert [receipt.run_uid for receipt in store.write(runs)] == [run.run_uid for run in runs]
        found = store.query_sql(
            "select s.run_uid, avg(s.score) as score from sample_scores s join runs r "
            "on r.run_uid = s.run_uid and r.entity_type = 'dataset' group by s.run_uid"
        )
        assert sorted(found.column("run_uid").to_pylist()) == sorted(run.run_uid for run in runs)

    @pytest.mark.parametrize(
        "sql", ["drop table runs", "select 1; select 2", "copy runs to 'x'", "select * from nowhere", "selekt"]
    )
    def test_sql_other_than_one_select_is_refused(self, store: AnalyticsStore, sql: str) -> None:
        store.write(self.run())
        with pytest.raises(QueryError):
            store.query_sql(sql)

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

    def test_an_error_is_not_taken_for_empty(self, tmp_path: Path) -> None:
        broken = self.make_broken_store(tmp_path)
        if broken is None:
            return
        for ask in (broken.list_tables, lambda: broken.get_run_uri("any"), lambda: broken.read_table("runs")):
            with pytest.raises(StoreError) as caught:
                ask()
            assert not isinstance(caught.value, StoreNotFoundError)
        with pytest.raises(StoreError):
            broken.write(self.run())
