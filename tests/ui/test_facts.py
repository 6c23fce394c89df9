"""What the page shows, without a page: rows, details, changes, results."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import attrs
import pytest
from checkmaite.jobs import FailureKind, JobNotFoundError, JobStatus, QueryError
from checkmaite.jobs_ui.board import Board
from checkmaite.jobs_ui.facts import JobDetail, attempts_of, detail_of, inputs_of, row_of
from checkmaite.jobs_ui.results import answer_of, preview_of, tables_of
from checkmaite.jobs_ui.sources import KeptJobs

from tests.ui.listed import Listed, sweep
from tools import front_end

JOURNALS = Path(__file__).parents[1] / "ray_journal" / "golden" / "version-1"


def test_a_row_has_what_is_known_and_no_more() -> None:
    waiting, *_, failed, _, _ = sweep(13)
    assert {"started_at", "node", "error_type"}.isdisjoint(row_of(waiting))
    long = row_of(attrs.evolve(failed, error_message="x" * 5_000))["error_message"]
    assert long == f"{'x' * 300} ..."
    json.dumps([row_of(job) for job in sweep(13)], allow_nan=False)


@pytest.mark.parametrize("kind", [kind for kind in FailureKind if kind is not FailureKind.CANCELLED])
def test_a_failure_comes_with_its_cause_and_remedy(kind: FailureKind) -> None:
    failed = attrs.evolve(sweep(13)[10], failure_kind=str(kind))
    assert failed.status is JobStatus.FAILED
    found = detail_of(JobDetail(summary=failed))["failure"]
    assert (found["kind"], found["cause"], found["remedy"]) == (str(kind), kind.cause, kind.remedy)


def test_an_end_of_a_kind_that_is_not_known_yet_is_some_end() -> None:
    failed = attrs.evolve(sweep(13)[10], failure_kind="invented-later")
    assert detail_of(JobDetail(summary=failed))["failure"]["kind"] == "other"


def test_a_job_whose_starts_nobody_remembers_has_one() -> None:
    (only,) = attempts_of(sweep(13)[5])
    assert (only.number, only.end) == (1, "COMPLETED")
    assert only.started_at < only.ended_at


def test_what_is_no_json_names_no_inputs() -> None:
    assert inputs_of('{"config": "ab", "models": {"lenet": 1}}') == [
        {"part": "config", "print": "ab"},
        {"part": "models", "print": '{"lenet": 1}'},
    ]
    assert inputs_of(None) == inputs_of("no json") == inputs_of("[1]") == []


@pytest.fixture
def board(monkeypatch: pytest.MonkeyPatch) -> tuple[Board, Listed]:
    monkeypatch.setattr("checkmaite.jobs_ui.board._LOOK_S", 0.0)
    monkeypatch.setattr("checkmaite.jobs_ui.board._REST", 0.0)
    listed = Listed(sweep(4))
    return Board(listed), listed


def told(board: Board, after: int) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(board.changes(after, 0.0))
    return found


def test_a_browser_is_told_what_has_changed_since(board: tuple[Board, Listed]) -> None:
    followed, listed = board
    first = told(followed, 0)
    assert first["whole"]
    assert len(first["jobs"]) == 4
    none = told(followed, first["version"])
    assert (none["jobs"], none["gone"], none["version"]) == ([], [], first["version"])

    running = listed.jobs[1]
    ended = attrs.evolve(running, status=JobStatus.COMPLETED)
    listed.jobs = [listed.jobs[0], ended, listed.jobs[2]]
    news = told(followed, first["version"])
    assert [(job["job_id"], job["status"]) for job in news["jobs"]] == [(running.job_id, "COMPLETED")]
    assert len(news["gone"]) == 1
    assert not news["whole"]
    assert told(followed, 0)["gone"] == []


def test_a_browser_that_followed_an_earlier_server_is_told_all(board: tuple[Board, Listed]) -> None:
    followed, _ = board
    assert told(followed, 77)["whole"]


def test_an_empty_scope_is_told_at_once() -> None:
    assert json.loads(Board(Listed([])).changes(0, 60.0))["jobs"] == []


# -- a journal ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def kept(tmp_path: Path) -> KeptJobs:
    return KeptJobs(
        {
            "idempotency_scope": "team-a",
            "registry_actor_name": "golden",
            "journal_uri": str(JOURNALS),
            "analytics_store": {"uri": str(tmp_path)},
        }
    )


def test_a_journal_gives_jobs_without_a_cluster(kept: KeptJobs) -> None:
    jobs = {job.job_name: job for job in kept.summaries()}
    assert {"completed", "failed", "lost", "cancelled"} <= jobs.keys()
    assert not kept.is_live
    assert kept.occupancy() is None
    failed = detail_of(kept.detail(jobs["failed"].job_id))
    assert failed["failure"]["error_type"] == "ValueError"
    assert failed["failure"]["error_message"] == "no such\nthing: ü"
    assert kept.fingerprints().keys() == {job.job_id for job in jobs.values()}
    assert detail_of(kept.detail(jobs["completed"].job_id))["job"]["run_uid"] == "uid-completed"
    with pytest.raises(JobNotFoundError):
        kept.detail("job-none")


def test_what_has_not_changed_in_a_journal_is_no_news(kept: KeptJobs) -> None:
    assert [id(job) for job in kept.summaries()] == [id(job) for job in kept.summaries()]


# -- results -----------------------------------------------------------------------------------------------------------


def test_tables_and_rows_are_plain(scores: Any) -> None:
    tables = {table["name"]: table for table in tables_of(scores)}
    assert (tables["robustness"]["rows"], tables["robustness"]["runs"]) == (8, 2)
    preview = preview_of(scores, "robustness", 3)
    assert [len(preview["rows"]), preview["is_cut"]] == [3, False]
    json.dumps([preview, answer_of(scores, "select * from runs")], allow_nan=False)


def test_a_long_answer_is_cut_and_said_to_be(scores: Any) -> None:
    answer = answer_of(scores, "select n, 1 / 0 as infinite from range(5000) t(n)", 10)
    assert len(answer["rows"]) == 10
    assert answer["is_cut"]
    assert answer["rows"][0] == [0, None]
    assert not answer_of(scores, "select 1 as one", 10)["is_cut"]
    nothing = answer_of(scores, "select model_id from robustness where false")
    assert nothing["rows"] == []


@pytest.mark.parametrize("sql", ["drop table runs", "select 1; select 2", "copy runs to 'x'", "select nothing", ""])
def test_only_a_select_is_answered(scores: Any, sql: str) -> None:
    with pytest.raises(QueryError):
        answer_of(scores, sql)


# -- what is shipped ---------------------------------------------------------------------------------------------------


def test_parts_of_others_are_the_files_that_their_checksums_say() -> None:
    assert front_end.differing() == {}


def test_the_page_makes_no_markup_of_text_and_names_no_other_place() -> None:
    from checkmaite.jobs_ui.server import page_files

    files = page_files()
    assert "vendor/uplot-LICENSE.txt" in files
    own = {name: content.decode() for name, content in files.items() if not name.startswith("vendor/")}
    for name, text in own.items():
        assert not [
            word for word in ("innerHTML", "outerHTML", "insertAdjacent", "document.write", "eval(") if word in text
        ], name
        assert "http://" not in text.replace("http://www.w3.org/2000/svg", ""), name
        assert "https://" not in text, name
