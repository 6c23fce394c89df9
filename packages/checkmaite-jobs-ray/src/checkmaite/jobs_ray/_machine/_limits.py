"""The bounds that a registry keeps to."""

from __future__ import annotations

from attrs import frozen


@frozen(kw_only=True)
class Limits:
    """Numbers and seconds; `checkmaite.jobs_ray` documents them as options of the backend.

    Attributes:
        lease_ttl_s: A controller that is silent for longer has lost its jobs.
        max_active_jobs_per_scope: Live jobs in a scope.
        max_backlog: Jobs that wait for a controller to take them.
        terminal_job_retention_s: Finished jobs are listed for so long.
        max_retained_terminal_jobs_per_scope: And at most so many of them.
    """

    lease_ttl_s: float
    max_active_jobs_per_scope: int
    max_backlog: int
    terminal_job_retention_s: float
    max_retained_terminal_jobs_per_scope: int
