"""What every analytics store promises of reading and SQL."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from checkmaite.jobs import (
    AnalyticsStore,
    QueryError,
    StoreError,
    StoreNotFoundError,
)
from checkmaite.jobs.testing._samples import SampleRecord
from checkmaite.jobs.testing._store.suite import StoreSuite


class ReadingContract(StoreSuite):
    """Readers get what they ask for, and no error is taken for empty."""

    def test_an_empty_store_is_empty(self, store: AnalyticsStore) -> None:
        assert store.get_run_uri("never") is None
        assert store.list_tables() == []
        with pytest.raises(StoreNotFoundError):
            store.read_table("sample_scores")
        with pytest.raises(StoreNotFoundError):
            store.describe_table("sample_scores")

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

    def test_columns_come_in_the_order_asked_for(self, store: AnalyticsStore) -> None:
        store.write(self.run())
        asked = ["score", "run_uid"]
        assert store.read_table("sample_scores", columns=asked).column_names == asked
        with pytest.raises(StoreNotFoundError):
            store.read_table("sample_scores", columns=["score", "no_such_column"])

    def test_rows_of_the_runs_asked_for(self, store: AnalyticsStore) -> None:
        runs = [self.run() for _ in range(3)]
        store.write(runs)
        uids = [run.run_uid for run in runs]
        for asked in (uids[:1], uids[1:], [uids[2], "never"], ["never"], []):
            for name in ("sample_scores", "runs"):
                table = store.read_table(name, run_uids=asked)
                assert set(table.column("run_uid").to_pylist()) == {*asked} - {"never"}
                assert "run_uid" in table.column_names

    def test_no_more_rows_than_asked_for(self, store: AnalyticsStore) -> None:
        store.write([self.run() for _ in range(3)])
        assert [len(store.read_table("sample_scores", limit=limit)) for limit in (0, 1, 3, 9)] == [0, 1, 3, 3]

    def test_a_table_is_described_as_it_is_read(self, store: AnalyticsStore) -> None:
        store.write([self.run(records=[SampleRecord("model-1", 0.5), SampleRecord("model-2", 1.0)]) for _ in range(2)])
        for name, rows in (("sample_scores", 4), ("runs", 6)):
            told = store.describe_table(name)
            assert (told.name, told.runs, told.rows) == (name, 2, rows)
            assert [column.name for column in told.columns] == store.read_table(name).column_names

    def test_a_column_that_was_added_later_is_null_before(self, store: AnalyticsStore) -> None:
        older, newer = (
            self.run(records=[{"table_name": "sample_grown", "x": 1}]),
            self.run(records=[{"table_name": "sample_grown", "x": 2, "y": "new"}]),
        )
        store.write([older, newer])
        found = {row["x"]: row["y"] for row in store.read_table("sample_grown", columns=["x", "y"]).to_pylist()}
        assert found == {1: None, 2: "new"}
        assert store.read_table("sample_grown", columns=["y"], run_uids=[older.run_uid]).column("y").to_pylist() == [
            None
        ]
        assert store.query_sql("select count(y) as n from sample_grown").column("n").to_pylist() == [1]

    @pytest.mark.parametrize(
        "sql",
        [
            "select * from '{folder}/secret.csv'",
            "select * from read_csv('{folder}/secret.csv')",
            "select * from read_text('{folder}/secret.csv')",
            "select * from glob('{folder}/*')",
            "select * from runs, read_csv_auto('{folder}/secret.csv')",
            "attach '{folder}/other.db' as other",
            "copy runs to '{folder}/copied.csv'",
        ],
    )
    def test_sql_reaches_no_files(self, store: AnalyticsStore, tmp_path: Path, sql: str) -> None:
        store.write(self.run())
        (tmp_path / "secret.csv").write_text("word\nswordfish\n")
        before = {path.name for path in tmp_path.iterdir()}
        with pytest.raises(QueryError) as caught:
            store.query_sql(sql.format(folder=tmp_path))
        assert "swordfish" not in str(caught.value)
        assert {path.name for path in tmp_path.iterdir()} == before

    def test_threads_may_share_a_store(self, store: AnalyticsStore) -> None:
        store.write(self.run())
        together = threading.Barrier(4)

        def ask(_: int) -> list[int]:
            together.wait()
            return [
                *store.query_sql("select count(*) as n from runs").column("n").to_pylist(),
                len(store.read_table("sample_scores")),
                len(store.list_tables()),
            ]

        with ThreadPoolExecutor(4) as pool:
            assert list(pool.map(ask, range(4))) == [[3, 1, 2]] * 4
