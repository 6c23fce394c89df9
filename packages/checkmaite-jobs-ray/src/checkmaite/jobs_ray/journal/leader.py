"""Who may extend a journal: one process at a time, whose fence is in it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from attrs import asdict, frozen
from checkmaite.jobs import JobsError


@frozen(kw_only=True)
class Leader:
    """One process that may extend a journal, until another does.

    Attributes:
        id: Its own, and no other's ever: random hex digits.
        host: Name of its machine.
        boot_id: What tells one boot of that machine from another; empty when unknown.
        pid: Its process id there.
        started_at: When it began to lead, in seconds since the epoch: by its own clock, but at least a second later
            than the leader before it. What it numbers from there on is larger than what any before has numbered.
        where: Where to look for it, for people: the address of a cluster.
    """

    id: str
    host: str
    boot_id: str
    pid: int
    started_at: float
    where: str

    def __str__(self) -> str:
        return f"process {self.pid} on {self.host or 'an unknown host'} ({self.where or 'nowhere in particular'})"

    def to_row(self) -> Mapping[str, Any]:
        """The row that a fence holds."""
        return asdict(self)

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> Leader:
        """The leader of a fence's row. What a later version added to it is left out."""
        return cls(**{name: row[name] for name in ("id", "host", "boot_id", "pid", "started_at", "where")})


class SupersededError(JobsError):
    """Another leader has taken the journal over; this one can add nothing to it any more.

    Attributes:
        by: The other leader; None when it is not known.
    """

    def __init__(self, message: str, *, by: Leader | None) -> None:
        self.by = by
        super().__init__(message)
