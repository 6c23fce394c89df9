"""Warnings about spellings that are understood and that have a better one."""

from __future__ import annotations

import sys
import warnings

_OURS = "checkmaite.jobs"


def deprecated(text: str) -> None:
    """Warn where the user's code calls this project, however deep within it this is asked for."""
    level, frame = 1, sys._getframe()
    while frame.f_back is not None and frame.f_globals.get("__name__", "").startswith(_OURS):
        level, frame = level + 1, frame.f_back
    warnings.warn(text, DeprecationWarning, stacklevel=level)
