"""Which jobs a command is about. Pure: rows in, rows out."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from fnmatch import fnmatchcase

from attrs import field, frozen
from checkmaite.jobs import JobStatus
from checkmaite.jobs_cli.summaries import JobSummary

_SPAN = re.compile(r"(?P<number>\d+(?:\.\d+)?)\s*(?P<unit>[smhdw])")
_SECONDS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400, "w": 604_800}


@frozen(kw_only=True)
class JobFilter:
    """Every condition that is given must hold.

    Attributes:
        statuses: The status is one of these; any when empty.
        names: The name fits one of these patterns, such as ``sweep-*``; any when empty.
        capability_id: Of this capability.
        since: Submitted at or after this instant.
        tags: It has all of these.
    """

    statuses: frozenset[JobStatus] = frozenset()
    names: Sequence[str] = ()
    capability_id: str | None = None
    since: datetime | None = None
    tags: Mapping[str, str] = field(factory=dict)

    def __bool__(self) -> bool:
        return self != JobFilter()

    def takes(self, job: JobSummary) -> bool:
        """Whether a job passes."""
        submitted_at = job.submitted_at
        return (
            (not self.statuses or job.status in self.statuses)
            and (not self.names or any(fnmatchcase(job.job_name, pattern) for pattern in self.names))
            and self.capability_id in (None, job.capability_id)
            and (self.since is None or (submitted_at is not None and submitted_at >= self.since))
            and self.tags.items() <= job.tags.items()
        )

    @property
    def is_exact(self) -> bool:
        """Whether a registry can choose by itself: it knows no patterns."""
        return len(self.names) <= 1 and not any(set("*?[") & set(name) for name in self.names)

    def of(self, jobs: Iterable[JobSummary]) -> list[JobSummary]:
        """Those that pass."""
        return [job for job in jobs if self.takes(job)]


def instant_of(text: str, now: datetime) -> datetime:
    """The instant that a user means: ``2h`` ago, ``7d`` ago, or a date such as ``2026-01-31`` or ``2026-01-31T12:00``.

    Raises:
        ValueError: It is neither.
    """
    span = _SPAN.fullmatch(text.strip())
    if span:
        return now - timedelta(seconds=float(span["number"]) * _SECONDS[span["unit"]])
    try:
        instant = datetime.fromisoformat(text.strip())
    except ValueError:
        raise ValueError(
            f"{text!r} is neither a time span such as 30m, 2h or 7d nor a date such as 2026-01-31"
        ) from None
    return instant if instant.tzinfo else instant.replace(tzinfo=UTC)
