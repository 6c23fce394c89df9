"""What a query of a compacted store opens, keeps and leaves out."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest
from checkmaite.jobs.spi import ObjectStore
from checkmaite.jobs.testing import SampleRun
from checkmaite.store_parquet import ParquetStore, _compacting, _manifest
from checkmaite.store_parquet._layout import commit_key
from checkmaite.store_parquet._manifest import INDEXES, newest_manifest
from checkmaite.store_parquet._reading import CommittedRuns

from tests.parquet.test_compaction import run

JOINED = "select a.run_uid, x, count(*) as n from a join runs using (run_uid) group by all order by all"


def joined(store: ParquetStore) -> list[tuple[Any, ...]]:
    return [tuple(row.values()) for row in store.query_sql(JOINED).to_pylist()]


def test_superseded_rows_are_left_out_while_the_query_runs(tmp_path: Path) -> None:
    """A view of the store reads no rows: it would have them all in memory, and every column of them."""
    store = ParquetStore(tmp_path)
    store.write([run(uid, number) for number, uid in enumerate(("one", "two", "three"))])
    store.compact()
    store.write(run("two", 20), supersede=True)
    rows = CommittedRuns(store._objects).dataset("a")
    assert rows.count_rows() == rows.to_table(columns=["x"]).num_rows == 9
    assert rows.head(4).num_rows == rows.head(4, columns=["x"]).num_rows == 4
    assert rows.head(7).num_rows == 7
    assert sorted(rows.to_table(columns=["x"], filter=ds.field("x") > 0).column(0).to_pylist()) == [2] * 3 + [20] * 3
    assert len(joined(store)) == 3
    (copies,) = tmp_path.glob("_compact/*/a.parquet")
    content = copies.read_bytes()
    copies.write_bytes(content[:4] + b"x" * 40 + content[44:])  # pages, not the footer
    rows = CommittedRuns(store._objects).dataset("a")
    with pytest.raises(OSError, match=r".+"):
        rows.to_table()


def test_rows_are_left_out_of_each_revision(tmp_path: Path) -> None:
    store = ParquetStore(tmp_path)
    store.write([run(uid, 1) for uid in ("one", "two", "three")])
    for revision in (2, 3):
        store.compact()
        store.write([run("one", revision), run("two", revision)][: 4 - revision], supersede=True)
    for _ in range(2):
        assert [row[:2] for row in joined(store)] == [("one", 3), ("three", 1), ("two", 2)]
        for number, found in ((1, [1, 1, 1]), (2, [2, 2]), (3, [3])):
            rows = store.read_table("a", revision=number, columns=["run_uid", "x"])
            assert rows.group_by("run_uid").aggregate([("x", "max")]).column("x_max").to_pylist() == found
        assert store.read_table("a", run_uids=["one", "three"], columns=["x"]).column(0).to_pylist().count(3) == 3
        store.compact()


def test_texts_are_texts_whatever_they_are_read_as(tmp_path: Path) -> None:
    """DuckDB is given dictionaries: nulls, texts that all differ, and files that have none of the column."""
    store = ParquetStore(tmp_path)
    records = [{"table_name": "t", "x": text} for text in ("b", None, "", "ä", *(f"text {n}" for n in range(50)))]
    store.write([SampleRun(run_uid="one", records=records), SampleRun(run_uid="two", records=[{**records[0], "y": 1}])])
    store.compact()
    store.write(SampleRun(run_uid="three", records=[{"table_name": "t", "y": 2}]))
    store.write(SampleRun(run_uid="two", records=[records[1]]), supersede=True)
    rows = store.query_sql("select * from t where x is null or x < 'c' or run_uid = 'three' order by run_uid, x")
    assert rows.schema.types == [pa.string(), pa.string(), pa.int64()]
    found = [tuple(row.values()) for row in rows.select(["run_uid", "x", "y"]).to_pylist()]
    null = None
    assert found == [
        ("one", "", null),
        ("one", "b", null),
        ("one", null, null),
        ("three", null, 2),
        ("two", null, null),
    ]
    asked = "select count(*) filter (x = 'b') as b, count(distinct x) as n, max(x) as last, count(*) as rows from t"
    assert store.query_sql(asked).to_pylist() == [{"b": 1, "n": 53, "last": "ä", "rows": 56}]


def test_indexes_of_many_parts_stay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """However small the place for them is: those of the store that is read, at least."""
    monkeypatch.setattr(_compacting, "PART_BYTES", 1)
    monkeypatch.setattr(_manifest, "_KEPT_BYTES", 1)
    stores = [ParquetStore(tmp_path / name) for name in ("a", "b")]
    for store in stores:
        store.write([run(f"run-{number:02}", number) for number in range(40)])
        store.compact()
    assert len(newest_manifest(stores[0]._objects).parts) == 40
    INDEXES.forget()
    opened: list[str] = []
    read = ObjectStore.read
    monkeypatch.setattr(ObjectStore, "read", lambda self, key: (opened.append(key), read(self, key))[1])
    counts = []
    for store in (stores[0], stores[0], stores[1], stores[0]):
        opened.clear()
        assert store.describe_table("a").runs == 40
        counts.append(len([key for key in opened if key.endswith("_index.parquet")]))
    assert counts == [40, 0, 40, 40], "a store that is read no more leaves its place"


def rewritten(path: Path, change: Callable[[pa.Table], pa.Table]) -> None:
    pq.write_table(change(pq.read_table(path)), path)


def test_columns_of_a_later_version_are_kept_in_copies(tmp_path: Path) -> None:
    """This version shows none of them, but the later one reads the copies that this one makes."""
    store = ParquetStore(tmp_path)
    store.write([run(uid, 1, "a") for uid in ("one", "two", "three")])
    for uid, value in (("one", "x"), ("three", 3)):
        for path in (tmp_path / commit_key(uid), tmp_path / f"a/{uid}.parquet"):
            rewritten(path, lambda rows: rows.append_column("later", pa.array([value] * len(rows))))  # noqa: B023
    assert dict(store.compact().left_out) == {
        "three.parquet": "its rows do not fit the columns of their tables in _schema"
    }, "one column has one type"
    store.write([run("four", 4, "a"), run("five", 5, "a")])
    assert store.compact().results == 3, "which go to a part of their own"
    store.write([run(f"run-{number}", number, "a") for number in range(4)])
    assert store.compact().results == 4, "of which one is taken in"
    parts = newest_manifest(store._objects).parts
    found = {}
    for name in ("runs", "a"):
        copies = [pq.read_table(tmp_path / f"_compact/{part.name}/{name}.parquet") for part in parts]
        found[name] = {row["run_uid"]: row.get("later") for table in copies for row in table.to_pylist()}
        assert "later" not in store.read_table(name).column_names
    assert found["a"] == found["runs"] == {**dict.fromkeys(found["a"]), "one": "x", "three": 3}
    assert sorted(part.commits for part in parts) in ([2, 7], [3, 6])
    assert store.describe_table("a").runs == len(found["a"]) == 9


@pytest.mark.parametrize("compacted", [False, True])
def test_a_broken_second_result_hides_no_first_one(tmp_path: Path, compacted: bool) -> None:
    store = ParquetStore(tmp_path)
    store.write([run("one", 1), run("two", 1)])
    if compacted:
        store.compact()
    store.write(run("one", 2), supersede=True)
    for revision in (3, 4):
        (tmp_path / commit_key("one", revision)).write_bytes(b"torn")
    (tmp_path / commit_key("two", 2)).write_bytes((tmp_path / "a/two.parquet").read_bytes())
    with pytest.warns(RuntimeWarning) as told:
        assert joined(store) == [("one", 2, 18), ("two", 1, 18)]
    assert sorted(str(each.message).rpartition("/")[2][:5] for each in told) == ["one!3", "one!4", "two!2"]
    with pytest.warns(RuntimeWarning):
        assert store.describe_table("a").runs == 2
    with pytest.warns(RuntimeWarning):
        assert store.list_tables() == ["a", "b", "runs"]
    with pytest.warns(RuntimeWarning):
        assert store.read_table("a", run_uids=["two"]).column("x").to_pylist() == [1] * 3
