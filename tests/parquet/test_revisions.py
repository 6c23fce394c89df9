"""A second result of a run: numbered, whole, and seen instead of the first."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import duckdb
import pyarrow.parquet as pq
import pytest
from attrs import frozen
from checkmaite.jobs import Provenance, QueryError, Report, StoreCorruptError, WriteReceipt
from checkmaite.jobs.spi import ObjectStore
from checkmaite.jobs.testing import SampleRecord, SampleRun
from checkmaite.store_parquet import ParquetStore
from checkmaite.store_parquet._layout import commit_key, revision_of

from tests.processes import serving

OpenStore = Callable[[], ParquetStore]
AT = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
SMALL = Report(kind="inline_text", text="# small")
LARGE = Report(kind="inline_text", media_type="text/html", text="é" * 30_000, filename="page.html")
ELSEWHERE = Report(kind="artifact", media_type="image/png", uri="s3://elsewhere/plot.png", filename="plot.png")


@frozen
class Leaves(SampleRun):
    """A run that has written more by itself."""

    outputs_uri: str = "/elsewhere/outputs"


def scored(score: float, run_uid: str = "run") -> SampleRun:
    return Leaves(run_uid=run_uid, records=[SampleRecord("model-1", score)])


def by(job_id: str) -> Provenance:
    return Provenance(user_id="ada").for_job(job_id=job_id, backend="test", submitted_at=AT)


def scores(store: ParquetStore, **options: Any) -> list[float]:
    return sorted(store.read_table("sample_scores", **options).column("score").to_pylist())


def objects_of(store: ParquetStore) -> list[str]:
    """Every object of the run in the store, without the types of the tables."""
    objects = store._objects
    artifacts = [f"_artifacts/run/{each}" for each in objects.folders("_artifacts/run")]
    return [f"{folder}/{name}" for folder in ("runs", "sample_scores", *artifacts) for name in objects.names(folder)]


def test_a_result_that_supersedes_another_is_the_one_that_readers_see(open_store: OpenStore) -> None:
    store = open_store()
    first = store.write_with_receipt(scored(0.1), provenance=by("one"))
    second = open_store().write_with_receipt(scored(0.2), provenance=by("two"), supersede=True)
    (third,) = store.write(scored(0.3), provenance=by("three"), supersede=True)
    assert [(each.revision, each.created) for each in (first, second, third)] == [(1, True), (2, True), (3, True)]
    assert [each.commit_uri for each in (first, second, third)] == [
        f"{store.uri}/runs/{name}" for name in ("run.parquet", "run!2.parquet", "run!3.parquet")
    ]
    assert scores(store) == [0.3]
    assert [scores(store, revision=number) for number in (1, 2, 3, 4)] == [[0.1], [0.2], [0.3], []]
    assert scores(store, revision="all", run_uids=["run"]) == [0.1, 0.2, 0.3]
    assert store.get_run_uri("run") == third.store_uri == f"{store.uri}/sample_scores/run!3.parquet"
    assert store.describe_table("sample_scores").rows == 1
    assert sorted(set(store.read_table("runs", revision="all").column("revision").to_pylist())) == [1, 2, 3]


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


@pytest.mark.parametrize("report", [None, SMALL, LARGE, ELSEWHERE], ids=["none", "small", "large", "artifact"])
def test_a_result_is_found_again_whole(open_store: OpenStore, report: Report | None) -> None:
    store = open_store()
    receipt = store.write_with_receipt(scored(0.1), provenance=by("one"), report=report)
    found = open_store().find_run("run")
    assert found is not None
    assert (found.ref.run_uid, found.ref.capability_id, found.ref.revision) == ("run", "sample", 1)
    assert (found.ref.store_uri, found.ref.commit_uri) == (receipt.store_uri, receipt.commit_uri)
    assert found.ref.outputs_uri == "/elsewhere/outputs"
    assert found.ref.report == report
    assert (found.provenance, found.created_at.tzinfo) == (by("one"), found.created_at.tzinfo)
    assert open_store().find_run("another") is None


def test_older_results_are_found_by_their_number_and_by_who_stored_them(open_store: OpenStore) -> None:
    store = open_store()
    for number, job_id in enumerate(("one", "two", "three"), 1):
        text = Report(kind="inline_text", text=job_id)
        store.write_with_receipt(scored(number), provenance=by(job_id), report=text, supersede=True)

    def found(**which: Any) -> str | None:
        stored = store.find_run("run", **which)
        return str(stored.ref.report) if stored is not None else None

    assert [found(), found(revision=1), found(revision=2), found(revision=4)] == ["three", "one", "two", None]
    assert [found(run_event_id="two"), found(run_event_id="nobody")] == ["two", "three"]


def test_a_write_that_finds_a_result_says_which(open_store: OpenStore) -> None:
    """And leaves nothing behind: neither its rows nor its report."""
    store = open_store()
    store.write(scored(0.1), provenance=by("one"))
    second = store.write_with_receipt(scored(0.2), provenance=by("two"), supersede=True, report=SMALL)
    before = objects_of(store)
    late = store.write_with_receipt(scored(0.3), provenance=by("three"), report=LARGE)
    assert (late.created, late.revision, late.store_uri) == (False, 2, second.store_uri)
    assert objects_of(store) == before
    assert scores(store, revision="all") == [0.1, 0.2]


@pytest.mark.parametrize("job_id", ["one", "two"])
def test_a_second_attempt_of_a_job_stores_no_further_result(open_store: OpenStore, job_id: str) -> None:
    store = open_store()
    store.write(scored(0.1), provenance=by("one"))
    store.write(scored(0.2), provenance=by("two"), supersede=True)
    again = store.write_with_receipt(scored(0.9), provenance=by(job_id), supersede=True, report=LARGE)
    assert (again.created, again.revision) == (False, {"one": 1, "two": 2}[job_id])
    assert scores(store, revision="all") == [0.1, 0.2]
    assert len(objects_of(store)) == 4


@pytest.mark.parametrize("number", [0.3, 0.2], ids=["other rows", "equal rows"])
def test_a_writer_that_loses_a_number_takes_the_next_and_cleans_up(
    open_store: OpenStore, monkeypatch: pytest.MonkeyPatch, number: float
) -> None:
    """Its rows are there when another writer commits: they are deleted, unless that one's commit names them."""
    store, create, others = open_store(), ObjectStore.create, open_store()
    store.write(scored(0.1), provenance=by("one"))

    def overtaken(self: ObjectStore, key: str, content: bytes) -> bool:
        if key == "runs/run!2.parquet":
            monkeypatch.setattr(ObjectStore, "create", create)
            others.write(scored(number), provenance=by("other"), supersede=True)
        return create(self, key, content)

    monkeypatch.setattr(ObjectStore, "create", overtaken)
    receipt = store.write_with_receipt(scored(0.2), provenance=by("two"), supersede=True)
    assert (receipt.created, receipt.revision) == (True, 3)
    assert [scores(store, revision=revision) for revision in (1, 2, 3)] == [[0.1], [number], [0.2]]
    assert len(objects_of(store)) == 6


def write_when_told(store: ParquetStore, number: int, job_id: str, ready: Any, receipts: Any) -> None:
    report = Report(kind="inline_text", text=f"{number} " * 10_000)
    store.get_run_uri("run")  # everything is imported and connected
    ready.wait()
    receipts.put(
        (number, store.write_with_receipt(scored(number), provenance=by(job_id), report=report, supersede=True))
    )


def race(store: ParquetStore, job_ids: list[str]) -> list[tuple[int, WriteReceipt]]:
    ready, receipts = serving.Barrier(len(job_ids)), serving.Queue()
    writers = [
        serving.Process(target=write_when_told, args=(store, number, job_id, ready, receipts))
        for number, job_id in enumerate(job_ids, 10)
    ]
    for writer in writers:
        writer.start()
    said = [receipts.get(timeout=240) for _ in writers]
    for writer in writers:
        writer.join(120)
    return said


def test_processes_of_one_job_leave_one_result_and_those_of_others_one_each(open_store: OpenStore) -> None:
    store = open_store()
    store.write(scored(0.5), provenance=by("before"))
    said = race(store, ["one", "one", "two", "three"])
    created = {receipt.revision: number for number, receipt in said if receipt.created}
    assert sorted(created) == [2, 3, 4], "a number is given once, and none is left out"
    (lost,) = [receipt for _, receipt in said if not receipt.created]
    for revision, number in created.items():
        found = store.find_run("run", revision=revision)
        assert found is not None
        assert str(found.ref.report) == f"{number} " * 10_000, "the report is of the attempt whose rows they are"
        assert scores(store, revision=revision) == [number]
    loser = store.find_run("run", revision=lost.revision)
    assert loser is not None
    assert loser.provenance.job_id == "one"
    assert len(objects_of(store)) == 2 + 3 * 3, "what the loser had written is gone"


def stop_after_the_commit(store: ParquetStore, number: int, there: Connection) -> None:
    create = ObjectStore.create

    def stopping(self: ObjectStore, key: str, content: bytes) -> bool:
        created = create(self, key, content)
        if key.startswith("runs/"):
            there.send(key)
            signal.pause()
        return created

    ObjectStore.create = stopping  # type: ignore[method-assign]
    store.write_with_receipt(scored(number), provenance=by("job"), report=SMALL, supersede=True)


@pytest.mark.parametrize("before", [0, 1], ids=["first result", "second result"])
def test_an_attempt_that_is_killed_after_its_commit_has_won(open_store: OpenStore, before: int) -> None:
    """Its successor computes other numbers and another report, and neither is seen."""
    store = open_store()
    for _ in range(before):
        store.write(scored(0.5), provenance=by("before"))
    here, there = serving.Pipe()
    writer = serving.Process(target=stop_after_the_commit, args=(store, 7, there))
    writer.start()
    assert here.poll(120)
    here.recv()
    assert writer.pid is not None
    os.kill(writer.pid, signal.SIGKILL)
    writer.join(120)
    receipt = open_store().write_with_receipt(scored(8), provenance=by("job"), report=LARGE, supersede=True)
    assert (receipt.created, receipt.revision) == (False, 1 + before)
    assert scores(store) == [7]
    found = store.find_run("run")
    assert found is not None
    assert found.ref.report == SMALL


def test_a_lost_reply_to_the_commit_is_recognised(open_store: OpenStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """The client library tries again by itself, and is told that the object is there."""
    store, create = open_store(), ObjectStore.create

    def forgetful(self: ObjectStore, key: str, content: bytes) -> bool:
        return create(self, key, content) and not key.startswith("runs/")

    monkeypatch.setattr(ObjectStore, "create", forgetful)
    assert store.write_with_receipt(scored(0.1)).created
    second = store.write_with_receipt(scored(0.2), supersede=True)
    assert (second.created, second.revision) == (True, 2)
    assert scores(store, revision="all") == [0.1, 0.2]
    assert not store.write_with_receipt(scored(0.3)).created


def test_a_second_result_costs_the_same_requests_whatever_the_store_holds(
    bucket: str, s3_options: dict[str, Any], s3_requests: list[str]
) -> None:
    store = ParquetStore(f"s3://{bucket}/store", s3_options)
    store.write([scored(0.5, f"run-{number}") for number in range(6)])
    store.write(scored(0.5, "run-0"), supersede=True)
    counts = []
    for number in range(1, 6):
        s3_requests.clear()
        store.write(scored(0.25, f"run-{number}"), supersede=True)
        counts.append(tuple(s3_requests))
    assert set(counts) == {counts[0]}
    assert counts[0][-2:] == ("put_object", "put_object")
    assert len(counts[0]) <= 7


def test_no_run_has_the_name_of_another_ones_revision(open_store: OpenStore) -> None:
    store = open_store()
    for uid in ("x", "x!2", "x.2", "x!2.parquet"):
        store.write([scored(1, uid), scored(2, uid)], supersede=True)
        assert scores(store, run_uids=[uid]) == [2]
    assert len(store.read_table("sample_scores", revision="all")) == 8
    assert revision_of(commit_key("x!2", 3).partition("/")[2]) == ("x%212", 3)


@pytest.mark.parametrize(
    "name", ["x.txt", "x!.parquet", "x!1.parquet", "x!02.parquet", "x!two.parquet", "x!2!3.parquet"]
)
def test_what_is_no_commit_by_its_name_is_none(name: str) -> None:
    assert revision_of(name) is None


@pytest.mark.parametrize("revision", [0, -1, 1.0, True, "1", "newest"])
def test_a_revision_that_cannot_be_is_refused(tmp_path: Path, revision: Any) -> None:
    store = ParquetStore(tmp_path)
    store.write(scored(0.1))
    for ask in (
        lambda: store.read_table("sample_scores", revision=revision),
        lambda: store.query_sql("select 1", revision=revision),
    ):
        with pytest.raises(QueryError, match="whole number from 1 on"):
            ask()


def test_a_table_with_a_column_revision_of_its_own_keeps_it(tmp_path: Path) -> None:
    store = ParquetStore(tmp_path)
    for number in (7, 8):
        rows = [{"table_name": "t", "revision": number}]
        store.write(SampleRun(run_uid="run", records=rows), supersede=True)
    assert store.read_table("t").column("revision").to_pylist() == [8]
    assert store.read_table("t", revision=1).column("revision").to_pylist() == [7]
    with pytest.raises(QueryError, match="column 'revision' of its own"):
        store.read_table("t", revision="all")


def test_stores_of_earlier_versions_hold_first_results(tmp_path: Path) -> None:
    """Their commits have neither a column nor facts; they are read, and superseded."""
    store = ParquetStore(tmp_path)
    store.write([scored(0.1), scored(0.2, "other")], provenance=by("old"))
    for path in (tmp_path / "runs").iterdir():
        pq.write_table(pq.read_table(path).drop(["revision"]).replace_schema_metadata(), path)
    found = store.find_run("run")
    assert found is not None
    assert (found.ref.revision, found.ref.report, found.provenance.job_id) == (1, None, "old")
    assert set(store.read_table("runs").column("revision").to_pylist()) == {1}
    assert store.write_with_receipt(scored(0.3), supersede=True).revision == 2
    assert scores(store) == [0.2, 0.3]
    assert scores(store, revision=1) == [0.1, 0.2]


def test_an_object_that_is_no_commit_is_named(open_store: OpenStore) -> None:
    store = open_store()
    store.write(scored(0.1))
    store._objects.create("runs/run!2.parquet", b"no Parquet")
    with pytest.raises(StoreCorruptError, match=r"runs/run!2\.parquet: this is no commit"):
        store.find_run("run")
    with pytest.raises(StoreCorruptError, match=r"runs/run!2\.parquet"):
        store.write(scored(0.2), supersede=True)


PLAIN = Path(__file__).parents[2] / "docs/how-to/analytics-store.md"


def by_sql(text: str) -> list[float]:
    (query,) = [part.partition("\n```")[0] for part in text.split("```sql\n") if "parse_filename" in part]
    return [row[-1] for row in duckdb.sql(f"select accuracy from ({query})").fetchall()]


def by_python(library: str, text: str) -> list[float]:
    pytest.importorskip(library)
    blocks = [part.partition("\n```")[0] for part in text.split("```py\n")]
    (code,) = [block for block in blocks if f"import {library} as" in block]
    names: dict[str, Any] = {}
    exec(code, names)
    found: list[float] = names["rows"]["accuracy"].to_list()
    return found


@pytest.mark.parametrize(
    "read", [by_sql, partial(by_python, "pandas"), partial(by_python, "polars")], ids=["sql", "pandas", "polars"]
)
def test_plain_readers_see_the_newest_results_by_the_query_of_the_docs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, read: Callable[[str], list[float]]
) -> None:
    store = ParquetStore(tmp_path / "store")
    records = [{"table_name": "accuracy", "accuracy": 0.1}]
    store.write(SampleRun(run_uid="old", records=records))
    pq.write_table(pq.read_table(path := tmp_path / "store/runs/old.parquet").drop(["revision"]), path)
    for number in (1, 2, 3):
        records = [{"table_name": "accuracy", "accuracy": float(number)}]
        store.write(SampleRun(run_uid="run", records=records), supersede=True)
    other = [{"table_name": "other", "accuracy": 7.0}]
    store.write([SampleRun(run_uid="later", records=[{"table_name": "accuracy", "accuracy": 4, "extra": "x"}, *other])])
    monkeypatch.chdir(tmp_path)
    assert sorted(read(PLAIN.read_text())) == [0.1, 3.0, 4.0]
