"""Whether a result is used again: the policies, and what is told of a decision."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Any

from attrs import frozen

ReusePolicy = str
"""When a result that is there stands for a run that is submitted.

- ``auto``: when run key and fingerprints agree. Where something differs, the run is made again, as a new revision.
- ``always``: when the run key agrees, whatever the content.
- ``never``: never; the run is made again, as a new revision.
- ``require``: as ``auto``, but where the run would have to be made, it is an error.
"""
POLICIES = ("auto", "always", "never", "require")


def check_policy(_: object, attribute: Any, value: str | None) -> None:
    """An attrs validator."""
    if value is not None and value not in POLICIES:
        raise ValueError(f"{value!r} is none of {', '.join(POLICIES)}")


Prints = tuple[str, ...]
"""Fingerprints as they travel and are kept: JSON texts by part, equal for equal parts, so that many jobs share them."""


class ReuseKind(StrEnum):
    """Whether a job computes its run, and why."""

    RUN = "RUN"
    REUSED = "REUSED"
    STALE = "STALE"


@frozen(kw_only=True, repr=False)
class Reuse:
    """What was decided about one submission.

    Attributes:
        kind: RUN: there was no result, or it was to run again on purpose. REUSED: a result that was there, or on its
            way, stands for the run. STALE: there was a result, but something differs, so the run is made again.
        job_id: The job whose result is used or stale; None when it is not known, or there was none.
        at: When that job was submitted (UTC).
        by: Who submitted it: `Provenance.user_id`, else ``user@host`` where that is known.
        differences: What differs from it.
        unknown: What counts as equal because it has no fingerprint, with the reasons. Of a run that is planned, what
            cannot be known before it is made.
    """

    kind: ReuseKind = ReuseKind.RUN
    job_id: str | None = None
    at: datetime | None = None
    by: str | None = None
    differences: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()

    def __reduce_ex__(self, protocol: Any) -> Any:
        """How it is pickled: most jobs have `RUN`, which travels by its name."""
        return "RUN" if self is RUN else super().__reduce_ex__(protocol)

    def __repr__(self) -> str:
        return f"<{self}>"

    def __str__(self) -> str:
        """A sentence without its full stop: ``STALE: models[0] 'lenet': content``."""
        whose = self.job_id or "a result in the store"
        when = f" of {self.at:%Y-%m-%d %H:%M} UTC" if self.at is not None else ""
        by = f" by {self.by}" if self.by is not None else ""
        match self.kind:
            case ReuseKind.RUN:
                if self.job_id:
                    return f"RUN: again on purpose, after {whose}{when}{by}"
                return f"RUN; not known before: {', '.join(self.unknown)}" if self.unknown else "RUN"
            case ReuseKind.REUSED:
                blind = f"; not compared: {len(self.unknown)}, see unknown" if self.unknown else ""
                return f"REUSED: {whose}{when}{by}{blind}"
            case ReuseKind.STALE:
                return f"STALE: {', '.join(self.differences)}; the result was {whose}{when}{by}"


RUN = Reuse()
"""There was no result to use again."""


def settled(decided: Reuse, found: Reuse) -> Reuse:
    """What is told of a job that has completed.

    Args:
        decided: When it was accepted, from the jobs that there were.
        found: By its worker, from what the store held.
    """
    was_needless = found.kind is ReuseKind.REUSED and decided.kind is not ReuseKind.REUSED
    return found if was_needless or decided == RUN else decided
