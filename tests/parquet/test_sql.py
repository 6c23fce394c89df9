"""SQL as people write it, and as people who mean no good do."""

from __future__ import annotations

import sys
import threading
import time
import tracemalloc  # noqa: F401 - named in a hostile statement
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import duckdb
import pyarrow as pa
import pytest
from checkmaite.jobs import MissingDependencyError, QueryError, StoreCorruptError, StoreError
from checkmaite.jobs.testing import SampleRun
from checkmaite.store_parquet import ParquetStore

SLOW = "select count(*) from range(1000000) as a, range(1000000) as b where (a.range + b.range) % 3 = 1"


def records(**columns: Any) -> list[dict[str, Any]]:
    return [{"table_name": "accuracy", "value": number / 4, **columns} for number in range(4)]


@pytest.fixture
def store(tmp_path: Path) -> ParquetStore:
    store = ParquetStore(tmp_path / "store")
    store.write(
        [SampleRun(run_uid="one", records=records(model="a")), SampleRun(run_uid="two", records=records(model="b"))]
    )
    store.compact()
    store.write(SampleRun(run_uid="three", records=[{"table_name": "order", "value": 1, "group": "x"}]))
    return store


# -- as people write it -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        ("show tables", [{"name": "accuracy"}, {"name": "order"}, {"name": "runs"}]),
        ("SHOW TABLES;", [{"name": "accuracy"}, {"name": "order"}, {"name": "runs"}]),
        ("from (describe accuracy) select column_name where column_type = 'DOUBLE'", [{"column_name": "value"}]),
        ("from (summarize accuracy) select max where column_name = 'value'", [{"max": "0.75"}]),
        (
            "select table_name from information_schema.tables order by all",
            [{"table_name": "accuracy"}, {"table_name": "order"}, {"table_name": "runs"}],
        ),
        (
            "select count(*) as n from information_schema.columns where table_name = 'accuracy'",
            [{"n": 3}],
        ),
        ("pivot (select model, value from accuracy) on model using max(value)", [{"a": 0.75, "b": 0.75}]),
        ("select a + b as x from (pivot (select model, value from accuracy) on model using max(value))", [{"x": 1.5}]),
        (
            "with t as (select model from accuracy where value > 0.5) pivot t on model using count(*)",
            [{"a": 1, "b": 1}],
        ),
        ("unpivot (select max(value) as most from accuracy) on most into name n value v", [{"n": "most", "v": 0.75}]),
        ('select "group" as g from "order"', [{"g": "x"}]),
        ('select "value" as v from main."accuracy" where "model" = \'a\' and value = 0.5 -- pivot', [{"v": 0.5}]),
        ("select 'from nowhere join \"order\"' as x /* from order */", [{"x": 'from nowhere join "order"'}]),
        ("from accuracy select max(value) as m", [{"m": 0.75}]),
        ("table accuracy limit 0", []),
        ("select * from duckdb_temporary_files()", []),
        ("select * from duckdb_secrets()", []),
    ],
)
def test_sql_is_answered(store: ParquetStore, sql: str, expected: list[dict[str, Any]]) -> None:
    assert store.query_sql(sql).to_pylist() == expected


def test_results_come_as_what_is_asked_for(store: ParquetStore) -> None:
    sql = "select run_uid, max(value) as m from accuracy group by all order by all"
    assert isinstance(store.query_sql(sql), pa.Table)
    pandas = pytest.importorskip("pandas")
    frame = store.query_sql(sql, to="pandas")
    assert isinstance(frame, pandas.DataFrame)
    assert frame.values.tolist() == [["one", 0.75], ["two", 0.75]]
    with pytest.raises(QueryError, match='"polars"'):
        store.query_sql(sql, to="numpy")  # type: ignore[arg-type]


def test_results_come_as_polars(store: ParquetStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """Polars is not among what the tests need: what it would be called with is."""
    monkeypatch.setitem(sys.modules, "polars", None)
    with pytest.raises(MissingDependencyError, match="polars"):
        store.query_sql("select 1", to="polars")
    monkeypatch.setitem(sys.modules, "polars", SimpleNamespace(from_arrow=lambda table: ("frame", table.num_rows)))
    assert store.query_sql("from accuracy", to="polars") == ("frame", 8)


def test_a_result_comes_in_pieces(store: ParquetStore) -> None:
    batches = store.query_batches("select * from range(5000) order by 1", batch_rows=1000)
    first = next(batches)
    assert isinstance(first, pa.RecordBatch)
    assert first.num_rows <= 1000
    assert first.num_rows + sum(batch.num_rows for batch in batches) == 5000
    threads = threading.active_count()
    abandoned = store.query_batches("select value from accuracy", timeout_s=60)
    next(abandoned)
    abandoned.close()
    assert threading.active_count() == threads, "nothing of it goes on"
    with pytest.raises(QueryError, match="exactly one SELECT"):
        next(store.query_batches("drop table runs"))
    with pytest.raises(QueryError, match="batch_rows is 0"):
        store.query_batches("select 1", batch_rows=0)


# -- wrong names ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sql", "near"),
    [
        ("select * from acuracy", "Did you mean 'accuracy'? Tables: accuracy, order, runs."),
        ("select * from main.ordr", "Did you mean 'order'? Tables: accuracy, order, runs."),
        ("select valu from accuracy", "Did you mean 'value'?"),
        ("select a.modle from accuracy as a", "Did you mean 'model'?"),
        ("select * from accuracy join runs using (run_id)", "Did you mean 'run_uid'?"),
        ("select * from pg_tabels", "Tables: accuracy, order, runs."),
        ("select * from information_schema.tabels", "Tables: accuracy, order, runs."),
        ("select * from read_cvs('x')", "those that read files are not allowed"),
        ("select summ(value) from accuracy", "DuckDB's functions"),
    ],
)
def test_a_wrong_name_is_told_by_those_of_this_store(store: ParquetStore, sql: str, near: str) -> None:
    with pytest.raises(QueryError) as told:
        store.query_sql(sql)
    assert near in str(told.value)
    for alien in ("pg_tables", "read_csv", "information_schema.", "Candidate", "duckdb_"):
        assert alien not in str(told.value).replace(sql, "").replace(sql.rpartition(" ")[2], "")


# -- limits -----------------------------------------------------------------------------------------------------------


def test_a_query_that_takes_too_long_is_ended(store: ParquetStore) -> None:
    began = time.monotonic()
    with pytest.raises(QueryError, match=r"longer than timeout_s=0\.3\. Raise it"):
        store.query_sql(SLOW, timeout_s=0.3)
    with pytest.raises(QueryError, match=r"timeout_s=0\.3"):
        list(store.query_batches(SLOW, timeout_s=0.3))
    assert time.monotonic() - began < 30
    assert store.query_sql("select 1 as x", timeout_s=1e12).to_pylist() == [{"x": 1}]


def test_a_query_that_takes_too_much_memory_is_ended(store: ParquetStore) -> None:
    large = "select range::varchar || 'abcdefghijklmno' as x from range(3000000) order by hash(range)"
    with pytest.raises(QueryError, match="more than max_memory_bytes=20,000,000"):
        store.query_sql(large, max_memory_bytes=20_000_000, threads=1)


def test_the_engine_keeps_to_its_threads(store: ParquetStore) -> None:
    for threads in (1, 3):
        found = store.query_sql("select current_setting('threads') as n", threads=threads).to_pylist()
        assert found == [{"n": threads}]


@pytest.mark.parametrize(
    "limits", [{"timeout_s": 0}, {"timeout_s": "1"}, {"timeout_s": True}, {"max_memory_bytes": 0.5}, {"threads": 0}]
)
def test_limits_that_make_no_sense_are_refused(store: ParquetStore, limits: dict[str, Any]) -> None:
    with pytest.raises(QueryError, match=next(iter(limits))):
        store.query_sql("select 1", **limits)


def test_a_damaged_file_is_a_corrupt_store_and_no_fault_of_the_query(store: ParquetStore) -> None:
    (copies,) = Path(store.uri).glob("_compact/*/accuracy.parquet")
    content = copies.read_bytes()
    copies.write_bytes(content[:4] + b"x" * 60 + content[64:])
    for ask in (lambda: store.query_sql("select * from accuracy"), lambda: list(store.query_batches("from accuracy"))):
        with pytest.raises(StoreError, match="accuracy") as told:
            ask()
        assert not isinstance(told.value, QueryError)
    assert store.query_sql('select * from "order"').num_rows == 1, "other tables are read"


# -- hostile ----------------------------------------------------------------------------------------------------------

HOSTILE = """
select * from '{secret}'
select * from read_csv('{secret}')
select * from read_csv_auto('{secret}')
select * from read_text('{secret}')
select * from read_blob('{secret}')
select * from read_json('{secret}')
select * from read_parquet('{parquet}')
select * from parquet_scan('{parquet}')
select * from parquet_metadata('{parquet}')
select * from parquet_schema('{parquet}')
select * from '{parquet}'
select * from 'file://{secret}'
select * from 'https://127.0.0.1/x.parquet'
select * from read_parquet('s3://bucket/x.parquet')
select * from glob('{folder}/*')
select * from sniff_csv('{secret}')
select * from accuracy where value = (select count(*) from read_text('{secret}'))
with x as (select * from read_text('{secret}')) select * from x
select (select content from read_text('{secret}'))
select * from query('select * from read_text(''{secret}'')')
select * from query_table('{parquet}')
pivot read_csv('{secret}') on column0
pivot (select * from read_text('{secret}')) on filename
select * from accuracy, lateral (select * from read_text('{secret}'))
copy accuracy to '{new}'
copy (select 1) to '{new}' (format parquet)
copy accuracy from '{secret}'
copy from database memory to x
with x as (select 1) copy (from x) to '{new}'
export database '{new}'
import database '{folder}'
attach '{new}' as x
attach '{new}' as x (type sqlite)
detach memory
use main
install httpfs
install 'https://127.0.0.1/x.duckdb_extension'
force install httpfs
load httpfs
load '{secret}'
update extensions
set enable_external_access = true
set disabled_filesystems = ''
set temp_directory = '{new}'
set memory_limit = '100GB'
set lock_configuration = false
set log_query_path = '{new}'
reset lock_configuration
pragma enable_profiling
pragma database_list
pragma profiling_output = '{new}'
call pragma_version()
select 1; copy (select 1) to '{new}'
begin; select 1; commit
create table x as select 1
create temp table x as select * from accuracy
create view x as select * from read_text('{secret}')
create or replace macro x() as table select * from read_text('{secret}')
create secret x (type s3, key_id 'a', secret 'b')
create persistent secret x (type s3, key_id 'a', secret 'b')
insert into accuracy values (1)
update accuracy set value = 1
delete from accuracy
truncate accuracy
drop view accuracy
alter table accuracy add column x int
with x as (insert into accuracy values (1) returning *) select * from x
with x as (delete from accuracy returning *) select * from x
prepare x as select 1
execute x
deallocate x
explain analyze copy (select 1) to '{new}'
checkpoint
vacuum
comment on table accuracy is 'x'
select getenv('HOME')
select nextval('x')
select * from tracemalloc
select * from store
""".strip().splitlines()


def everything(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def hostile(store: ParquetStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], str]]:
    """Fills a statement in; afterwards nothing has been made anywhere."""
    (tmp_path / "secret.csv").write_text("confidential\n1\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    before = everything(tmp_path)
    names = {
        "secret": tmp_path / "secret.csv",
        "parquet": next((tmp_path / "store/order").iterdir()),
        "folder": tmp_path,
        "new": tmp_path / "new",
    }
    yield lambda sql: sql.format(**names)
    assert everything(tmp_path) == before


def test_there_are_sixty_at_least() -> None:
    assert len(set(HOSTILE)) >= 60


@pytest.mark.parametrize("sql", HOSTILE)
def test_a_hostile_statement_is_refused(store: ParquetStore, hostile: Callable[[str], str], sql: str) -> None:
    for ask in (store.query_sql, lambda text: list(store.query_batches(text))):
        with pytest.raises(QueryError) as told:
            ask(hostile(sql))
        assert "confidential" not in str(told.value)


READS = (
    "create ",
    "copy from database",
    "use ",
    "pragma database_list",
    "call ",
    "begin",
    "drop view",
    "comment",
    "checkpoint",
)
"""What changes nothing but the connection's own memory."""


@pytest.mark.parametrize(
    "sql", [each for each in HOSTILE if not each.startswith((*READS, "detach", "prepare", "deallocate", "vacuum"))]
)
def test_a_connection_of_ones_own_is_as_locked(store: ParquetStore, hostile: Callable[[str], str], sql: str) -> None:
    with store.connect() as connection, pytest.raises(duckdb.Error) as told:
        connection.sql(hostile(sql)).fetchall()
    assert "confidential" not in str(told.value)


def test_a_connection_shows_the_tables(store: ParquetStore) -> None:
    with store.connect(threads=1, max_memory_bytes=10**8) as connection:
        assert connection.sql("show tables").fetchall() == [("accuracy",), ("order",), ("runs",)]
        connection.execute("create table best as select run_uid, max(value) as value from accuracy group by all")
        assert connection.execute("select count(*) from best join runs using (run_uid)").fetchone()
        store.write(SampleRun(run_uid="later", records=records(model="a")))
        assert connection.execute("select count(*) from accuracy").fetchone() == (8,)
        assert connection.execute("select current_setting('threads')").fetchone() == (1,)
    with store.connect() as connection:
        assert connection.execute("select count(*) from accuracy").fetchone() == (12,)
    with store.connect(revision=2) as connection:
        assert connection.execute("show tables").fetchall() == []


def test_a_corrupt_store_gives_no_connection(store: ParquetStore) -> None:
    (Path(store.uri) / "_compact/00000001.json").write_bytes(b"torn")
    with pytest.raises(StoreCorruptError):
        store.connect()
