"""Finds the config that a capability uses when it is given none, so that the run key includes it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from checkmaite.jobs._shared.problems import Problem
from checkmaite.jobs._shared.texts import class_name, message_text, shortened
from checkmaite.jobs._submitters.fingerprint import field_names, is_field_class

_MAKERS = ("default_config", "_create_config")
"""Methods that make a default: of whoever wants to say it, and of the CheckMAITE package's capabilities."""
_SHOWN_BYTES = 1_000
_MOST_NESTING = 6
_ADDRESS = re.compile(r" at 0x[0-9a-f]+")


def default_config(capability: Any) -> tuple[Any, list[Problem]]:
    """The capability's own default, or None when it has none; and what is wrong with it."""
    for name in _MAKERS:
        try:
            make = getattr(capability, name, None)
            if callable(make):
                return make(), []
        except Exception as error:  # noqa: BLE001 - the user's code may raise anything
            cause = f"was left out, and the capability's default cannot be made: {class_name(error)}: "
            remedy = f"Pass a config; {name}() of this capability makes none by itself."
            return None, [Problem("config", f"{cause}{shortened(message_text(error), _SHOWN_BYTES)}", remedy)]
    return None, []


def config_text(config: object) -> str:
    """A config as it is recorded: the same text for equal configs in every process, of bounded length."""
    try:
        return shortened(_ADDRESS.sub("", _shown(config)), _SHOWN_BYTES)
    except Exception:  # noqa: BLE001 - likewise
        return type(config).__name__


def _shown(value: object) -> str:
    """What `repr` shows, but each set in an order that does not follow the process's hash seed.

    Nothing is shown that `repr` hides.
    """
    text = repr(value)
    for each in _sets_in(value, _MOST_NESTING):
        inside = ", ".join(sorted(map(_shown, each)))
        text = text.replace(repr(each), repr(type(each)([0])).replace("0", inside))
    return text


def _sets_in(value: Any, levels: int) -> Iterator[set[Any] | frozenset[Any]]:
    """The outermost sets in a value that are not empty."""
    if type(value) in (set, frozenset):
        if value:
            yield value
    elif levels:
        parts: list[Any] = [*getattr(value, "__dict__", {}).values()]
        if type(value) in (list, tuple):
            parts += value
        elif type(value) is dict:
            parts += value.values()
        if is_field_class(type(value)):
            parts += (getattr(value, name, None) for name in field_names(type(value)))
        for part in parts:
            yield from _sets_in(part, levels - 1)
