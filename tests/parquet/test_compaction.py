"""Compaction: copies that readers take instead of many small files, beside writers, readers and other compactors."""

from __future__ import annotations

import itertools
import math
import os
import shutil
import signal
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from checkmaite.jobs import RecordError, StoreCorruptError, StoreError, StoreUnavailableError
from checkmaite.jobs.spi import ObjectStore
from checkmaite.jobs.testing import SampleRun
from checkmaite.store_parquet import Backlog, ParquetStore, _compacting
from checkmaite.store_parquet._manifest import newest_manifest

from tests.processes import serving

OpenStore = Callable[[], ParquetStore]
TABLES = ("a", "b", "runs")
PRIMITIVES = ("create", "read", "find", "names", "exists", "delete")


def run(uid: str, x: Any, *tables: str) -> SampleRun:
    records = [{"table_name": table, "x": x, "place": place} for table in tables or ("a", "b") for place in range(3)]
    return SampleRun(run_uid=uid, records=records)


def answers(store: ParquetStore) -> Any:
    """What the store says in all the ways in which it can be asked."""
    ways: list[dict[str, Any]] = [{}, {"revision": "all"}, {"run_uids": ["one", "two"]}, {"revision": 1}]
    asked = itertools.product(TABLES, ways if store._objects.is_local else ways[:2])  # S3 takes its time
    tables = [sorted(map(str, store.read_table(name, **how).to_pylist())) for name, how in asked]
    joined = "select run_uid, sum(a.x) as x, count(*) as n from a join runs using (run_uid) group by all order by all"
    described = {name: store.describe_table(name) for name in TABLES}
    return tables, store.query_sql(joined).to_pylist(), described, store.list_tables(), store.get_run_uri("two")


def fill(store: ParquetStore) -> None:
    """Some results, a superseded one among them, and a run that is in one table alone."""
    store.write([run("one", 1), run("two", 2), run("three", 3), run("alone", 4, "a")])
    store.write(run("two", 20), supersede=True)


def files_of(store: ParquetStore) -> set[str]:
    objects = store._objects
    parts = objects.folders("_compact")
    return {f"{part}/{name}" for part in parts for name in objects.names(f"_compact/{part}")}


def test_copies_give_the_same_answers(open_store: OpenStore) -> None:
    store = open_store()
    assert store.compact().results == 0, "an empty store has nothing to copy"
    fill(store)
    before = answers(store)
    store.compact()
    assert store.backlog() == Backlog(results=0)
    assert answers(store) == answers(open_store()) == before
    assert store.compact().results == 0
    assert store.read_table("a", run_uids=["three"]).column("place").to_pylist() == [0, 1, 2], (
        "a run's rows stay in order"
    )


def test_what_is_newer_than_a_compaction_is_seen_beside_it(open_store: OpenStore) -> None:
    """And a run that is superseded later is seen once."""
    store = open_store()
    fill(store)
    store.compact()
    store.write([run("four", 5), run("two", 200), run("one", 10)], supersede=True)
    rows = store.query_sql("select run_uid, x, revision from a join runs using (run_uid) group by all order by all")
    found = [tuple(row.values()) for row in rows.to_pylist()]
    assert found == [("alone", 4, 1), ("four", 5, 1), ("one", 10, 2), ("three", 3, 1), ("two", 200, 3)]
    assert store.describe_table("a").runs == 5
    assert store.describe_table("a").rows == 15
    seen = answers(store)
    store.compact()
    assert answers(open_store()) == seen


def test_a_table_of_superseded_results_alone_is_not_there(tmp_path: Path) -> None:
    store = ParquetStore(tmp_path)
    store.write([run("one", 1, "a", "gone"), run("two", 2, "a")])
    store.compact()
    store.write(run("one", 3, "a"), supersede=True)
    assert store.list_tables() == ["a", "runs"]
    assert store.read_table("gone", revision=1).num_rows == 3
    store.compact()
    assert store.list_tables() == ["a", "runs"]
    assert store.read_table("gone", revision="all").num_rows == 3


def test_a_run_is_stored_once_however_it_was_compacted(open_store: OpenStore) -> None:
    store = open_store()
    fill(store)
    store.compact()
    before = answers(store)
    for uid, revision in (("one", 1), ("two", 2)):
        again = open_store().write_with_receipt(run(uid, 99))
        assert (again.created, again.revision) == (False, revision)
        found = store.find_run(uid)
        assert found is not None
        assert found.ref.store_uri == again.store_uri
    assert answers(store) == before
    assert open_store().write_with_receipt(run("one", 99), supersede=True).revision == 2


def test_a_part_takes_in_those_that_are_no_larger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """So that there are few of them, and that no row is copied often."""
    store = ParquetStore(tmp_path)
    for number in range(33):
        store.write(run(f"run-{number}", number))
        store.compact()
    parts = newest_manifest(store._objects).parts
    assert sorted(part.commits for part in parts) == [1, 32]
    assert store.query_sql("select count(distinct run_uid) as n, sum(x) as x from a").to_pylist() == [
        {"n": 33, "x": 3 * 528}
    ]
    monkeypatch.setattr(_compacting, "PART_BYTES", 1)  # nothing may be taken in any more
    store.write([run(f"late-{number}", 0) for number in range(6)])
    assert store.compact().results == 6
    assert sorted(part.commits for part in newest_manifest(store._objects).parts) == [1, 1, 1, 1, 1, 1, 1, 32]
    assert store.describe_table("b").runs == 39


def test_a_part_holds_no_more_than_it_may(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is made in memory, where Arrow has no place for two gigabytes of texts in one column."""
    store = ParquetStore(tmp_path)
    store.write([run(f"run-{number:02}", "x" * 1000) for number in range(30)])
    monkeypatch.setattr(_compacting, "PART_BYTES", 50_000)
    assert store.compact().results == 30
    parts = newest_manifest(store._objects).parts
    assert max(part.size for part in parts) <= 50_000
    assert min(part.commits for part in parts) > 1
    assert store.describe_table("a").runs == 30


def test_a_part_of_several_row_groups(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of which one holds a superseded run and the first rows of another."""
    monkeypatch.setattr(_compacting, "_FORMAT", {**_compacting._FORMAT, "row_group_size": 4})
    store = ParquetStore(tmp_path)
    store.write([run("one", 1), run("three", 3), run("two", 2)])
    store.compact()
    store.write(run("one", 10), supersede=True)
    rows = store.read_table("a")
    assert store.describe_table("a").rows == rows.num_rows == 9
    for uid in ("one", "three", "two"):
        assert [row["place"] for row in rows.to_pylist() if row["run_uid"] == uid] == [0, 1, 2], "a run's rows in order"


# -- columns ----------------------------------------------------------------------------------------------------------


def test_columns_that_came_later_and_numbers_that_became_floats(open_store: OpenStore) -> None:
    def row(uid: str, **columns: Any) -> SampleRun:
        return SampleRun(run_uid=uid, records=[{"table_name": "t", **columns}])

    store = open_store()
    store.write(row("one", x=1, large=1))
    store.compact()
    store.write([row("two", x=0.5, y="new"), row("three", large=2**53 + 1)])
    expected = [("one", 1.0, 1, None), ("three", None, 2**53 + 1, None), ("two", 0.5, None, "new")]
    for _ in range(2):
        found = open_store().query_sql("select run_uid, x, large, y from t order by run_uid").to_pylist()
        assert [tuple(each.values()) for each in found] == expected
        assert [type(each["x"]) for each in found] == [float, type(None), float]
        store.compact()
    with pytest.raises(RecordError, match="large"):
        store.write(row("four", large=0.5))


def test_every_reader_finds_a_nan_in_a_copy(tmp_path: Path) -> None:
    """DuckDB by path skips rows by statistics, and those of floats that pyarrow writes leave NaN out."""
    store = ParquetStore(tmp_path)
    store.write([run("one", math.nan), run("two", 1.0)])
    store.compact()
    (file,) = (tmp_path / "_compact").rglob("a.parquet")
    asked = "select count(*) from {} where isnan(x) or x > 5"
    with duckdb.connect() as connection:
        assert connection.execute(asked.format(f"'{file}'")).fetchall() == [(3,)]
    assert store.query_sql(asked.format("a")).column(0).to_pylist() == [3]


# -- what cannot be copied --------------------------------------------------------------------------------------------


def damage(folder: Path, what: str) -> None:
    commit, payload = folder / "runs/two.parquet", folder / "a/two.parquet"
    if what == "no commit":
        commit.write_bytes(b"torn")
    elif what == "no run":
        pq.write_table(pq.read_table(commit).drop(["run_uid"]), commit)
    elif what == "rows of other columns":
        rows = pq.read_table(payload)
        pq.write_table(rows.set_column(rows.schema.get_field_index("x"), "x", pa.array(["x", "y", "z"])), payload)
    elif what == "another name":
        commit.rename(folder / "runs/other.parquet")
    elif what == "payload gone":
        payload.unlink()
    elif what == "payload torn":
        payload.write_bytes(b"torn")
    elif what == "payload of another run":
        shutil.copy(folder / "a/one.parquet", payload)


DAMAGES = {
    "no commit": "it is not readable Parquet",
    "no run": "it is no commit of a run",
    "rows of other columns": "its rows do not fit the columns of their tables in _schema",
    "another name": "its name is not that of its run",
    "payload gone": "a/two.parquet is not there",
    "payload torn": "a/two.parquet is not readable Parquet",
    "payload of another run": "a/two.parquet has rows of another run",
}


def attempt(ask: Callable[[], Any]) -> Any:
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        try:
            return ask(), [str(each.message) for each in told]
        except StoreError as error:
            return type(error), []


@pytest.mark.parametrize("what", DAMAGES)
def test_what_cannot_be_copied_is_said_and_seen_as_before(tmp_path: Path, what: str) -> None:
    store = ParquetStore(tmp_path)
    store.write([run("one", 1), run("two", 2), run("three", 3)])
    damage(tmp_path, what)
    asks = [
        lambda: sorted(store.read_table("a").column("x").to_pylist()),
        lambda: sorted(store.read_table("b").column("x").to_pylist()),
        lambda: store.read_table("b", run_uids=["one"]).num_rows,
    ]
    before = [attempt(ask) for ask in asks]
    done = store.compact()
    name = "other.parquet" if what == "another name" else "two.parquet"
    assert (done.results, dict(done.left_out)) == (2, {name: DAMAGES[what]})
    assert [attempt(ask) for ask in asks] == before
    assert store.compact().results == 0


@pytest.mark.parametrize("what", ["manifest", "later version", "index", "rows", "index gone", "rows gone", "forged"])
def test_a_damaged_compaction_is_named_and_costs_nothing(tmp_path: Path, what: str) -> None:
    folder = tmp_path / "store"
    store = ParquetStore(folder)
    fill(store)
    before = answers(store)
    store.compact()
    (part,) = [path for path in (folder / "_compact").iterdir() if path.is_dir()]
    manifest = folder / "_compact/00000001.json"
    match what.split():
        case ["manifest"]:
            manifest.write_bytes(b"torn")
        case ["later", _]:
            manifest.write_text(manifest.read_text().replace('"format": 1', '"format": 2'))
        case ["forged"]:
            manifest.write_text(manifest.read_text().replace(part.name, "../../elsewhere"))
        case [which, *gone]:
            file = part / ("_index.parquet" if which == "index" else "a.parquet")
            file.unlink() if gone else file.write_bytes(b"torn")
    shutil.copytree(folder, moved := tmp_path / "moved")  # where no process has read its index
    asks: tuple[Callable[[], Any], ...] = (
        lambda: ParquetStore(moved).read_table("a"),
        lambda: ParquetStore(moved).query_sql("select * from a"),
    )
    for ask in asks:
        with pytest.raises(StoreCorruptError, match=rf"{moved}/_compact/\S+: .* delete the folder {moved}/_compact"):
            ask()
    shutil.rmtree(moved / "_compact")
    assert answers(ParquetStore(moved))[0] == before[0]
    assert ParquetStore(moved).compact().results == 5


# -- several at once --------------------------------------------------------------------------------------------------


def test_of_two_compactors_one_wins_and_the_other_cleans_up(
    open_store: OpenStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, other, create = open_store(), open_store(), ObjectStore.create
    fill(store)
    before = answers(ParquetStore(store.uri, store._storage_options))
    for path in list(files_of(store)):  # a store that compacts by itself has begun
        store._objects.delete(f"_compact/{path}")
    for name in store._objects.names("_compact"):
        store._objects.delete(f"_compact/{name}")

    def overtaken(self: ObjectStore, key: str, content: bytes) -> bool:
        if key.endswith(".json") and key.startswith("_compact/"):
            monkeypatch.setattr(ObjectStore, "create", create)
            assert other.compact().results == 5
        return create(self, key, content)

    monkeypatch.setattr(ObjectStore, "create", overtaken)
    assert store.compact().results == 0
    (part,) = newest_manifest(store._objects).parts
    assert {name.partition("/")[0] for name in files_of(store)} == {part.name}
    assert answers(store) == before


def writing(store: ParquetStore, writer: int, runs: int, stored: Any) -> None:
    for number, revision in itertools.product(range(runs), (1, 2)):
        if revision == 1 or number % 3 == 0:
            store.write(run(f"{writer}-{number}", revision), supersede=revision > 1)
            stored[writer * runs + number] = revision


def compacting(store: ParquetStore, stop: Any) -> None:
    while not stop.is_set():
        store.compact()


def test_readers_see_neither_gap_nor_duplicate_nor_an_old_result(open_store: OpenStore) -> None:
    store, writers, runs = open_store(), 2, 12
    store.write(run("first", 0))
    stored, stop = serving.Array("i", writers * runs, lock=False), serving.Event()
    working = [serving.Process(target=writing, args=(open_store(), each, runs, stored)) for each in range(writers)]
    others = [serving.Process(target=compacting, args=(open_store(), stop)) for _ in range(2)]
    for process in (*working, *others):
        process.start()
    reads = 0
    try:
        while any(process.is_alive() for process in working) or not reads:
            known = list(stored)
            sql = (
                "select a.run_uid, a.x, b.x as same, revision, count(*) as n from a join b using (run_uid, place) "
                "join runs using (run_uid) where capability_table = 'a' and entity_type = 'dataset' group by all"
            )
            rows = store.query_sql(sql).to_pylist()
            seen = {row["run_uid"]: row["x"] for row in rows}
            assert len(seen) == len(rows), "a run is seen twice"
            assert {row["n"] for row in rows} == {3}
            assert all(row["x"] == row["same"] for row in rows), "results of a run are mixed"
            assert all(row["revision"] == max(1, row["x"]) for row in rows)
            for place, revision in enumerate(known):
                assert seen.get(f"{place // runs}-{place % runs}", 0) >= revision, "a stored result is not seen"
            reads += 1
    finally:
        stop.set()
        for process in (*working, *others):
            process.join(120)
    assert [process.exitcode for process in (*working, *others)] == [0] * 4
    store.compact()
    assert sum(part.commits for part in newest_manifest(store._objects).parts) == 1 + writers * (runs + 4)
    assert store.describe_table("a").runs == 1 + writers * runs


# -- a crash at every point -------------------------------------------------------------------------------------------


class Crash(BaseException):
    """The process ends here."""


@contextmanager
def faults(at: int, mode: str, which: tuple[str, ...] = PRIMITIVES) -> Iterator[list[str]]:
    """Number the operations on objects, and let one fail; what was done so far is in the list."""
    done: list[str] = []

    def faulty(name: str, real: Any) -> Any:
        def operation(self: ObjectStore, key: str, *args: Any) -> Any:
            done.append(f"{name} {key}")
            if len(done) != at:
                return real(self, key, *args)
            if mode == "no answer":
                raise StoreUnavailableError("no answer")
            if mode == "crash":
                raise Crash
            answer = real(self, key, *args)
            if mode == "crash after":
                raise Crash
            return False if name == "create" else answer  # the reply was lost: the client's own retry is told so

        return operation

    with pytest.MonkeyPatch.context() as patch:
        for name in which:
            patch.setattr(ObjectStore, name, faulty(name, getattr(ObjectStore, name)))
        yield done


@pytest.fixture
def filled(tmp_path: Path) -> Path:
    """A store with a part of an earlier compaction, and results beside it."""
    store = ParquetStore(tmp_path / "filled")
    store.write([run("zero", 0), run("late", 1)])
    store.compact()
    fill(store)
    store.write(run("late", 10), supersede=True)
    return tmp_path / "filled"


def brief(folder: Path) -> Any:
    """What tells whether anything is missing, there twice, or old."""
    store = ParquetStore(folder)
    shown = store.read_table("a", columns=["run_uid", "x"]).to_pylist()
    every = store.read_table("b", revision="all").to_pylist()
    runs = store.read_table("runs", columns=["run_uid", "revision", "capability_table"]).to_pylist()
    return [sorted(map(str, rows)) for rows in (shown, every, runs)]


def check(folder: Path, expected: Any) -> None:
    assert brief(folder) == expected
    store = ParquetStore(folder)
    store.compact()
    assert brief(folder) == expected
    assert store.backlog().results == 0
    for part in newest_manifest(store._objects).parts:
        for file in part.files:
            assert pq.ParquetFile(folder / part.key(file)).metadata.num_rows == file.rows


def stop_at(store: ParquetStore, call: int, there: Connection) -> None:
    create, calls = os.link, []

    def counted(*args: Any, **options: Any) -> None:
        calls.append(args)
        if len(calls) == call:
            there.send(str(args[1]))
            signal.pause()
        create(*args, **options)

    os.link = counted
    store.compact()


@pytest.mark.parametrize("call", [1, 7, 8], ids=["a table", "index", "manifest"])
def test_a_compactor_that_is_killed_costs_nothing(filled: Path, call: int) -> None:
    expected = brief(filled)
    here, there = serving.Pipe()
    compactor = serving.Process(target=stop_at, args=(ParquetStore(filled), call, there))
    compactor.start()
    assert here.poll(120)
    assert "_compact" in here.recv()
    assert compactor.pid is not None
    os.kill(compactor.pid, signal.SIGKILL)
    compactor.join(120)
    check(filled, expected)


# -- requests ---------------------------------------------------------------------------------------------------------


def test_a_query_asks_as_much_of_s3_however_many_runs_are_compacted(
    bucket: str, s3_options: dict[str, Any], s3_requests: list[str]
) -> None:
    """Of ten thousand runs a listing has ten pages, so nine requests more: then thirty in all are not exceeded."""
    counts = []
    for runs in (4, 40):
        store = ParquetStore(f"s3://{bucket}/{runs}", s3_options)
        store.write([run(f"run-{number}", number) for number in range(runs)])
        store.compact()
        reader = ParquetStore(f"s3://{bucket}/{runs}", s3_options)
        s3_requests.clear()
        sql = "select x, count(*) as n from a join runs using (run_uid) group by x"
        assert reader.query_sql(sql).num_rows == runs
        counts.append(list(s3_requests))
    assert len(counts[0]) == len(counts[1]), counts
    assert len(counts[0]) <= 21, counts


def test_a_write_costs_what_it_cost_before_a_compaction(
    bucket: str, s3_options: dict[str, Any], s3_requests: list[str]
) -> None:
    store = ParquetStore(f"s3://{bucket}/store", s3_options)
    store.write(run("one", 1, "a"))
    store.compact()
    s3_requests.clear()
    store.write(run("two", 2, "a"))
    assert s3_requests == ["put_object", "put_object"]


def test_a_write_is_two_exclusive_puts_whatever_the_store_holds(
    bucket: str, s3_options: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    from s3fs import S3FileSystem

    asked, call_s3 = [], S3FileSystem._call_s3

    async def noted(self: Any, method: str, *args: Any, **options: Any) -> Any:
        asked.append((method, options.get("IfNoneMatch")))
        return await call_s3(self, method, *args, **options)

    monkeypatch.setattr(S3FileSystem, "_call_s3", noted)
    store = ParquetStore(f"s3://{bucket}/store", s3_options)
    store.write(run("first", 0, "a"))
    for number in range(20):
        asked.clear()
        store.write(run(f"run-{number}", number, "a"))
        assert asked == [("put_object", "*")] * 2


def test_damage_is_a_corrupt_store(tmp_path: Path) -> None:
    store = ParquetStore(tmp_path)
    store.write(run("one", 1))
    store.compact()
    (tmp_path / "_compact/00000001.json").write_text("[" * 100_000)
    with pytest.raises(StoreCorruptError, match=r"delete the folder .*_compact: it holds copies only"):
        store.list_tables()


# -- beside jobs ------------------------------------------------------------------------------------------------------


def test_maintenance_compacts_once_enough_has_gathered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_compacting, "WORTH_COMPACTING", 5)
    store = ParquetStore(tmp_path)
    store.write([run(f"run-{number}", number) for number in range(4)])
    store.maintain()
    assert store.backlog().results == 4
    store.write(run("last", 1))
    store.maintain()
    assert store.backlog().results == 0


def test_maintenance_makes_smaller_parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """So it takes less memory, and leaves larger ones that compact() has made alone."""
    monkeypatch.setattr(_compacting, "WORTH_COMPACTING", 5)
    monkeypatch.setattr("checkmaite.store_parquet._store.SMALL_PART_BYTES", 50_000)
    store = ParquetStore(tmp_path)
    store.write([run(f"run-{number:02}", "x" * 1000) for number in range(30)])
    store.maintain()
    sizes = [part.size for part in newest_manifest(store._objects).parts]
    assert len(sizes) > 3
    assert max(sizes) <= 50_000
    assert store.describe_table("a").runs == 30


def test_a_compactor_that_is_killed_has_kept_its_steps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_compacting, "_RESULTS_AT_ONCE", 10)
    store, folder = ParquetStore(tmp_path), tmp_path
    store.write([run(f"run-{number:02}", number) for number in range(35)])
    expected, create, manifests = brief(folder), ObjectStore.create, []

    def killed(self: ObjectStore, key: str, content: bytes) -> bool:
        manifests.append(key) if key.endswith(".json") else None
        if len(manifests) == 3:
            raise Crash
        return create(self, key, content)

    monkeypatch.setattr(ObjectStore, "create", killed)
    with pytest.raises(Crash):
        store.compact()
    assert store.backlog().results == 15
    monkeypatch.setattr(ObjectStore, "create", create)
    check(folder, expected)
    assert sorted(part.commits for part in newest_manifest(store._objects).parts) == [5, 10, 20]
