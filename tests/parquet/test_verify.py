"""Whether anything was changed since it was stored."""

from __future__ import annotations

import math
import shutil
from collections.abc import Callable
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from checkmaite.jobs import Report, StoreNotFoundError
from checkmaite.jobs.testing import SampleRun
from checkmaite.store_parquet import Finding, ParquetStore, Verification
from checkmaite.store_parquet._digests import rows_digest
from checkmaite.store_parquet._manifest import INDEXES
from checkmaite.store_parquet._rows import COMMIT_METADATA_KEY
from checkmaite.store_parquet._vacuum import Vacuum

from tests.parquet.test_compaction import fill, run
from tests.parquet.test_vacuum import HOUR

LONG = Report(kind="inline_text", text="a long report\n" * 2000)
RICH = {
    "x": 1,
    "score": 0.5,
    "name": "ä",
    "raw": b"\0\1",
    "flag": True,
    "day": date(2026, 6, 1),
    "at": datetime(2026, 6, 1, 12, tzinfo=UTC),
    "nothing": None,
}


def rich(uid: str, **more: Any) -> SampleRun:
    rows = [{**RICH, **more}, {"x": None, "score": math.nan, "name": None}, {"x": -3, "score": -0.0, "big": 2**62}]
    return SampleRun(run_uid=uid, records=[{"table_name": "a", **row} for row in rows])


def change(path: Path, change_rows: Callable[[pa.Table], pa.Table]) -> None:
    """Somebody rewrites a file and keeps what its metadata says."""
    table = pq.read_table(path)
    metadata = table.schema.metadata
    pq.write_table(change_rows(table).replace_schema_metadata(metadata), path)


def with_values(name: str, values: list[Any]) -> Callable[[pa.Table], pa.Table]:
    def changed(table: pa.Table) -> pa.Table:
        place = table.schema.get_field_index(name)
        return table.set_column(place, table.schema.field(place), [pa.array(values, table.schema.field(place).type)])

    return changed


def test_what_nobody_has_touched_is_unchanged_wherever_it_is_kept(tmp_path: Path) -> None:
    """Small files, copies, both; columns that came later or became floats; superseded results."""
    store = ParquetStore(tmp_path)
    store.write_with_receipt(rich("one"), report=LONG)
    store.write_with_receipt(rich("one", score=1.5), report=Report(kind="inline_text", text="short"), supersede=True)
    fill(store)
    assert store.verify() == Verification(results=6)
    assert store.verify("one") == Verification(results=2)
    store.write(run("wider", 0.5))  # before a copy is made, so that copies of all have floats
    store.compact()
    assert store.verify() == Verification(results=7)
    store.write([run("later", 0.5), SampleRun(run_uid="wide", records=[{"table_name": "a", "aaa": True, "x": 0.25}])])
    store.compact()
    INDEXES.forget()
    assert store.verify() == Verification(results=9)
    Vacuum(store._objects, -HOUR).run(originals=True)
    INDEXES.forget()
    assert ParquetStore(tmp_path).verify() == Verification(results=9)
    assert store.verify("one", revision=2) == Verification(results=1)
    assert store.verify().is_unchanged
    for uid, revision in (("never", None), ("one", 4)):
        with pytest.raises(StoreNotFoundError, match="no such result of"):
            store.verify(uid, revision=revision)


@pytest.mark.parametrize(
    ("path", "act", "what", "reason"),
    [
        ("a/one.parquet", with_values("x", [1, None, -4]), "rows of 'a'", "are not those that were stored"),
        ("a/one.parquet", lambda table: table.slice(0, 2), "rows of 'a'", "are not those that were stored"),
        ("a/one.parquet", lambda table: table.take([0, 2, 1]), "rows of 'a'", "are not those that were stored"),
        ("a/one.parquet", lambda table: table.drop_columns(["name"]), "rows of 'a'", "are not those that were stored"),
        ("runs/one.parquet", with_values("user_id", ["eve"] * 3), "commit", "does not say what it said"),
    ],
)
def test_what_somebody_has_changed_is_told(
    tmp_path: Path, path: str, act: Callable[[pa.Table], pa.Table], what: str, reason: str
) -> None:
    store = ParquetStore(tmp_path)
    store.write_with_receipt(rich("one"), report=LONG)
    store.write(run("two", 2))
    change(tmp_path / path, act)
    found = store.verify()
    (finding,) = found.changed
    assert (found.results, found.unknown, found.is_unchanged) == (2, (), False)
    assert (finding.run_uid, finding.revision, finding.what, finding.uri) == ("one", 1, what, str(tmp_path / path))
    assert reason in finding.reason
    assert store.verify("one").changed == found.changed
    assert store.verify("two") == Verification(results=1)


def test_a_report_that_somebody_has_changed_is_told(tmp_path: Path) -> None:
    store = ParquetStore(tmp_path)
    store.write_with_receipt(rich("one"), report=LONG)
    (report,) = (path for path in tmp_path.glob("_artifacts/**/report") if path.is_file())
    kept = report.read_bytes()
    report.write_bytes(kept + b"!")
    (finding,) = store.verify("one").changed
    assert finding == Finding(
        run_uid="one", revision=1, what="report", uri=str(report), reason="it is not the one that was stored"
    )
    report.unlink()
    assert [each.reason for each in store.verify("one").changed] == ["it is not there"]


@pytest.mark.parametrize("table", ["a", "runs"])
def test_copies_that_somebody_has_changed_are_told(tmp_path: Path, table: str) -> None:
    store = ParquetStore(tmp_path)
    fill(store)
    store.compact()
    (copy,) = tmp_path.glob(f"_compact/*/{table}.parquet")
    length = pq.read_metadata(copy).num_rows
    name = "x" if table == "a" else "backend"
    change(
        copy, lambda rows: with_values(name, [*rows.column(name).to_pylist()[:-1], 7 if table == "a" else "eve"])(rows)
    )
    assert length == pq.read_metadata(copy).num_rows
    (finding,) = store.verify().changed
    assert (finding.run_uid, finding.uri) == ("two", str(copy)), "the last one in it"
    assert finding.what == ("rows of 'a'" if table == "a" else "commit")
    assert store.verify("one").is_unchanged
    assert not store.verify("two").is_unchanged
    copy.write_bytes(b"torn")
    assert {each.run_uid for each in store.verify().changed} >= {"one", "two"}


def test_what_is_not_there_any_more_is_told(tmp_path: Path) -> None:
    store = ParquetStore(tmp_path)
    fill(store)
    (tmp_path / "a/three.parquet").unlink()
    (tmp_path / "runs/two.parquet").unlink()
    (tmp_path / "runs/one.parquet").write_bytes(b"torn")
    found = {(each.run_uid, each.revision, each.what, each.reason) for each in store.verify().changed}
    assert found == {
        ("three", 1, "rows of 'a'", "it is not there"),
        ("two", 1, "commit", "it is not there, though later results are"),
        ("one", 1, "commit", "this is not readable as a commit of a run"),
    }


def test_what_cannot_be_said_is_said(tmp_path: Path) -> None:
    store = ParquetStore(tmp_path)
    elsewhere = Report(kind="artifact", media_type="image/png", uri="s3://elsewhere/plot.png", filename="plot.png")
    store.write_with_receipt(run("one", 1), report=elsewhere)
    store.write(run("old", 1))
    path = tmp_path / "runs/old.parquet"
    table = pq.read_table(path)
    pq.write_table(table.replace_schema_metadata({COMMIT_METADATA_KEY: '{"attempt": "0"}'}), path)
    found = store.verify()
    assert (found.results, found.changed, found.is_unchanged) == (2, (), True)
    assert [(each.run_uid, each.what, each.uri) for each in found.unknown] == [
        ("old", "commit", str(path)),
        ("one", "report", "s3://elsewhere/plot.png"),
    ]
    assert "kept no digests" in found.unknown[0].reason


def test_files_of_others_are_not_looked_at(tmp_path: Path) -> None:
    recorded = Path(__file__).parent / "recorded" / "checkmaite-0.6.1"
    shutil.copytree(recorded, tmp_path / "store")
    store = ParquetStore(tmp_path / "store")
    store.write(run("one", 1))
    assert store.verify() == Verification(results=1)


def test_a_store_in_a_bucket_is_verified(bucket: str, s3_options: dict[str, Any]) -> None:
    store = ParquetStore(f"s3://{bucket}/store", s3_options)
    store.write([run("one", 1, "a"), run("two", 2, "a")])
    store.compact()
    assert store.verify() == Verification(results=2)
    store._objects.delete("a/one.parquet")
    assert [each.what for each in store.verify("one").changed] == ["rows of 'a'"]


def test_a_digest_is_of_values_alone() -> None:
    """The same however Arrow holds them: this is what year-old commits are compared with, so it may never change."""
    table = pa.table(
        {
            "x": pa.array([1, None, -3], pa.int64()),
            "s": pa.array(["a", None, "äö"], pa.string()),
            "f": pa.array([0.5, math.nan, None], pa.float64()),
            "t": pa.array([datetime(2026, 6, 1, tzinfo=UTC)] * 3, pa.timestamp("us", tz="UTC")),
            "d": pa.array([date(2026, 6, 1), None, None], pa.date32()),
            "b": pa.array([True, None, False], pa.bool_()),
            "r": pa.array([b"\0", b"", None], pa.binary()),
        }
    )
    digest = rows_digest(table)
    assert digest == "536e84db9e4b4b0c8b975b7e240b79a6"
    others = [
        table.select(sorted(table.column_names)),
        pa.concat_tables([table.slice(0, 1), table.slice(1)]),
        pa.concat_tables([table, table]).slice(3),
        table.set_column(0, "x", table.column("x").cast(pa.float64())),
        table.set_column(1, "s", table.column("s").dictionary_encode()),
        table.append_column("later", pa.nulls(3, pa.string())),
    ]
    assert {rows_digest(other) for other in others} == {digest}
    for place, value in ((0, 2), (1, "b"), (2, 0.25), (5, None)):
        name = table.column_names[place]
        values = [value, *table.column(name).to_pylist()[1:]]
        assert rows_digest(table.set_column(place, name, pa.array(values, table.schema.field(name).type))) != digest
