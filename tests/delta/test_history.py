"""What the store held at a moment, by the library's own versions."""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from checkmaite.jobs import (
    ArgumentError,
    QueryError,
    StoreConflictError,
    StoreCorruptError,
    StoreHistoryError,
    StoreNotFoundError,
)
from checkmaite.jobs.spi import KeepsHistory
from checkmaite.jobs.testing import SampleRun
from checkmaite.store_delta import DeltaStore

from tests.delta.writing import event, run_of


def answers(store: DeltaStore, as_of: Any) -> list[Any]:
    return [
        store.list_tables(as_of=as_of),
        store.describe_table("part_a", as_of=as_of),
        store.read_table("part_a", as_of=as_of),
        store.read_table("part_a", as_of=as_of, revision="all", limit=3, columns=["maker", "revision"]),
        store.read_table("runs", as_of=as_of),
        store.query_sql("select run_uid, sum(x) as x from part_a group by all order by all", as_of=as_of),
    ]


def change(store: DeltaStore) -> None:
    """Everything that may change: results, revisions, columns and their types, files."""
    store.write_with_receipt(run_of("run-1", by=7), provenance=event("again"), supersede=True)
    floats = [{"table_name": "part_a", "x": 0.5, "maker": 1, "later": "column"}, {"table_name": "new", "x": 1}]
    store.write(SampleRun(run_uid="later", records=floats))
    store.compact()


def test_a_tag_is_answered_the_same_for_ever(
    open_store: Callable[[], DeltaStore], monkeypatch: pytest.MonkeyPatch
) -> None:
    store = open_store()
    assert isinstance(store, KeepsHistory)
    store.write([run_of("run-1", by=1), run_of("run-2", by=2)])
    tag = store.tag("report")
    assert (tag.name, tag.results) == ("report", 2)
    before = answers(store, "report")
    change(store)
    monkeypatch.setattr("checkmaite.store_delta._store.check_grace", lambda _: None)
    if not store.uri.startswith("s3"):
        assert store.vacuum(grace_s=0) > 0
    assert answers(open_store(), "report") == before
    assert store.list_tables() == ["new", "part_a", "part_b", "part_c", "runs"]
    with pytest.raises(StoreConflictError, match="already"):
        store.tag("report")
    assert open_store().tags() == [tag]
    store.delete_tag("report")
    with pytest.raises(StoreNotFoundError, match="report"):
        store.read_table("part_a", as_of="report")
    with pytest.raises(StoreNotFoundError):
        store.delete_tag("report")
    with pytest.raises(ArgumentError):
        store.tag("2026-11-01")


def test_as_of_an_instant(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = DeltaStore(tmp_path / "store")
    store.write([run_of("run-1", by=1), run_of("run-2", by=2)])
    for log in (tmp_path / "store").glob("*/_delta_log/*.json"):  # as if that had been some time ago
        at = log.stat().st_mtime - 60
        os.utime(log, (at, at))
    then = datetime.now(UTC) - timedelta(seconds=30)
    before = answers(store, then)
    assert before[0] == ["part_a", "part_b", "part_c", "runs"]
    change(store)
    assert answers(store, then) == before
    assert store.list_tables(as_of=then - timedelta(hours=1)) == []
    assert answers(store, datetime.now(UTC))[0] == store.list_tables()
    monkeypatch.setattr("checkmaite.store_delta._store.check_grace", lambda _: None)
    store.vacuum(grace_s=0)
    for ask in (
        lambda: store.read_table("part_a", as_of=then),
        lambda: store.query_sql("select * from part_a", as_of=then),
    ):
        with pytest.raises(StoreHistoryError, match="cannot be read any more"):
            ask()
    assert store.read_table("part_a").num_rows == 5


@pytest.mark.parametrize("bad", [datetime(2026, 1, 1), datetime(9999, 1, 1, tzinfo=UTC), 7, "no such name!"])  # noqa: DTZ001
def test_what_is_no_moment(tmp_path: Path, bad: Any) -> None:
    with pytest.raises(QueryError, match="as_of"):
        DeltaStore(tmp_path / "store").list_tables(as_of=bad)


def test_a_tag_that_somebody_has_spoilt(tmp_path: Path) -> None:
    store = DeltaStore(tmp_path / "store")
    store.write(run_of("run"))
    store.tag("report")
    (tmp_path / "store/_tags/report.json").write_text("[]")
    with pytest.raises(StoreCorruptError, match="_tags/report"):
        store.read_table("part_a", as_of="report")
    assert store.read_table("part_a").num_rows == 2
