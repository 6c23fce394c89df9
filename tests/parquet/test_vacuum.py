"""Vacuum: what nobody needs any more goes, and nothing else."""

from __future__ import annotations

import os
import shutil
import signal
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import pytest
from checkmaite.jobs import ArgumentError, StoreUnavailableError
from checkmaite.jobs.testing import SampleRun
from checkmaite.store_parquet import ParquetStore, Vacuumed, _compacting
from checkmaite.store_parquet._manifest import INDEXES, newest_manifest
from checkmaite.store_parquet._vacuum import Vacuum

from tests.parquet.test_compaction import brief, files_of, fill, run
from tests.processes import left_by_killed_writer, serving

OpenStore = Callable[[], ParquetStore]
HOUR, DAY = 3600, 24 * 3600
NOTHING = Vacuumed(manifests=0, parts=0, temporary_files=0)


def grow_old(folder: Path, by_s: float) -> None:
    """As if everything that is there had been written so long ago."""
    for path in folder.rglob("*"):
        if path.is_file():
            os.utime(path, (at := path.stat().st_mtime - by_s, at))


def replaced(folder: Path) -> ParquetStore:
    """A store with a part that another one has replaced just now, one of a compactor that was killed, and results."""
    store = ParquetStore(folder)
    store.write([run("zero", 0), run("late", 1)])
    store.compact()
    fill(store)
    left = folder / "_compact/0123456789abcdef"
    left.mkdir()
    shutil.copy(next(folder.glob("_compact/*/a.parquet")), left)
    grow_old(folder, 2 * DAY)
    store.compact()
    return store


def test_what_has_been_of_no_use_for_the_grace_goes(tmp_path: Path) -> None:
    store = replaced(tmp_path)
    before = brief(tmp_path)
    assert store.vacuum() == Vacuumed(manifests=0, parts=1, temporary_files=0), "what counted a moment ago stays"
    assert len({name.partition("/")[0] for name in files_of(store)}) == 2
    grow_old(tmp_path, 2 * DAY)
    assert store.vacuum() == Vacuumed(manifests=1, parts=1, temporary_files=0)
    (part,) = newest_manifest(store._objects).parts
    assert {name.partition("/")[0] for name in files_of(store)} == {part.name}
    INDEXES.forget()
    assert brief(tmp_path) == before
    assert not store.write_with_receipt(run("two", 99)).created
    assert store.vacuum() == NOTHING
    store.write(run("after", 7))
    assert store.compact().results == 1
    assert newest_manifest(store._objects).number == 3


def test_a_reader_that_has_begun_before_a_compaction_reads_on(tmp_path: Path) -> None:
    """It holds files of a part that is old, and that was replaced a moment ago."""
    store = ParquetStore(tmp_path)
    store.write([run("one", 1), run("two", 2)])
    store.compact()
    grow_old(tmp_path, 2 * DAY)
    held = newest_manifest(store._objects)
    store.write([run(f"run-{number}", number) for number in range(3)])
    store.compact()
    store.vacuum(grace_s=2 * HOUR)
    for part in held.parts:
        for file in part.files:
            assert store._objects.exists(part.key(file))


def test_a_store_that_was_never_compacted_loses_nothing(open_store: OpenStore) -> None:
    store = open_store()
    assert Vacuum(store._objects, -DAY).run() == NOTHING
    store.write(run("one", 1))
    assert Vacuum(store._objects, -DAY).run() == NOTHING
    assert store.read_table("a").num_rows == 3


def test_an_object_store_says_when_what_was_written(bucket: str, s3_options: dict[str, Any]) -> None:
    store = ParquetStore(f"s3://{bucket}/store", s3_options)
    for number in range(2):
        store.write(run(f"run-{number}", number, "a"))
        store.compact()
    store._objects.create("_compact/0123456789abcdef/a.parquet", b"left")
    assert Vacuum(store._objects, HOUR).run() == NOTHING
    assert Vacuum(store._objects, -HOUR).run() == Vacuumed(manifests=1, parts=2, temporary_files=0)
    assert store.read_table("a").num_rows == 6
    assert store.compact().results == 0


def stop_while_writing(store: ParquetStore, there: Connection) -> None:
    def stop(fd: Any) -> None:
        there.send("writing")
        signal.pause()

    os.fsync = stop
    store.write(SampleRun(run_uid="torn"))


def test_what_a_killed_writer_was_writing_is_swept(tmp_path: Path) -> None:
    store = ParquetStore(tmp_path)
    store.write(SampleRun(run_uid="before"))
    here, there = serving.Pipe()
    writer = serving.Process(target=stop_while_writing, args=(store, there))
    writer.start()
    assert here.poll(120)
    assert writer.pid is not None
    os.kill(writer.pid, signal.SIGKILL)
    writer.join(120)
    (left,) = tmp_path.rglob(".*")
    (tmp_path / "sample_scores/.gitkeep").touch()
    assert store.vacuum() == NOTHING, "another one may be writing it"
    grow_old(tmp_path, 2 * DAY)
    assert store.vacuum().temporary_files == 1
    assert not left.exists()
    assert (tmp_path / "sample_scores/.gitkeep").exists()
    assert len(store.read_table("sample_scores")) == 1


def test_maintenance_sweeps_too_when_there_is_nothing_to_compact(tmp_path: Path) -> None:
    """The backends call it; a store that nobody vacuums is swept all the same, with the journal in it."""
    store = ParquetStore(tmp_path)
    store.write(SampleRun(run_uid="before"))
    keys = ["sample_scores/a.parquet", "_artifacts/a", "_jobs/namespace/registry/payload/a"]
    left = [left_by_killed_writer(store._objects, key, age_s=25 * HOUR) for key in keys]
    new = left_by_killed_writer(store._objects, "_compact/0123456789abcdef/a.parquet", age_s=HOUR)
    store.maintain()
    assert [path.exists() for path in (*left, new)] == [False, False, False, True]
    assert len(store.read_table("sample_scores")) == 1


def test_a_compactor_that_was_stopped_for_long_names_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A vacuum may have taken its files for left ones."""
    store = ParquetStore(tmp_path)
    store.write(run("one", 1))
    clock, steps = time.monotonic, [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: clock() + steps[0])
    content = _compacting._content

    def slow(rows: Any) -> bytes:
        steps.append(0.0 if len(steps) > 1 else 3.0 * HOUR)
        steps[0] += steps[-1]
        return content(rows)

    monkeypatch.setattr(_compacting, "_content", slow)
    assert store.compact().results == 1
    assert len(steps) == 1 + 2 * 3, "each table is written twice"
    (part,) = newest_manifest(store._objects).parts
    assert {name.partition("/")[0] for name in files_of(store)} == {part.name}


def test_a_compactor_that_is_always_too_slow_gives_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = ParquetStore(tmp_path)
    store.write(run("one", 1))
    clock, passed = time.monotonic, [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: clock() + passed[0])
    content = _compacting._content

    def slow(rows: Any) -> bytes:
        passed[0] += 3.0 * HOUR
        return content(rows)

    monkeypatch.setattr(_compacting, "_content", slow)
    with pytest.raises(StoreUnavailableError, match="copying 1 results took so long"):
        store.compact()
    assert not files_of(store)
    assert len(store.read_table("a")) == 3


@pytest.mark.parametrize("grace_s", [0, -1, 60, True, "day", None, float("nan")])
def test_a_grace_in_which_somebody_may_be_at_work_is_refused(tmp_path: Path, grace_s: Any) -> None:
    with pytest.raises(ArgumentError, match=r"grace_s: .* is too short"):
        ParquetStore(tmp_path).vacuum(grace_s=grace_s)
