"""A run that computed for hours and cannot be stored keeps its rows, from which a store is filled later."""

from __future__ import annotations

import json
import math
import pickle
import re
from collections.abc import Callable, Iterable
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from attrs import evolve, field, frozen
from checkmaite.jobs import (
    JobFailedError,
    Provenance,
    Record,
    RecordError,
    Report,
    StoreCorruptError,
    StoreNotFoundError,
    StoreUnavailableError,
    Unreadable,
    configure_job_backend,
    read_salvaged_run,
    shutdown_job_backend,
    submit_capability,
)
from checkmaite.jobs._shared.salvage_format import first_line, lines_of
from checkmaite.jobs._workers import salvaging
from checkmaite.jobs.spi import ObjectStore
from checkmaite.jobs.testing import SampleRun
from checkmaite.store_parquet import ParquetStore

NOW = datetime(2026, 1, 2, 3, 4, 5, 6, tzinfo=UTC)
GOOD = {"table_name": "scores", "score": 1}
BAD = {"table_name": "scores", "score": [0.25, 0.75]}


@frozen(slots=False)
class Computed(SampleRun):
    """Its records may be had once: computing them again would take hours."""

    drawn: list[int] = field(factory=list)

    def extract(self) -> Iterable[Any]:
        assert not self.drawn, "the records were computed a second time"
        self.drawn.append(1)
        for record in self.records:
            if isinstance(record, Exception):
                raise record
            yield record

    def collect_md_report(self, threshold: float) -> str:
        return "# worth keeping"


@frozen
class Computes:
    """Returns a run with these records."""

    records: tuple[Any, ...]
    id: str = "computes"

    def run(self, **_: Any) -> Computed:
        return Computed(run_uid="one", capability_id="computes", records=self.records)


Submit = Callable[..., str]


@pytest.fixture
def fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Submit:
    """Runs a job that fails, and gives the file that its error names."""
    monkeypatch.setattr(salvaging.tempfile, "tempdir", str(tmp_path / "tmp"))
    (tmp_path / "tmp").mkdir()

    def fail(*records: Any, store: str = "parquet", **options: Any) -> str:
        place = {"uri": str(tmp_path / "store")} if store == "parquet" else {}
        configure_job_backend("inline", analytics_store={"backend": store, **place}, store_retry_s=0, **options)
        with pytest.raises(JobFailedError) as caught:
            submit_capability(Computes(records)).result(60)
        shutdown_job_backend()
        assert caught.value.phase == "write"
        (uri,) = re.findall(r"rows are kept in '(.+?)'", str(caught.value))
        return str(uri)

    return fail


def test_a_row_is_mended_and_the_store_filled(fails: Submit, tmp_path: Path) -> None:
    uri = fails(GOOD, BAD)
    assert Path(uri).parent == tmp_path / "store/_artifacts/one"
    run = read_salvaged_run(uri)
    assert run.records == [GOOD, BAD]
    assert "scores" in run.error or "records[1].score" in run.error
    run.records[1]["score"] = 0.25
    store = ParquetStore(tmp_path / "store")
    receipt = store.write_with_receipt(run, provenance=run.provenance, report=run.report)
    assert receipt.created
    assert store.read_table("scores").column("score").to_pylist() == [1.0, 0.25]
    row = store.query_sql("select * from runs where entity_type = 'dataset'").to_pylist()[0]
    assert (row["capability_id"], row["entity_id"], row["backend"]) == ("computes", "dataset-1", "inline")
    assert row["job_id"] == row["run_event_id"] == run.provenance.job_id
    assert row["completed_at"] == run.provenance.completed_at
    found = store.find_run("one")
    assert found is not None
    assert str(found.ref.report) == "# worth keeping"


def test_the_file_may_be_mended_by_hand(fails: Submit, tmp_path: Path) -> None:
    file = Path(fails(GOOD, BAD))
    file.write_text(file.read_text().replace("[0.25, 0.75]", "0.5") + "\n")
    run = read_salvaged_run(str(file))
    assert ParquetStore(tmp_path / "store").write(run)[0].rows == {"scores": 2}
    file.write_text(file.read_text() + "not JSON")
    with pytest.raises(StoreCorruptError, match="each of its lines must still be one JSON value"):
        read_salvaged_run(str(file))
    with pytest.raises(StoreNotFoundError):
        read_salvaged_run(f"{file}x")


def test_what_came_before_a_generator_broke_is_kept(fails: Submit) -> None:
    run = read_salvaged_run(fails(GOOD, GOOD, ZeroDivisionError("no samples")))
    assert run.records == [GOOD, GOOD]
    assert "ZeroDivisionError" in run.error


def test_a_run_without_rows_leaves_no_file(tmp_path: Path) -> None:
    configure_job_backend("inline", analytics_store={"backend": "parquet", "uri": str(tmp_path / "store")})
    with pytest.raises(JobFailedError, match="no samples") as caught:
        submit_capability(Computes((ZeroDivisionError("no samples"),))).result(60)
    shutdown_job_backend()
    assert "are kept" not in str(caught.value)
    assert not (tmp_path / "store").exists()


def test_the_same_rows_are_kept_once_and_never_replaced(fails: Submit) -> None:
    uri = fails(GOOD, BAD)
    before = Path(uri).read_bytes()
    assert fails(GOOD, BAD) == uri
    assert Path(uri).read_bytes() == before
    assert fails(BAD) != uri


def test_rows_go_to_the_artifact_store_when_there_is_one(fails: Submit, tmp_path: Path) -> None:
    uri = fails(GOOD, BAD, artifact_store={"uri": str(tmp_path / "kept")})
    assert Path(uri).parent == tmp_path / "kept/one"
    assert not (tmp_path / "store").exists()


def test_rows_go_to_a_bucket(fails: Submit, bucket: str, s3_options: dict[str, Any]) -> None:
    uri = fails(GOOD, BAD, artifact_store={"uri": f"s3://{bucket}/kept", "storage_options": s3_options})
    assert uri.startswith(f"s3://{bucket}/kept/one/rows-")
    assert read_salvaged_run(uri, s3_options).records == [GOOD, BAD]


def test_a_store_that_keeps_no_documents_leaves_the_rows_on_the_worker(fails: Submit, tmp_path: Path) -> None:
    uri = fails(GOOD, BAD, store="null")
    assert Path(uri).parent.parent == tmp_path / "tmp"
    assert Path(uri).parent.stat().st_mode & 0o777 == 0o700
    assert read_salvaged_run(uri).records == [GOOD, BAD]


def test_a_store_that_has_gone_leaves_the_rows_on_the_worker(
    fails: Submit, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is not asked to keep the rows that it cannot take: each try may last for minutes."""
    asked: list[str] = []

    def away(self: ObjectStore, key: str, content: bytes) -> bool:
        asked.append(key)
        raise StoreUnavailableError(f"{self.uri_of(key)}: the store did not answer.", uri=self.root)

    monkeypatch.setattr(ObjectStore, "create", away)
    uri = fails(GOOD)
    assert Path(uri).parent.parent == tmp_path / "tmp"
    assert len(asked) == 1
    monkeypatch.undo()
    run = read_salvaged_run(uri)
    assert ParquetStore(tmp_path / "store").write_with_receipt(run, provenance=run.provenance).created


def test_rows_that_are_too_many_are_cut_and_counted(fails: Submit, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(salvaging, "LIMIT_BYTES", 100)
    run = read_salvaged_run(fails(GOOD, BAD, GOOD, GOOD))
    assert (run.records, run.left_out) == ([GOOD, BAD], 2)


def test_what_cannot_be_kept_is_said_beside_the_first_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: Any, **__: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(salvaging, "lines_of", broken)
    configure_job_backend("inline", analytics_store={"backend": "parquet", "uri": str(tmp_path / "store")})
    with pytest.raises(JobFailedError, match=r"records\[0\]\.score") as caught:
        submit_capability(Computes((BAD,))).result(60)
    shutdown_job_backend()
    assert "Its rows could not be kept either: OSError" in str(caught.value)


@frozen
class Declared(Record):
    table_name = "declared"

    score: float
    when: datetime | None = None
    nested: Any = None


VALUES = [
    *(None, True, 3, -(2**80), 10**400, 0.5, "é\ud800\u2028\n", b"\x00\xff"),
    *(NOW, NOW.replace(tzinfo=None), date(2026, 1, 2), timedelta(seconds=1.5), Decimal("0.10")),
    *([1, [2.5, None]], {"$": "no mark", "a": [NOW]}, math.inf),
]


@pytest.mark.parametrize("value", VALUES, ids=lambda value: type(value).__name__)
def test_values_come_back_as_they_were(tmp_path: Path, value: Any) -> None:
    (back,) = kept(tmp_path, {"table_name": "t", "x": value})
    assert back == {"table_name": "t", "x": value}
    assert type(back["x"]) is type(value)


def kept(folder: Path, *records: Any) -> list[Any]:
    lines, left_out = lines_of(records, 10**6)
    head = first_line(
        SampleRun(run_uid="one"),
        provenance=Provenance(),
        report=Report(kind="inline_text", text="x"),
        error=RecordError("x"),
        left_out=left_out,
    )
    (folder / "rows.jsonl").write_bytes(b"\n".join((head, *lines)))
    for line in (head, *lines):
        json.loads(line, parse_constant=pytest.fail)
    return read_salvaged_run(str(folder / "rows.jsonl")).records


class Hostile:
    def __repr__(self) -> str:
        raise ValueError("no")


def test_classes_arrays_and_the_unreadable(tmp_path: Path) -> None:
    ranks = np.array([[1, 2], [3, 4]])
    declared, array, opaque, hostile, none = kept(
        tmp_path,
        Declared(1, NOW, float("nan")),
        {"table_name": "t", "x": ranks, "n": np.float32(0.5)},
        {"table_name": "t", "x": 1j},
        {"table_name": "t", "x": Hostile()},
        None,
    )
    assert (declared["table_name"], declared["score"], declared["when"]) == ("declared", 1.0, NOW)
    assert isinstance(declared["score"], float), "as its class declares"
    assert math.isnan(declared["nested"])
    assert array == {"table_name": "t", "x": [[1, 2], [3, 4]], "n": 0.5}
    assert opaque["x"] == Unreadable("complex", "1j")
    assert hostile["x"].type_name == "Hostile"
    assert none == Unreadable("NoneType", "None")
    run = evolve(read_salvaged_run(str(tmp_path / "rows.jsonl")), records=[opaque])
    with pytest.raises(RecordError, match=r"records\[0\]\.x: a Unreadable cannot be stored"):
        ParquetStore(tmp_path / "store").write(pickle.loads(pickle.dumps(run)))
