"""The config that a capability runs with when it is given none, so that the run is known before it is made."""

from __future__ import annotations

import re
from typing import Any

from checkmaite.jobs._problems import Problem
from checkmaite.jobs._texts import class_name, message_text, shortened

_MAKERS = ("default_config", "_create_config")
"""Methods that make a default: of whoever wants to say it, and of the CheckMAITE package's capabilities."""
_SHOWN_BYTES = 1_000
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
        return shortened(_ADDRESS.sub("", repr(config)), _SHOWN_BYTES)
    except Exception:  # noqa: BLE001 - likewise
        return type(config).__name__
