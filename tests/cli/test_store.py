"""The store from a shell."""

from __future__ import annotations

import io
import os
import socket
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace

import pytest
from checkmaite.jobs_cli.summaries import json_line
from checkmaite.store_parquet import ParquetStore

from tests.cli.conftest import Said

pytestmark = pytest.mark.usefixtures("profile")


def sample_run(uid: str, score: float) -> SimpleNamespace:
    return SimpleNamespace(
        run_uid=uid,
        capability_id="sample",
        dataset_metadata=[],
        model_metadata=[],
        metric_metadata=[],
        extract=lambda: [{"table_name": "sample_scores", "score": score}],
    )


def test_tables_are_counted(cli: Callable[..., Said]) -> None:
    said = cli("store", "tables", "--json")
    assert [(each["table"], each["runs"], each["rows"]) for each in said.records] == [
        ("runs", 2, 6),
        ("sample_scores", 2, 2),
    ]
    assert cli("store", "tables").out.split()[:3] == ["table", "runs", "rows"]


def test_an_empty_store_says_so(cli: Callable[..., Said], tmp_path: Path) -> None:
    said = cli("store", "tables", "--store", str(tmp_path / "empty"))
    assert (said.code, said.out) == (0, "")
    assert "nothing has been stored there yet" in said.err


def test_a_table_is_described(cli: Callable[..., Said]) -> None:
    columns = {record["column"]: record["type"] for record in cli("store", "describe", "runs", "--json").records}
    assert columns["run_uid"] == "string"
    said = cli("store", "describe", "runs")
    assert said.err == "6 rows of 2 runs\n"
    missing = cli("store", "describe", "scores")
    assert missing.code == 3
    assert "Tables: runs, sample_scores." in missing.err


def test_sql_gives_rows(cli: Callable[..., Said], monkeypatch: pytest.MonkeyPatch) -> None:
    question = (
        "select run_uid, count(*) as n, sum(0.5) as half, 'nan'::double as unknown from runs group by 1 order by 1"
    )
    records = [{"run_uid": f"run-{name}", "n": 3, "half": 1.5, "unknown": None} for name in ("one", "two")]
    assert cli("store", "sql", question, "--json").records == records
    monkeypatch.setattr("sys.stdin", io.StringIO(question))
    assert cli("store", "sql", "-", "--json", "--limit", "1").records == records[:1]
    assert [line.split() for line in cli("store", "sql", question).out.splitlines()] == [
        ["run_uid", "n", "half", "unknown"],
        ["run-one", "3", "1.5", "nan"],
        ["run-two", "3", "1.5", "nan"],
    ]


def test_sql_says_how_many_rows_are_not_shown(cli: Callable[..., Said]) -> None:
    said = cli("store", "sql", "select * from range(150) as t(n)")
    assert len(said.out.splitlines()) == 101
    assert said.err == "50 more rows: --limit 150 shows them, --json all.\n"
    assert len(cli("store", "sql", "select * from range(150) as t(n)", "--json").records) == 150


def test_sql_shows_earlier_results(cli: Callable[..., Said]) -> None:
    ParquetStore("results").write(sample_run("run-one", 0.25), supersede=True)
    question = "select score from sample_scores where run_uid = 'run-one'"
    (newest,) = cli("store", "sql", question, "--json").records
    (first,) = cli("store", "sql", question, "--json", "--revision", "1").records
    assert newest == {"score": 0.25} != first
    assert len(cli("store", "sql", question, "--json", "--revision", "all").records) == 2
    assert cli("store", "sql", question, "--revision", "none").code == 2


def test_a_report_is_made_again(cli: Callable[..., Said]) -> None:
    question = "select run_uid, score from sample_scores order by 1"
    before = cli("store", "sql", question, "--json").records
    instant = datetime.now(UTC).isoformat()
    (made,) = cli("store", "tag", "make", "report-2026-11", "--json").records
    assert (made["name"], made["results"]) == ("report-2026-11", 2)
    ParquetStore("results").write(sample_run("run-one", 0.25), supersede=True)
    ParquetStore("results").write(sample_run("run-three", 0.75))
    assert cli("store", "sql", question, "--json").records != before
    for moment in ("report-2026-11", instant):
        assert cli("store", "sql", question, "--json", "--as-of", moment).records == before
        counted = cli("store", "tables", "--json", "--as-of", moment).records
        assert [(each["table"], each["runs"]) for each in counted] == [("runs", 2), ("sample_scores", 2)]
        assert cli("store", "describe", "sample_scores", "--as-of", moment).err == "2 rows of 2 runs\n"
    assert cli("store", "tag", "list", "--json").records == [made]
    assert cli("store", "tag", "list").out.split()[:3] == ["name", "created_at", "results"]


def test_tags_have_their_exit_codes(cli: Callable[..., Said]) -> None:
    assert "store tag make NAME" in cli("store", "tag", "list").err
    cli("store", "tag", "make", "t")
    for asked, code, said in (
        (("tag", "make", "t"), 1, "a tag 't' already"),
        (("tag", "make", "2026-11-30"), 2, "would be taken for a date"),
        (("tables", "--as-of", "u"), 3, "no tag 'u'"),
        (("tables", "--as-of", "2999-01-01"), 2, "it is only"),
        (("tag", "remove", "u"), 3, "no tag 'u'"),
        (("tag", "remove", "t"), 0, "is gone"),
    ):
        found = cli("store", *asked)
        assert (found.code, said in found.err) == (code, True), found.err
    assert cli("store", "tag", "list", "--json").records == []


@pytest.mark.parametrize("text", ["drop table runs", "selct", "select * from 'results/runs/*.parquet'"])
def test_sql_can_only_ask(cli: Callable[..., Said], text: str) -> None:
    said = cli("store", "sql", text)
    assert (said.code, said.out) == (2, "")


def test_compaction_says_what_it_has_done(cli: Callable[..., Said]) -> None:
    (done,) = cli("store", "compact", "--json").records
    assert (done["results"], done["left_out"]) == (2, {})
    assert cli("store", "compact").out.split()[:2] == ["results", "0"]
    assert cli("store", "tables", "--json").records[0]["runs"] == 2


def test_a_vacuum_asks(cli: Callable[..., Said], monkeypatch: pytest.MonkeyPatch) -> None:
    for answer, code in (("n\n", 1), ("", 1), ("y\n", 0)):
        monkeypatch.setattr("sys.stdin", io.StringIO(answer))
        said = cli("store", "vacuum")
        assert said.code == code, said.err
        assert "Delete replaced copies" in said.err
    (done,) = cli("store", "vacuum", "--yes", "--json").records
    assert done["parts"] == 0


def test_originals_are_deleted_in_two_steps(cli: Callable[..., Said], monkeypatch: pytest.MonkeyPatch) -> None:
    cli("store", "compact")
    monkeypatch.setattr("sys.stdin", io.StringIO("y\n"))
    said = cli("store", "vacuum", "--originals")
    assert "the small files of results that are in copies" in said.err
    assert "originals from" in said.out
    (done,) = cli("store", "vacuum", "--originals", "--yes", "--json").records
    assert done["originals"] == 0
    assert datetime.fromisoformat(done["originals_from"]) > datetime.now(UTC)
    assert cli("store", "tables", "--json").records[0]["runs"] == 2


def test_what_was_changed_is_told(cli: Callable[..., Said]) -> None:
    said = cli("store", "verify")
    assert (said.code, said.out) == (0, "")
    assert said.err == "2 results: nothing was changed; of 0 things nothing can be said.\n"
    Path("results/sample_scores/run-one.parquet").unlink()
    said = cli("store", "verify", "--json")
    assert [(each["state"], each["run_uid"], each["what"]) for each in said.records] == [
        ("changed", "run-one", "rows of 'sample_scores'")
    ]
    assert (said.code, "1 things are not as they were stored" in said.err) == (1, True)
    assert cli("store", "verify", "run-two", "--revision", "1").code == 0
    assert cli("store", "verify", "run-three").code == 3


def test_a_repair_shows_what_it_would_do_and_asks(cli: Callable[..., Said], monkeypatch: pytest.MonkeyPatch) -> None:
    assert cli("store", "repair").err == "There is nothing to repair.\n"
    Path("results/runs/run-one.parquet").unlink()
    (left,) = cli("store", "repair", "--dry-run", "--json").records
    assert (left["state"], "younger than the grace" in left["reason"]) == ("left", True)
    for path in Path("results").rglob("*.parquet"):
        os.utime(path, (at := path.stat().st_mtime - 48 * 3600, at))
    (planned,) = cli("store", "repair", "--dry-run", "--json").records
    assert (planned["state"], planned["run_uid"]) == ("rebuilt", "run-one")
    monkeypatch.setattr("sys.stdin", io.StringIO("n\n"))
    said = cli("store", "repair")
    assert (said.code, "Make 1 commits" in said.err, "run-one" in said.out) == (1, True, True)
    assert not Path("results/runs/run-one.parquet").exists()
    assert cli("store", "repair", "--yes", "--json").records == [planned]
    assert cli("store", "verify").code == 0


def test_a_place_is_examined_from_here_and_from_a_worker(cli: Callable[..., Said], profile: Path) -> None:
    profile.write_text('kind = "inline"\nanalytics_store = "results"')
    checks = ["write", "read", "exclusive create", "list", "clock", "delete"]
    said = cli("store", "doctor", "--json")
    assert [each["check"] for each in said.records] == [
        f"{where}: {check}" for where in ("here", socket.gethostname()) for check in checks
    ]
    assert (said.code, {each["state"] for each in said.records}) == (0, {"ok"})
    assert len(cli("store", "doctor", "--json", "--no-worker").records) == 6
    said = cli("store", "doctor", "--no-worker", "--store", "checkmaite-jobs.toml")
    assert (said.code, "fault" in said.out) == (1, True)


def test_a_store_that_needs_no_care_says_so(cli: Callable[..., Said], profile: Path) -> None:
    profile.write_text('analytics_store = { backend = "null" }')
    for command in ("compact", "vacuum", "verify", "repair"):
        said = cli("store", command)
        assert said.code == 2
        assert f"has no {command}" in said.err
    for asked in (("tag", "list"), ("tag", "make", "t"), ("tag", "remove", "t"), ("tables", "--as-of", "t")):
        said = cli("store", *asked)
        assert said.code == 2
        assert "it shows what it holds now alone" in said.err


def test_secrets_are_not_printed(cli: Callable[..., Said], profile: Path) -> None:
    options = 'storage_options = { key = "AKIA-HIDDEN", secret = "HIDDEN", endpoint_url = "http://127.0.0.1:9" }'
    profile.write_text(f'analytics_store = {{ uri = "s3://bucket/x", {options} }}')
    said = cli("store", "tables")
    assert said.code == 4
    assert "HIDDEN" not in said.err + said.out


def test_numbers_are_json_where_they_lose_nothing() -> None:
    row = {"whole": Decimal(7), "exact": Decimal("1.50"), "long": Decimal("0.12345678901234567890"), "raw": b"\x00\xff"}
    assert json_line(row) == '{"whole": 7, "exact": 1.5, "long": "0.12345678901234567890", "raw": "00ff"}'
