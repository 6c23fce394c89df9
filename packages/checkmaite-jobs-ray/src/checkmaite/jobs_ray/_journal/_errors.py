"""What can be wrong with a journal, beside the store that it is in."""

from __future__ import annotations

from checkmaite.jobs import JobsError, StoreCorruptError
from checkmaite.jobs_ray._journal._leader import Leader


class JournalCorruptError(StoreCorruptError):
    """An object of a journal is not what it must be, or is not there; nothing that it says was used."""

    @classmethod
    def of(cls, uri: str, what: str, remedy: str) -> JournalCorruptError:
        """The error for an object: what is wrong with it, and what to do."""
        return cls(f"{uri}: {what}. {remedy}", uri=uri)


class SupersededError(JobsError):
    """Another leader has taken the journal over; this one can add nothing to it any more.

    Attributes:
        by: The other leader; None when it is not known.
    """

    def __init__(self, message: str, *, by: Leader | None) -> None:
        self.by = by
        super().__init__(message)
