"""The command line against a cluster, with jobs of another client: each command is a process's worth of its own."""

from __future__ import annotations

import io
import json
import platform
import subprocess
import sys
import threading
from collections import OrderedDict
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from attrs import frozen
from checkmaite.jobs import JobBackend, JobStatus, Resources, get_job, wait_all
from checkmaite.jobs._submitters import again
from checkmaite.jobs_cli.app import run

from tests.ray import capabilities
from tests.ray.clusters import SOON_S, wait_until
from tests.ray.conftest import submit

CAPABILITY = """
from checkmaite.jobs.testing import SampleRun

class Adds:
    id = "adds"

    def run(self, **_):
        return SampleRun(run_uid="added", capability_id=self.id)
"""
pytestmark = pytest.mark.usefixtures("backend")


@frozen
class Said:
    code: int
    out: str
    err: str

    @property
    def records(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.out.splitlines()]


@pytest.fixture
def cli(
    capsys: pytest.CaptureFixture[str], options: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., Said]:
    settings = {**options, "analytics_store": options["analytics_store"]["uri"]}
    lines = [f"{name} = {json.dumps('none' if value is None else value)}" for name, value in settings.items()]
    (tmp_path / "checkmaite-jobs.toml").write_text("\n".join(lines))
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("COLUMNS", raising=False)  # what starts the tests may say how wide its own terminal is

    def command(*arguments: str) -> Said:
        capsys.readouterr()
        code = run(arguments)
        return Said(code, *capsys.readouterr())

    return command


def test_jobs_are_seen_and_asked_about(cli: Callable[..., Said], tmp_path: Path) -> None:
    failed = submit(capabilities.raises, job_name="fails")
    running = submit(partial(capabilities.tells_its_start_and_waits, str(tmp_path)), job_name="sweep-1")
    failed.wait(SOON_S)
    wait_until(running.logs, "the job has printed nothing")
    wait_until(lambda: running.status is JobStatus.RUNNING, "the job is not seen to run")

    seen = {record["job_name"]: record for record in cli("jobs", "list", "--json").records}
    statuses = {name: record["status"] for name, record in seen.items()}
    assert statuses == {"fails": "FAILED", "sweep-1": "RUNNING"}
    assert seen["fails"]["error_type"] == "ValueError"
    assert seen["fails"]["finished_at"] > seen["fails"]["started_at"] >= seen["fails"]["submitted_at"]
    assert [record["job_id"] for record in cli("jobs", "list", "--name", "sweep-*", "--json").records] == [
        running.job_id
    ]
    assert cli("jobs", "list", "--status", "completed").err.endswith("No such jobs.\n")

    told = cli("jobs", "show", failed.job_id)
    assert "told to fail" in told.out
    assert "Traceback" in told.out
    assert "RUNNING on" in cli("jobs", "explain", running.job_id).out
    assert cli("jobs", "logs", running.job_id).out.startswith("started in")
    missing = cli("jobs", "explain", "job-x")
    assert (missing.code, missing.out) == (3, "")


def test_all_scopes_of_a_cluster_are_listed_and_nothing_is_begun(
    cli: Callable[..., Said], options: dict[str, Any], attached: Any
) -> None:
    submit(capabilities.nothing).wait(SOON_S)
    actors = {each["name"] for each in attached.util.list_named_actors(all_namespaces=True)}
    address, journals = options["address"], f"journal_uri={options['journal_uri']}"
    said = cli("scopes", "list", "--address", address, "--scope", "nobody", "--set", journals, "--json")
    assert said.code == 0, said.err
    found = {record["scope"]: record for record in said.records}
    own = found[options["idempotency_scope"]]
    assert (own["is_alive"], own["jobs"], own["node"]) == (True, {"COMPLETED": 1}, platform.node())
    assert own["registry"] == options["registry_actor_name"]
    assert "nobody" not in found
    assert {each["name"] for each in attached.util.list_named_actors(all_namespaces=True)} == actors


def test_an_operator_lists_the_jobs_of_all_scopes(
    cli: Callable[..., Said], configure: Callable[..., JobBackend], scope: str
) -> None:
    theirs = f"{scope}-theirs"
    configure(idempotency_scope=theirs)
    failed = submit(capabilities.raises, job_name="fails")
    failed.wait(SOON_S)
    assert cli("jobs", "list", "--json").records == []

    flags = ("jobs", "list", "--all-scopes", "--since", failed.created_at.isoformat())
    said = cli(*flags, "--status", "failed", "--name", "fail*", "--json")
    assert said.code == 0, said.err
    assert [(each["scope"], each["error_type"]) for each in said.records if each["job_id"] == failed.job_id] == [
        (theirs, "ValueError")
    ]
    head, *rows = cli(*flags).out.splitlines()
    assert head.split()[:3] == ["STATUS", "SCOPE", "NAME"]
    assert any(theirs in row and failed.job_id in row for row in rows)


def test_waiting_says_by_its_code_how_jobs_ended(cli: Callable[..., Said], tmp_path: Path) -> None:
    failed = submit(capabilities.raises, job_name="fails")
    waiting = submit(partial(capabilities.waits, str(tmp_path)), job_name="waits")
    late = cli("jobs", "wait", "--name", "wait*", "--timeout", "0.1")
    assert (late.code, late.out) == (12, "")
    assert "They go on." in late.err

    (tmp_path / "go").touch()
    done = cli("jobs", "wait", waiting.job_id, "--json")
    assert done.code == 0, done.err
    assert [(record["job_id"], record["status"]) for record in done.records] == [(waiting.job_id, "COMPLETED")]

    bad = cli("jobs", "wait", failed.job_id, waiting.job_id)
    assert bad.code == 10
    assert f"FAILED  fails  {failed.job_id}  ValueError: told to fail\n" in bad.out


def test_cancelling_several_shows_them_and_asks(
    cli: Callable[..., Said], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    swept = [submit(partial(capabilities.waits, str(tmp_path), "never"), job_name=f"sweep-{n}") for n in (1, 2)]
    other = submit(partial(capabilities.waits, str(tmp_path), "never"), job_name="other")
    assert cli("jobs", "cancel").code == 2
    shown = cli("jobs", "cancel", "--name", "sweep-*", "--dry-run")
    assert [job.job_id in shown.out for job in (*swept, other)] == [True, True, False]

    monkeypatch.setattr("sys.stdin", io.StringIO("n\n"))
    refused = cli("jobs", "cancel", "--name", "sweep-*")
    assert refused.code == 1
    assert "Cancel 2 jobs?" in refused.err
    assert not any(job.status.is_final for job in swept)

    monkeypatch.setattr("sys.stdin", io.StringIO("y\n"))
    done = cli("jobs", "cancel", "--name", "sweep-*", "--json", "--grace", "1")
    assert {record["job_id"] for record in done.records} == {job.job_id for job in swept}
    assert cli("jobs", "wait", *(job.job_id for job in swept)).code == 11
    assert [job.wait(SOON_S) for job in swept] == [JobStatus.CANCELLED] * 2
    assert not other.status.is_final

    assert cli("jobs", "cancel", other.job_id, "--grace", "0").err.endswith("1 job asked to stop.\n")
    assert other.wait(SOON_S) is JobStatus.CANCELLED
    again = cli("jobs", "cancel", other.job_id)
    assert again.err.endswith(f"0 jobs asked to stop.\nother ({other.job_id}) is CANCELLED already.\n")


def test_jobs_are_run_again_by_their_ids_or_by_what_they_are(
    cli: Callable[..., Said], configure: Callable[..., JobBackend], monkeypatch: pytest.MonkeyPatch
) -> None:
    failed = [submit(capabilities.raises, job_name=f"sweep-{n}") for n in (1, 2)]
    done = submit(capabilities.nothing, job_name="sweep-done")
    assert wait_all([*failed, done], SOON_S) == [JobStatus.FAILED, JobStatus.FAILED, JobStatus.COMPLETED]
    monkeypatch.setattr(again, "_kept", OrderedDict())  # another process has submitted them
    assert cli("jobs", "rerun").code == 2
    shown = cli("jobs", "rerun", "--name", "sweep-*", "--dry-run", "--json").records
    assert {record["job_id"] for record in shown} == {job.job_id for job in failed}

    one = cli("jobs", "rerun", failed[0].job_id, "--resource", "memory=1048576", "--wait", "--json")
    assert one.code == 10, one.err
    (record,) = one.records
    assert (record["job_name"], record["error_type"]) == ("sweep-1", "ValueError")

    monkeypatch.setattr("sys.stdin", io.StringIO("y\n"))
    both = cli("jobs", "rerun", "--name", "sweep-[2d]*", "--status", "failed", "--status", "completed")
    assert both.code == 1, "one of them is refused"
    assert "Run again 2 jobs?" in both.err
    assert f"sweep-done ({done.job_id}): " in both.err
    assert "keep_inputs=" in both.err
    assert "1 job submitted, 1 refused." in both.err

    refused = cli("jobs", "rerun", done.job_id)
    assert (refused.code, refused.out) == (2, "")
    assert "keep_inputs=" in refused.err

    configure()  # the command has let go of its own
    assert get_job(record["job_id"]).info.resources == Resources(memory=2**20)


@pytest.mark.parametrize(
    ("command", "first", "last"),
    [
        (["watch", "--json"], '"status": "RUNNING"', '"status": "COMPLETED"'),
        (["logs", "--follow"], "started in", "over\n"),
    ],
    ids=["watch", "logs"],
)
def test_who_follows_a_job_hears_of_it_until_its_end(
    cli: Callable[..., Said],
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    command: list[str],
    first: str,
    last: str,
) -> None:
    def tells_its_end() -> None:
        capabilities.tells_its_start_and_waits(folder)
        print("over", flush=True)  # noqa: T201 - it is the job's

    folder = str(tmp_path)
    job = submit(tells_its_end)
    ended: list[int] = []
    verb, *flags = command
    follower = threading.Thread(target=lambda: ended.append(run(["jobs", verb, job.job_id, *flags])))
    follower.start()
    heard = ""

    def hears(text: str) -> bool:
        nonlocal heard
        heard += capsys.readouterr().out
        return text in heard

    wait_until(lambda: hears(first), f"no {first!r}")
    (tmp_path / "go").touch()
    follower.join(SOON_S)
    assert ended == [0]
    assert hears(last), heard
    assert heard.count(first) == 1


def test_a_worker_is_looked_at_and_runs_what_is_submitted(
    cli: Callable[..., Said], options: dict[str, Any], tmp_path: Path
) -> None:
    (tmp_path / "caps_of_the_folder.py").write_text(CAPABILITY)
    looked = cli("doctor", "--json", "--import", "no_such_module")
    states = {record["check"]: record["state"] for record in looked.records}
    assert {states[name] for name in ("settings", "store from here", "backend", "worker")} == {"ok"}, looked.out
    assert states["import no_such_module"] == "fault"

    command = [sys.executable, "-m", "checkmaite.jobs_cli", "submit", "caps_of_the_folder:Adds", "--wait", "--json"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=SOON_S, check=False)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["run_uid"] == "added"
    names = {record["job_name"] for record in cli("jobs", "list", "--json").records}
    assert names == {"adds", "checkmaite-jobs doctor"}


def test_metrics_are_those_of_the_scope(cli: Callable[..., Said]) -> None:
    jobs = [submit(capabilities.nothing) for _ in range(2)]
    assert [job.wait(SOON_S) for job in jobs] == [JobStatus.COMPLETED] * 2
    said = cli("metrics")
    assert said.code == 0
    counted = [line for line in said.out.splitlines() if line.startswith("ray_checkmaite_jobs_finished_total{")]
    assert [line.rpartition(" ")[2] for line in counted] == ["2"]
    assert 'status="COMPLETED"' in counted[0]
    records = {each["metric"]: each for each in cli("metrics", "--json").records if each["value"]}
    assert records["ray_checkmaite_jobs_submitted_total"]["value"] == 2
    assert records["ray_checkmaite_jobs_run_seconds_total"]["kind"] == "counter"
    assert {each["labels"]["scope"] for each in records.values()} == {counted[0].partition('scope="')[2].split('"')[0]}
