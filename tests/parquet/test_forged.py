"""Files of somebody who means harm, or has slipped: named, followed nowhere, and no other table is harmed."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from checkmaite.jobs import StoreCorruptError
from checkmaite.jobs.testing import SampleRun
from checkmaite.store_parquet import ParquetStore
from checkmaite.store_parquet._rows import COMMIT_METADATA_KEY

READS: dict[str, Callable[[ParquetStore], Any]] = {
    "read_table": lambda store: store.read_table("good").num_rows,
    "query_sql": lambda store: store.query_sql("select * from good").num_rows,
    "describe_table": lambda store: store.describe_table("good").rows,
}


def run(uid: str, *tables: str) -> SampleRun:
    return SampleRun(run_uid=uid, records=[{"table_name": table, "x": 1} for table in tables])


@pytest.fixture
def store(tmp_path: Path) -> ParquetStore:
    """A store with two runs, one of which will be forged; beside it what is none of its business."""
    (tmp_path / "other").mkdir()
    pq.write_table(pa.table({"run_uid": ["bad"], "x": [99]}), tmp_path / "other/secret.parquet")
    store = ParquetStore(tmp_path / "store")
    store.write([run("one", "good"), run("bad", "t")])
    return store


def forge(store: ParquetStore, **columns: Any) -> Path:
    """Change a commit as somebody might who may write to the folder."""
    path = Path(store.uri, "runs/bad.parquet")
    table = pq.read_table(path)
    for name, value in columns.items():
        place = table.schema.get_field_index(name)
        table = table.set_column(place, name, pa.array([value] * table.num_rows))
    pq.write_table(table, path)
    return path


FORGED: dict[str, dict[str, Any]] = {
    "payload beside the store": {"payload": "../other/secret.parquet"},
    "payload anywhere": {"payload": "/etc/passwd"},
    "payload up and down": {"payload": "t/../../other/secret.parquet"},
    "payload of another table": {"payload": "good/one.parquet"},
    "payload in the journal": {"payload": "_jobs/x.parquet"},
    "no payload": {"payload": None},
    "a number": {"payload": 7},
    "table beside the store": {"capability_table": "../other", "payload": "../other/secret.parquet"},
    "table that is a pattern": {"capability_table": "(a+)+$", "payload": "(a+)+$/bad.parquet"},
    "half a pattern": {"capability_table": "x(", "payload": "x(/bad.parquet"},
    "table with quotes": {"capability_table": 't" --', "payload": 't" --/bad.parquet'},
    "table runs": {"capability_table": "runs", "payload": "runs/one.parquet"},
    "hidden table": {"capability_table": "_schema", "payload": "_schema/x.parquet"},
    "null table": {"capability_table": None},
    "no name": {"capability_table": "", "payload": "/bad.parquet"},
}


@pytest.mark.parametrize("compacts", [False, True], ids=["plain", "compacted"])
@pytest.mark.parametrize("what", FORGED)
def test_a_forged_commit_is_named_and_leads_nowhere(store: ParquetStore, what: str, compacts: bool) -> None:
    path = forge(store, **FORGED[what])
    if compacts:
        done = store.compact()
        assert (done.results, list(done.left_out)) == (1, ["bad.parquet"])
    for read in READS.values():
        with pytest.warns(RuntimeWarning, match=f"{path} is left out: it is no commit of a run"):
            assert read(store) == 1
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert store.list_tables() == ["good", "runs"]
        assert set(store.read_table("runs").column("run_uid").to_pylist()) == {"one"}
    with pytest.raises(StoreCorruptError, match=f"{path}: this is no commit of a run"):
        store.find_run("bad")
    with pytest.raises(StoreCorruptError, match=str(path)):
        store.write(run("bad", "t"))
    assert store.write(run("two", "good"))[0].created


@pytest.mark.parametrize("table", ["../other", "..", "", "_jobs", None, "x/y"])
def test_a_table_of_foreign_rows_leads_nowhere(store: ParquetStore, tmp_path: Path, table: str | None) -> None:
    about = {"run_uid": ["theirs"], "capability_table": pa.array([table], pa.string())}
    rows = pa.table({**about, "entity_type": ["model"], "entity_id": ["m"]})
    pq.write_table(rows, Path(store.uri, "runs/1767312000000_0123abcd.parquet"))
    shown = tmp_path / "other/1767312000000_0123abcd.parquet"
    pq.write_table(pa.table({"run_uid": ["theirs"], "x": [99]}), shown)
    assert store.list_tables() == ["good", "runs", "t"]
    assert "theirs" in store.read_table("runs").column("run_uid").to_pylist()
    for read in READS.values():
        assert read(store) == 1
    assert store.get_run_uri("theirs") is None


FACTS: dict[str, str] = {
    "a report beside the store": '{"report": %(report)s, "text_key": "../other/secret.parquet"}',
    "a report anywhere": '{"report": %(report)s, "text_key": "/etc/passwd"}',
    "a report up and down": '{"report": %(report)s, "text_key": "_artifacts/../../other/secret.parquet"}',
    "a report among rows": '{"report": %(report)s, "text_key": "t/bad.parquet"}',
    "a report that is a number": '{"report": %(report)s, "text_key": 7}',
    "a list": "[]",
    "no JSON": "{",
    "nested deeply": '{"report": ' * 100_000,
    "what nobody knows": '{"more": 1}',
}


@pytest.mark.parametrize("what", FACTS)
def test_what_a_forged_commit_says_of_its_run_leads_nowhere(store: ParquetStore, what: str) -> None:
    path = Path(store.uri, "runs/bad.parquet")
    facts = FACTS[what].replace("%(report)s", '{"kind": "inline_text"}')
    forged = pq.read_table(path).replace_schema_metadata({COMMIT_METADATA_KEY: facts})
    pq.write_table(forged, path)
    with pytest.raises(StoreCorruptError, match=f"{path}: this is no commit of a run"):
        store.find_run("bad")
    with pytest.raises(StoreCorruptError, match=str(path)):
        store.write(run("bad", "t"))
    assert store.find_run("one") is not None
    assert store.write(run("two", "good"))[0].created


MALFORMED = {
    "no JSON": b"{",
    "no text": b"\xff\xfe",
    "a list": b"[1]",
    "a number": b"7",
    "nested": b"[" * 100_000,
    "nested deeply": b'{"x":' * 100_000,
    "another type": b'{"x": "matrix"}',
    "a type of types": b'{"x": {"y": 1}}',
    "empty": b"",
}


@pytest.mark.parametrize("what", MALFORMED)
@pytest.mark.parametrize("key", ["_schema/t.json", "_schema/t/y.json"])
def test_malformed_types_are_named_and_take_one_table_down(store: ParquetStore, key: str, what: str) -> None:
    path = Path(store.uri, key)
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(MALFORMED[what])
    told = f"{path}: this is not a list of column types"
    for ask in (
        lambda: store.read_table("t"),
        lambda: store.query_sql("select * from t"),
        lambda: store.describe_table("t"),
        lambda: ParquetStore(store.uri).write(SampleRun(run_uid="new", records=[{"table_name": "t", "x": 1, "y": 1}])),
    ):
        with pytest.raises(StoreCorruptError, match=told):
            ask()
    for read in READS.values():
        assert read(store) == 1
    assert store.list_tables() == ["good", "runs", "t"]
    assert store.write(run("two", "good"))[0].created
    assert store.compact().results == 2
    assert READS["read_table"](store) == 2


@pytest.mark.parametrize("key", ["_schema", "_schema/t.json", "_schema/t"])
def test_types_elsewhere_are_not_followed(store: ParquetStore, tmp_path: Path, key: str) -> None:
    path, elsewhere = Path(store.uri, key), tmp_path / "elsewhere"
    if path.exists():
        path.rename(elsewhere)
    else:
        elsewhere.mkdir()
        (elsewhere / "y.json").write_text('{"y": "int"}')
    path.symlink_to(elsewhere)
    before = sorted(tmp_path.joinpath("elsewhere").rglob("*"))
    for ask in (
        lambda: store.read_table("t"),
        lambda: ParquetStore(store.uri).write(SampleRun(run_uid="new", records=[{"table_name": "t", "x": 1, "z": 1}])),
    ):
        with pytest.raises(StoreCorruptError, match=f"{path}: a symbolic link is not followed"):
            ask()
    assert sorted(tmp_path.joinpath("elsewhere").rglob("*")) == before
    if key != "_schema":
        assert READS["read_table"](store) == 1
