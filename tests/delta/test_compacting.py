"""Compaction and vacuum change no answer, whoever else is at work."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from checkmaite.jobs import ArgumentError
from checkmaite.store_delta import DeltaStore, _compacting
from checkmaite.store_delta._tables import Tables
from deltalake import DeltaTable

from tests.delta.writing import event, processes, run_of, whole_runs

RUNS = {f"run-{number}": number for number in range(4)}


def filled(store: DeltaStore) -> DeltaStore:
    for uid, by in RUNS.items():
        store.write(run_of(uid, by))
    return store


def answers(store: DeltaStore) -> list[pa.Table]:
    store.write_with_receipt(run_of("run-1", by=7), provenance=event("again"), supersede=True)
    every = [store.read_table(name, revision=revision) for name in ("part_a", "runs") for revision in (1, "all", None)]
    return [table.sort_by([(name, "ascending") for name in table.column_names]) for table in every]


def files_of(store: DeltaStore, table: str = "part_a") -> int:
    return len(DeltaTable(f"{store.uri}/{table}", storage_options=store._tables._options).file_uris())


def test_answers_stay(open_store: Callable[[], DeltaStore]) -> None:
    store = filled(open_store())
    before = answers(store)
    assert (files_of(store), store.backlog().files) == (5, 5)
    assert store.compact() == _compacting.Compaction(files=4 * 4, lost_rows=0)
    assert (files_of(store), files_of(store, "runs")) == (1, 1)
    assert answers(store) == before
    assert open_store().query_sql("select count(*) as n from part_a").to_pylist() == [{"n": 8}]
    assert not store.write_with_receipt(run_of("run-0", by=9)).created, "it knows what is stored"
    assert store.compact().files == 0
    store.write(run_of("later"))
    assert store.compact().files == 4, "two of each table become one"
    assert whole_runs(store)["later"] == 0


@pytest.mark.parametrize("what", ["compact", "write", "supersede", "widen"])
def test_what_comes_between(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str) -> None:
    """Between what a compaction has read and its commit: nothing is lost, nothing is there twice."""
    store, other = filled(DeltaStore(tmp_path / "store")), DeltaStore(tmp_path / "store")
    replace, done = Tables.replace, []

    def come_between(self: Tables, name: str, *args: Any) -> bool:
        if self is store._tables and name not in done:
            done.append(name)
            match what:
                case "compact":
                    other.compact()
                case "write":
                    other.write(run_of(f"new-{len(done)}"))
                case "supersede":
                    other.write_with_receipt(run_of("run-1"), provenance=event(f"again-{len(done)}"), supersede=True)
                case "widen":
                    floats = [{"table_name": "part_a", "x": 0.5, "maker": 0}]
                    other.write(run_of(f"new-{len(done)}").__class__(run_uid=f"float-{len(done)}", records=floats))
        return replace(self, name, *args)

    monkeypatch.setattr(Tables, "replace", come_between)
    assert store.compact().given_up == ()
    assert done == (["part_a"] if what == "compact" else ["part_a", "part_b", "part_c", "runs"])
    seen = {
        row["run_uid"]: row["n"]
        for row in store.query_sql(
            "select run_uid, count(*) as n from part_a where run_uid like 'run%' or run_uid like 'new%' group by all"
        ).to_pylist()
    }
    new = {f"new-{number}" for number in (1, 2, 3, 4)} if what == "write" else set()
    assert seen == dict.fromkeys({*RUNS, *new}, 2)
    assert len(store.read_table("part_b")) == len(store.read_table("part_c")) == 2 * len(seen)


def test_a_compactor_that_is_killed(tmp_path: Path) -> None:
    for before in (True, False):
        store = filled(DeltaStore(tmp_path / f"store-{before}"))
        compactor = processes.Process(target=compact_and_die, args=(store.uri, before))
        compactor.start()
        compactor.join()
        assert compactor.exitcode == -signal.SIGKILL
        assert whole_runs(store) == RUNS
        store.compact()
        assert whole_runs(store) == RUNS


def compact_and_die(folder: str, before: bool) -> None:
    from tests.delta.writing import die_at

    die_at(2, before=before)
    DeltaStore(folder).compact()


def test_processes_that_compact_at_once_beside_a_writer(tmp_path: Path) -> None:
    store = filled(DeltaStore(tmp_path / "store"))
    go = processes.Event()
    compactors = [processes.Process(target=compact_often, args=(store.uri, go)) for _ in range(2)]
    for compactor in compactors:
        compactor.start()
    go.set()
    expected = dict(RUNS)
    for number in range(10):
        store.write(run_of(f"new-{number}"))
        expected[f"new-{number}"] = 0
        assert whole_runs(store) == expected
    for compactor in compactors:
        compactor.join()
        assert compactor.exitcode == 0
    assert whole_runs(store) == expected


def compact_often(folder: str, go: Any) -> None:
    store = DeltaStore(folder)
    go.wait()
    for _ in range(5):
        store.compact()


def test_a_vacuum_deletes_what_nobody_needs(tmp_path: Path) -> None:
    store = filled(DeltaStore(tmp_path / "store"))
    before = answers(store)
    left = tmp_path / "store" / "part_a" / "left-by-a-killed-writer.parquet"
    left.write_bytes(b"torn")
    store.compact()
    assert store.vacuum() == 0, "a reader or a writer may be at work"
    long_ago = left.stat().st_mtime - 3 * 3600
    os.utime(left, (long_ago, long_ago))
    assert store.vacuum(grace_s=2 * 3600) == 1
    assert not left.exists()
    assert answers(store) == before
    for bad in (0, -1, 3600, True, "a day", float("nan"), float("inf")):
        with pytest.raises(ArgumentError, match="grace_s"):
            store.vacuum(grace_s=bad)  # type: ignore[arg-type]


def test_maintenance_waits_until_it_is_worth_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = filled(DeltaStore(tmp_path / "store"))
    store.maintain()
    assert files_of(store) == len(RUNS)
    monkeypatch.setattr(_compacting, "WORTH_COMPACTING", len(RUNS))
    store.maintain()
    assert files_of(store) == 1
    assert whole_runs(store) == RUNS
