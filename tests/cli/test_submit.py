"""Runs that are submitted from a shell, a profile that is written by asking, and what the doctor finds: without Ray."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from checkmaite.jobs.spi import read_settings
from checkmaite.store_parquet import ParquetStore

from tests.cli.conftest import Said

MODULE = """
from types import SimpleNamespace

print("imported")


class CountTo:
    id = "count-to"

    def run(self, *, models=None, datasets=None, metrics=None, config=None, use_cache=False):
        print("counting")
        rows = [{"table_name": "squares", "number": n, "square": n * n} for n in range(config["limit"])]
        named = {"dataset_metadata": [each.metadata for each in datasets or []]}
        named |= {"model_metadata": [], "metric_metadata": []}
        return SimpleNamespace(run_uid=f"count-{config['limit']}", capability_id=self.id, extract=lambda: rows, **named)


class Numbers:
    metadata = {"id": "numbers"}


class WithArguments:
    def __init__(self, needed):
        pass


counter = CountTo()
number = 3


def sweep():
    return [{"capability": CountTo(), "config": {"limit": n}, "job_name": f"sweep-{n}"} for n in (2, 3)]
"""


@pytest.fixture(autouse=True)
def module(apart: Path) -> Iterator[str]:
    """A module in the folder that the command runs in, of a name of its own."""
    name = f"caps_{abs(hash(apart))}"
    (apart / f"{name}.py").write_text(MODULE)
    (apart / "checkmaite-jobs.toml").write_text('kind = "inline"\nanalytics_store = "results"\n')
    (apart / "five.json").write_text('{"limit": 5}')
    before = [*sys.path]
    yield name
    sys.path[:] = before
    sys.modules.pop(name, None)


def test_a_capability_is_run_with_its_configuration(cli: Callable[..., Said], module: str) -> None:
    flags = ["--config", "five.json", "--dataset", f"{module}:Numbers", "--job-name", "five", "--num-cpus", "1"]
    said = cli("submit", f"{module}:CountTo", *flags, "--json")
    assert said.code == 0, said.err
    (record,) = said.records
    assert (record["job_name"], record["status"], record["run_uid"]) == ("five", "COMPLETED", "count-5")
    columns = "sum(square) as s, any_value(entity_id) as e"
    found = ParquetStore("results").query_sql(f"select {columns} from squares join runs using (run_uid)")
    assert found.to_pylist() == [{"s": 30, "e": "numbers"}]
    again = cli("submit", f"{module}:counter", *flags, "--json", "--option", "reuse=always")
    assert again.records[0]["reuse"].startswith("REUSED")


def test_the_configuration_may_be_toml_or_standard_input(
    cli: Callable[..., Said], module: str, apart: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (apart / "six.toml").write_text("limit = 6")
    assert cli("submit", f"{module}:CountTo", "--config", "six.toml", "--json").records[0]["run_uid"] == "count-6"
    monkeypatch.setattr("sys.stdin", io.StringIO('{"limit": 7}'))
    assert cli("submit", f"{module}:CountTo", "--config", "-", "--json").records[0]["run_uid"] == "count-7"


def test_a_function_gives_several(cli: Callable[..., Said], module: str) -> None:
    said = cli("submit", f"{module}:sweep", "--json")
    assert {record["job_name"] for record in said.records} == {"sweep-2", "sweep-3"}
    people = cli("submit", f"{module}:sweep")
    assert people.out.count("COMPLETED  sweep-") == 2
    assert people.err.count("Waiting for 2 jobs.") == 1


def test_what_jobs_print_stands_beside_the_records(cli: Callable[..., Said], module: str) -> None:
    said = cli("submit", f"{module}:CountTo", "--config", "five.json", "--json")
    assert len(said.records) == 1
    assert "counting" in said.err


def test_a_plan_submits_nothing(cli: Callable[..., Said], module: str, apart: Path) -> None:
    said = cli("submit", f"{module}:sweep", "--plan", "--json")
    assert [(each["job_name"], each["capability_id"]) for each in said.records] == [
        ("sweep-2", "count-to"),
        ("sweep-3", "count-to"),
    ]
    assert all(each["reuse"].startswith("RUN") for each in said.records)
    assert ParquetStore("results").list_tables() == []


def test_a_failed_job_has_its_code(cli: Callable[..., Said], module: str) -> None:
    said = cli("submit", f"{module}:CountTo")
    assert said.code == 10
    assert "FAILED  count-to  job-" in said.out
    assert "TypeError: " in said.out


@pytest.mark.parametrize(
    ("target", "flags", "says"),
    [
        ("nowhere:x", [], "cannot be imported"),
        ("{module}:x", [], "has no 'x'"),
        ("{module}", [], "Write module:object"),
        ("{module}:WithArguments", [], "cannot be called without arguments"),
        ("{module}:number", [], "neither a capability nor submissions, but int"),
        ("{module}:sweep", ["--num-cpus", "2"], "leave out resources"),
        ("{module}:CountTo", ["--config", "none.json"], "cannot be read"),
        ("{module}:CountTo", ["--option", "reus=never"], "Did you mean 'reuse'?"),
    ],
)
def test_what_cannot_be_submitted_is_told(
    cli: Callable[..., Said], module: str, target: str, flags: list[str], says: str
) -> None:
    said = cli("submit", target.format(module=module), *flags)
    assert said.code == 2, said.err
    assert says in said.err


def test_a_profile_is_written_by_asking(cli: Callable[..., Said], apart: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    answers = "ray\nray://head:10001\nteam-a\ns3://team/store\n"
    monkeypatch.setattr("sys.stdin", io.StringIO(answers))
    assert cli("init", "--profile", "team").code == 0
    found = read_settings("team", environment={})
    assert dict(found.arguments) == {
        "kind": "ray",
        "address": "ray://head:10001",
        "idempotency_scope": "team-a",
        "analytics_store": {"uri": "s3://team/store"},
    }
    assert read_settings(environment={}).arguments["kind"] == "inline", "what was there is as it was"
    before = (apart / "checkmaite-jobs.toml").read_text()
    for profile in ("team", "default"):
        refused = cli("init", "--profile", profile, "--yes")
        assert refused.code == 2
        assert "already" in refused.err
    assert (apart / "checkmaite-jobs.toml").read_text() == before


def test_flags_answer_and_defaults_do_for_the_rest(cli: Callable[..., Said], apart: Path) -> None:
    (apart / "checkmaite-jobs.toml").unlink()
    assert cli("init", "--yes", "--kind", "inline", "--store", 'a "quoted" folder').code == 0
    assert dict(read_settings(environment={}).arguments) == {
        "kind": "inline",
        "analytics_store": {"uri": str(apart / 'a "quoted" folder')},
    }


def test_the_doctor_looks_from_here_and_from_a_worker(cli: Callable[..., Said], module: str) -> None:
    said = cli("doctor", "--json", "--import", module, "--import", "no_such_module")
    states = {record["check"]: record["state"] for record in said.records}
    assert states.pop("GPUs") in {"ok", "note"}
    assert states == {
        "settings": "ok",
        "versions": "ok",
        "store from here": "ok",
        "backend": "ok",
        "worker": "ok",
        f"import {module}": "ok",
        "import no_such_module": "fault",
    }
    assert said.code == 1
    (fault,) = (record["found"] for record in said.records if record["state"] == "fault")
    assert "No module named 'no_such_module'. Install it there" in fault
    assert ParquetStore("results").list_tables() == [], "its job has stored something"
    assert cli("doctor", "--no-worker").code == 0


@pytest.mark.parametrize(
    ("settings", "check", "says"),
    [
        ("kind = ", "settings", "cannot be read as TOML"),
        ('kind = "inline"', "backend", "analytics_store: is required."),
        ('kind = "inlin"\nanalytics_store = "x"', "backend", "Did you mean 'inline'?"),
        ('kind = "inline"\nanalytics_store = "/proc/none"', "store from here", "/proc/none"),
        ('analytics_store = "x"\nidempotency_scope = "s"\naddress = "127.0.0.1:9"', "backend", "127.0.0.1:9"),
        ('runtime_env = { working_dir = "gone" }', "working_dir", "is no folder"),
    ],
)
def test_the_doctor_says_what_is_wrong(
    cli: Callable[..., Said], apart: Path, settings: str, check: str, says: str
) -> None:
    (apart / "checkmaite-jobs.toml").write_text(settings)
    said = cli("doctor", "--json", "--no-worker")
    assert said.code == 1
    faults = {record["check"]: record["found"] for record in said.records if record["state"] == "fault"}
    assert says in faults[check]


def test_the_doctor_says_that_a_hook_takes_nothing(cli: Callable[..., Said], apart: Path) -> None:
    hook = '[hooks.webhook]\nurl = "http://127.0.0.1:9/"\nmax_tries = 1\n'
    (apart / "checkmaite-jobs.toml").write_text(f'kind = "inline"\nanalytics_store = "x"\n{hook}')
    said = cli("doctor", "--json")
    assert said.code == 1
    (found,) = (each for each in said.records if each["check"] == "hook webhook")
    assert found["state"] == "fault"
    assert "was not taken at try 1: ConnectionRefusedError" in found["found"]


def test_the_doctor_says_what_makes_a_working_dir_large(cli: Callable[..., Said], apart: Path) -> None:
    (apart / "code").mkdir()
    with (apart / "code" / "weights.bin").open("wb") as weights:
        weights.truncate(200 * 2**20)
    environment = f"runtime_env = {{ working_dir = {json.dumps(str(apart / 'code'))} }}"
    settings = f'kind = "inline"\nanalytics_store = "x"\n{environment}'
    (apart / "checkmaite-jobs.toml").write_text(settings)
    (found,) = (each for each in cli("doctor", "--json", "--no-worker").records if each["check"] == "working_dir")
    assert found["state"] == "note"
    assert "largest: weights.bin 200.0 MiB" in found["found"]
