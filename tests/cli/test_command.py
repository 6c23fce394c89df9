"""The command itself: its help, exit codes and errors."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import click
import pytest
from checkmaite.jobs import (
    BackendUnavailableError,
    ConfigurationError,
    JobNotFoundError,
    JobsError,
    JobStatus,
    StoreCorruptError,
    StoreNotFoundError,
    StorePermissionError,
)
from checkmaite.jobs_cli.app import app
from checkmaite.jobs_cli.exits import Exit, exit_after, exit_of

from tests.cli.conftest import Said


def commands(group: click.Group, above: tuple[str, ...] = ()) -> dict[tuple[str, ...], click.Command]:
    found: dict[tuple[str, ...], click.Command] = {}
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            found |= commands(command, (*above, name))
        else:
            found[(*above, name)] = command
    return found


COMMANDS = commands(app)


@pytest.mark.parametrize("path", COMMANDS, ids=" ".join)
def test_help_says_what_a_command_does_with_an_example(cli: Callable[..., Said], path: tuple[str, ...]) -> None:
    said = cli(*path, "--help")
    assert said.code == 0
    assert f"checkmaite-jobs {' '.join(path)}" in said.out.partition("Examples:")[2]
    undocumented = [each.name for each in COMMANDS[path].params if isinstance(each, click.Option) and not each.help]
    assert undocumented == []


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (JobNotFoundError("j", where="here"), 3),
        (StoreNotFoundError("x"), 3),
        (BackendUnavailableError("x"), 4),
        (StorePermissionError("x"), 4),
        (ConfigurationError("x"), 2),
        (StoreCorruptError("x"), 1),
    ],
)
def test_an_error_has_its_code(error: JobsError, code: int) -> None:
    assert exit_of(error) == code


@pytest.mark.parametrize(
    ("statuses", "code"),
    [
        ([], Exit.DONE),
        (["COMPLETED"], Exit.DONE),
        (["COMPLETED", "CANCELLED"], Exit.JOB_CANCELLED),
        (["CANCELLED", "FAILED"], Exit.JOB_FAILED),
        (["FAILED", "RUNNING"], Exit.STILL_RUNNING),
    ],
)
def test_after_waiting_the_worst_end_counts(statuses: list[str], code: Exit) -> None:
    assert exit_after(JobStatus(each) for each in statuses) is code


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["nothing"], 2, "No such command 'nothing'"),
        (["store", "tables"], 2, "Pass --store URI"),
        (["store", "tables", "--store", "s3://key:secret@bucket"], 2, "holds credentials"),
        (["store", "tables", "--set", "x"], 2, "is not NAME=VALUE"),
        (["jobs", "history", "--store", "here"], 2, "--scope gives idempotency_scope"),
        (["jobs", "history", "--store", "here", "--scope", "x"], 3, "there is no journal"),
        (["jobs", "list", "--store", "here", "--scope", "x", "--all-scopes"], 2, "there is none here. `scopes list`"),
        (["jobs", "history", "--since", "soon"], 2, "neither a time span"),
        (["jobs", "history", "-p", "x"], 2, "There are no profiles here"),
    ],
)
def test_what_is_wrong_is_told_without_a_traceback(
    cli: Callable[..., Said], arguments: list[str], code: int, says: str
) -> None:
    said = cli(*arguments)
    assert (said.code, said.out) == (code, "")
    assert says in said.err
    assert "Traceback" not in said.err


def test_a_traceback_is_shown_to_who_asks(cli: Callable[..., Said]) -> None:
    said = cli("store", "tables", "--traceback")
    assert said.code == 2
    assert "Traceback" in said.err


def test_a_fault_of_ours_is_told_as_one(cli: Callable[..., Said], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("checkmaite.jobs_cli.options.read_settings", lambda *_, **__: {}["missing"])
    said = cli("store", "tables")
    assert said.code == 1
    assert said.err == "Error: An unexpected KeyError: 'missing'\nRun it again with --traceback to see where.\n"


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_shell_is_given_its_completion(cli: Callable[..., Said], shell: str) -> None:
    assert "_CHECKMAITE_JOBS_COMPLETE" in cli("completion", shell).out


def test_the_names_of_profiles_are_completed(profile: Path) -> None:
    said = subprocess.run(
        [sys.executable, "-m", "checkmaite.jobs_cli"],
        env={
            **os.environ,
            "_CHECKMAITE_JOBS_COMPLETE": "bash_complete",
            "COMP_WORDS": "checkmaite-jobs store tables --profile te",
            "COMP_CWORD": "4",
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert said.stdout == "plain,team\n", said.stderr


def test_on_a_terminal_states_have_colours_that_words_say_too(profile: Path) -> None:
    leader, follower = pty.openpty()
    done = subprocess.run(
        [sys.executable, "-m", "checkmaite.jobs_cli", "jobs", "history", "-p", "team", "--status", "failed"],
        env={**os.environ, "TERM": "xterm-256color", "COLUMNS": "80", "NO_COLOR": ""},
        stdout=follower,
        stderr=subprocess.PIPE,
        check=False,
    )
    os.close(follower)
    said = os.read(leader, 10_000).decode()
    os.close(leader)
    assert done.returncode == 0, done.stderr
    assert "\x1b[1;31mFAILED" in said
    assert "\x1b[37m" not in said, "white cannot be read on white"
