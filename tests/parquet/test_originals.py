"""Small files of which there are copies are deleted: every answer stays, and no run is stored twice."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import duckdb
import pyarrow.parquet as pq
import pytest
from checkmaite.jobs import Provenance, Report, StoreCorruptError
from checkmaite.store_parquet import ParquetStore, _originals
from checkmaite.store_parquet._manifest import INDEXES, newest_manifest
from checkmaite.store_parquet._reading import CommittedRuns
from checkmaite.store_parquet._rows import COMMIT_FACTS
from checkmaite.store_parquet._vacuum import Vacuum

from tests.parquet.test_compaction import answers, brief, faults, fill, run
from tests.parquet.test_vacuum import DAY, HOUR, grow_old

OpenStore = Callable[[], ParquetStore]


def without_originals(store: ParquetStore) -> int:
    """Delete the originals of all copies, as if they were an hour old; how many results had any."""
    return Vacuum(store._objects, -HOUR).run(originals=True).originals


def small_files(store: ParquetStore) -> list[str]:
    return [f"{folder}/{name}" for folder in ("runs", "a", "b") for name in store._objects.names(folder)]


@pytest.fixture
def deleted(tmp_path: Path) -> ParquetStore:
    """A store of five results in copies alone, opened anew."""
    store = ParquetStore(tmp_path / "store")
    fill(store)
    store.compact()
    assert without_originals(store) == 5
    INDEXES.forget()
    return ParquetStore(tmp_path / "store")


def test_answers_stay(open_store: OpenStore) -> None:
    store = open_store()
    fill(store)
    store.compact()
    *before, _ = answers(store)
    assert without_originals(store) == 5
    assert small_files(store) == []
    INDEXES.forget()
    *after, uri = answers(open_store())
    assert after == before
    (part,) = newest_manifest(store._objects).parts
    assert uri == store._objects.uri_of(f"_compact/{part.name}/a!2.parquet")
    assert store._objects.exists(f"_compact/{part.name}/a!2.parquet")


def test_a_result_is_found_whole(tmp_path: Path) -> None:
    store = ParquetStore(tmp_path)
    long = Report(kind="inline_text", text="long " * 10_000)
    first, second = (Provenance(user_id="ada", run_event_id=f"event-{number}") for number in (1, 2))
    store.write_with_receipt(run("one", 1), provenance=first, report=Report(kind="inline_text", text="short"))
    store.write_with_receipt(run("one", 2), provenance=second, report=long, supersede=True)
    before = [store.find_run("one", revision=1), store.find_run("one"), store.find_run("one", run_event_id="event-1")]
    store.compact()
    store.write(run("two", 3))
    store.compact()  # which takes in the first part
    assert without_originals(store) == 3
    store = ParquetStore(tmp_path)
    after = [store.find_run("one", revision=1), store.find_run("one"), store.find_run("one", run_event_id="event-1")]
    for was, is_now in zip(before, after, strict=True):
        assert was is not None
        assert is_now is not None
        assert (is_now.provenance, is_now.created_at, is_now.ref.report, is_now.ref.revision) == (
            was.provenance,
            was.created_at,
            was.ref.report,
            was.ref.revision,
        )
        rows = pq.read_table(is_now.ref.store_uri, filters=[("run_uid", "=", "one")])
        assert rows.column("x").to_pylist() == [was.ref.revision] * 3
    assert store.find_run("one", revision=3) is None


def test_other_programs_read_copies_by_the_query_of_the_page(
    deleted: ParquetStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = (Path(__file__).parents[2] / "docs/how-to/analytics-store.md").read_text()
    (query,) = [part.partition("\n```")[0] for part in page.split("```sql\n") if "_compact/*/accuracy" in part]
    deleted.write(run("two", 200, "a", "accuracy", "accuracy_2"), supersede=True)
    deleted.compact()
    deleted.write([run("five", 5, "accuracy"), run("alone", 6, "accuracy")], supersede=True)
    deleted.compact()
    without_originals(deleted)
    shutil.move(deleted.uri, tmp_path / "analytics_store")
    monkeypatch.chdir(tmp_path)
    with duckdb.connect() as connection:
        rows = connection.sql(query).to_arrow_table().to_pylist()
    assert {row["x"] for row in rows} == {200, 5, 6}
    assert sorted(map(str, rows)) == sorted(
        map(str, ParquetStore("analytics_store").read_table("accuracy").to_pylist())
    )


def test_no_run_is_stored_twice(deleted: ParquetStore, tmp_path: Path) -> None:
    before = brief(tmp_path / "store")
    for uid, revision in (("one", 1), ("two", 2)):
        receipt = deleted.write_with_receipt(run(uid, 99))
        assert (receipt.created, receipt.revision) == (False, revision)
    assert small_files(deleted) == [], "what an attempt that was late has written is deleted"
    assert brief(tmp_path / "store") == before
    assert deleted.write_with_receipt(run("two", 200), supersede=True).revision == 3
    assert deleted.write_with_receipt(run("five", 5)).created
    assert deleted.compact().results == 2
    assert sorted(deleted.query_sql("select distinct run_uid, x from a")["x"].to_pylist()) == [1, 3, 4, 5, 200]


def test_an_execution_that_writes_again_finds_its_result(tmp_path: Path) -> None:
    store = ParquetStore(tmp_path)
    event = Provenance(run_event_id="event-2")
    store.write(run("one", 1))
    store.write(run("one", 2), provenance=event, supersede=True)
    store.compact()
    without_originals(store)
    again = ParquetStore(tmp_path).write_with_receipt(run("one", 2), provenance=event, supersede=True)
    assert (again.created, again.revision) == (False, 2)


def test_writers_are_told_before_anything_is_deleted(tmp_path: Path) -> None:
    """One that has looked at the store before the announcement looks again within the grace."""
    store = ParquetStore(tmp_path)
    store.write(run("one", 1))
    store.compact()
    grow_old(tmp_path, 2 * DAY)
    told = store.vacuum(grace_s=2 * HOUR, originals=True)
    assert told.originals == 0
    assert told.originals_from is not None
    assert timedelta(hours=1.9) < told.originals_from - datetime.now(UTC) < timedelta(hours=2.1)
    assert len(small_files(store)) == 3
    grow_old(tmp_path, 3 * HOUR)
    assert store.vacuum(grace_s=2 * HOUR, originals=True).originals == 1
    assert small_files(store) == []
    assert store.vacuum(grace_s=2 * HOUR, originals=True).originals == 0


def test_a_process_that_knows_of_no_deletion_looks_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = ParquetStore(tmp_path)
    store.write([run("one", 1), run("two", 2)])
    store.compact()
    without_originals(ParquetStore(tmp_path))
    later = time.monotonic() + _originals._REMEMBERED_S
    monkeypatch.setattr(_originals.time, "monotonic", lambda: later)
    assert not store.write_with_receipt(run("one", 99)).created


@pytest.mark.parametrize("clock", ["monotonic", "time"])
def test_what_is_known_is_asked_for_once_in_half_an_hour(
    deleted: ParquetStore, monkeypatch: pytest.MonkeyPatch, clock: str
) -> None:
    with faults(0, "none", ("exists", "names")) as done:
        deleted.write([run("five", 5), run("six", 6)])
        assert len([each for each in done if "_compact" in each]) == 2
        later = getattr(time, clock)() + _originals._REMEMBERED_S
        monkeypatch.setattr(_originals.time, clock, lambda: later)
        deleted.write(run("seven", 7))
        assert len([each for each in done if "_compact" in each]) == 4


def test_what_is_in_no_copy_stays(tmp_path: Path) -> None:
    store = ParquetStore(tmp_path)
    fill(store)
    store.compact()
    store.write([run("late", 1), run("one", 10)], supersede=True)
    before = brief(tmp_path)
    assert without_originals(store) == 5
    assert small_files(store) == [
        "runs/late.parquet",
        "runs/one!2.parquet",
        "a/late.parquet",
        "a/one!2.parquet",
        "b/late.parquet",
        "b/one!2.parquet",
    ]
    assert brief(tmp_path) == before


def test_copies_that_are_younger_than_the_grace_are_not_enough(tmp_path: Path) -> None:
    """Somebody may have begun to read before there was one."""
    store = ParquetStore(tmp_path)
    store.write(run("old", 1))
    store.compact()
    Vacuum(store._objects, HOUR).run(originals=True)
    grow_old(tmp_path, 2 * HOUR)
    store.write(run("young", 2))
    store.compact()
    held = CommittedRuns(store._objects)
    assert Vacuum(store._objects, HOUR).run(originals=True).originals == 1
    assert [name for name in small_files(store) if "old" in name] == []
    assert len(small_files(store)) == 3
    assert held.dataset("a").to_table().num_rows == 6


def parts_of(store: ParquetStore) -> list[Path]:
    return sorted(Path(store.uri).glob("_compact/*/*.parquet"))


def test_a_damaged_copy_keeps_its_originals(tmp_path: Path) -> None:
    store = ParquetStore(tmp_path)
    fill(store)
    store.compact()
    copy = next(path for path in parts_of(store) if path.name == "b.parquet")
    content = bytearray(copy.read_bytes())
    content[len(content) // 3] ^= 0xFF
    copy.write_bytes(content)
    with pytest.raises(StoreCorruptError, match=r"b\.parquet: .*Restore it from a backup: originals .* have been"):
        without_originals(store)
    assert len(small_files(store)) == 14


def test_a_copy_that_is_all_there_is_is_not_to_be_deleted(deleted: ParquetStore) -> None:
    for path in parts_of(deleted):
        path.unlink()
    with pytest.raises(StoreCorruptError, match="Restore it from a backup"):
        ParquetStore(deleted.uri).read_table("a")
    with pytest.raises(StoreCorruptError, match="Restore it from a backup"):
        ParquetStore(deleted.uri).write(run("one", 1))


def test_copies_of_an_earlier_version_keep_their_originals(tmp_path: Path) -> None:
    """They do not have all that a commit says."""
    store = ParquetStore(tmp_path)
    store.write_with_receipt(run("one", 1), report=Report(kind="inline_text", text="short"))
    store.compact()
    path = next(path for path in parts_of(store) if path.name == "runs.parquet")
    pq.write_table(pq.read_table(path).drop_columns(COMMIT_FACTS), path)
    store.write_with_receipt(run("two", 2), report=Report(kind="inline_text", text="brief"))
    store.compact()
    assert without_originals(store) == 1
    assert [name for name in small_files(store) if "two" in name] == []
    for uid, text in (("one", "short"), ("two", "brief")):
        found = ParquetStore(tmp_path).find_run(uid)
        assert found is not None
        assert found.ref.report is not None
        assert found.ref.report.text == text


def test_a_store_that_was_emptied_begins_anew(deleted: ParquetStore) -> None:
    """Though this process remembers what was in it."""
    assert not deleted.write_with_receipt(run("one", 1)).created
    shutil.rmtree(deleted.uri)
    assert deleted.write_with_receipt(run("one", 1)).created
    assert deleted.read_table("a").num_rows == 3
    assert deleted.write_with_receipt(run("one", 2), supersede=True).revision == 2


@pytest.fixture
def old(tmp_path: Path) -> Path:
    store = ParquetStore(tmp_path / "filled")
    store.write([run("zero", 0), run("late", 1)])
    store.compact()
    fill(store)
    store.compact()
    Vacuum(store._objects, DAY).run(originals=True)
    grow_old(tmp_path, 2 * DAY)
    store.write(run("young", 7))
    return tmp_path / "filled"
