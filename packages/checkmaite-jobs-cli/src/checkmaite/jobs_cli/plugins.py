"""Commands that other distributions bring."""

from __future__ import annotations

from importlib.metadata import EntryPoint, entry_points
from typing import NoReturn

import click
from checkmaite.jobs import ConfigurationError, MissingDependencyError

GROUP = "checkmaite.jobs.commands"
_EXTRAS = {"report": "ui", "ui": "ui"}
"""Commands of our own that are not in this distribution, and the extra that brings them."""


class CommandGroup(click.Group):
    """A group that finds commands of other distributions when they are asked for, and not before."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """All names, in order."""
        return sorted({*super().list_commands(ctx), *_found()})

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of that name; where it is known and not there, one that says what to install."""
        own = super().get_command(ctx, cmd_name)
        if own is not None:
            return own
        entry = _found().get(cmd_name)
        if entry is not None:
            return _loaded(entry)
        extra = _EXTRAS.get(cmd_name)
        if extra is None:
            return None
        missing = MissingDependencyError(
            f"The command {cmd_name!r} is not installed.", requirement=f"checkmaite-jobs[{extra}]"
        )
        return _failing(cmd_name, missing)


def _found() -> dict[str, EntryPoint]:
    return {entry.name: entry for entry in entry_points(group=GROUP)}


def _loaded(entry: EntryPoint) -> click.Command:
    try:
        command = entry.load()
    except Exception as error:  # noqa: BLE001 - whatever a distribution does when it is imported
        said = f"The command {entry.name!r} of {_distribution(entry)} cannot be loaded: {type(error).__name__}: {error}"
        return _failing(entry.name, ConfigurationError(said))
    if isinstance(command, click.Command):
        return command
    said = f"What {_distribution(entry)} names as the command {entry.name!r} is no click command: {entry.value}"
    return _failing(entry.name, ConfigurationError(said))


def _distribution(entry: EntryPoint) -> str:
    return entry.dist.name if entry.dist is not None else "a distribution"


def _failing(name: str, error: Exception) -> click.Command:
    def fail(**_: object) -> NoReturn:
        raise error

    return click.Command(
        name,
        callback=fail,
        params=[click.Argument(["rest"], nargs=-1, type=click.UNPROCESSED)],
        context_settings={"ignore_unknown_options": True},
        help=f"{error.args[0]}",
        short_help="It cannot be loaded.",
    )
