"""What the store held at an earlier moment: the same answer for ever, whatever happens to the store."""

from __future__ import annotations

import itertools
import json
import math
import shutil
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import duckdb
import pyarrow.parquet as pq
import pytest
from checkmaite.jobs import (
    ArgumentError,
    QueryError,
    StoreConflictError,
    StoreCorruptError,
    StoreHistoryError,
    StoreNotFoundError,
    Tag,
)
from checkmaite.jobs.spi import ObjectStore
from checkmaite.jobs.testing import SampleRun
from checkmaite.store_parquet import ParquetStore
from checkmaite.store_parquet._manifest import INDEXES
from checkmaite.store_parquet._vacuum import Vacuum

from tests.parquet.test_compaction import faults, fill, run
from tests.parquet.test_vacuum import HOUR

RECORDED = Path(__file__).parent / "recorded" / "checkmaite-0.6.1"
WAYS: list[dict[str, Any]] = [
    {},
    {"revision": "all", "run_uids": ["two", "one", "later"]},
    {"revision": 1},
    {"limit": 4, "columns": ["run_uid"]},
]


def everything(store: ParquetStore, as_of: Any) -> Any:
    """All that the store says of a moment, to the last digit and in its order."""
    tables = store.list_tables(as_of=as_of)
    read = {}
    for name in tables:
        for how in WAYS:
            found = store.read_table(name, as_of=as_of, **how)
            read[name, str(how)] = str(found.schema), str(found.to_pylist())
    joined = "from a join runs using (run_uid) order by all"
    asked = [store.query_sql(sql, as_of=as_of) for sql in ("show tables", "describe a", joined)]
    batches = list(store.query_batches(joined, as_of=as_of))
    described = [store.describe_table(name, as_of=as_of) for name in tables]
    return tables, read, [str(table.to_pylist()) for table in (*asked, *batches)], described


def carry_on(store: ParquetStore) -> None:
    """What a later month brings: new runs and tables, revisions, columns that come or become floats."""
    store.write([run("later", 7, "a", "new"), run("nothing", math.nan, "b")])
    store.write([run("two", 0.25), run("one", 11, "a", "new")], supersede=True)
    store.write(SampleRun(run_uid="wide", records=[{"table_name": "a", "aaa": True, "x": -0.5, "zzz": "new"}]))


def without_originals(store: ParquetStore) -> int:
    return Vacuum(store._objects, -HOUR).run(originals=True).originals


def grow_old(store: ParquetStore, check: Callable[[], None]) -> None:
    """Let a store go through all that can happen to it, and look at each step."""
    carry_on(store)
    check()
    store.compact()
    check()
    Vacuum(store._objects, -HOUR).run()
    assert without_originals(store)
    check()
    store.write(run("alone", 99), supersede=True)
    carry_on(store)
    store.compact()
    without_originals(store)
    check()


def test_a_tag_gives_the_same_answer_for_ever(tmp_path: Path) -> None:
    """One of small files, and one of copies and small files."""
    store = ParquetStore(tmp_path)
    fill(store)
    now = everything(store, None)
    tags = [store.tag("small")]
    answers = {"small": everything(store, "small")}
    assert (answers["small"][0], answers["small"][3]) == (now[0], now[3])
    store.compact()
    store.write([run("five", 5), run("one", 10)], supersede=True)
    tags.append(store.tag("mixed"))
    answers["mixed"] = everything(store, "mixed")
    assert [tag.results for tag in tags] == [5, 7]

    def check() -> None:
        INDEXES.forget()
        for name, answer in answers.items():
            assert everything(ParquetStore(tmp_path), name) == answer

    check()
    grow_old(store, check)
    assert everything(store, None) != answers["mixed"] != answers["small"]
    assert ParquetStore(tmp_path).tags() == tags


def test_an_instant_gives_the_same_answer_for_ever(tmp_path: Path) -> None:
    store = ParquetStore(tmp_path)
    fill(store)
    instants = [datetime.now(UTC)]
    answers = [everything(store, instants[0])]
    assert (answers[0][0], answers[0][3]) == (everything(store, None)[0], everything(store, None)[3])
    store.compact()
    store.write([run("five", 5), run("one", 10)], supersede=True)
    instants.append(datetime.now(timezone(timedelta(hours=9))))
    answers.append(everything(store, instants[1]))
    assert store.read_table("a", as_of=instants[1]).num_rows == 15
    before = datetime(2026, 1, 1, tzinfo=UTC)
    assert store.list_tables(as_of=before) == []

    def check() -> None:
        INDEXES.forget()
        for instant, answer in zip(instants, answers, strict=True):
            assert everything(ParquetStore(tmp_path), instant) == answer
        assert store.list_tables(as_of=before) == []

    check()
    grow_old(store, check)


def test_a_result_is_of_the_instant_of_its_commit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """However long its rows took: an answer as of a while ago does not change when a slow writer is done."""
    store = ParquetStore(tmp_path)
    store.write(run("one", 1))
    instants = []
    create = ObjectStore.create

    def slow(self: ObjectStore, key: str, content: Any) -> bool:
        if key.startswith("b/"):
            instants.append(datetime.now(UTC))
        return create(self, key, content)

    monkeypatch.setattr(ObjectStore, "create", slow)
    store.write(run("two", 2))
    assert store.read_table("a", as_of=instants[0]).num_rows == 3
    assert store.read_table("a", as_of=datetime.now(UTC)).num_rows == 6


def test_a_writer_whose_clock_is_behind_stores_nothing_before_its_columns(tmp_path: Path) -> None:
    """Else there would be instants at which the value is there and its column is not."""
    ahead = tmp_path / "_schema/a"
    store = ParquetStore(tmp_path)
    store.write(run("one", 1, "a"))
    store.write(run("two", 0.5, "a"))
    agreed_at = datetime.now(UTC) + timedelta(seconds=1)
    (widening,) = ahead.iterdir()
    said = json.loads(widening.read_text())
    widening.write_text(json.dumps({**said, "__created_at": agreed_at.isoformat()}))
    ParquetStore(tmp_path).write(run("three", 0.25, "a"))
    times = {row["run_uid"]: row["created_at"] for row in ParquetStore(tmp_path).read_table("runs").to_pylist()}
    assert times["three"] == agreed_at


def test_columns_of_earlier_versions_are_of_every_instant(tmp_path: Path) -> None:
    store = ParquetStore(tmp_path)
    store.write([run("one", 1, "a"), run("two", 0.5, "a")])
    for path in (tmp_path / "_schema").rglob("*.json"):
        said = json.loads(path.read_text())
        assert datetime.fromisoformat(said.pop("__created_at")) < datetime.now(UTC)
        path.write_text(json.dumps(said))
    store = ParquetStore(tmp_path)
    assert store.read_table("a", as_of=datetime.now(UTC)).column("x").to_pylist() == [1.0] * 3 + [0.5] * 3
    store.write(run("three", 0.25, "a"))
    assert store.read_table("a").num_rows == 9


def test_so_it_does_in_a_bucket(bucket: str, s3_options: dict[str, Any]) -> None:
    store = ParquetStore(f"s3://{bucket}/store", s3_options)
    store.write([run("one", 1, "a"), run("two", 2, "a")])
    made = store.tag("t")
    before = str(store.read_table("a", as_of="t").to_pylist())
    store.write([run("two", 0.5, "a"), run("three", 3, "a")], supersede=True)
    for change in (store.compact, lambda: without_originals(store)):
        change()
        INDEXES.forget()
        assert str(store.read_table("a", as_of="t").to_pylist()) == before
    assert store.query_sql("select sum(x) as x from a", as_of="t").to_pylist() == [{"x": 9}]
    with pytest.raises(StoreConflictError):
        store.tag("t")
    assert store.tags() == [made]
    store.delete_tag("t")
    assert store.tags() == []


def test_a_tag_is_what_the_store_held(tmp_path: Path) -> None:
    store = ParquetStore(tmp_path)
    store.tag("empty")
    fill(store)
    store.tag("first")
    carry_on(store)
    store.tag("second")
    assert store.list_tables(as_of="empty") == []
    assert [store.list_tables(as_of=name) for name in ("first", "second", None)] == [
        ["a", "b", "runs"],
        ["a", "b", "new", "runs"],
        ["a", "b", "new", "runs"],
    ]
    with pytest.raises(StoreNotFoundError, match="no table 'new'"):
        store.read_table("new", as_of="first")
    with pytest.raises(StoreNotFoundError, match="no column 'zzz'"):
        store.read_table("a", as_of="first", columns=["zzz"])
    with pytest.raises(QueryError, match="zzz"):
        store.query_sql("select zzz from a", as_of="first")
    question = "select run_uid, sum(x) as x from a group by all order by all"
    first = [tuple(row.values()) for row in store.query_sql(question, as_of="first").to_pylist()]
    assert first == [("alone", 12), ("one", 3), ("three", 9), ("two", 60)]
    assert store.query_sql(question, as_of="second").num_rows == 6
    with store.connect(as_of="first") as connection:
        assert connection.sql("select count(*) from a").fetchall() == [(12,)]
    assert [tag.name for tag in store.tags()] == ["empty", "first", "second"]
    assert [tag.results for tag in store.tags()] == [0, 5, 10]


def test_a_column_that_became_floats_is_whole_numbers_as_of_before(tmp_path: Path) -> None:
    """Also where one file holds the copies of both."""
    store = ParquetStore(tmp_path)
    store.write(run("one", 2**53))
    store.tag("t")
    store.write(run("two", 0.5))
    store.compact()
    without_originals(store)
    assert store.read_table("a", as_of="t").column("x").to_pylist() == [2**53] * 3
    answer = store.query_sql("select x from a where x > 5 and x < 1e300", as_of="t")
    assert answer.to_pylist() == [{"x": 2**53}] * 3
    assert [type(each["x"]) for each in answer.to_pylist()] == [int] * 3
    assert str(store.read_table("a", as_of="t", limit=1).schema.field("x").type) == "int64"
    assert store.describe_table("a", as_of="t").rows == 3


def test_other_programs_read_a_tag_by_the_query_of_the_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = (Path(__file__).parents[2] / "docs/how-to/analytics-store.md").read_text()
    (query,) = [part.partition("\n```")[0] for part in page.split("```sql\n") if "_tags/report-2026-11.parquet" in part]
    store = ParquetStore(tmp_path / "store")
    store.write([run("one", 1, "accuracy"), run("two", 2, "accuracy")])
    store.write(run("two", 20, "accuracy"), supersede=True)
    store.tag("report-2026-11")
    store.write([run("one", 10, "accuracy"), run("three", 3, "accuracy")], supersede=True)
    monkeypatch.chdir(tmp_path)
    with duckdb.connect() as connection:
        rows = connection.sql(query).to_arrow_table().sort_by("run_uid").to_pylist()  # the query says no order
    assert [row["x"] for row in rows] == [1, 1, 1, 20, 20, 20]
    ours = store.read_table("accuracy", as_of="report-2026-11").to_pylist()
    assert [{name: row[name] for name in ours[0]} for row in rows] == ours


def test_files_of_checkmaites_own_store_that_came_later_are_not_seen(tmp_path: Path) -> None:
    early = min(RECORDED.glob("runs/*.parquet"))
    shutil.copytree(
        RECORDED,
        tmp_path / "store",
        ignore=lambda folder, names: [name for name in names if folder.endswith("runs") and name != early.name],
    )
    store = ParquetStore(tmp_path / "store")
    fill(store)
    store.tag("t")
    before = everything(store, "t")
    assert set(before[0]) > {"a", "b", "runs"}
    shutil.copytree(RECORDED, tmp_path / "store", dirs_exist_ok=True)
    assert everything(store, "t") == before
    written = datetime.fromtimestamp(int(early.name.partition("_")[0]) / 1000 + 0.0005, UTC)
    assert store.read_table("runs", as_of=written).num_rows == pq.read_metadata(early).num_rows
    assert store.read_table("runs").num_rows > store.read_table("runs", as_of="t").num_rows


def test_a_name_is_given_once(tmp_path: Path) -> None:
    store = ParquetStore(tmp_path)
    store.write(run("one", 1))
    first = store.tag("t")
    store.write(run("two", 2))
    with pytest.raises(StoreConflictError, match="a tag 't' already"):
        store.tag("t")
    assert store.tags() == [first]
    store.delete_tag("t")
    assert store.tags() == []
    with pytest.raises(StoreNotFoundError):
        store.delete_tag("t")
    assert store.tag("t").results == 2


def test_of_those_that_give_one_name_at_once_one_wins(tmp_path: Path) -> None:
    store = ParquetStore(tmp_path)
    store.write(run("one", 1))
    start = threading.Barrier(4)
    won: list[Tag] = []
    lost: list[StoreConflictError] = []

    def make() -> None:
        start.wait()
        try:
            won.append(ParquetStore(tmp_path).tag("t"))
        except StoreConflictError as error:
            lost.append(error)

    threads = [threading.Thread(target=make) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (len(won), len(lost)) == (1, 3)
    assert store.tags() == won


def test_a_lost_reply_is_no_conflict(tmp_path: Path) -> None:
    store = ParquetStore(tmp_path)
    store.write(run("one", 1))
    with faults(1, "lost reply", ("create",)):
        made = store.tag("t")
    assert store.tags() == [made]


@contextmanager
def busy(folder: Path) -> Iterator[threading.Lock]:
    """Within the block one thread writes and supersedes, and another one compacts and deletes what was copied.

    Gives the lock under which it deletes: what it deletes counts as an hour old, so nobody may have begun to read it.
    """
    is_over, deleting = threading.Event(), threading.Lock()

    def endlessly(act: Callable[[ParquetStore, int], Any]) -> None:
        for number in itertools.count(1):
            if is_over.is_set():
                return
            act(ParquetStore(folder), number)

    def write(store: ParquetStore, number: int) -> None:
        store.write(run("two", number), supersede=True)
        store.write(run(f"run-{number}", number))

    def care(store: ParquetStore, number: int) -> None:
        store.compact()
        if number % 3 == 0:
            with deleting:
                without_originals(store)

    with ThreadPoolExecutor(2) as pool:
        acting = [pool.submit(endlessly, act) for act in (write, care)]
        try:
            yield deleting
        finally:
            is_over.set()
        for each in acting:
            each.result()


def test_a_tag_beside_writers_and_compactors_is_whole(tmp_path: Path) -> None:
    """Of each run all rows of all tables, and never fewer results than one that was made before."""
    folder = tmp_path / "store"
    fill(ParquetStore(folder))
    names = [f"t{number}" for number in range(3)]
    at_once = []
    with busy(folder) as deleting:
        for name in names:
            with deleting:
                ParquetStore(folder).tag(name)
                at_once.append(everything(ParquetStore(folder), name))
    seen: set[Any] = set()
    for name, then in zip(names, at_once, strict=True):
        store = ParquetStore(folder)
        assert everything(store, name) == then
        rows = {table: store.read_table(table, as_of=name, revision="all").to_pylist() for table in ("a", "b")}
        results = {
            table: Counter((row["run_uid"], row["revision"], row["x"]) for row in rows[table]) for table in ("a", "b")
        }
        assert set(results["a"].values()) == {3}, "whole runs, once"
        assert {each: 3 for each in results["a"] if each[0] != "alone"} == results["b"]
        assert seen <= set(results["a"])
        seen = set(results["a"])
    assert len(seen) > 5


def test_what_a_tag_names_and_somebody_has_deleted_is_no_answer(tmp_path: Path) -> None:
    store = ParquetStore(tmp_path)
    fill(store)
    store.tag("t")
    (tmp_path / "runs/three.parquet").unlink()
    for ask in (
        lambda: store.read_table("a", as_of="t"),
        lambda: store.query_sql("from b", as_of="t"),
        lambda: store.list_tables(as_of="t"),
        lambda: store.describe_table("a", as_of="t"),
    ):
        with pytest.raises(StoreHistoryError, match=r"the tag 't' cannot be shown whole: .*runs/three\.parquet is not"):
            ask()
    assert store.read_table("a").num_rows == 9


def test_a_tag_that_is_none_is_told(tmp_path: Path) -> None:
    store = ParquetStore(tmp_path)
    store.write(run("one", 1))
    store.tag("report")
    with pytest.raises(StoreNotFoundError, match=r"no tag 'reprot' in .* Did you mean 'report'\? Tags: report\."):
        store.read_table("a", as_of="reprot")
    (tmp_path / "_tags/report.parquet").write_bytes(b"torn")
    for ask in (lambda: store.read_table("a", as_of="report"), store.tags):
        with pytest.raises(StoreCorruptError, match=r"_tags/report\.parquet"):
            ask()
    assert store.read_table("a").num_rows == 3


@pytest.mark.parametrize("name", ["", "../up", ".hidden", "a b", "2026-11-01", "20261101", "x" * 101, 7, None])
def test_what_can_be_no_tags_name_is_refused(tmp_path: Path, name: Any) -> None:
    with pytest.raises(ArgumentError, match="name: "):
        ParquetStore(tmp_path).tag(name)


@pytest.mark.parametrize(
    ("as_of", "said"),
    [
        (datetime(2026, 1, 1), "has no time zone"),  # noqa: DTZ001 - which is what is refused
        (datetime.now(UTC) + timedelta(days=1), "it is only"),
        ("2026-11-01", "which is no tag's name"),
        ("../report", "which is no tag's name"),
        (20261101, "as_of is 20261101"),
        (True, "as_of is True"),
    ],
)
def test_what_is_no_moment_is_refused(tmp_path: Path, as_of: Any, said: str) -> None:
    store = ParquetStore(tmp_path)
    for ask in (
        lambda: store.read_table("a", as_of=as_of),
        lambda: store.query_sql("from a", as_of=as_of),
        lambda: list(store.query_batches("from a", as_of=as_of)),
        lambda: store.connect(as_of=as_of),
        lambda: store.list_tables(as_of=as_of),
        lambda: store.describe_table("a", as_of=as_of),
    ):
        with pytest.raises(QueryError, match=said):
            ask()
