"""Who shares a cluster, by the journals of those whose cluster is gone."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from checkmaite.jobs import ConfigurationError, JobStatus, list_scopes

from tests.cli.conftest import JOURNALS, Said

GOLDEN = ("--store", "results", "--set", f"journal_uri={JOURNALS}")


def test_all_scopes_of_a_journal_are_listed_without_naming_one(cli: Callable[..., Said]) -> None:
    first, second = cli("scopes", "list", *GOLDEN, "--json").records
    assert (first["scope"], second["scope"], second["jobs"]) == ("team-a", "team-b", {"PENDING": 1})
    assert {name: first[name] for name in ("registry", "is_alive", "node", "has_key")} == {
        "registry": "golden",
        "is_alive": False,
        "node": None,
        "has_key": False,
    }
    assert (first["jobs"]["RUNNING"], first["jobs"]["FAILED"]) == (4, 2)
    assert datetime.fromisoformat(first["last_activity_at"]) > datetime(2026, 9, 21, tzinfo=UTC)


@pytest.mark.filterwarnings("always:The scopes of the registry")
def test_a_damaged_journal_is_left_out_with_a_word(cli: Callable[..., Said], apart: Path) -> None:
    shutil.copytree(JOURNALS, apart / "journals")
    folder = apart / "journals" / "checkmaite_jobs"
    shutil.copytree(folder / "golden", folder / "spoilt")
    for each in (folder / "spoilt" / "snap").iterdir():
        each.write_bytes(b"no snapshot")
    said = cli("scopes", "list", "--store", "results", "--set", f"journal_uri={apart / 'journals'}", "--json")
    assert (said.code, [record["registry"] for record in said.records]) == (0, ["golden", "golden"])
    assert "Warning: The scopes of the registry 'spoilt' are left out" in said.err


@pytest.mark.usefixtures("profile")
def test_a_table_tells_the_same(cli: Callable[..., Said]) -> None:
    said = cli("scopes", "list", "-p", "team")
    assert said.code == 0, said.err
    head, first, *_ = said.out.splitlines()
    assert head.split() == ["SCOPE", "LAST", "NODE", "REGISTRY", "JOBS"]
    assert "team-a" in first
    assert "not running" in first
    assert "4 running" in said.out


def test_where_there_is_no_journal_there_are_no_scopes(cli: Callable[..., Said], apart: Path) -> None:
    assert cli("scopes", "list", "--store", "results") == Said(0, "", "There are no scopes here.\n")
    assert cli("scopes", "list", "--store", "results", "--json") == Said(0, "", "")
    assert not list(apart.iterdir()), "nothing was begun"


def test_backends_without_scopes_say_so(cli: Callable[..., Said]) -> None:
    said = cli("scopes", "list", "--kind", "inline", "--store", "results")
    assert (said.code, said.out) == (2, "")
    assert "'inline' has no scopes" in said.err


def test_of_a_scope_with_a_key_the_name_is_told_alone() -> None:
    from checkmaite.jobs_ray.registry.model.job_table import JobTable

    from tests.ray_registry.making import spec
    from tests.ray_registry.rig import Rig

    rig = Rig()
    rig.submit(spec("open"), spec("of a wall", scope="walled"))
    rig.go()
    rig.start("open")
    found = rig.registry.table.summaries({"walled", "empty"})
    told = {each.scope: each for each in found}
    assert sorted(each.scope for each in found) == ["empty", "scope", "walled"]
    assert (told["scope"].jobs, told["scope"].has_key) == ({JobStatus.RUNNING: 1}, False)
    assert told["scope"].last_at == max(rig.record("open").created_at, 100.5)
    assert {(each.jobs == {}, each.last_at, each.has_key) for each in (told["walled"], told["empty"])} == {
        (True, None, True)
    }
    assert JobTable().summaries(()) == []


def test_a_scope_that_is_named_wrongly_is_an_error() -> None:
    with pytest.raises(ConfigurationError, match="idempotency_scope"):
        list_scopes(idempotency_scope="", analytics_store={"backend": "parquet", "uri": "results"})
