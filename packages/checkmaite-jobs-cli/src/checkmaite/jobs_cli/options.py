"""Flags that several commands share."""

from __future__ import annotations

import functools
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import click
from attrs import frozen
from checkmaite.jobs import AnalyticsStore, ConfigurationError, JobsError, JobStatus
from checkmaite.jobs.spi import Settings, open_store, read_settings, store_spec, value_of
from checkmaite.jobs_cli.filters import JobFilter, instant_of

_EXAMPLE = "Pass --store URI, or write analytics_store into checkmaite-jobs.toml: `checkmaite-jobs init` does."

_FLAGS = {
    "idempotency_scope": "--scope",
    "analytics_store": "--store",
    "address": "--address",
    "kind": "--kind",
}


@frozen
class Asked:
    """Which settings a command was asked to use.

    Attributes:
        profile: Name of the profile, if one was given.
        file: The file of profiles, likewise.
        given: Arguments of `configure_job_backend` from flags.
    """

    profile: str | None
    file: str | None
    given: dict[str, Any]

    def settings(self) -> Settings:
        """Flags over the environment over the file."""
        return read_settings(self.profile, given=self.given, file=self.file)

    def arguments(self) -> dict[str, Any]:
        """Arguments of `configure_job_backend`, or of what reads a journal."""
        return dict(self.settings().arguments)

    def store(self) -> AnalyticsStore:
        """The analytics store, opened here; no backend is configured.

        Raises:
            ConfigurationError: None is named, or it cannot be opened.
        """
        given = self.settings().arguments.get("analytics_store")
        if given is None:
            raise ConfigurationError(f"No analytics store is named. {_EXAMPLE}")
        spec, problems = store_spec({"uri": given} if isinstance(given, str) else given, remote=False)
        if spec is None:
            raise ConfigurationError("The analytics store cannot be opened like this.", problems)
        return open_store(spec)


def configured(command: Callable[..., Any]) -> Callable[..., Any]:
    """Gives a command the flags of settings; it takes them as the argument `asked`."""

    @functools.wraps(command)
    def with_settings(
        profile: str | None, config_file: str | None, settings: tuple[tuple[str, Any], ...], **rest: Any
    ) -> Any:
        flags = {
            "kind": rest.pop("kind"),
            "idempotency_scope": rest.pop("scope"),
            "address": rest.pop("address"),
            "analytics_store": rest.pop("store"),
        }
        given = {**{name: value for name, value in flags.items() if value is not None}, **dict(settings)}
        return command(asked=Asked(profile, config_file, given), **rest)

    for option in (
        click.option(
            "--set",
            "settings",
            multiple=True,
            metavar="NAME=VALUE",
            callback=named_values,
            help="Any other option of configure_job_backend.",
        ),
        click.option("--config-file", metavar="FILE", help="The file to read instead of the nearest one."),
        click.option("--store", metavar="URI", help="The analytics store: a folder or a URL."),
        click.option("--kind", metavar="NAME", help="The job backend; ray when left out."),
        click.option("--address", metavar="ADDRESS", help="The Ray cluster: host:port, ray://host:10001, auto, local."),
        click.option("--scope", metavar="NAME", help="The idempotency scope, whose jobs these are."),
        click.option(
            "-p",
            "--profile",
            metavar="NAME",
            shell_complete=_profiles,
            help="A profile of checkmaite-jobs.toml or pyproject.toml.",
        ),
    ):
        with_settings = option(with_settings)
    return with_settings


def filtered(command: Callable[..., Any]) -> Callable[..., Any]:
    """Gives a command the flags that choose jobs; it takes them as the argument `chosen`."""

    @functools.wraps(command)
    def with_filter(
        status: tuple[str, ...],
        name: tuple[str, ...],
        capability: str | None,
        since: datetime | None,
        tag: tuple[tuple[str, str], ...],
        **rest: Any,
    ) -> Any:
        chosen = JobFilter(
            statuses=frozenset(JobStatus(each) for each in status),
            names=name,
            capability_id=capability,
            since=since,
            tags=dict(tag),
        )
        return command(chosen=chosen, **rest)

    for option in (
        click.option(
            "--tag",
            multiple=True,
            metavar="NAME=TEXT",
            callback=tags_given,
            help="Submitted with this tag; several times for several, all of which it has.",
        ),
        click.option(
            "--since", metavar="WHEN", callback=_instant, help="Submitted since then: 30m, 2h, 7d, or 2026-01-31 (UTC)."
        ),
        click.option("--capability", metavar="ID", help="Of this capability."),
        click.option("--name", multiple=True, metavar="PATTERN", help="Named like this, for example 'sweep-*'."),
        click.option(
            "--status",
            multiple=True,
            type=click.Choice([str(status) for status in JobStatus], case_sensitive=False),
            metavar="STATUS",
            help="Pending, scheduling, running, completed, failed or cancelled; several times for several.",
        ),
    ):
        with_filter = option(with_filter)
    return with_filter


as_json = click.option("--json", "as_json", is_flag=True, help="Print records for programs, one a line.")


def limited(default: int) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """The flag ``--limit``."""
    return click.option(
        "-n",
        "--limit",
        type=click.IntRange(1),
        default=default,
        show_default=True,
        help="At most so many, newest first.",
    )


def examples(*lines: str) -> str:
    """The epilogue of a command's help."""
    return "\b\nExamples:\n" + "\n".join(f"  checkmaite-jobs {line}" for line in lines)


def flags_for(error: JobsError) -> str:
    """Which flags give what an error says is wrong, as a further line; nothing where it names no argument."""
    paths = {problem.path.partition(".")[0] for problem in getattr(error, "problems", ())}
    named = [f"{flag} gives {name}" for name, flag in _FLAGS.items() if name in paths]
    return f"\n{', '.join(named)}; --set NAME=VALUE any option." if named else ""


def named_values(_: click.Context, option: click.Parameter, given: tuple[str, ...]) -> tuple[tuple[str, Any], ...]:
    """Pairs of a flag that takes NAME=VALUE, each value as TOML has it."""
    pairs = []
    for text in given:
        name, separator, value = text.partition("=")
        if not separator or not name.strip():
            raise click.BadParameter(f"{text!r} is not NAME=VALUE, for example registry_namespace=team.")
        pairs.append((name.strip(), value_of(value)))
    return tuple(pairs)


def tags_given(_: click.Context, option: click.Parameter, given: tuple[str, ...]) -> tuple[tuple[str, str], ...]:
    """Pairs of a flag that takes NAME=TEXT."""
    pairs = []
    for text in given:
        name, separator, value = text.partition("=")
        if not separator or not name.strip():
            raise click.BadParameter(f"{text!r} is not NAME=TEXT, for example team=vision.")
        pairs.append((name.strip(), value))
    return tuple(pairs)


def _instant(_: click.Context, option: click.Parameter, given: str | None) -> datetime | None:
    if given is None:
        return None
    try:
        return instant_of(given, datetime.now(UTC))
    except ValueError as error:
        raise click.BadParameter(f"{error}.") from error


def _profiles(context: click.Context, _: click.Parameter, incomplete: str) -> list[str]:
    try:
        names = read_settings("default", file=context.params.get("config_file")).profiles
    except ConfigurationError:
        return []
    return [name for name in names if name.startswith(incomplete)]
