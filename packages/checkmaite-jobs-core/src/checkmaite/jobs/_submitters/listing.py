"""What jobs are listed by, and which ones a listing is about."""

from __future__ import annotations

import math
import os
import socket
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from functools import cache
from operator import attrgetter
from typing import TYPE_CHECKING, Any

from attrs import frozen
from checkmaite.jobs._shared.errors import ArgumentError
from checkmaite.jobs._shared.problems import Problem, unknown_name
from checkmaite.jobs._shared.status import JobStatus
from checkmaite.jobs._shared.tags import Tags, checked_tags
from checkmaite.jobs._shared.values import as_float, as_whole, shown

if TYPE_CHECKING:
    from checkmaite.jobs._shared.provenance import Provenance
    from checkmaite.jobs._submitters.preparing import PreparedSubmission


@cache
def _user_at_host() -> str:
    """Who runs this process, as far as the machine says."""
    from getpass import getuser  # where jobs are submitted only: workers need it not

    try:
        user = getuser()
    except (OSError, KeyError, ImportError):  # a container's user without a name, or a system without such a list
        user = f"user {os.getuid()}" if hasattr(os, "getuid") else "somebody"
    return f"{user}@{socket.gethostname()}"


def submitter_of(provenance: Provenance) -> str:
    """What `submitted_by` is of a job that is submitted here."""
    return provenance.user_id or _user_at_host()


LABELS: Mapping[str, Callable[[PreparedSubmission], str]] = {
    "job_name": attrgetter("job_name"),
    "capability_id": attrgetter("capability_id"),
    "submitted_by": lambda prepared: submitter_of(prepared.provenance),
}
"""What a job is listed by, for as long as it is known, and how it follows from a submission.

A label is kept with the job, shown by its handle, a column of the history, and a filter of `list_jobs`.
"""


_FILTERS = ("limit", "status_filter", "submitted_before_ts", "submitted_after_ts", "tags", "all_scopes")
"""What jobs are listed by beside their labels."""


def labels_for(prepared: PreparedSubmission) -> dict[str, Any]:
    """The labels of a new job."""
    return {name: found(prepared) for name, found in LABELS.items()}


def labels_of(job: object) -> dict[str, Any]:
    """The labels that a job has, whatever class tells of it; None where that does not know one."""
    return {name: getattr(job, name, None) for name in LABELS}


@frozen(kw_only=True)
class JobQuery:
    """Filters of `list_jobs`; every one that is given must hold.

    Attributes:
        limit: At most this many jobs, newest first; None for all.
        statuses: Only jobs in one of these; None takes all.
        submitted_before_ts: Only jobs created before this instant, in seconds since the epoch. To page, pass the
            ``created_at.timestamp()`` of the last job of the page before.
        submitted_after_ts: Only jobs created at or after this instant.
        job_name: Only jobs of exactly this name.
        capability_id: Only jobs of this capability.
        submitted_by: Only jobs that this user submitted: ``user_id`` of the provenance, else ``user@host``.
        tags: Only jobs that have all of these.
        all_scopes: Also jobs of the other scopes of the cluster, where the backend has scopes.
    """

    limit: int | None = 100
    statuses: frozenset[JobStatus] | None = None
    submitted_before_ts: float | None = None
    submitted_after_ts: float | None = None
    job_name: str | None = None
    capability_id: str | None = None
    submitted_by: str | None = None
    tags: Tags = ()
    all_scopes: bool = False

    @property
    def labels(self) -> dict[str, str]:
        """The labels that jobs must have."""
        return {name: wanted for name, wanted in labels_of(self).items() if wanted is not None}

    def matches(
        self, *, status: JobStatus, created_at: datetime, tags: Mapping[str, str], **labels: str | None
    ) -> bool:
        """Whether a job with these facts belongs to the listing."""
        created_ts = created_at.timestamp()
        return (
            (self.statuses is None or status in self.statuses)
            and (self.submitted_before_ts is None or created_ts < self.submitted_before_ts)
            and (self.submitted_after_ts is None or created_ts >= self.submitted_after_ts)
            and all(labels.get(name) == wanted for name, wanted in self.labels.items())
            and all(tags.get(name) == wanted for name, wanted in self.tags)
        )


def job_query(
    *,
    limit: int | None = 100,
    status_filter: object = None,
    submitted_before_ts: float | None = None,
    submitted_after_ts: float | None = None,
    tags: object = None,
    all_scopes: object = False,
    **labels: str | None,
) -> JobQuery:
    """The query that a user's arguments mean.

    Args:
        limit: See `JobQuery`; so are the others.
        status_filter: A `JobStatus`, its name, or several of them.
        submitted_before_ts: See `JobQuery`.
        submitted_after_ts: See `JobQuery`.
        tags: A mapping; see `JobQuery`.
        all_scopes: See `JobQuery`.
        **labels: See `JobQuery`.

    Raises:
        ArgumentError: An argument is unknown or of the wrong kind; all faults are listed.
    """
    problems: list[Problem] = []
    most = None if limit is None else as_whole(limit)
    if limit is not None and (most is None or most < 1):
        remedy = "Pass a whole number, 1 or more, or None for all."
        problems.append(Problem("limit", f"{shown(limit)} is not a number of jobs.", remedy))
    before_ts = _instant("submitted_before_ts", submitted_before_ts, problems)
    after_ts = _instant("submitted_after_ts", submitted_after_ts, problems)
    for name, text in labels.items():
        if name not in LABELS:
            problems.append(unknown_name(name, name, [*_FILTERS, *LABELS], what="filter"))
        elif text is not None and not isinstance(text, str):
            problems.append(Problem(name, f"expected text, got {type(text).__name__}.", "Pass a string."))
    statuses = _statuses(status_filter, problems)
    wanted, faults = checked_tags(tags)
    problems += faults
    if not isinstance(all_scopes, bool):
        problems.append(Problem("all_scopes", f"expected True or False, got {shown(all_scopes)}.", "Pass a bool."))
    if problems:
        raise ArgumentError("Jobs cannot be listed like this.", problems)
    return JobQuery(
        limit=most,
        statuses=statuses,
        submitted_before_ts=before_ts,
        submitted_after_ts=after_ts,
        tags=wanted,
        all_scopes=all_scopes is True,
        **labels,
    )


def _instant(name: str, given: object, problems: list[Problem]) -> float | None:
    if given is None:
        return None
    instant = as_float(given)
    if instant is not None and math.isfinite(instant):
        return instant
    remedy = "Pass a float, for example job.created_at.timestamp()."
    if instant is None:
        problems.append(Problem(name, f"expected seconds since the epoch, got {shown(given)}.", remedy))
    else:
        problems.append(Problem(name, f"{shown(given)} is not an instant.", remedy))
    return None


def _statuses(given: object, problems: list[Problem]) -> frozenset[JobStatus] | None:
    if given is None:
        return None
    known = {str(status) for status in JobStatus}
    if isinstance(given, (str, bytes, Mapping)) or not isinstance(given, Iterable):
        given = [given]
    found = set()
    for name in given:
        if isinstance(name, str) and name.upper() in known:
            found.add(JobStatus(name.upper()))
        elif isinstance(name, str):
            remedy = unknown_name("", name.upper(), known).remedy
            problems.append(Problem("status_filter", f"unknown status {name!r}.", remedy))
        else:
            cause = f"expected a JobStatus or its name, got {shown(name)}."
            problems.append(Problem("status_filter", cause, f"Known: {', '.join(sorted(known))}."))
    return frozenset(found)
