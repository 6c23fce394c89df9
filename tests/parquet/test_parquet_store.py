"""The Parquet store on a disk and on an S3 endpoint: races, crashes, requests, secrets, and other readers."""

from __future__ import annotations

import math
import os
import pickle
import shutil
import signal
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import duckdb
import pyarrow.parquet as pq
import pydantic
import pytest
from attrs import evolve
from checkmaite.jobs import (
    AnalyticsStore,
    ConfigurationError,
    QueryError,
    RecordError,
    StoreError,
    StoreNotFoundError,
    StorePermissionError,
    StoreUnavailableError,
    configure_job_backend,
    shutdown_job_backend,
    submit_capability,
)
from checkmaite.jobs._shared.objects import ObjectStore
from checkmaite.jobs.spi import ColumnType, table_rows
from checkmaite.jobs.testing import AnalyticsStoreContract, SampleRecord, SampleRun
from checkmaite.store_parquet import ParquetStore, _types
from checkmaite.store_parquet._rows import holds_rows, payload_bytes
from checkmaite.store_parquet._types import TableTypes, _Known

from tests.processes import serving

OpenStore = Callable[[], ParquetStore]


class TestParquetStoreOnS3(AnalyticsStoreContract):
    @pytest.fixture
    def store(self, tmp_path: Path, bucket: str, s3_options: dict[str, Any]) -> AnalyticsStore:
        self._opened = (f"s3://{bucket}/store", s3_options)
        return self.make_store(tmp_path)

    def make_store(self, folder: Path) -> ParquetStore:
        return ParquetStore(*self._opened)

    def make_broken_store(self, folder: Path) -> ParquetStore:
        once = {"retries": {"total_max_attempts": 1}}
        nowhere = {"key": "k", "secret": "s", "endpoint_url": "http://127.0.0.1:9", "config_kwargs": once}
        return ParquetStore("s3://bucket/store", nowhere)


def write_when_told(store: ParquetStore, run: SampleRun, ready: Any, report: Any) -> None:
    ready.wait()
    receipt = store.write_with_receipt(run)
    report.put((receipt.store_uri, receipt.created))


def test_eight_processes_leave_one_copy_and_all_succeed(open_store: OpenStore) -> None:
    store, run = open_store(), SampleRun(run_uid="raced")
    ready, report = serving.Barrier(8), serving.Queue()
    writers = [serving.Process(target=write_when_told, args=(store, run, ready, report)) for _ in range(8)]
    for writer in writers:
        writer.start()
    receipts = [report.get(timeout=240) for _ in writers]
    for writer in writers:
        writer.join(120)
    assert [writer.exitcode for writer in writers] == [0] * 8
    assert {uri for uri, _ in receipts} == {store.get_run_uri("raced")}
    assert [created for _, created in receipts].count(True) == 1
    assert len(store.read_table("sample_scores")) == 1
    assert len(store.read_table("runs")) == 3


def signed(run_uid: str, name: int, *tables: str) -> SampleRun:
    """A run with a row in each table that says who wrote it."""
    return SampleRun(run_uid=run_uid, records=[{"table_name": table, "writer": name} for table in tables])


def test_eight_processes_with_other_results_are_never_mixed(open_store: OpenStore) -> None:
    tables = ("a", "b", "c")
    store = open_store()
    store.write(signed("before", -1, *tables))  # so that no writer wins by fixing the columns first
    ready, report = serving.Barrier(8), serving.Queue()
    writers = [
        serving.Process(target=write_when_told, args=(store, signed("raced", name, *tables), ready, report))
        for name in range(8)
    ]
    for writer in writers:
        writer.start()
    receipts = [report.get(timeout=240) for _ in writers]
    for writer in writers:
        writer.join(120)
    assert [created for _, created in receipts].count(True) == 1
    found = [store.read_table(table, run_uids=["raced"]).column("writer").to_pylist() for table in tables]
    assert found == [found[0]] * 3
    assert len(found[0]) == 1
    assert len(store.query_sql("select * from a join b using (run_uid, writer) join c using (run_uid, writer)")) == 2


def stop_at(call: int, store: ParquetStore, run: SampleRun, there: Connection) -> None:
    """Write, and stop for ever just before the object that is created as number `call`."""
    create, calls = ObjectStore.create, []

    def counted(self: ObjectStore, key: str, content: bytes) -> bool:
        calls.append(key)
        if len(calls) == call:
            there.send(key)
            signal.pause()
        return create(self, key, content)

    ObjectStore.create = counted  # type: ignore[method-assign]
    store.write(run)


@pytest.mark.parametrize("call", range(1, 8), ids=[*("name", "schema") * 2, "payload 1", "payload 2", "commit"])
def test_a_writer_that_is_killed_leaves_nothing_visible(open_store: OpenStore, call: int) -> None:
    store = open_store()
    run = SampleRun(run_uid="torn", records=[SampleRecord("m", 0.5), {"table_name": "other", "x": 1}])
    # The names and schemas of both tables are agreed before any payload is written.
    here, there = serving.Pipe()
    writer = serving.Process(target=stop_at, args=(call, store, run, there))
    writer.start()
    assert here.poll(120)
    here.recv()
    assert writer.pid is not None
    os.kill(writer.pid, signal.SIGKILL)
    writer.join(120)
    assert store.get_run_uri("torn") is None
    assert store.list_tables() == []
    with pytest.raises(QueryError):
        store.query_sql("select * from sample_scores")
    assert open_store().write_with_receipt(run).created
    assert store.list_tables() == ["other", "runs", "sample_scores"]
    assert len(store.query_sql("select * from sample_scores join other using (run_uid)")) == 1


def test_an_attempt_that_was_killed_is_no_part_of_the_next_one(open_store: OpenStore) -> None:
    """It has left rows of one table that differ from the next one's, and rows of another that has none."""
    store = open_store()
    here, there = serving.Pipe()
    first = signed("run", 1, "t", "gone")
    writer = serving.Process(target=stop_at, args=(7, store, first, there))
    writer.start()
    assert here.poll(120)
    assert here.recv() == "runs/run.parquet"
    assert writer.pid is not None
    os.kill(writer.pid, signal.SIGKILL)
    writer.join(120)
    receipt = open_store().write_with_receipt(signed("run", 2, "t", "other"))
    assert receipt.created
    assert store.list_tables() == ["other", "runs", "t"]
    assert store.read_table("t").column("writer").to_pylist() == [2]
    assert store.query_sql("select writer from t join other using (run_uid, writer)").to_pylist() == [{"writer": 2}]
    assert store.describe_table("t").rows == 1
    assert not open_store().write_with_receipt(first).created
    assert store.read_table("t").column("writer").to_pylist() == [2]


def test_a_retry_of_rows_with_a_nan_adds_no_file(open_store: OpenStore) -> None:
    """As after a commit that was lost: the rows are there, what makes them visible is not."""
    store = open_store()
    values = (math.nan, -0.0, 1e-320, math.inf, None, 0.1)
    run = SampleRun(run_uid="run", records=[{"table_name": "t", "x": x, "k": k} for k, x in enumerate(values)])
    (table,) = table_rows(run.extract(), run_uid="run")
    objects = store._objects
    assert objects.create("t/run.parquet", payload_bytes(table, []))
    assert store.write_with_receipt(run).created
    assert objects.names("t") == ["run.parquet"]
    assert str(store.read_table("t").column("x").to_pylist()) == str([*values])


def test_other_rows_are_told_apart() -> None:
    (table,) = table_rows(signed("run", 1, "t").extract(), run_uid="run")
    assert not holds_rows(payload_bytes(table, []), evolve(table, rows=({**table.rows[0], "writer": 2},)))
    (zero,) = table_rows([{"table_name": "t", "x": 0.0}], run_uid="run")
    (minus,) = table_rows([{"table_name": "t", "x": -0.0}], run_uid="run")
    assert not holds_rows(payload_bytes(zero, []), minus)
    assert not holds_rows(b"no Parquet", zero)
    assert holds_rows(payload_bytes(zero, []), zero)


def test_plain_duckdb_finds_the_files_that_count(tmp_path: Path) -> None:
    store = ParquetStore(str(tmp_path))
    ObjectStore(str(tmp_path)).create("t/run.parquet", payload_of_another_attempt())
    store.write([signed("run", 2, "t"), signed("one", 3, "t")])
    files = f"{store.uri}/t/*.parquet"
    assert duckdb.sql(f"select writer from '{files}' order by writer").fetchall() == [(1,), (2,), (3,)]
    counted = duckdb.sql(
        f"select writer from read_parquet('{files}', filename = 'file', union_by_name = true) "
        f"where 't/' || parse_filename(file) in (select payload from '{store.uri}/runs/*.parquet') order by writer"
    )
    assert counted.fetchall() == [(2,), (3,)]


def payload_of_another_attempt() -> bytes:
    (table,) = table_rows(signed("run", 1, "t").extract(), run_uid="run")
    return payload_bytes(table, [])


def kill_while_writing(folder: str, there: Connection) -> None:
    real_fsync = os.fsync

    def stop(descriptor: int) -> None:
        there.send("writing")
        signal.pause()
        real_fsync(descriptor)

    os.fsync = stop
    ObjectStore(folder).create("table/x.parquet", b"half of it")


def test_a_file_that_was_being_written_is_never_seen(tmp_path: Path) -> None:
    here, there = serving.Pipe()
    writer = serving.Process(target=kill_while_writing, args=(str(tmp_path), there))
    writer.start()
    assert here.poll(120)
    assert writer.pid is not None
    os.kill(writer.pid, signal.SIGKILL)
    writer.join(120)
    assert list((tmp_path / "table").glob("*.parquet")) == []
    assert ObjectStore(str(tmp_path)).names("table") == []
    assert ObjectStore(str(tmp_path)).create("table/x.parquet", b"all of it")


def test_a_write_costs_the_same_requests_whatever_the_store_holds(
    bucket: str, s3_options: dict[str, Any], s3_requests: list[str]
) -> None:
    store = ParquetStore(f"s3://{bucket}/store", s3_options)
    store.write(SampleRun(run_uid="first"))
    counts = []
    for number in range(30):
        s3_requests.clear()
        store.write(SampleRun(run_uid=f"run-{number}"))
        counts.append(tuple(s3_requests))
    assert set(counts) == {("put_object", "put_object")}


def test_other_readers_need_nothing_of_ours(tmp_path: Path) -> None:
    store = ParquetStore(str(tmp_path / "store"))
    store.write([SampleRun(run_uid=f"run-{number}") for number in range(3)])
    found = duckdb.sql(
        f"select count(*) from '{store.uri}/sample_scores/*.parquet' join '{store.uri}/runs/*.parquet' using (run_uid)"
    ).fetchall()
    assert found == [(9,)]
    assert pq.read_table(f"{store.uri}/runs").num_rows == 9
    metadata = pq.read_schema(f"{store.uri}/sample_scores/run-0.parquet").metadata
    assert b'"entity_id": "dataset-1"' in metadata[b"checkmaite.runs"]


class Scored(pydantic.BaseModel):
    table_name: str = "sample_scores"
    model_id: str
    score: float | None


def test_records_of_pydantic_fit_the_same_table(open_store: OpenStore) -> None:
    store = open_store()
    store.write([SampleRun(run_uid="attrs"), SampleRun(run_uid="pydantic", records=[Scored(model_id="m", score=None)])])
    assert sorted(store.read_table("sample_scores").column("score").to_pylist(), key=str) == [0.5, None]


def test_columns_may_come_later_but_keep_their_type(open_store: OpenStore) -> None:
    store = open_store()
    store.write(SampleRun(run_uid="one", records=[{"table_name": "t", "x": 1}]))
    store.write(SampleRun(run_uid="two", records=[{"table_name": "t", "x": 2, "y": "new"}]))
    for again in (store, open_store()):
        for bad in ({"x": "one"}, {"x": 1, "y": 3}):
            with pytest.raises(RecordError, match=r"in the runs stored before"):
                again.write(SampleRun(run_uid="three", records=[{"table_name": "t", **bad}]))
    rows = open_store().query_sql("select x, y from t order by x").to_pylist()
    assert rows == [{"x": 1, "y": None}, {"x": 2, "y": "new"}]
    assert store.get_run_uri("three") is None


def test_a_type_that_came_after_a_listing_counts(bucket: str, s3_options: dict[str, Any]) -> None:
    """Also where the user asks for listings to be kept; what another process has stored since is asked for by name."""
    store = ParquetStore(f"s3://{bucket}/store", {**s3_options, "use_listings_cache": True})
    elsewhere = ParquetStore(f"s3://{bucket}/store", {**s3_options, "skip_instance_cache": True})
    store.write([row_run("one", x=1), row_run("two", x=1, w=1)])
    assert [column.name for column in store.describe_table("t").columns] == ["run_uid", "x", "w"]
    elsewhere.write(row_run("three", x=1, y="text"))
    with pytest.raises(RecordError, match=r"t\.y: is int64 in this run, but string"):
        store.write(row_run("four", x=1, y=2))
    assert store.get_run_uri("four") is None
    assert store.read_table("t", columns=["y"], run_uids=["three"]).column("y").to_pylist() == ["text"]


def row_run(run_uid: str, *, table: str = "t", **columns: Any) -> SampleRun:
    return SampleRun(run_uid=run_uid, records=[{"table_name": table, **columns}])


def test_a_run_that_was_refused_fixes_no_type(open_store: OpenStore) -> None:
    store = open_store()
    store.write(SampleRun(run_uid="one", records=[{"table_name": "t", "x": 1}]))
    bad = [{"table_name": "t", "x": True, "y": "text"}, {"table_name": "new", "z": "text"}]
    with pytest.raises(RecordError):
        store.write(SampleRun(run_uid="two", records=bad))
    good = [{"table_name": "t", "x": 1, "y": 3}, {"table_name": "new", "z": 4}]
    for again in (store, open_store()):
        assert again.write_with_receipt(SampleRun(run_uid="three", records=good)).store_uri


def test_a_column_of_whole_numbers_becomes_one_of_floats(open_store: OpenStore) -> None:
    store, warm = open_store(), open_store()
    warm.write(row_run("one", x=1))
    store.write(row_run("two", x=0.5))
    warm.write(row_run("three", x=3))  # this process does not know of it, and need not
    store.write(row_run("four", x=2**60))
    for late in (warm, store, open_store()):
        with pytest.raises(RecordError, match=r"t\[0\]\.x: 9007199254740993 is not exact as a float"):
            late.write(row_run("five", x=2**53 + 1))
    store.write(row_run("later", x=1, y=7))
    store.write(row_run("latest", x=1, y=7.5))
    (x, y) = (column.to_pylist() for column in open_store().read_table("t", columns=["x", "y"]).columns)
    assert sorted(x) == [0.5, 1.0, 1.0, 1.0, 3.0, 2.0**60]
    assert [type(each) for each in x] == [float] * 6
    assert sorted(each for each in y if each) == [7.0, 7.5]
    assert store.query_sql("select run_uid from t where x between 0.9 and 1.1 order by 1").column(0).to_pylist() == [
        "later",
        "latest",
        "one",
    ]
    assert [column.type for column in store.describe_table("t").columns] == ["string", "double", "double"]


def test_a_column_with_a_number_that_no_float_keeps_takes_no_floats(open_store: OpenStore) -> None:
    store, warm = open_store(), open_store()
    store.write(row_run("one", x=1))
    warm.write(row_run("two", x=2))
    store.write(row_run("three", x=-(2**53) - 1))
    for late in (warm, store, open_store()):
        with pytest.raises(RecordError, match=r"t\.x: is float64 in this run, but int64 .* beyond what a float keeps"):
            late.write(row_run("four", x=0.5, z="new"))
    assert store.write_with_receipt(row_run("five", x=2**62, z=1)).created, "the refused run fixed nothing"
    assert sorted(store.read_table("t").column("x").to_pylist()) == [-(2**53) - 1, 1, 2, 2**62]


def test_the_numbers_of_an_older_table_count(open_store: OpenStore) -> None:
    """It was written when no column settled, so nothing beside it says that it holds such a number."""
    store = open_store()
    store.write([row_run("one", x=1), row_run("two", table="small", x=1)])
    store._types = older = TableTypes(store._objects)
    older._known.update({"t": _Known({"run_uid": ColumnType.TEXT, "x": ColumnType.INT}, {"x"})})
    store.write(row_run("three", x=2**53 + 1))
    with pytest.raises(RecordError, match="beyond what a float keeps"):
        open_store().write(row_run("four", x=0.5))
    open_store().write(row_run("five", table="small", x=0.5))
    assert sorted(store.read_table("small").column("x").to_pylist()) == [0.5, 1.0]


@pytest.mark.parametrize(("mine", "theirs"), [(0.5, 2**53 + 1), (2**53 + 1, 0.5)], ids=["floats", "large"])
def test_a_writer_that_is_beaten_to_what_a_column_becomes_is_refused(
    open_store: OpenStore, monkeypatch: pytest.MonkeyPatch, mine: float, theirs: float
) -> None:
    """Else both would be stored, and nobody could read the table."""
    store, other, create = open_store(), open_store(), ObjectStore.create
    store.write(row_run("one", x=1))
    beaten: list[str] = []

    def late(self: ObjectStore, key: str, content: bytes) -> bool:
        if self is store._objects and "/," in key and not beaten:
            beaten.append(key)
            other.write(row_run("theirs", x=theirs))
        return create(self, key, content)

    monkeypatch.setattr(ObjectStore, "create", late)
    with pytest.raises(RecordError, match="beyond what a float keeps" if mine == 0.5 else "is not exact as a float"):
        store.write(row_run("mine", x=mine))
    assert beaten == ["_schema/t/,x.json"]
    assert sorted(store.read_table("t").column("x").to_pylist()) == sorted([1, theirs])
    assert store.get_run_uri("mine") is None


def test_the_retry_of_a_run_whose_column_was_widened_adds_no_file(open_store: OpenStore) -> None:
    store = open_store()
    (table,) = table_rows(signed("run", 1, "t").extract(), run_uid="run")
    store._objects.create("t/run.parquet", payload_bytes(table, []))
    store.write(row_run("other", writer=0.5))
    assert store.write_with_receipt(signed("run", 1, "t")).created
    assert store._objects.names("t") == ["other.parquet", "run.parquet"]


def test_plain_duckdb_reads_a_widened_column_by_name(tmp_path: Path) -> None:
    store = ParquetStore(tmp_path)
    store.write([row_run("one", x=1), row_run("two", x=0.5, filename="a.png")])
    found = duckdb.sql(
        f"select x, filename from read_parquet('{tmp_path}/t/*.parquet', union_by_name = true) order by x"
    ).fetchall()
    assert found == [(0.5, "a.png"), (1.0, None)]


@pytest.mark.parametrize("run_uid", ["a/b", "../up", ".hidden", "ü n", "x" * 400, "a%2Fb", "100%", "a\\b", "a*?["])
def test_any_run_uid_is_a_name(open_store: OpenStore, run_uid: str) -> None:
    store = open_store()
    receipt = store.write_with_receipt(SampleRun(run_uid=run_uid))
    assert store.get_run_uri(run_uid) == receipt.store_uri
    assert store.read_table("sample_scores", run_uids=[run_uid]).column("run_uid").to_pylist() == [run_uid]
    assert store.get_run_uri(f"{run_uid}x") is None


@pytest.mark.parametrize(
    "sql",
    [
        "select * from read_csv('/etc/passwd')",
        "select * from '/etc/passwd'",
        "select * from read_text('/etc/passwd')",
        "select * from glob('/*')",
        "copy (select 1) to '/tmp/checkmaite-escape.csv'",
        "attach '/tmp/checkmaite-escape.db'",
        "install httpfs",
        "load httpfs",
        "set enable_external_access = true",
        "pragma database_list",
        "create table x as select 1",
        "insert into runs values (1)",
        "select 1; select 2",
        "select * from store",
        "",
    ],
)
def test_sql_reaches_nothing_but_the_tables(tmp_path: Path, sql: str) -> None:
    store = ParquetStore(str(tmp_path / "store"))
    store.write(SampleRun(run_uid="one"))
    with pytest.raises(QueryError):
        store.query_sql(sql)


def test_sql_names_the_table_that_was_meant(tmp_path: Path) -> None:
    store = ParquetStore(str(tmp_path / "store"))
    store.write(SampleRun(run_uid="one"))
    with pytest.raises(QueryError, match="'sample_scores'"):
        store.query_sql("select * from sample_score")


@pytest.mark.parametrize(
    ("sql", "found"),
    [
        ("select 'Scores' as x -- scores\n from t", {"x": "Scores"}),
        ("with u as (select y from t) select y as x from u", {"x": 1}),
        ("select scores.y as x from T as scores", {"x": 1}),
        ("select (select max(y) from main.t) as x", {"x": 1}),
        ("select y as x from query_table('t')", {"x": 1}),
        ("select count(*) as x from information_schema.tables where table_name = 't'", {"x": 1}),
        ("from (show tables) select name as x where name = 't'", {"x": "t"}),
        ("pivot t on y in (1) using count(*)", {"1": 1}),
        (f"select {'(' * 400}y{')' * 400} as x from t", {"x": 1}),
    ],
)
def test_sql_opens_the_tables_that_it_names(tmp_path: Path, sql: str, found: dict[str, object]) -> None:
    store = ParquetStore(str(tmp_path))
    twins = [{"table_name": "Scores", "x": 1}, {"table_name": "scores", "x": 2}]
    unread = [] if "tables" in sql or "query_table" in sql else twins  # two that no query may open
    for record in ({"table_name": "t", "y": 1}, *unread):
        store.write(SampleRun(run_uid=record["table_name"], records=[record]))
        _forget_spelling(tmp_path)
    (row,) = store.query_sql(sql).to_pylist()
    assert found.items() <= row.items()


def test_sql_knows_one_time_zone_on_every_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = ParquetStore(str(tmp_path))
    at = datetime(2026, 1, 1, 2, tzinfo=UTC)
    store.write(SampleRun(run_uid="one", records=[{"table_name": "t", "seen": at}]))
    monkeypatch.setenv("TZ", "America/New_York")
    time.tzset()
    try:
        query = "select seen, seen::date::text as day, hour(seen) as hour from t where seen >= '2026-01-01'"
        assert store.query_sql(query).to_pylist() == [{"seen": at, "day": "2026-01-01", "hour": 2}]
    finally:
        monkeypatch.undo()
        time.tzset()


@pytest.mark.parametrize(
    ("records", "said"),
    [
        ([{"table_name": "RUNS", "x": 1}], "'RUNS' cannot name a table.* not 'runs' in any case"),
        (
            [{"table_name": "new", "x": 1}, {"table_name": "New", "x": 1}],
            r"records\[1\].table_name: 'New' differs from 'new' only in case",
        ),
        ([{"table_name": "new", "x": 1, "Run_UID": "a"}], "new.Run_UID: 'Run_UID' differs from 'run_uid' only in case"),
        ([{"table_name": "new", "x": 1}, {"table_name": "new", "X": 2}], "new.X: 'X' differs from 'x' only in case"),
        (
            [{"table_name": "t", "Y": 2}],
            "t.Y: differs only in case, which SQL does not see, from the column 'y' of the",
        ),
    ],
)
def test_names_that_sql_takes_for_one_are_refused_before_anything_is_written(
    tmp_path: Path, records: list[dict[str, Any]], said: str
) -> None:
    """One such run would leave the table, or all provenance, without SQL for everybody."""
    ParquetStore(tmp_path).write(SampleRun(run_uid="first", records=[{"table_name": "t", "y": 1}]))
    before = sorted(tmp_path.rglob("*"))
    for store in (ParquetStore(tmp_path), ParquetStore(tmp_path)):
        with pytest.raises(RecordError, match=said):
            store.write(SampleRun(run_uid="second", records=records))
    assert sorted(tmp_path.rglob("*")) == before
    assert ParquetStore(tmp_path).query_sql("select distinct y from t join runs using (run_uid)").to_pylist() == [
        {"y": 1}
    ]


def _forget_spelling(folder: Path) -> None:
    """As earlier versions have left it: they did not keep how a name is written for the next writer."""
    for path in [*folder.glob("_schema/,*"), *folder.glob("_schema/*/[a-z]*.json")]:
        path.rename(path.with_name(f"earlier {path.name.strip(',')}"))


def test_names_that_sql_takes_for_one_are_told_apart(tmp_path: Path) -> None:
    """Earlier versions have written such, in files that cannot be changed any more."""
    store, other = ParquetStore(tmp_path), ParquetStore(tmp_path)
    for uid, table in (("one", "Scores"), ("two", "scores")):
        store.write(SampleRun(run_uid=uid, records=[{"table_name": table, "x": len(uid)}, {"table_name": "t", "x": 1}]))
        _forget_spelling(tmp_path)
    store.write(SampleRun(run_uid="y", records=[{"table_name": "t", "y": 1}]))
    _forget_spelling(tmp_path)
    other.write(SampleRun(run_uid="Y", records=[{"table_name": "t", "Y": 1}]))
    with pytest.raises(QueryError, match=r"'Scores' and 'scores' differ only in case.* read_table"):
        store.query_sql("select * from Scores")
    with pytest.raises(QueryError, match="columns of 't' 'y' and 'Y' differ only in case"):
        store.query_sql("select * from t")
    assert store.read_table("Scores").column("x").to_pylist() == [3]


def test_of_names_that_sql_takes_for_one_the_first_wins_for_all_writers(tmp_path: Path) -> None:
    """Also where a writer knows nothing of another: it has looked at the table before, or only at its first columns."""
    ParquetStore(tmp_path).write(SampleRun(run_uid="x", records=[{"table_name": "Table", "x": 1}]))
    early = ParquetStore(tmp_path)
    early.write(SampleRun(run_uid="early", records=[{"table_name": "Table", "x": 2}]))
    ParquetStore(tmp_path).write(SampleRun(run_uid="y", records=[{"table_name": "Table", "Accuracy": 0.5}]))
    before = sorted(tmp_path.rglob("*"))
    for store in (early, ParquetStore(tmp_path)):
        with pytest.raises(RecordError, match=r"Table.accuracy: differs only in case.* from the column 'Accuracy'"):
            store.write(SampleRun(run_uid="late", records=[{"table_name": "Table", "accuracy": 0.25}]))
        rows = [{"table_name": "new", "x": 3}, {"table_name": "table", "x": 3}]
        with pytest.raises(RecordError, match=r"table.table_name: differs only in case.* from the table 'Table'"):
            store.write(SampleRun(run_uid="late", records=rows))
    assert sorted(tmp_path.rglob("*")) == before
    assert early.query_sql('select sum(accuracy) as s, max(x) as x from "table"').to_pylist() == [{"s": 0.5, "x": 2}]


def test_of_racing_writers_one_says_how_a_name_is_written(tmp_path: Path) -> None:
    names = ["scores", "Scores", "SCORES", "sCores"] * 3
    stores = [ParquetStore(tmp_path) for _ in names]
    together = threading.Barrier(len(names))

    def write(number: int) -> str:
        together.wait()
        try:
            row = {"table_name": names[number], "x": 1}
            stores[number].write(SampleRun(run_uid=f"run-{number}", records=[row]))
        except RecordError:
            return ""
        return names[number]

    with ThreadPoolExecutor(len(names)) as threads:
        written = list(threads.map(write, range(len(names))))
    assert len(set(written)) == 2, "one name, and refusals"
    assert ParquetStore(tmp_path).query_sql("select count(*) as n from scores").to_pylist() == [{"n": 3}]


def test_a_name_is_free_again_in_an_emptied_folder(tmp_path: Path) -> None:
    store = ParquetStore(tmp_path / "store")
    store.write(SampleRun(run_uid="one", records=[{"table_name": "Scores", "x": 1}]))
    shutil.rmtree(tmp_path / "store")
    store.write(SampleRun(run_uid="one", records=[{"table_name": "scores", "x": 1}]))
    assert store.list_tables() == ["runs", "scores"]


def test_a_path_and_bad_arguments(tmp_path: Path) -> None:
    store = ParquetStore(tmp_path)
    assert store.uri == str(tmp_path)
    store.write(SampleRun(run_uid="one"))
    for bad, said in (
        ({"columns": "score"}, r"columns=\['score'\]"),
        ({"run_uids": "one"}, "run_uids"),
        ({"limit": -1}, "limit"),
    ):
        with pytest.raises(QueryError, match=said):
            store.read_table("sample_scores", **bad)
    for uri in ("", "s3:/bucket/x", "s3://", "s3://ada:hunter2@bucket/x", "s3://bucket/x?api_key=hunter2", "/tmp/x\0y"):
        with pytest.raises(ConfigurationError) as caught:
            ParquetStore(uri)
        assert "hunter2" not in str(caught.value)


def test_a_missing_bucket_is_no_missing_run(bucket: str, s3_options: dict[str, Any]) -> None:
    assert ParquetStore(f"s3://{bucket}/store", s3_options).get_run_uri("x") is None
    with pytest.raises(StoreNotFoundError, match="create the bucket"):
        ParquetStore("s3://no-such-bucket-here/store", s3_options).get_run_uri("x")


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"acess_key": "hunter2"}, "acess_key"),
        ({"endpoint_url": "minio:9000"}, "Invalid endpoint"),
        ({"client_kwargs": "hunter2"}, "storage_options"),
    ],
)
def test_wrong_options_are_named_and_not_shown(bucket: str, wrong: dict[str, Any], said: str) -> None:
    store = ParquetStore(f"s3://{bucket}/x", {"key": "k", "secret": "hunter2", **wrong})
    with pytest.raises(StoreError, match=said) as caught:
        store.write(SampleRun(run_uid="one"))
    assert "storage_options" in str(caught.value)
    assert "hunter2" not in str(caught.value)


def test_sums_of_whole_numbers_are_whole_numbers(tmp_path: Path) -> None:
    store = ParquetStore(str(tmp_path / "store"))
    store.write(SampleRun(run_uid="one", records=[{"table_name": "t", "x": 2**62} for _ in range(3)]))
    query = "select sum(x) as wide, sum(x // 3) as fits, sum(x::double) as real, count(*) as n from t"
    (row,) = store.query_sql(query).to_pylist()
    assert row == {"wide": 3 * 2**62, "fits": 3 * (2**62 // 3), "real": pytest.approx(3.0 * 2**62), "n": 3}
    assert [type(row["fits"]), type(row["n"])] == [int, int]


@pytest.mark.parametrize("number", [0.5, 2**60])
def test_a_store_that_was_emptied_begins_anew(
    open_store: OpenStore, number: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also with other columns and types than the process remembers."""
    monkeypatch.setattr(_types, "_TRUSTED_S", -1.0)
    store = open_store()
    store.write(SampleRun(run_uid="before", records=[{"table_name": "t", "a": 1, "gone": "x"}]))
    store.write(SampleRun(run_uid="also before", records=[{"table_name": "t", "a": number, "gone": "x"}]))
    objects = store._objects
    objects.filesystem.rm(objects.path_of(""), recursive=True)
    receipt = store.write_with_receipt(SampleRun(run_uid="after", records=[{"table_name": "t", "a": "text"}]))
    assert receipt.created
    for reader in (store, open_store()):
        assert reader.read_table("t").select(["run_uid", "a"]).to_pylist() == [{"run_uid": "after", "a": "text"}]
        assert reader.query_sql("select a from t").to_pylist() == [{"a": "text"}]
        assert "gone" not in [column.name for column in reader.describe_table("t").columns]


def test_secrets_are_never_shown(bucket: str, s3_options: dict[str, Any]) -> None:
    store = ParquetStore(f"s3://{bucket}/store", {**s3_options, "secret": "hunter2"})
    receipt = store.write_with_receipt(SampleRun(run_uid="one"))
    broken = ParquetStore("s3://no-such-bucket-here/x", {**s3_options, "secret": "hunter2"})
    with pytest.raises(StoreError) as caught:
        broken.write(SampleRun(run_uid="one"))
    shown = f"{store!r} {store.uri} {receipt!r} {store.get_run_uri('one')} {caught.value} {caught.value.__cause__}"
    assert "hunter2" not in shown
    with pytest.raises(StoreError):
        broken.list_tables()


def test_a_server_that_is_down_is_unavailable_not_empty() -> None:
    options = {
        "key": "k",
        "secret": "s",
        "endpoint_url": "http://127.0.0.1:9",
        "config_kwargs": {"retries": {"max_attempts": 0}},
    }
    store = ParquetStore("s3://bucket/store", options)
    for ask in (store.list_tables, lambda: store.get_run_uri("x"), lambda: store.write(SampleRun(run_uid="x"))):
        with pytest.raises(StoreUnavailableError):
            ask()


def test_a_refusal_is_a_permission_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = ParquetStore(str(tmp_path / "store"))

    def refuse(*_: Any, **__: Any) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "link", refuse)  # root may write anywhere, so the refusal is simulated at the system call
    with pytest.raises(StorePermissionError, match="credentials"):
        store.write(SampleRun(run_uid="x"))
    assert list((tmp_path / "store" / "_schema").iterdir()) == []


def test_relative_paths_are_made_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    store = ParquetStore("results")
    monkeypatch.chdir("/")
    assert store.uri == str(tmp_path / "results")
    assert pickle.loads(pickle.dumps(store)).uri == store.uri
    assert ParquetStore.normalized_options({"uri": "/a/../b"}) == {"uri": "/b"}


def test_a_large_report_is_kept_beside_the_results(open_store: OpenStore) -> None:
    store = open_store()
    uri = store.put_artifact("run/1/report.md", b"# long")
    assert uri == f"{store.uri}/_artifacts/run/1/report.md"
    assert store.put_artifact("run/1/report.md", b"# other") == uri
    assert store.list_tables() == []


class RunWithLargeReport(SampleRun):
    def collect_md_report(self, threshold: float) -> str:
        return "x" * 300_000


class LargeReport:
    id = "large-report"

    def run(self, **_: Any) -> SampleRun:
        return RunWithLargeReport(run_uid="one")


def test_a_large_report_goes_where_artifact_store_says(bucket: str, s3_options: dict[str, Any], tmp_path: Path) -> None:
    store = {"backend": "parquet", "uri": str(tmp_path / "store")}
    kept = {"uri": f"s3://{bucket}/kept", "storage_options": s3_options}
    backend = configure_job_backend("inline", analytics_store=store, artifact_store=kept)
    ref = submit_capability(LargeReport()).result(30)
    shutdown_job_backend()
    assert str(ref.report).startswith(f"s3://{bucket}/kept/one/")
    assert len(ref.open_report().read()) == 300_000
    assert len(ref.open_report(s3_options).read()) == 300_000
    assert backend.analytics_store.list_tables() == ["runs", "sample_scores"]
    assert not (tmp_path / "store/_artifacts").exists()
