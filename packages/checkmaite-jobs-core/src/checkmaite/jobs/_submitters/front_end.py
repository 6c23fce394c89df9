"""What shows this process's output to a person: a notebook's front end, a terminal, or nothing.

No notebook package is imported that the process has not imported itself.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Mapping
from typing import Any, Protocol

Bundle = Mapping[str, str]
"""The same content by media type; a front end shows what it can show best."""


class Shown(Protocol):
    """Something that a notebook shows and that can be replaced where it stands."""

    def update(self, bundle: Bundle, *, raw: bool) -> None:
        """Show this instead."""
        ...


def in_notebook() -> bool:
    """Whether a kernel runs this process, so that what is shown can be replaced later."""
    ipython = sys.modules.get("IPython")
    if ipython is None:
        return False
    shell = ipython.get_ipython()
    return getattr(shell, "kernel", None) is not None


def in_marimo() -> bool:
    """Whether this is the thread of a cell of a marimo notebook, whose output can be replaced while it runs."""
    runs = getattr(sys.modules.get("marimo"), "running_in_notebook", None)  # early versions have no such function
    return runs is not None and bool(runs())


def on_terminal() -> bool:
    """Whether standard error is a terminal: a bar in a file helps nobody."""
    try:
        return sys.stderr.isatty()
    except (AttributeError, ValueError):  # there is none, or it is closed
        return False


class _MarimoOutput:
    """The output of the cell that runs; when the cell has run, its last expression is shown in its place."""

    def update(self, bundle: Bundle, *, raw: bool) -> None:
        marimo: Any = sys.modules["marimo"]
        marimo.output.replace(marimo.Html(bundle["text/html"]))


def show(bundle: Bundle) -> Shown:
    """Show something in the notebook."""
    if in_marimo():
        output = _MarimoOutput()
        output.update(bundle, raw=True)
        return output
    display: Any = importlib.import_module("IPython.display")
    shown: Shown = display.display(dict(bundle), raw=True, display_id=True)
    return shown


def bundle_of(html: str, text: str) -> Bundle:
    """The content for a notebook."""
    return {"text/html": html, "text/plain": text}
