"""What callers of this store alone pass: refused by name before anything is deleted."""

from __future__ import annotations

from checkmaite.jobs import ArgumentError, Problem
from checkmaite.jobs.spi import shown

SHORTEST_GRACE_S = 2 * 3600
"""A compactor gives up what it has been making for half of it."""
DEFAULT_GRACE_S = 24 * 3600.0
_LONGEST_GRACE_S = 100 * 365 * 24 * 3600.0


def check_grace(grace_s: object) -> None:
    """Refuse a grace in which a reader or a compactor may be at work.

    Raises:
        ArgumentError: It is too short, too long, or no number.
    """
    remedy = f"Pass {SHORTEST_GRACE_S} or more, or leave it out for a day."
    if isinstance(grace_s, bool) or not isinstance(grace_s, (int, float)) or not grace_s >= SHORTEST_GRACE_S:
        raise ArgumentError("Nothing was done.", [Problem("grace_s", f"{shown(grace_s)} is too short.", remedy)])
    if grace_s > _LONGEST_GRACE_S:
        raise ArgumentError("Nothing was done.", [Problem("grace_s", f"{shown(grace_s)} is too long.", remedy)])
