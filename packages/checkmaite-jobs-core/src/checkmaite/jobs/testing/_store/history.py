"""What a store promises that can be asked what it held at an earlier moment."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from checkmaite.jobs import (
    AnalyticsStore,
    ArgumentError,
    QueryError,
    StoreConflictError,
    StoreNotFoundError,
)
from checkmaite.jobs.spi import KeepsHistory
from checkmaite.jobs.testing._samples import SampleRecord, SampleRun
from checkmaite.jobs.testing._store.suite import StoreSuite, made_by

_APART_S = 0.01
"""Instants that are so far apart are told apart by every store's clock."""


def _answers(store: Any, as_of: Any) -> Any:
    """What a store says of a moment in all the ways in which it can be asked."""
    tables = store.list_tables(as_of=as_of)
    read = [store.read_table(name, as_of=as_of) for name in tables]
    described = [store.describe_table(name, as_of=as_of) for name in tables]
    sql = "select * from sample_scores join runs using (run_uid) order by all"
    asked = store.query_sql(sql, as_of=as_of).to_pylist()
    return tables, [(str(table.schema), str(table.to_pylist())) for table in read], described, str(asked)


class HistoryContract(StoreSuite):
    """A moment's answer stays the same; skipped where a store shows what it holds now alone."""

    @pytest.fixture
    def historian(self, store: AnalyticsStore) -> KeepsHistory:
        """The store of one test, where it keeps its history."""
        if not isinstance(store, KeepsHistory):
            pytest.skip("this store keeps no history, which is allowed: it has no tag()")
        return store

    def carry_on(self, store: Any) -> None:
        """What comes later: other runs, another result of the first, a column, and care."""
        store.write(self.run(records=[{"table_name": "sample_scores", "model_id": "m", "score": 0.1, "later": True}]))
        store.write_with_receipt(
            SampleRun(run_uid="first", records=[SampleRecord("m", 0.9)]), provenance=made_by("job-9"), supersede=True
        )
        compact = getattr(store, "compact", None)
        if compact is not None:
            compact()

    def test_a_tag_gives_the_same_answer_for_ever(
        self, store: AnalyticsStore, historian: KeepsHistory, tmp_path: Path
    ) -> None:
        store.write([SampleRun(run_uid="first"), self.run()])
        now = store.read_table("sample_scores").num_rows
        tag = historian.tag("report-2026-11")
        before = _answers(store, "report-2026-11")
        assert (tag.name, tag.created_at.utcoffset()) == ("report-2026-11", timedelta(0))
        for _ in range(2):
            self.carry_on(store)
            assert _answers(self.make_store(tmp_path), "report-2026-11") == before
        asked: Any = store
        assert asked.read_table("sample_scores", as_of="report-2026-11").num_rows == now
        assert store.read_table("sample_scores").num_rows == now + 2
        assert historian.tags() == [tag]

    def test_an_instant_gives_the_same_answer_for_ever(self, store: AnalyticsStore, historian: KeepsHistory) -> None:
        del historian
        store.write(SampleRun(run_uid="first"))
        time.sleep(_APART_S)
        instant = datetime.now(UTC)
        time.sleep(_APART_S)
        before = _answers(store, instant)
        self.carry_on(store)
        assert _answers(store, instant) == before
        asked: Any = store
        assert asked.read_table("sample_scores", as_of=instant).num_rows == 1
        with pytest.raises(QueryError):
            asked.read_table("sample_scores", as_of=instant.replace(tzinfo=None))
        with pytest.raises(QueryError):
            asked.query_sql("select 1", as_of=datetime.now(UTC) + timedelta(days=1))

    def test_a_tag_is_made_once_and_deleted_on_purpose(self, store: AnalyticsStore, historian: KeepsHistory) -> None:
        store.write(self.run())
        first = historian.tag("one")
        with pytest.raises(StoreConflictError):
            historian.tag("one")
        second = historian.tag("two")
        assert historian.tags() == [first, second]
        historian.delete_tag("one")
        assert historian.tags() == [second]
        asked: Any = store
        for ask in (lambda: historian.delete_tag("one"), lambda: asked.read_table("runs", as_of="one")):
            with pytest.raises(StoreNotFoundError):
                ask()
        for name in ("", "../up", "2026-11-30"):
            with pytest.raises(ArgumentError):
                historian.tag(name)
