"""Warnings about spellings that are understood and that have a better one."""

from __future__ import annotations

import sys
import warnings

_OURS = "checkmaite.jobs"


def deprecated(text: str) -> None:
    """Warn at the line of the user's code that called this project, however deep inside it the warning is raised."""
    level, frame = 1, sys._getframe()
    while frame.f_back is not None and frame.f_globals.get("__name__", "").startswith(_OURS):
        level, frame = level + 1, frame.f_back
    warnings.warn(text, DeprecationWarning, stacklevel=level)
