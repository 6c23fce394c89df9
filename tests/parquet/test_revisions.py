"""A second result of a run: numbered, whole, and seen instead of the first."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pyarrow.parquet as pq
from checkmaite.jobs import Provenance, Report
from checkmaite.jobs._objects import ObjectStore
from checkmaite.jobs.testing import SampleRecord, SampleRun
from checkmaite.store_parquet import ParquetStore

OpenStore = Callable[[], ParquetStore]
spawning = multiprocessing.get_context("spawn")
AT = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
TEXT = Report(kind="inline_text", text="# small")
LARGE = Report(kind="inline_text", media_type="text/html", text="é" * 30_000, filename="page.html")


def scored(score: float, run_uid: str = "run") -> SampleRun:
    return SampleRun(run_uid=run_uid, records=[SampleRecord("model-1", score)])


def by(job_id: str) -> Provenance:
    return Provenance(user_id="ada").for_job(job_id=job_id, backend="test", submitted_at=AT)


def scores(store: ParquetStore, **options: Any) -> list[float]:
    return sorted(store.read_table("sample_scores", **options).column("score").to_pylist())


def test_a_result_that_supersedes_another_is_the_one_that_readers_see(open_store: OpenStore) -> None:
    store = open_store()
    first = store.write_with_receipt(scored(0.1), provenance=by("one"))
    second = open_store().write_with_receipt(scored(0.2), provenance=by("two"), supersede=True)
    third = store.write_with_receipt(scored(0.3), provenance=by("three"), supersede=True)
    assert [each.revision for each in (first, second, third)] == [1, 2, 3]
    assert [each.created for each in (first, second, third)] == [True] * 3
    assert len({each.commit_uri for each in (first, second, third)}) == 3
    assert scores(store) == [0.3]
    assert [scores(store, revision=number) for number in (1, 2, 3, 4)] == [[0.1], [0.2], [0.3], []]
    assert scores(store, revision="all", run_uids=["run"]) == [0.1, 0.2, 0.3]
    assert store.get_run_uri("run") == third.store_uri
    assert store.describe_table("sample_scores").rows == 1
    assert (
        pq.read_table(ObjectStore(store.uri).path_of("x").removesuffix("/x") + "/runs").num_rows == 9
        if ("://" not in store.uri)
        else True
    )


def test_a_join_through_the_run_alone_stays_right(open_store: OpenStore) -> None:
    """As users write it who know of no revisions: README.md has such a query."""
    store = open_store()
    store.write([scored(0.5), scored(0.5, "other")])
    query = "select sum(score) as total, count(*) as n from sample_scores join runs using (run_uid)"
    assert store.query_sql(query).to_pylist() == [{"total": 3.0, "n": 6}]
    store.write(scored(0.25), supersede=True)
    assert store.query_sql(query).to_pylist() == [{"total": 2.25, "n": 6}]
    assert store.query_sql(query, revision=1).to_pylist() == [{"total": 3.0, "n": 6}]
    runs = "select distinct run_uid, revision from runs order by all"
    assert [tuple(row.values()) for row in store.query_sql(runs).to_pylist()] == [("other", 1), ("run", 2)]
    every = store.query_sql(runs, revision="all").to_pylist()
    assert [tuple(row.values()) for row in every] == [("other", 1), ("run", 1), ("run", 2)]
    joined = (
        "select revision, score from sample_scores join runs using (run_uid, revision) where entity_type = 'dataset'"
    )
    found = store.query_sql(f"{joined} order by all", revision="all").to_pylist()
    assert [tuple(row.values()) for row in found] == [(1, 0.5), (1, 0.5), (2, 0.25)]
