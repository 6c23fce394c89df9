"""Which texts can say what a run, a capability or a document is: those that people and readers can tell apart."""

from __future__ import annotations

from checkmaite.jobs._shared.scalars import Cause, text_cause
from checkmaite.jobs._shared.values import shown

LONGEST_BYTES = 1024
"""An identity stands in each row of its run, in each record of its job, and in errors."""

_DIGEST = (
    "Name it by a short printable text; of a long one, a digest will do: hashlib.sha256(text.encode()).hexdigest()."
)


def identity_cause(given: object) -> Cause | None:
    """Why something cannot be an identity; None when it can. Whether it is a path, or looks like one, does not matter.

    Each store gives what it writes names of its own, which lead nowhere else: see `object_name`.
    """
    if type(given) is str and given.isascii() and given.isprintable() and given.strip() and len(given) <= LONGEST_BYTES:
        return None  # as nearly all are
    if not isinstance(given, str) or not given.strip():
        return Cause(f"is {shown(given)}.", "Name it by a text that is not empty.")
    if cause := text_cause(given):
        return cause
    if (size := len(given.encode())) > LONGEST_BYTES:
        return Cause(f"is {size:,} bytes long, and at most {LONGEST_BYTES:,} are kept of it in every row.", _DIGEST)
    if given.isprintable():
        return None
    unseen = next(each for each in given if not each.isprintable())
    return Cause(f"holds a character that nobody sees, {unseen!a} at {given.index(unseen)}.", _DIGEST)
