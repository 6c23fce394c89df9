"""What goes where: records and tables to standard output, everything else to standard error."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, redirect_stdout
from typing import Any, TextIO

import click
from checkmaite.jobs_cli.summaries import json_line
from rich.console import Console, RenderableType
from rich.markup import escape

_WIDE = 10_000
"""Columns of an output that is no terminal: nothing that another program reads is cut."""


_kept: list[TextIO] = []
"""Standard output, while `sys.stdout` is what jobs of this process print to."""


@contextmanager
def jobs_print_beside() -> Iterator[None]:
    """Have what jobs of this process print go to standard error: records are alone on standard output."""
    _kept.append(sys.stdout)
    try:
        with redirect_stdout(sys.stderr):
            yield
    finally:
        _kept.pop()


def stdout() -> TextIO:
    """The command's own standard output."""
    return _kept[-1] if _kept else sys.stdout


def out() -> Console:
    """A console on it, as it is now."""
    has_width = stdout().isatty() or "COLUMNS" in os.environ
    return Console(file=stdout(), highlight=False, width=None if has_width else _WIDE)


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
    line("\n".join(each.rstrip() for each in captured.get().splitlines()))


def emit(records: Iterable[Any]) -> None:
    """Records for programs, one a line."""
    for record in records:
        line(json_line(record))


def line(text: str) -> None:
    """A line of text, as it is."""
    click.echo(text, file=stdout())


def say(text: str) -> None:
    """A note for people, beside the output."""
    err().print(escape(text))


def fail(text: str) -> None:
    """What went wrong."""
    first, _, rest = text.partition("\n")
    err().print(f"[bold red]Error:[/] {escape(first)}" + (f"\n{escape(rest)}" if rest else ""))
