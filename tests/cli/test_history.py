"""Jobs from a journal: no cluster runs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from checkmaite.jobs import read_job_history
from checkmaite.jobs_cli.filters import JobFilter, instant_of
from checkmaite.jobs_cli.summaries import JobSummary

from tests.cli.conftest import Said

pytestmark = pytest.mark.usefixtures("profile")


def test_the_newest_jobs_come_first(cli: Callable[..., Said]) -> None:
    rows = read_job_history(profile="team").to_pylist()

    said = cli("jobs", "history", "--profile", "team", "--json", "--limit", "1000")

    assert said.code == 0, said.err
    assert [record["job_id"] for record in said.records] == [row["job_id"] for row in reversed(rows)]
    (failed,) = (record for record in said.records if record["job_name"] == "failed")
    assert failed == {
        "job_id": "job-01a20c53d702-0000000002",
        "job_name": "failed",
        "capability_id": "robustness",
        "status": "FAILED",
        "submitted_at": "2026-09-21T14:13:22+00:00",
        "started_at": "2026-09-21T14:13:22.250000+00:00",
        "finished_at": "2026-09-21T14:13:42+00:00",
        "node": "node-1",
        "attempts": 1,
        "progress": None,
        "error_type": "ValueError",
        "error_message": "no such\nthing: ü",
        "run_uid": None,
        "revision": None,
        "store_uri": None,
        "commit_uri": None,
        "reuse": "RUN",
        "submitted_by": None,
        "failure_kind": "other",
        "tags": {},
        "queued_at": None,
        "peak_memory_bytes": None,
        "peak_gpu_memory_bytes": None,
        "scope": "team-a",
    }


@pytest.mark.parametrize(
    ("flags", "names"),
    [
        (["--status", "failed"], ["lost", "failed"]),
        (["--status", "FAILED", "--status", "cancelled"], ["lost", "cancelled", "failed"]),
        (["--name", "st*"], ["stored already", "stopping"]),
        (["--name", "lost", "--name", "retried"], ["retried", "lost"]),
        (["--status", "running", "--name", "st*"], ["stopping"]),
        (["--capability", "none"], []),
        (["--since", "2026-09-21T14:14:05Z"], ["adopted"]),
    ],
)
def test_filters_choose(cli: Callable[..., Said], flags: list[str], names: list[str]) -> None:
    said = cli("jobs", "history", "-p", "team", "--json", *flags)
    assert [record["job_name"] for record in said.records] == names


def test_nothing_found_is_no_error(cli: Callable[..., Said]) -> None:
    said = cli("jobs", "history", "-p", "team", "--name", "none")
    assert (said.code, said.out, said.err) == (0, "", "No such jobs.\n")


def test_older_jobs_that_are_left_out_are_told(cli: Callable[..., Said]) -> None:
    said = cli("jobs", "history", "-p", "team", "--limit", "2")
    assert len(said.out.splitlines()) == 3
    assert said.err == "There are more: --limit 4 shows up to 4.\n"


@pytest.mark.parametrize(
    ("width", "heads"), [(80, "STATUS NAME AGE RAN JOB"), (120, "STATUS NAME AGE RAN NODE RESULT JOB")]
)
def test_a_table_fits_its_terminal(
    cli: Callable[..., Said], monkeypatch: pytest.MonkeyPatch, width: int, heads: str
) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    said = cli("jobs", "history", "-p", "team")
    head, *lines = said.out.splitlines()
    assert head.split() == heads.split()
    assert max(map(len, lines)) <= width
    assert sum("job-01a20c53d7" in line for line in lines) == 15, "an id is cut"


def test_flags_and_variables_do_without_a_file(
    cli: Callable[..., Said], profile: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = profile.read_text()
    journal = text.partition('journal_uri = "')[2].partition('"')[0]
    profile.unlink()
    monkeypatch.setenv("CHECKMAITE_JOBS_JOURNAL_URI", journal)
    flags = ["--scope", "team-a", "--store", "results", "--set", "registry_actor_name=golden"]
    assert len(cli("jobs", "history", "--json", *flags).records) == 15


def test_one_job_is_shown(cli: Callable[..., Said]) -> None:
    said = cli("jobs", "show", "job-01a20c53d702-0000000002", "-p", "team")
    assert [line.split(maxsplit=1) for line in said.out.splitlines()][:4] == [
        ["job", "job-01a20c53d702-0000000002"],
        ["name", "failed"],
        ["capability", "robustness"],
        ["status", "FAILED"],
    ]
    (record,) = cli("jobs", "show", "job-01a20c53d702-0000000002", "-p", "team", "--json").records
    assert record["error_type"] == "ValueError"


@pytest.mark.parametrize("command", ["show", "logs"])
def test_a_job_that_is_not_there_has_its_code(cli: Callable[..., Said], command: str) -> None:
    said = cli("jobs", command, "job-x", "-p", "team")
    assert (said.code, said.out) == (3, "")
    assert "job-x" in said.err


def test_a_date_without_a_zone_is_utc() -> None:
    rows = read_job_history(profile="team").to_pylist()
    jobs = [JobSummary.of_row(row) for row in rows]
    now = jobs[-1].submitted_at
    assert now is not None
    assert instant_of("50s", now) < instant_of("0.5m", now) < instant_of("2026-09-21T14:14:10", now) == now
    assert [job.job_name for job in JobFilter(since=instant_of("0s", now)).of(jobs)] == ["adopted"]


def test_where_no_other_process_reaches_the_jobs_the_journal_is_read(cli: Callable[..., Said]) -> None:
    said = cli("jobs", "list", "-p", "team", "--address", "local", "--json", "--status", "failed")
    assert [record["job_name"] for record in said.records] == ["lost", "failed"]
    assert "From the journal" in said.err


def test_a_journal_that_cannot_be_read_is_not_said_to_be_shown(cli: Callable[..., Said], tmp_path: Path) -> None:
    said = cli("jobs", "list", "--scope", "team", "--store", str(tmp_path / "nowhere"))
    assert (said.code, said.out) == (3, "")
    assert said.err.startswith("Error: ")


@pytest.mark.parametrize("command", [["wait"], ["watch"], ["cancel", "--status", "pending"], ["explain", "job-x"]])
def test_where_no_other_process_reaches_the_jobs_nobody_acts(cli: Callable[..., Said], command: list[str]) -> None:
    said = cli("jobs", *command, "-p", "team")
    assert (said.code, said.out) == (2, "")
    assert "no other process reaches" in said.err


def test_a_cluster_that_does_not_answer_has_its_code(cli: Callable[..., Said]) -> None:
    said = cli("jobs", "list", "-p", "team", "--address", "127.0.0.1:9", "--set", "connect_timeout_s=1")
    assert (said.code, said.out) == (4, "")
    assert "127.0.0.1:9" in said.err


@pytest.mark.parametrize("kind", ["inline", "ray-simple"])
def test_jobs_of_one_process_are_nobody_elses(cli: Callable[..., Said], kind: str) -> None:
    said = cli("jobs", "list", "--kind", kind)
    assert said.code == 2
    assert "known to the process that submitted them alone" in said.err
