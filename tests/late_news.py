"""Jobs of one pack whose process tells of it late: when they ended is then not when that was heard."""

from __future__ import annotations

from collections.abc import Callable

from checkmaite.jobs._workers import packs

LATE_S = 2.0


def tells_late() -> None:
    """From its next turn on, 20 ms at most, the process looks seldom whether there is anything to tell."""
    packs._LOOK_S = LATE_S


def tells_in_time_after(act: Callable[[], object]) -> None:
    """As before, once that is over."""
    try:
        act()
    finally:
        packs._LOOK_S = 0.02
