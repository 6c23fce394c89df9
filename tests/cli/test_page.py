"""The page docs/how-to/command-line.md: its commands are run, and print what it shows."""

from __future__ import annotations

import re
import shlex
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest
from checkmaite.jobs.spi import read_settings

from tests.cli.conftest import JOURNALS, Said

PAGE = (Path(__file__).parents[2] / "docs/how-to/command-line.md").read_text()
_AGE = re.compile(r"\b\d+(\.\d)? (s|min|h|d)\b")


def blocks(kind: str) -> list[str]:
    return re.findall(rf"^```{kind}\n(.*?)^```", PAGE, flags=re.MULTILINE | re.DOTALL)


def commands() -> list[tuple[str, str]]:
    found = []
    for block in blocks("console"):
        for part in block.split("$ checkmaite-jobs ")[1:]:
            command, _, printed = part.partition("\n")
            found.append((command, printed))
    return found


def settled(text: str) -> list[list[str]]:
    """Words of each line, with ages, which differ from day to day, left out."""
    return [_AGE.sub("", line).split() for line in text.splitlines()]


@pytest.fixture
def told_by_the_page(profile: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (settings,) = blocks("toml")
    profile.write_text(settings)
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("CHECKMAITE_JOBS_JOURNAL_URI", str(JOURNALS))
    monkeypatch.setenv("CHECKMAITE_JOBS_REGISTRY_ACTOR_NAME", "golden")


@pytest.mark.usefixtures("told_by_the_page")
@pytest.mark.parametrize(("command", "printed"), commands(), ids=[command for command, _ in commands()])
def test_a_command_prints_what_the_page_shows(cli: Callable[..., Said], command: str, printed: str) -> None:
    said = cli(*shlex.split(command))
    assert said.code == 0, said.err
    assert settled(said.out) == settled(printed)


@pytest.mark.usefixtures("told_by_the_page")
def test_the_settings_of_the_page_are_found(tmp_path: Path) -> None:
    (settings,) = blocks("toml")
    found = read_settings("team", environment={})
    assert found.arguments["analytics_store"] == {"uri": str(tmp_path / "results")}
    assert found.arguments.items() >= tomllib.loads(settings)["profiles"]["team"].items()
