"""Writers at once, and writers that are killed: real processes, and the library's own commits."""

from __future__ import annotations

import os
import signal
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from checkmaite.store_delta import DeltaStore, _runs
from checkmaite.store_delta._writing import RunWriter

from tests.delta.writing import (
    event,
    found_in,
    processes,
    run_of,
    whole_runs,
    write_all,
    write_and_die,
    write_until_killed,
)

WRITERS = 3
STEPS = 15
"""Of the first write of a run with three tables: each is created, has a file and a commit, and so has ``runs``."""


def race(place: tuple[str, Any], uids: list[str]) -> list[tuple[int, str, int, bool]]:
    """Let processes write the same runs at the same time; what each of their writes was told."""
    told, go = processes.Queue(), processes.Event()
    writers = [processes.Process(target=write_all, args=(place, uids, by, told, go)) for by in range(WRITERS)]
    for writer in writers:
        writer.start()
    go.set()
    said = [told.get(timeout=240) for _ in range(2 * WRITERS * len(uids))]
    for writer in writers:
        writer.join()
        assert writer.exitcode == 0
    return said


def check_race(store: DeltaStore, uids: list[str], said: list[tuple[int, str, int, bool]]) -> None:
    assert set(whole_runs(store)) == {*uids}
    created = Counter((uid, revision) for _, uid, revision, is_created in said if is_created)
    assert set(created.values()) == {1}, "nobody is told that he stored what another one did"
    for uid in uids:
        numbers = sorted(revision for each, revision in created if each == uid)
        assert numbers == [*range(1, len(numbers) + 1)]
        assert len(numbers) == 1 + WRITERS, "the first result, and one of each writer that supersedes"
        for number in numbers:
            rows = store.read_table("part_c", revision=number, run_uids=[uid])
            assert (rows.num_rows, len(set(rows.column("maker").to_pylist()))) == (2, 1)


def test_processes_that_write_the_same_runs(tmp_path: Path) -> None:
    uids = [f"run-{number}" for number in range(4)]
    said = race((str(tmp_path / "store"), None), uids)
    check_race(DeltaStore(tmp_path / "store"), uids, said)


def test_processes_that_write_the_same_run_to_s3(bucket: str, s3_options: dict[str, Any]) -> None:
    place = f"s3://{bucket}/store", s3_options
    check_race(DeltaStore(*place), ["run"], race(place, ["run"]))


@pytest.mark.parametrize("before", [True, False])
def test_a_writer_that_is_killed_at_any_step(tmp_path: Path, before: bool) -> None:
    for step in range(1, STEPS + 1):
        folder = tmp_path / f"store-{step}"
        writer = processes.Process(target=write_and_die, args=(str(folder), "run", step, before))
        writer.start()
        writer.join()
        assert writer.exitcode == -signal.SIGKILL
        store = DeltaStore(folder)
        is_there = step == STEPS and not before
        assert whole_runs(store) == ({"run": 1} if is_there else {})
        assert (store.find_run("run") is not None) is is_there
        assert store.list_tables() == (["part_a", "part_b", "part_c", "runs"] if is_there else [])
        receipt = store.write_with_receipt(run_of("run", by=2), provenance=event("retry"))
        assert receipt.created is not is_there
        assert whole_runs(store) == {"run": 1 if is_there else 2}


def test_writers_that_are_killed_anywhere(tmp_path: Path) -> None:
    """Also in the middle of a library call."""
    folder = str(tmp_path / "store")
    stored: set[str] = set()
    writers = []
    for by in range(WRITERS):
        here, there = processes.Pipe(duplex=False)
        writer = processes.Process(target=write_until_killed, args=(folder, by, there))
        writer.start()
        there.close()
        writers.append((writer, here))
    for number, (writer, here) in enumerate(writers):
        for _ in range(2 + number):
            stored.add(here.recv())
        os.kill(writer.pid, signal.SIGKILL)
        writer.join()
        while here.poll():
            try:
                stored.add(here.recv())
            except EOFError:
                break
    store = DeltaStore(folder)
    seen = whole_runs(store)
    assert stored <= set(seen), "what was told is there"
    assert set(seen) - stored <= {f"{by}-{len([uid for uid in stored if uid[0] == str(by)])}" for by in range(WRITERS)}
    for uid in stored:
        assert not store.write_with_receipt(run_of(uid, by=9)).created
    assert whole_runs(store) == seen


@pytest.mark.parametrize("table", ["part_b", "runs"])
def test_a_commit_whose_reply_was_lost_is_not_made_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, table: str
) -> None:
    """The library asks again, finds that somebody has made this commit, and says that somebody else has."""
    from deltalake import DeltaTable
    from deltalake.exceptions import CommitFailedError

    commit, lost = DeltaTable.create_write_transaction, []

    def lose(to: DeltaTable, *args: Any, **kwargs: Any) -> None:
        commit(to, *args, **kwargs)
        if to.table_uri.rstrip("/").endswith(f"/{table}") and not lost:
            lost.append(to)
            raise CommitFailedError("Concurrent transaction failed.")

    monkeypatch.setattr(DeltaTable, "create_write_transaction", lose)
    store = DeltaStore(tmp_path / "store")
    assert store.write_with_receipt(run_of("run")).created
    assert lost
    assert whole_runs(store) == {"run": 0}


def test_rows_of_an_attempt_that_lost_are_seen_by_nobody_and_swept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The rows of both are in the tables; one commit to ``runs`` decides, and a later compaction drops the others."""
    store = DeltaStore(tmp_path / "store")
    place = RunWriter._place_rows

    def place_and_lose(self: RunWriter) -> None:
        place(self)
        monkeypatch.setattr(RunWriter, "_place_rows", place)
        assert store.write_with_receipt(run_of("run", by=1)).created

    monkeypatch.setattr(RunWriter, "_place_rows", place_and_lose)
    assert not store.write_with_receipt(run_of("run", by=2)).created
    assert whole_runs(store) == {"run": 1}
    assert store.query_sql("select distinct maker from part_a").to_pylist() == [{"maker": 1}]
    assert store.compact().lost_rows == 0, "it may be an attempt that is not over"
    from checkmaite.store_delta import _compacting

    monkeypatch.setattr(_compacting, "ATTEMPT_LIMIT_S", -10)
    store.write(run_of("another"))
    assert store.compact().lost_rows == 6
    assert whole_runs(store) == {"run": 1, "another": 0}


def test_an_attempt_that_took_too_long_stays_invisible(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A compaction may have dropped its rows."""
    from checkmaite.jobs import StoreUnavailableError
    from checkmaite.store_delta import _writing

    monkeypatch.setattr(_writing, "ATTEMPT_LIMIT_S", -1)
    store = DeltaStore(tmp_path / "store")
    with pytest.raises(StoreUnavailableError, match="longer than"):
        store.write(run_of("run"))
    assert found_in(store, "runs").num_rows == 0


def test_a_result_is_refused_by_the_library_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever has looked before the other one's commit is refused by it: looking is not what keeps results apart."""
    first, second = (DeltaStore(tmp_path / "store") for _ in range(2))
    first.write(run_of("other"))
    look, looked = _runs.Runs.newest, []

    def look_then_lose(self: _runs.Runs, run_uid: str, table: Any) -> int:
        seen = look(self, run_uid, table)
        if self is second._runs and not looked:
            looked.append(run_uid)
            assert first.write_with_receipt(run_of("run", by=1)).created
        return seen

    monkeypatch.setattr(_runs.Runs, "newest", look_then_lose)
    assert not second.write_with_receipt(run_of("run", by=2)).created
    monkeypatch.undo()
    assert whole_runs(first) == {"other": 0, "run": 1}


@pytest.mark.parametrize(("between", "is_taken"), [(2, True), (2**60, False)])
def test_a_column_widens_only_when_nothing_comes_between(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, between: int, is_taken: bool
) -> None:
    """Else what was appended meanwhile would be of another type than its table."""
    from checkmaite.jobs import RecordError
    from checkmaite.jobs.testing import SampleRun
    from checkmaite.store_delta import _tables

    def write(uid: str, x: float) -> None:
        DeltaStore(tmp_path / "store").write(SampleRun(run_uid=uid, records=[{"table_name": "t", "x": x}]))

    rewrite, done = _tables.write_deltalake, []

    def come_between(*args: Any, **kwargs: Any) -> None:
        if not done:
            done.append(between)
            write("between", between)
        rewrite(*args, **kwargs)

    write("first", 1)
    monkeypatch.setattr(_tables, "write_deltalake", come_between)
    if is_taken:
        write("float", 0.5)
    else:
        with pytest.raises(RecordError, match="beyond what a float keeps"):
            write("float", 0.5)
    assert done
    rows = DeltaStore(tmp_path / "store").read_table("t").sort_by("run_uid").column("x").to_pylist()
    assert rows == [between, 1, *([0.5] if is_taken else [])]
