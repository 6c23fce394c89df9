"""What the Delta store does on a disk and on S3 beyond the suite of stores, and what it says when it cannot."""

from __future__ import annotations

import json
import math
import os
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from checkmaite.jobs import (
    ConfigurationError,
    RecordError,
    Report,
    StoreCorruptError,
    StoreError,
    StoreNotFoundError,
    StorePermissionError,
    StoreUnavailableError,
)
from checkmaite.jobs.testing import SampleRun
from checkmaite.store_delta import DeltaOptions, DeltaStore
from deltalake import DeltaTable, write_deltalake

from tests.delta.writing import event, run_of, whole_runs

PAGE = (Path(__file__).parents[2] / "docs/how-to/delta-store.md").read_text()


def test_a_disk_and_s3_alike(open_store: Callable[[], DeltaStore]) -> None:
    store = open_store()
    store.probe()
    assert store.list_tables() == []
    report = Report(kind="inline_text", text="# what came of it\n" * 1000)
    first = store.write_with_receipt(run_of("run"), provenance=event("one"), report=report)
    assert (first.created, first.revision, first.store_uri) == (True, 1, f"{store.uri}/part_a#run")
    again = pickle.loads(pickle.dumps(store)).write_with_receipt(run_of("run", by=5))
    assert (again.created, again.store_uri) == (False, first.store_uri)
    second = store.write_with_receipt(run_of("run", by=2), provenance=event("two"), supersede=True)
    assert (second.revision, second.store_uri) == (2, f"{store.uri}/part_a#run!2")
    found = open_store().find_run("run", run_event_id="one")
    assert found is not None
    assert (found.ref.report, found.provenance.run_event_id) == (report, "one")
    assert whole_runs(open_store()) == {"run": 2}
    assert store.query_sql("select sum(x) as x from part_b join runs using (run_uid)").to_pylist() == [{"x": 27}]
    assert [batch.num_rows for batch in store.query_batches("select * from part_b")] == [2]
    assert store.connect().sql("select count(*) from part_b").fetchall() == [(2,)]
    uri = store.put_artifact("run/report.md", b"large")
    assert uri == f"{store.uri}/_artifacts/run/report.md"
    store.delete_artifact("run/report.md")


def test_of_names_that_sql_takes_for_one_the_first_wins_for_all_writers(open_store: Callable[[], DeltaStore]) -> None:
    for uid, row in (("one", {"x": 1}), ("two", {"Accuracy": 0.5})):
        open_store().write(SampleRun(run_uid=uid, records=[{"table_name": "Scores", **row}]))
    for said, row in (
        (r"scores.table_name: differs only in case.* from the table 'Scores'", {"table_name": "scores", "x": 1}),
        (
            r"Scores.accuracy: differs only in case.* from the column 'Accuracy'",
            {"table_name": "Scores", "accuracy": 1.0},
        ),
    ):
        with pytest.raises(RecordError, match=said):
            open_store().write(SampleRun(run_uid="late", records=[{"table_name": "new", "x": 1}, row]))
    store = open_store()
    assert store.list_tables() == ["Scores", "runs"]
    assert store.query_sql("select max(accuracy) as m from scores").to_pylist() == [{"m": 0.5}]


def test_the_doctor_tries_the_place_and_the_library(tmp_path: Path) -> None:
    store = DeltaStore(tmp_path / "store")
    store.write(run_of("one"))
    assert {each.state for each in store.doctor()} == {"ok"}
    for log in (tmp_path / "store/runs/_delta_log").iterdir():
        log.write_bytes(b"no log")
    faults = [each for each in store.doctor() if each.state == "fault"]
    assert [each.check for each in faults] == ["tables"]
    assert "runs" in faults[0].found
    assert "_doctor" not in {each.name for each in (tmp_path / "store").iterdir()}


def test_no_reader_loses_a_nan(tmp_path: Path) -> None:
    """Statistics of floats leave it out."""
    store = DeltaStore(tmp_path / "store")
    for uid, x in (("nan", math.nan), ("one", 1.0)):
        store.write(SampleRun(run_uid=uid, records=[{"table_name": "t", "x": x}]))
    for _ in range(2):
        assert store.query_sql("select run_uid from t where isnan(x)").to_pylist() == [{"run_uid": "nan"}]
        assert store.query_sql("select run_uid from t where x > 5").to_pylist() == [{"run_uid": "nan"}]
        store.compact()


@pytest.mark.parametrize("act", ["write", "compact", "widen"])
def test_what_is_acknowledged_is_durable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, act: str) -> None:
    """The library syncs nothing by itself."""
    store = DeltaStore(tmp_path / "store")
    if act != "write":
        store.write([run_of("one"), run_of("two")])
    before = {path.stat().st_ino for path in (tmp_path / "store").rglob("*")}
    synced, fsync = set[int](), os.fsync

    def noting(descriptor: int) -> None:
        synced.add(os.fstat(descriptor).st_ino)
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", noting)
    match act:
        case "write":
            store.write(run_of("one"))
        case "compact":
            store.compact()
        case "widen":
            store.write(SampleRun(run_uid="three", records=[{"table_name": "part_a", "x": 0.5, "maker": 1}]))
    new = {path: path.stat().st_ino for path in (tmp_path / "store").rglob("*")}
    assert [str(path) for path, number in new.items() if number not in before | synced] == []
    assert {new[path.parent] for path, number in new.items() if number not in before and path.parent in new} <= synced


def test_columns_that_come_later_and_widen(open_store: Callable[[], DeltaStore]) -> None:
    store = open_store()
    for uid, columns in (("a", {"x": 1}), ("b", {"y": "later"}), ("c", {"x": 0.5}), ("d", {"x": 2, "y": None})):
        store.write(SampleRun(run_uid=uid, records=[{"table_name": "t", **columns}]))
    rows = store.read_table("t", columns=["run_uid", "x", "y"]).sort_by("run_uid")
    assert rows.schema.field("x").type == pa.float64()
    assert rows.column("x").to_pylist() == [1.0, None, 0.5, 2.0]
    assert rows.column("y").to_pylist() == [None, "later", None, None]


def test_names_of_columns_are_taken_as_they_are(tmp_path: Path) -> None:
    store = DeltaStore(tmp_path / "store")
    names = ["a b", "a.b", "a,b", "a`b", "a=b", "é", "a;b", "(x)", "{", 'a"b', "a/b", "a%b", "x" * 300, "_", "attempt"]
    record = {"table_name": "t", **dict.fromkeys(names, 1)}
    store.write(SampleRun(run_uid="run", records=[record]))
    store.write(SampleRun(run_uid="another", records=[record]))
    store.compact()
    for table in (store.read_table("t"), store.query_sql("select * from t")):
        assert table.column_names == ["run_uid", *names]
        assert table.column("a`b").to_pylist() == [1, 1]


def test_plain_readers_of_delta_tables(tmp_path: Path) -> None:
    """By the code of the how-to: it takes of each table what ``runs`` names."""
    store = DeltaStore(tmp_path / "store")
    store.write_with_receipt(run_of("run", by=1))
    store.write_with_receipt(run_of("run", by=2), supersede=True)
    (code,) = [part.partition("\n```")[0] for part in PAGE.split("```py\n") if "import DeltaTable" in part]
    names: dict[str, Any] = {"store": store}
    exec(code, names)
    assert names["rows"].column("maker").to_pylist() == [2, 2]


def log_of(store: DeltaStore, table: str) -> list[Path]:
    return sorted(Path(store.uri, table, "_delta_log").glob("*.json"))


def data_of(store: DeltaStore, table: str) -> list[Path]:
    return sorted(Path(store.uri, table).glob("*.parquet"))


def spoil_log(store: DeltaStore) -> None:
    log_of(store, "part_a")[-1].write_text("{ no JSON")


def spoil_first(store: DeltaStore) -> None:
    for path in log_of(store, "part_a"):
        path.write_bytes(b"")


def spoil_data(store: DeltaStore) -> None:
    data_of(store, "part_a")[0].write_bytes(b"no Parquet")


def lose_data(store: DeltaStore) -> None:
    data_of(store, "part_a")[0].unlink()


def lose_table(store: DeltaStore) -> None:
    Path(store.uri, "part_a").rename(Path(store.uri, "elsewhere"))


def retype(store: DeltaStore) -> None:
    write_deltalake(f"{store.uri}/part_a", pa.table({"x": pa.array([[1]])}), mode="overwrite", schema_mode="overwrite")


@pytest.mark.parametrize("spoil", [spoil_log, spoil_first, spoil_data, lose_data, lose_table])
def test_a_damaged_table_is_named_and_others_stay_readable(tmp_path: Path, spoil: Callable[[DeltaStore], None]) -> None:
    store = DeltaStore(tmp_path / "store")
    store.write(run_of("run"))
    spoil(store)
    for ask in (
        lambda: store.read_table("part_a"),
        lambda: store.query_sql("select * from part_a"),
        lambda: store.read_table("part_a", limit=1),
    ):
        with pytest.raises(StoreError, match="/part_a") as caught:
            ask()
        assert isinstance(caught.value, (StoreCorruptError, StoreNotFoundError))
        assert "estore" in str(caught.value), "it says what to do"
    assert store.read_table("part_b").num_rows == 2
    assert store.find_run("run") is not None
    assert not store.write_with_receipt(run_of("run", by=3)).created, "an error is not taken for empty"


def test_a_table_of_somebody_else(tmp_path: Path) -> None:
    store = DeltaStore(tmp_path / "store")
    store.write(run_of("run"))
    retype(store)
    with pytest.raises(StoreCorruptError, match="this store has not made the table"):
        store.write(run_of("another"))
    assert store.find_run("another") is None


def test_runs_that_say_nonsense(tmp_path: Path) -> None:
    store = DeltaStore(tmp_path / "store")
    store.write(run_of("run"))
    runs = DeltaTable(f"{store.uri}/runs")
    rows = runs.to_pyarrow_table()
    for facts in ("{}", "[]", "no JSON", json.dumps({"outputs_uri": None, "report": {"x": 1}})):
        place = rows.column_names.index("__facts")
        spoiled = rows.set_column(place, "__facts", pa.array([facts, *[None] * (rows.num_rows - 1)]))
        write_deltalake(f"{store.uri}/runs", spoiled, mode="overwrite")
        with pytest.raises(StoreCorruptError, match="'run'"):
            store.find_run("run")


REPLIES = [
    ("http://127.0.0.1:9", {}, StoreUnavailableError),
    (None, {"key": "expired", "secret": "expired-secret"}, StorePermissionError),
]


@pytest.mark.parametrize(("endpoint", "keys", "kind"), REPLIES)
def test_what_s3_refuses(
    bucket: str,
    s3_options: dict[str, Any],
    expired_keys: set[str],
    endpoint: str | None,
    keys: dict[str, str],
    kind: type[StoreError],
) -> None:
    expired_keys.add("expired")
    options = {**s3_options, **keys, **({"endpoint_url": endpoint} if endpoint else {})}
    store = DeltaStore(f"s3://{bucket}/store", options, {"max_retries": "0", "retry_timeout": "1s"})
    for ask in (
        store.list_tables,
        lambda: store.get_run_uri("run"),
        lambda: store.read_table("runs"),
        lambda: store.write(run_of("run")),
        lambda: store.query_sql("select 1 from runs"),
    ):
        with pytest.raises(kind) as caught:
            ask()
        assert f"s3://{bucket}/store/" in str(caught.value)
        assert "secret" not in str(caught.value)
        assert "expired-" not in str(caught.value)


def test_a_bucket_that_is_not_there(s3_options: dict[str, Any]) -> None:
    store = DeltaStore("s3://no-such-bucket/store", s3_options)
    for ask in (store.list_tables, store.probe, lambda: store.write(run_of("run"))):
        with pytest.raises(StoreNotFoundError, match="create the bucket"):
            ask()


def test_options_are_checked_and_never_shown(tmp_path: Path) -> None:
    for uri, storage_options, delta_options, said in (
        ("memory://store", None, None, "knows no memory:// URLs"),
        ("s3://bucket/store", {"use_ssl": False}, None, "storage_options.use_ssl"),
        ("s3://bucket/store", {"client_kwargs": {"verify": False}}, None, "storage_options.verify"),
        (str(tmp_path), "text", None, "storage_options"),
        (str(tmp_path), None, "text", "delta_options"),
        (str(tmp_path), None, {"timeout": 30}, "delta_options"),
        (7, None, None, "uri"),
    ):
        with pytest.raises(ConfigurationError, match=said):
            DeltaStore(uri, storage_options, delta_options)  # type: ignore[arg-type]
    store = DeltaStore("s3://bucket/store", {"key": "swordfish", "secret": "swordfish"}, {"aws_region": "swordfish"})
    assert repr(store) == "DeltaStore('s3://bucket/store')"
    assert "swordfish" not in repr(
        DeltaOptions(uri="s3://b", storage_options={"key": "swordfish"}, delta_options={"x": "swordfish"})
    )
    assert DeltaStore(tmp_path / "x").uri == str(tmp_path / "x")
