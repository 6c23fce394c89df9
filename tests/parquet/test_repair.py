"""Commits that are not there are made anew from what the files of rows say."""

from __future__ import annotations

import itertools
import shutil
from contextlib import suppress
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from checkmaite.jobs import ArgumentError, Provenance, Report, StoreUnavailableError
from checkmaite.store_parquet import ParquetStore, Rebuilt, Repair, Verification
from checkmaite.store_parquet._rows import ATTEMPT_METADATA_KEY
from checkmaite.store_parquet._vacuum import Vacuum

from tests.parquet.test_compaction import Crash, answers, faults, fill, run
from tests.parquet.test_vacuum import DAY, HOUR, grow_old

NOTHING = Repair(rebuilt=(), left={})
ADA = Provenance(user_id="ada", run_event_id="event-1")


def rebuilt(folder: Path, *results: tuple[str, int]) -> tuple[Rebuilt, ...]:
    names = [(uid, number, f"{uid}!{number}" if number > 1 else uid) for uid, number in results]
    return tuple(
        Rebuilt(run_uid=uid, revision=number, uri=f"{folder}/runs/{name}.parquet") for uid, number, name in names
    )


def test_a_whole_store_without_commits_is_what_it_was(tmp_path: Path) -> None:
    store = ParquetStore(tmp_path)
    fill(store)
    long = Report(kind="inline_text", text="a long report\n" * 2000)
    store.write_with_receipt(run("told", 7), provenance=ADA, report=long)
    store.write_with_receipt(run("brief", 8), provenance=ADA, report=Report(kind="inline_text", text="short"))
    before = answers(store)
    found = [store.find_run(uid) for uid in ("told", "brief", "two")]
    shutil.rmtree(tmp_path / "runs")
    grow_old(tmp_path, 2 * DAY)
    meant = rebuilt(tmp_path, ("alone", 1), ("brief", 1), ("one", 1), ("three", 1), ("told", 1), ("two", 1), ("two", 2))
    assert store.repair(dry_run=True) == Repair(rebuilt=meant, left={})
    assert store.list_tables() == []
    assert store.repair() == Repair(rebuilt=meant, left={})
    assert store.repair() == NOTHING
    assert answers(ParquetStore(tmp_path))[1:] == before[1:]
    for was, uid in zip(found, ("told", "brief", "two"), strict=True):
        is_now = store.find_run(uid)
        assert was is not None
        assert is_now is not None
        assert (is_now.ref, is_now.provenance) == (was.ref, was.provenance)
        assert is_now.created_at <= was.created_at
    assert store.verify() == Verification(results=7)
    assert store.compact().left_out == {}


def test_what_a_young_file_is_of_is_left_to_its_writer(tmp_path: Path) -> None:
    store = ParquetStore(tmp_path)
    store.write(run("one", 1))
    (tmp_path / "runs/one.parquet").unlink()
    done = store.repair()
    assert done.rebuilt == ()
    assert set(done.left) == {str(tmp_path / table / "one.parquet") for table in ("a", "b")}
    assert {*done.left.values()} == {"it is younger than the grace, so its writer may be at work"}
    grow_old(tmp_path, 3 * HOUR)
    assert store.repair().rebuilt == ()
    assert store.repair(grace_s=2 * HOUR).rebuilt == rebuilt(tmp_path, ("one", 1))
    with pytest.raises(ArgumentError, match="too short"):
        store.repair(grace_s=60)
    with pytest.raises(ArgumentError, match="dry_run"):
        store.repair(dry_run="yes")  # type: ignore[arg-type]


def test_half_a_run_stays_none(tmp_path: Path) -> None:
    """A writer died between its two files of rows; or a file was lost."""
    store = ParquetStore(tmp_path)
    store.write([run("torn", 1), run("lost", 2)])
    for path in ("b/torn.parquet", "a/lost.parquet"):
        (tmp_path / path).unlink()
    shutil.rmtree(tmp_path / "runs")
    grow_old(tmp_path, 2 * DAY)
    assert store.repair() == Repair(
        rebuilt=(),
        left={
            str(tmp_path / "a/torn.parquet"): "its run is not whole: no file has its rows of b",
            str(tmp_path / "b/lost.parquet"): "nothing is there that says what else its run has",
        },
    )
    assert store.list_tables() == []


def test_a_retry_after_a_repair_finds_the_result(tmp_path: Path) -> None:
    store = ParquetStore(tmp_path)
    store.write(run("one", 1))
    (tmp_path / "runs/one.parquet").unlink()
    grow_old(tmp_path, 2 * DAY)
    store.repair()
    assert not store.write_with_receipt(run("one", 2)).created
    assert store.read_table("a").column("x").to_pylist() == [1, 1, 1]


def test_files_that_attempts_have_left_beside_a_commit_are_in_nobodys_way(tmp_path: Path) -> None:
    """Neither those that died, nor those of results that are in copies alone."""
    store = ParquetStore(tmp_path)
    fill(store)
    shutil.copy(tmp_path / "a/two!2.parquet", tmp_path / "a/two!2.0123456789abcdef.parquet")
    grow_old(tmp_path, 2 * DAY)
    assert store.repair() == NOTHING
    store.compact()
    assert Vacuum(store._objects, -HOUR).run(originals=True).originals == 5
    shutil.copy(next(tmp_path.glob("_compact/*/a.parquet")), tmp_path / "a/two.parquet")
    grow_old(tmp_path, 2 * DAY)
    assert store.repair() == NOTHING


def test_of_two_attempts_one_is_made_whole(tmp_path: Path) -> None:
    """Never the rows of one with those of the other."""
    first, second = tmp_path / "first", tmp_path / "second"
    for folder, number in ((first, 1), (second, 2)):
        ParquetStore(folder).write(run("one", number), provenance=Provenance(user_id=f"user-{number}"))
    shutil.copy(second / "a/one.parquet", first / "a/one.aaaaaaaaaaaaaaaa.parquet")
    shutil.copy(second / "b/one.parquet", first / "b/one.aaaaaaaaaaaaaaaa.parquet")
    (first / "b/one.parquet").unlink()
    (first / "runs/one.parquet").unlink()
    grow_old(first, 2 * DAY)
    store = ParquetStore(first)
    assert store.repair().rebuilt == rebuilt(first, ("one", 1))
    assert [store.read_table(table).column("x").to_pylist() for table in ("a", "b")] == [[2, 2, 2]] * 2
    assert set(store.read_table("runs").column("user_id").to_pylist()) == {"user-2"}
    assert store.verify() == Verification(results=1)
    assert store.repair() == NOTHING


def test_a_result_whose_predecessor_is_gone_is_told(tmp_path: Path) -> None:
    store = ParquetStore(tmp_path)
    fill(store)
    for path in ("runs/two.parquet", "runs/two!2.parquet", "a/two.parquet"):
        (tmp_path / path).unlink()
    grow_old(tmp_path, 2 * DAY)
    done = store.repair()
    assert done.rebuilt == ()
    assert "the result before it, runs/two.parquet, is not there" in done.left.values()


def test_what_cannot_be_made_is_told(tmp_path: Path) -> None:
    store = ParquetStore(tmp_path)
    store.write([run(uid, 1, "a") for uid in ("damaged", "earlier", "moved", "mute")])
    shutil.rmtree(tmp_path / "runs")
    (tmp_path / "a/damaged.parquet").write_bytes(b"torn")
    shutil.move(tmp_path / "a/moved.parquet", tmp_path / "a/other.parquet")
    for name, keeps in (("earlier", True), ("mute", False)):
        path = tmp_path / f"a/{name}.parquet"
        table = pq.read_table(path)
        kept = {key: value for key, value in table.schema.metadata.items() if key != ATTEMPT_METADATA_KEY.encode()}
        pq.write_table(table.replace_schema_metadata(kept if keeps else None), path)
    (tmp_path / "a/1795855052394_69c9b563.parquet").write_bytes((tmp_path / "a/mute.parquet").read_bytes())
    (tmp_path / "a/notes.txt").write_text("of somebody")
    grow_old(tmp_path, 2 * DAY)
    done = store.repair()
    assert done.rebuilt == ()
    assert {Path(key).stem: reason for key, reason in done.left.items()} == {
        "damaged": "this is not readable as rows of a run",
        "earlier": "nothing is there that says what else its run has",
        "mute": "it does not say which run it is of",
        "other": "this is not readable as rows of a run",
    }


@pytest.mark.parametrize("mode", ["crash", "no answer"])
def test_a_crash_at_any_operation_costs_nothing(tmp_path: Path, mode: str) -> None:
    store = ParquetStore(tmp_path / "filled")
    store.write([run("one", 1), run("two", 2, "a")])
    shutil.rmtree(tmp_path / "filled/runs")
    grow_old(tmp_path / "filled", 2 * DAY)
    for at in itertools.count(1):
        shutil.copytree(tmp_path / "filled", folder := tmp_path / f"at-{at}")
        with faults(at, mode) as done, suppress(Crash, StoreUnavailableError):
            ParquetStore(folder).repair()
        for path in folder.rglob("*.parquet"):
            pq.read_table(path)
        ParquetStore(folder).repair()
        assert {path.name for path in (folder / "runs").iterdir()} == {"one.parquet", "two.parquet"}
        assert ParquetStore(folder).verify() == Verification(results=2)
        shutil.rmtree(folder)
        if len(done) < at:
            break
    assert at > 8, "every operation has failed once"


def test_a_bucket_is_repaired(bucket: str, s3_options: dict[str, Any]) -> None:
    from checkmaite.store_parquet._repairing import Repairer

    store = ParquetStore(f"s3://{bucket}/store", s3_options)
    store.write([run("one", 1, "a"), run("two", 2, "a")])
    store._objects.delete("runs/two.parquet")
    assert store.repair().rebuilt == ()
    done = Repairer(store._objects, store._commits, -HOUR).run(dry_run=False)
    assert [(each.run_uid, each.revision) for each in done.rebuilt] == [("two", 1)]
    assert store.read_table("a").num_rows == 6
