"""What goes where: records and tables to standard output, everything else to standard error."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from typing import Any

import click
from checkmaite.jobs_cli.records import json_line
from rich.console import Console, RenderableType
from rich.markup import escape

_WIDE = 10_000
"""Columns of an output that is no terminal: nothing that another program reads is cut."""


def out() -> Console:
    """Standard output, as it is now."""
    has_width = sys.stdout.isatty() or "COLUMNS" in os.environ
    return Console(file=sys.stdout, highlight=False, width=None if has_width else _WIDE)


def err() -> Console:
    """Standard error, as it is now."""
    return Console(file=sys.stderr, highlight=False, soft_wrap=True)


def show(thing: RenderableType) -> None:
    """A table, or a text with markup, for people."""
    console = out()
    if console.is_terminal:
        console.print(thing)
        return
    with console.capture() as captured:
        console.print(thing)
    click.echo("\n".join(line.rstrip() for line in captured.get().splitlines()))


def emit(records: Iterable[Any]) -> None:
    """Records for programs, one a line."""
    for record in records:
        click.echo(json_line(record))


def say(text: str) -> None:
    """A note for people, beside the output."""
    err().print(escape(text))


def fail(text: str) -> None:
    """What went wrong."""
    first, _, rest = text.partition("\n")
    err().print(f"[bold red]Error:[/] {escape(first)}" + (f"\n{escape(rest)}" if rest else ""))
