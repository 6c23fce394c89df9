"""A folder with settings, a store and a journal, and the command run in it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from attrs import frozen
from checkmaite.jobs.testing import SampleCapability
from checkmaite.jobs_cli.app import run
from checkmaite.store_parquet import ParquetStore

JOURNALS = Path(__file__).parents[1] / "ray_journal" / "golden" / "version-1"
"""A journal of an earlier version, which stays as it is."""


@frozen
class Said:
    """How a command ended, and what it printed."""

    code: int
    out: str
    err: str

    @property
    def records(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.out.splitlines()]


@pytest.fixture(autouse=True)
def apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder that the command runs in; no terminal, no variables of the person who runs the tests."""
    monkeypatch.chdir(tmp_path)
    for name in ("COLUMNS", "FORCE_COLOR", "TTY_COMPATIBLE"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


@pytest.fixture
def cli(capsys: pytest.CaptureFixture[str]) -> Callable[..., Said]:
    def command(*arguments: str) -> Said:
        capsys.readouterr()
        code = run(arguments)
        return Said(code, *capsys.readouterr())

    return command


@pytest.fixture
def profile(apart: Path) -> Path:
    """Settings of a team whose journal is there, and of a store that has two runs."""
    store = ParquetStore("results")
    for name in ("one", "two"):
        store.write(SampleCapability().run(config={"run_uid": f"run-{name}"}))
    file = apart / "checkmaite-jobs.toml"
    file.write_text(
        f'analytics_store = "results"\n'
        f"[profiles.team]\n"
        f'idempotency_scope = "team-a"\n'
        f'registry_actor_name = "golden"\n'
        f'journal_uri = "{JOURNALS}"\n'
    )
    return file
