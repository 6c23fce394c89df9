"""Commands that other distributions bring."""

from __future__ import annotations

import sys
import tomllib
from collections.abc import Callable
from importlib.metadata import EntryPoint
from pathlib import Path

import click
import pytest
from checkmaite.jobs_cli import plugins

from tests.cli.conftest import Said

ROOT = Path(__file__).parents[2]


@click.command()
def greet() -> None:
    """Says hello."""
    click.echo("hello")


NO_COMMAND = object()


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    def install(**named: str) -> None:
        found = {name: EntryPoint(name, value, plugins.GROUP) for name, value in named.items()}
        monkeypatch.setattr(plugins, "_found", lambda: found)

    return install


def test_a_command_of_another_distribution_is_listed_and_called(
    cli: Callable[..., Said], installed: Callable[..., None]
) -> None:
    installed(greet="tests.cli.test_plugins:greet")
    assert "Says hello." in cli("--help").out
    assert cli("greet").out == "hello\n"
    assert cli("jobs", "--help").code == 0


@pytest.mark.parametrize(
    ("value", "why"),
    [("no_such_module:x", "No module named"), ("tests.cli.test_plugins:NO_COMMAND", "no click command")],
)
def test_one_that_cannot_be_loaded_says_so_and_breaks_no_other(
    cli: Callable[..., Said], installed: Callable[..., None], value: str, why: str
) -> None:
    installed(broken=value, greet="tests.cli.test_plugins:greet")
    assert "greet" in cli("--help").out
    assert cli("greet").out == "hello\n"
    said = cli("broken", "--any", "flag")
    assert said.code == 2
    assert why in said.err


@pytest.mark.parametrize("command", [("ui",), ("report", "--out", "site")])
def test_one_that_is_not_installed_says_what_to_install(
    cli: Callable[..., Said], installed: Callable[..., None], command: tuple[str, ...]
) -> None:
    installed()
    said = cli(*command)
    assert said.code == 2
    assert 'pip install "checkmaite-jobs[ui]"' in said.err
    assert cli("nonsense").code == 2


def test_plugins_are_imported_when_they_are_called(cli: Callable[..., Said], installed: Callable[..., None]) -> None:
    installed(broken="no_such_module:x")
    assert cli("completion", "bash").code == 0
    assert "no_such_module" not in sys.modules


def test_the_distribution_of_the_page_brings_what_is_missing() -> None:
    project = tomllib.loads((ROOT / "packages/checkmaite-jobs-ui/pyproject.toml").read_text())["project"]
    brought = project["entry-points"][plugins.GROUP]
    assert set(brought) == set(plugins._EXTRAS)
    for name, value in brought.items():
        assert EntryPoint(name, value, plugins.GROUP).load().name == name
