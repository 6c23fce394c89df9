"""Gives memory that was freed back to the system.

What the C library has handed out in small pieces it keeps for later ones, as long as something lives above them: after
20,000 jobs as much as they had needed.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable


def _found() -> Callable[[int], int] | None:
    try:
        return getattr(ctypes.CDLL(None), "malloc_trim", None)
    except (OSError, TypeError):  # TypeError: Windows has no library of that name
        return None


_malloc_trim = _found()


def return_memory() -> None:
    """Give back every whole page that is free, by malloc_trim(3); where the C library has none, nothing is done.

    It takes milliseconds, and holds the interpreter's lock for none of them.
    """
    if _malloc_trim is not None:
        _malloc_trim(0)
