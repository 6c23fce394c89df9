"""Readers that know nothing of this library see what it sees, by the queries of the how-to, whatever has changed."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from checkmaite.jobs import QueryError
from checkmaite.jobs.testing import SampleRun
from checkmaite.store_parquet import ParquetStore

DOCS = (Path(__file__).parents[2] / "docs/how-to/analytics-store.md").read_text()
NOON = datetime(2026, 6, 1, 12, tzinfo=UTC)

Rows = list[Mapping[str, Any]]


def with_duckdb() -> Rows:
    (query,) = [part.partition("\n```")[0] for part in DOCS.split("```sql\n") if "parse_filename" in part]
    with duckdb.connect() as connection:
        connection.execute("set timezone = 'UTC'")
        rows: Rows = connection.sql(query).to_arrow_table().drop_columns(["file"]).to_pylist()
    return rows


def with_python(import_: str) -> Any:
    blocks = [part.partition("\n```")[0] for part in DOCS.split("```py\n")]
    (code,) = [block for block in blocks if f"\nimport {import_}\n" in block and "store.glob" in block]
    names: dict[str, Any] = {}
    exec(code, names)
    return names["rows"]


def with_pandas() -> Rows:
    pytest.importorskip("pandas")
    rows: Rows = with_python("pandas as pd").to_dict("records")
    return rows


def with_pyarrow() -> Rows:
    rows: Rows = with_python("pyarrow as pa").to_pylist()
    return rows


def with_polars() -> Rows:
    pytest.importorskip("polars")
    rows: Rows = with_python("polars as pl").to_dicts()
    return rows


READERS = [with_duckdb, with_pandas, with_pyarrow, with_polars]


def same(rows: Iterable[Mapping[str, Any]], names: Iterable[str]) -> list[tuple[str, ...]]:
    """Rows that can be compared: a null is NaN or NaT to pandas, and a whole number with nulls a float."""
    return sorted(tuple(plain(row.get(name)) for name in names) for row in rows)


def plain(value: Any) -> str:
    if value is None or value != value:
        return "nothing"
    if isinstance(value, datetime):
        return value.astimezone(UTC).replace(tzinfo=None).isoformat()
    return repr(float(value)) if isinstance(value, int | float) and not isinstance(value, bool) else str(value)


def row(uid: str, *records: dict[str, Any]) -> SampleRun:
    return SampleRun(run_uid=uid, records=[{"table_name": "accuracy", **record} for record in records])


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ParquetStore:
    """A store with a history, below a folder that looks like a partition of a column of its own."""
    folder = tmp_path / "x=5"
    folder.mkdir()
    monkeypatch.chdir(folder)
    store = ParquetStore(folder / "store")
    store.write(
        [
            row("first", *({"x": number, "score": number} for number in range(12))),
            row("new column", {"x": 1, "score": 1, "seen": NOON, "name": "ä"}),
            row("fewer columns", {"score": 2}),
            row("all null", {"x": None, "score": None, "name": None}),
            row("floats", *({"x": 7, "score": number / 8} for number in range(12))),
            row("nan", *({"x": 8, "score": math.nan if number % 2 else 0.5} for number in range(40))),
            row("other zone", {"x": 9, "seen": NOON.astimezone(timezone(timedelta(hours=9)))}),
            row("large", {"x": 2**53 + 1, "big": 2**62}),
            row("again", {"x": 1, "score": 1}),
        ]
    )
    store.write(row("again", {"x": 100, "score": 0.25, "later": True}), supersede=True)
    return store


@pytest.mark.parametrize("read", READERS)
@pytest.mark.parametrize("compacted", [False, True])
def test_plain_readers_agree_with_ours(store: ParquetStore, read: Callable[[], Rows], compacted: bool) -> None:
    if compacted:
        store.compact()
    ours = store.read_table("accuracy")
    names = [name for name in ours.column_names if name != "x" or read is not with_pandas]
    found = read()
    assert same(found, names) == same(ours.to_pylist(), names)
    assert same(ours.to_pylist(), names) == same(store.query_sql("from accuracy").to_pylist(), names)
    assert {plain(each["x"]) for each in found} >= {"1.0", "7.0", "100.0"}, "a folder's name is no value"


@pytest.fixture
def twins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ParquetStore:
    """A store with two columns that differ only in case, each in many files: an earlier version has written them."""
    monkeypatch.chdir(tmp_path)
    store = ParquetStore("store")
    for number in range(40):
        name = ("accuracy", "Accuracy")[number % 2]
        store.write(row(f"first-{number}", {"x": number}))
        ParquetStore("store").write(row(f"run-{number}", {"x": number, name: number / 8}))
        for path in Path("store/_schema/accuracy").glob("accuracy.json"):
            path.rename(path.with_name(f"earlier {name}.json"))
    return store


@pytest.mark.parametrize("compacted", [False, True])
def test_columns_that_differ_only_in_case_are_two_but_for_sql(twins: ParquetStore, compacted: bool) -> None:
    """Since a new one of the kind is refused, only stores of earlier versions have them; see the how-to."""
    if compacted:
        twins.compact()
    ours = twins.read_table("accuracy")
    assert ours.column("accuracy").null_count == ours.column("Accuracy").null_count == 60
    for read in (with_pandas, with_pyarrow, with_polars):
        assert same(read(), ours.column_names) == same(ours.to_pylist(), ours.column_names)
    one = [name for name in with_duckdb()[0] if name.lower() == "accuracy"]
    assert len(one) == 1, "DuckDB makes one column of both, and the how-to says so"
    with pytest.raises(QueryError, match="differ only in case"):
        twins.query_sql("from accuracy")


@pytest.mark.parametrize("rows", [5, 12, 5000])
def test_duckdb_finds_every_nan_by_path(tmp_path: Path, rows: int) -> None:
    """Statistics leave NaN out, and it would skip what holds one and numbers."""
    store = ParquetStore(tmp_path)
    store.write(row("one", *({"score": math.nan if number % 2 else 1.0} for number in range(rows))))
    (file,) = (tmp_path / "accuracy").iterdir()
    with duckdb.connect() as connection:
        for where in ("isnan(score)", "score > 5"):
            found = connection.execute(f"select count(*) from read_parquet('{file}') where {where}").fetchall()
            assert found == [(rows // 2,)]


def test_a_column_named_like_a_folder_above_keeps_its_values(tmp_path: Path) -> None:
    """What DuckDB does without the option that the documented queries have; if it no longer does, they need it not."""
    folder = tmp_path / "x=5"
    folder.mkdir()
    pq.write_table(pa.table({"x": [1.5]}), folder / "f.parquet")
    with duckdb.connect() as connection:
        assert connection.execute(f"select x from '{folder}/*.parquet'").fetchall() == [(5,)]
        kept = connection.execute(f"select x from read_parquet('{folder}/*.parquet', hive_partitioning = false)")
        assert kept.fetchall() == [(1.5,)]
