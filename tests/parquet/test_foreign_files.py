"""Files of the CheckMAITE package's own store in the same folder, as recorded/ has them, and files of nobody."""

from __future__ import annotations

import io
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from checkmaite.jobs import Provenance, StoreNotFoundError
from checkmaite.jobs.testing import SampleRun
from checkmaite.store_parquet import ParquetStore

RECORDED = Path(__file__).parent / "recorded" / "checkmaite-0.6.1"
TABLE = "digits_quality"
OpenStore = Callable[[], ParquetStore]


def recorded(table: str) -> list[dict[str, Any]]:
    return [row for path in sorted((RECORDED / table).iterdir()) for row in pq.read_table(path).to_pylist()]


TWICE = next(row["run_uid"] for row in recorded("runs") if row["run_event_id"] == "second")
ONCE = next(row["run_uid"] for row in recorded("runs") if row["run_event_id"] == "first" and row["run_uid"] != TWICE)
COUNT = f"SELECT count(*) AS rows, count(DISTINCT run_uid) AS runs FROM {TABLE}"
JOINED = f"SELECT DISTINCT user_id, ratio FROM {TABLE} JOIN runs USING (run_uid) ORDER BY ALL"


def add(store: ParquetStore) -> None:
    """As if the package's store had just written."""
    for path in RECORDED.rglob("*.parquet"):
        store._objects.create(path.relative_to(RECORDED).as_posix(), path.read_bytes())


def own(uid: str = "own", **changes: Any) -> SampleRun:
    row = {"table_name": TABLE, "run_uid": uid, "dataset_id": "odd", "count": 7, "ratio": 0.75, **changes}
    return SampleRun(run_uid=uid, capability_id="example.Own", records=[row])


def parquet(**columns: list[Any]) -> bytes:
    sink = io.BytesIO()
    pq.write_table(pa.table(columns), sink)
    return sink.getvalue()


@pytest.fixture(autouse=True)
def nothing_is_left_out_unless_a_test_says_so() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)
        yield


def test_what_the_package_wrote_is_read(open_store: OpenStore) -> None:
    store = open_store()
    add(store)
    assert store.list_tables() == [TABLE, "runs"]
    described = store.describe_table(TABLE)
    assert (described.runs, described.rows) == (3, 6)
    assert {each.name: each.type for each in described.columns}["note"] == "string"  # null in every file
    assert sorted(store.read_table(TABLE).to_pylist(), key=str) == sorted(recorded(TABLE), key=str)
    assert store.read_table(TABLE, run_uids=[ONCE]).num_rows == 2
    assert store.read_table(TABLE, run_uids=["nobody's"]).num_rows == 0
    assert store.read_table(TABLE, columns=["ratio"], limit=1).column_names == ["ratio"]
    assert store.query_sql(COUNT).to_pylist() == [{"rows": 6, "runs": 3}]
    assert [row["user_id"] for row in store.query_sql(JOINED).to_pylist()] == ["ada", "ada", "bob", None]
    uri = store.get_run_uri(TWICE)
    assert uri is not None
    assert (
        TWICE
        in pq.read_table(io.BytesIO(store._objects.read(uri.removeprefix(store.uri + "/"))))
        .column("run_uid")
        .to_pylist()
    )


def test_a_second_event_of_a_run_is_kept(open_store: OpenStore) -> None:
    store = open_store()
    add(store)
    rows = store.read_table("runs", run_uids=[TWICE]).to_pylist()
    keys = ("run_event_id", "capability_table", "entity_type", "entity_id")
    theirs = [row for row in recorded("runs") if row["run_uid"] == TWICE]
    assert sorted([row[key] for key in keys] for row in rows) == sorted([row[key] for key in keys] for row in theirs)
    assert {row["run_event_id"] for row in rows} == {"first", "second"}
    assert {(row["revision"], row["payload"], row["fingerprints"]) for row in rows} == {(1, None, None)}
    described = store.describe_table("runs")
    assert (described.runs, described.rows) == (3, len(recorded("runs")))


@pytest.mark.parametrize("first", ["theirs", "ours"])
def test_both_stores_write_to_one_folder(open_store: OpenStore, first: str) -> None:
    store = open_store()
    if first == "theirs":
        add(store)
    store.write([own(), own("own2")], provenance=Provenance(user_id="eve"))
    if first == "ours":
        add(store)
    assert store.describe_table(TABLE).runs == 5
    assert store.query_sql(COUNT).to_pylist() == [{"rows": 8, "runs": 5}]
    assert store.read_table(TABLE).num_rows == 8
    assert {row["user_id"] for row in store.query_sql(JOINED).to_pylist()} == {"ada", "bob", "eve", None}
    assert store.read_table(TABLE, run_uids=["own", ONCE]).num_rows == 3
    with_revisions = store.read_table(TABLE, revision="all")
    assert set(with_revisions.column("revision").to_pylist()) == {1}
    assert with_revisions.num_rows == 8


def test_of_a_run_of_both_stores_the_rows_of_this_one_count(open_store: OpenStore) -> None:
    store = open_store()
    add(store)
    store.write(own(ONCE), provenance=Provenance(run_event_id="third"))
    assert store.read_table(TABLE, run_uids=[ONCE]).column("count").to_pylist() == [7]
    assert store.query_sql(COUNT).to_pylist() == [{"rows": 5, "runs": 3}]
    events = store.read_table("runs", run_uids=[ONCE]).column("run_event_id").to_pylist()
    assert set(events) == {"first", "third"}
    assert (store.describe_table(TABLE).runs, store.describe_table("runs").runs) == (3, 3)
    store.write(own(ONCE, count=8), provenance=Provenance(run_event_id="fourth"), supersede=True)
    assert store.read_table(TABLE, run_uids=[ONCE]).column("count").to_pylist() == [8]
    assert set(store.read_table("runs", run_uids=[ONCE]).column("run_event_id").to_pylist()) == {"fourth"}
    events = store.read_table("runs", run_uids=[ONCE], revision="all").column("run_event_id").to_pylist()
    assert set(events) == {"first", "third", "fourth"}
    assert set(store.read_table("runs", revision=2).column("run_uid").to_pylist()) == {ONCE}


def test_whole_numbers_here_and_floats_there_are_floats(tmp_path: Path) -> None:
    store = ParquetStore(tmp_path)
    store.write(own(ratio=1))
    assert store.read_table(TABLE).schema.field("ratio").type == pa.int64()
    add(store)
    assert {0.05, 0.1, 0.15, 1.0} == set(store.read_table(TABLE).column("ratio").to_pylist())
    assert store.query_sql(f"SELECT max(ratio) AS most FROM {TABLE}").to_pylist() == [{"most": 1.0}]


def test_a_file_whose_columns_do_not_fit_is_left_out(tmp_path: Path) -> None:
    store = ParquetStore(tmp_path)
    store.write(own(ratio="much"))
    add(store)
    with pytest.warns(
        RuntimeWarning, match=rf"{TABLE}/[0-9]+_\w+\.parquet is left out: its columns do not fit"
    ) as told:
        assert store.read_table(TABLE).column("ratio").to_pylist() == ["much"]
    assert len(told) == 2
    assert store.read_table("runs").num_rows > len(recorded("runs"))


STRANGERS = [
    ("runs/notes.parquet", b"no Parquet", "it is no commit of a run"),
    ("runs/notes.parquet", parquet(title=["a", "b"]), "it is no commit of a run"),
    ("runs/notes.parquet", parquet(payload=[1, 2]), "it is no commit of a run"),
    ("runs/1767312000000_0123abcd.parquet", b"torn", "it cannot be read as rows of a table"),
    ("runs/1767312000000_0123abcd.parquet", parquet(title=["a"]), "it has no column 'run_uid'"),
    (f"{TABLE}/1767312000000_0123abcd.parquet", b"torn", "it cannot be read as rows of a table"),
    (f"{TABLE}/1767312000000_0123abcd.parquet", parquet(run_uid=[["nested"]]), "no column of a table is of the type"),
    (f"{TABLE}/1767312000000_0123abcd.parquet", parquet(x=[1]), "it has no column 'run_uid'"),
]


@pytest.mark.parametrize(("key", "content", "reason"), STRANGERS)
@pytest.mark.parametrize("theirs", [True, False], ids=["beside theirs", "beside ours alone"])
def test_one_file_takes_no_table_down(tmp_path: Path, theirs: bool, key: str, content: bytes, reason: str) -> None:
    store = ParquetStore(tmp_path)
    store.write(own())
    if theirs:
        add(store)
    store._objects.create(key, content)
    rows, runs = (7, 4) if theirs else (1, 1)
    is_read = theirs or key.startswith("runs/")  # without theirs nothing in a table is looked for

    def told(call: Callable[[], Any]) -> Any:
        if not is_read:
            return call()
        with pytest.warns(RuntimeWarning, match=f"{key} is left out: .*{reason}"):
            return call()

    assert told(lambda: store.query_sql(COUNT)).to_pylist() == [{"rows": rows, "runs": runs}]
    assert told(lambda: store.read_table(TABLE)).num_rows == rows
    described = told(lambda: store.describe_table(TABLE))
    assert (described.runs, described.rows) == (runs, rows)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        assert store.list_tables() == [TABLE, "runs"]
        assert len(set(store.read_table("runs").column("run_uid").to_pylist())) == runs
        assert store.write(own("later"))[0].created


def test_rows_that_no_row_of_runs_speaks_of_are_not_there(tmp_path: Path) -> None:
    """The package writes them first: its reader shows half a write, this one none of it."""
    store = ParquetStore(tmp_path)
    add(store)
    for path in (tmp_path / "runs").iterdir():
        path.unlink()
    assert store.list_tables() == []
    with pytest.raises(StoreNotFoundError):
        store.read_table(TABLE)


def test_a_run_that_is_named_like_a_file_of_theirs_is_ones_own(tmp_path: Path) -> None:
    store = ParquetStore(tmp_path)
    store.write(own("1767312000000_0123abcd"))
    add(store)
    assert store.read_table(TABLE, run_uids=["1767312000000_0123abcd"]).num_rows == 1
    assert store.query_sql(COUNT).to_pylist() == [{"rows": 7, "runs": 4}]


def test_rows_of_a_run_that_was_never_committed_are_not_taken_for_theirs(tmp_path: Path) -> None:
    store = ParquetStore(tmp_path)
    store.write(own("1767312000000_0123abcd"))
    (tmp_path / "runs" / "1767312000000_0123abcd.parquet").unlink()
    add(store)
    assert store.query_sql(COUNT).to_pylist() == [{"rows": 6, "runs": 3}]
