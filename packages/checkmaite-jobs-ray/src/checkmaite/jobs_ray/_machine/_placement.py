"""Which controller gets how many jobs."""

from __future__ import annotations

from collections.abc import Mapping

_WHOLE = 32
"""A batch of at most this many stays together: each call to a controller costs more than the jobs in it."""


def shares(count: int, loads: Mapping[str, int], limit: int) -> dict[str, int]:
    """How many of `count` jobs each controller gets, so that their loads become even.

    Args:
        count: Jobs that wait.
        loads: Jobs that each candidate has now.
        limit: At most this many for each.

    Returns:
        Candidates that get any, with their number; in sum `count`, or less when the limit says so.
    """
    ordered = sorted(loads, key=lambda name: (loads[name], name))
    if count <= _WHOLE:
        del ordered[1:]
    found: dict[str, int] = {}
    left = count
    while ordered and left:
        # The busiest first: what it is above the others' level they must not be asked to fill.
        name = ordered.pop()
        level = -(-(left + loads[name] + sum(loads[each] for each in ordered)) // (len(ordered) + 1))
        share = max(0, min(left, level - loads[name]))
        if share:
            found[name] = min(share, limit)
        left -= share
    return found
