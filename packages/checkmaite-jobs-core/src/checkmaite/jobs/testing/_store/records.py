"""What every analytics store promises of values and their types."""

from __future__ import annotations

import math
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from attrs import frozen
from checkmaite.jobs import (
    AnalyticsStore,
    Record,
    RecordError,
)
from checkmaite.jobs.testing._samples import SampleRecord, SampleRun
from checkmaite.jobs.testing._store.suite import SUBMITTED_AT, StoreSuite


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


class RecordContract(StoreSuite):
    """Values come back as they were, and bad ones leave nothing."""

    def test_values_come_back_as_they_were(self, store: AnalyticsStore) -> None:
        record = _Wide("é", -(2**62), 1.0, True, SUBMITTED_AT, b"\x00\xff")
        run = self.run(records=[record, {"table_name": "sample_plain", "count": 3, "name": "x"}])
        store.write(run)
        (row,) = store.read_table("sample_wide").to_pylist()
        assert row == {
            "run_uid": run.run_uid,
            "text": "é",
            "whole": -(2**62),
            "real": 1.0,
            "truth": True,
            "at": SUBMITTED_AT,
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

    @pytest.mark.parametrize(
        "uid",
        ["", " \t", "one\n", "o\u200bne", "\0", "half a character: \ud800", "x" * 2000, None],
        ids=["empty", "blank", "newline", "unseen", "null", "surrogate", "too-long", "none"],
    )
    def test_a_run_that_nobody_could_name_leaves_nothing(self, store: AnalyticsStore, uid: Any) -> None:
        with pytest.raises(RecordError, match="run_uid"):
            store.write(SampleRun(run_uid=uid))
        assert store.list_tables() == []

    @pytest.mark.parametrize("place", [0, 1, 2])
    def test_a_run_that_does_not_fit_leaves_nothing_in_any_table(self, store: AnalyticsStore, place: int) -> None:
        """A table's type shows only against what is there, maybe when another table is written already."""
        store.write(self.run(records=[{"table_name": "sample_b", "x": "text"}]))
        records = [{"table_name": name, "x": 1} for name in ("sample_a", "sample_c")]
        records.insert(place, {"table_name": "sample_b", "x": 1})
        refused = self.run(records=records)
        with pytest.raises(RecordError, match="x"):
            store.write(refused)
        assert store.list_tables() == ["runs", "sample_b"]
        assert store.get_run_uri(refused.run_uid) is None
        assert len(store.read_table("sample_b")) == 1
