"""How a staged object counts: as the object itself would in the place of its reference.

Three ways to look at an object differ in what counts: models, datasets and metrics are read, with the small files that
they name; what a capability or a config names may be written; and in a run key a class stands for its name. So an
object is looked at in each way when it is staged, and whatever holds the reference later takes what was found.
"""

from __future__ import annotations

from collections.abc import Mapping

from checkmaite.jobs._shared.staged import StagedPrint
from checkmaite.jobs._submitters.fingerprint.cases import case_of
from checkmaite.jobs._submitters.fingerprint.hashing import Pace, node
from checkmaite.jobs._submitters.fingerprint.referred import attribute
from checkmaite.jobs._submitters.fingerprint.walk import MOST_OBJECTS, TooLarge, Walk

MOST_PARTS = 64
"""Fields that are told by name; with more, only that something differs."""


def staged_prints(value: object, pace: Pace) -> Mapping[str, StagedPrint]:
    """How an object counts, by each way in which fingerprints look at it."""
    walks = (
        Walk(case_of, pace, reads=True),
        Walk(case_of, pace),
        Walk(case_of, pace, named=None, refers=False),
    )
    return {each.way: _print_of(value, each) for each in walks}


def _print_of(value: object, walk: Walk) -> StagedPrint:
    taken = attribute(value, walk)
    try:
        digest = walk.digest(taken)
    except TooLarge:
        why = f"too large: it holds more than {MOST_OBJECTS:,} objects"
        walk.notes.clear()
        walk.notes[""] = why
        digest = node("opaque", [type(value).__qualname__.encode()])
    return StagedPrint(
        digest=digest,
        size=walk.size_of(taken),
        modules=frozenset(walk.modules),
        notes=dict(walk.notes),
        unread=dict(walk.unread),
        fields=dict(walk.fields) if len(walk.fields) <= MOST_PARTS else {},
    )
