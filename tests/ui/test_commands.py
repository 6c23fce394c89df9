"""The commands, as the command line calls them: without a cluster."""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import Any

import pytest
from checkmaite.jobs import ArgumentError, StoreNotFoundError, configure_job_backend, shutdown_job_backend
from checkmaite.jobs.testing import SampleCapability
from checkmaite.jobs_ui import commands, write_report
from checkmaite.jobs_ui.server import PageServer
from checkmaite.store_parquet import ParquetStore
from click.testing import CliRunner

from tests.ui.conftest import connection_to

JOURNALS = Path(__file__).parents[1] / "ray_journal" / "golden" / "version-1"


@pytest.fixture
def flags(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Those that lead to a journal and to a store."""
    monkeypatch.chdir(tmp_path)
    ParquetStore("results").write(SampleCapability().run(config={"run_uid": "run-one"}))
    options = {"registry_actor_name": "golden", "journal_uri": str(JOURNALS)}
    sets = [part for name, value in options.items() for part in ("--set", f"{name}={json.dumps(value)}")]
    return ["--scope", "team-a", "--store", "results", *sets]


def data_of(site: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((site / "data.js").read_text().removeprefix("checkmaiteReport = ").rstrip(";\n"))
    return found


def test_a_report_of_a_journal_needs_no_cluster(flags: list[str], tmp_path: Path) -> None:
    said = CliRunner().invoke(
        commands.report, ["--out", "site", "--query", "select count(*) as n from runs", *flags], catch_exceptions=False
    )
    assert Path(said.stdout.strip()) == Path("site/index.html")
    data = data_of(tmp_path / "site")
    assert {"completed", "failed"} <= {job["job_name"] for job in data["jobs"]}
    assert data["scope"]["title"] == "team-a"
    assert data["store"]["answers"][0]["columns"][0]["name"] == "n"
    assert (tmp_path / "site/details/0.js").is_file()


def test_a_report_replaces_a_report_and_nothing_else(flags: list[str], tmp_path: Path) -> None:
    for _ in range(2):
        assert CliRunner().invoke(commands.report, ["--out", "site", *flags]).exit_code == 0
    (tmp_path / "precious").mkdir()
    (tmp_path / "precious/thesis.tex").touch()
    for place in ("precious", "precious/thesis.tex"):
        said = CliRunner().invoke(commands.report, ["--out", place, *flags])
        assert isinstance(said.exception, ArgumentError)
        assert "something else than a report" in str(said.exception)
    assert (tmp_path / "precious/thesis.tex").exists()


def test_what_is_wrong_with_the_journal_is_said_before_anything_is_served(flags: list[str]) -> None:
    said = CliRunner().invoke(commands.ui, [*flags, "--set", 'registry_actor_name="another"'])
    assert isinstance(said.exception, StoreNotFoundError)


def test_the_page_is_served_until_it_is_interrupted(flags: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    waits, go = threading.Event(), threading.Event()
    served: list[str] = []

    def wait(server: PageServer) -> None:
        served.append(server.url)
        waits.set()
        assert go.wait(60)

    monkeypatch.setattr(PageServer, "wait", wait)
    results: list[Any] = []
    runner = threading.Thread(target=lambda: results.append(CliRunner().invoke(commands.ui, flags)))
    runner.start()
    assert waits.wait(60)
    with connection_to(served[0]) as connection:
        path = served[0].partition(f":{connection.port}")[2]
        connection.request("GET", f"{path}api/jobs")
        jobs = json.loads(connection.getresponse().read())["jobs"]
    go.set()
    runner.join(60)
    assert {"completed", "failed"} <= {job["job_name"] for job in jobs}
    assert results[0].stdout.splitlines()[0] == served[0]


def test_a_port_that_is_taken_is_told(flags: list[str]) -> None:
    import socket

    with socket.create_server(("127.0.0.1", 0)) as taken:
        said = CliRunner().invoke(commands.ui, ["--port", str(taken.getsockname()[1]), *flags])
    assert "is taken" in str(said.exception)


def test_a_program_writes_the_report_of_its_own_jobs(tmp_path: Path) -> None:
    backend = configure_job_backend("inline", analytics_store={"backend": "parquet", "uri": str(tmp_path / "store")})
    try:
        from checkmaite.jobs import submit_capability

        submit_capability(SampleCapability(), config={"run_uid": "run-one"}, job_name="one").result(60)
        index = write_report(tmp_path / "site", title="my jobs", queries=["select run_uid from runs"])
    finally:
        shutdown_job_backend()
    data = data_of(index.parent)
    assert [job["job_name"] for job in data["jobs"]] == ["one"]
    assert data["store"]["answers"][0]["rows"][0] == ["run-one"]
    assert backend.analytics_store.uri == data["scope"]["store"]
