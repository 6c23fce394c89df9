"""Which controller may be given jobs, for how long, and how many: leases, limits and shares."""

from __future__ import annotations

from collections.abc import Mapping

from attrs import evolve, frozen
from checkmaite.jobs.spi import SHORT_RUNS

_WHOLE = 32
"""A batch of at most this many stays together: each call to a controller costs more than the jobs in it."""

WINDOW = 1_000
"""Jobs of one kind that are handed out before others of it have begun. They last a cluster that begins 2,000 a second
for ten times as long as others take to come."""


@frozen
class Lease:
    """A controller's time-bound right to own jobs and to say how they went.

    The token fences: what shows another token than the present one is refused, so a controller that was paused
    past `expires_at` can change nothing once its jobs have been given away.

    Attributes:
        controller: Who holds it.
        token: Larger than that of every lease before.
        expires_at: On the registry's own clock, which nobody sets.
    """

    controller: str
    token: int
    expires_at: float

    def expired(self, now: float) -> bool:
        """Whether its time is over."""
        return now >= self.expires_at

    def renewed(self, until: float) -> Lease:
        """The same right until later; never shortened."""
        return evolve(self, expires_at=max(until, self.expires_at))


class Leases:
    """The leases of all controllers.

    Args:
        ttl_s: How long one lasts that is not renewed.
        after: Every token is larger than this.
    """

    def __init__(self, ttl_s: float, *, after: int) -> None:
        self._ttl_s = ttl_s
        self._last_token = after
        self._held: dict[str, Lease] = {}

    def grant(self, controller: str, now: float) -> int:
        """Give a controller a lease, in place of one that it had, and return its token."""
        self._last_token += 1
        self._held[controller] = Lease(controller, self._last_token, now + self._ttl_s)
        return self._last_token

    def outgrow(self, token: int) -> None:
        """Grant tokens larger than this from now on."""
        self._last_token = max(self._last_token, token)

    def renew(self, controller: str, token: int, now: float) -> bool:
        """A controller has spoken; False when its lease is over."""
        lease = self._held.get(controller)
        if lease is None or lease.token != token:
            return False
        self._held[controller] = lease.renewed(now + self._ttl_s)
        return True

    def end(self, controller: str) -> None:
        """Take a controller's lease away, if it has one."""
        self._held.pop(controller, None)

    def token_of(self, controller: str, now: float) -> int | None:
        """The token of a controller that may be given jobs; None for one that may not."""
        lease = self._held.get(controller)
        return None if lease is None or lease.expired(now) else lease.token


# -- limits ------------------------------------------------------------------------------------------------------------


@frozen(kw_only=True)
class Limits:
    """Numbers and seconds; `checkmaite.jobs_ray` documents them as options of the backend.

    Attributes:
        lease_ttl_s: A controller that is silent for longer has lost its jobs.
        max_active_jobs_per_scope: Live jobs in a scope.
        max_backlog: Jobs that wait for a controller to take them, and not for others of their kind to begin.
        window: Jobs of one kind that controllers have and no worker has begun.
        short_runs: A capability whose last runs were short, so many of them, is taken to be short.
        terminal_job_retention_s: Final jobs are listed for so long.
        max_retained_terminal_jobs_per_scope: And at most so many of them.
    """

    lease_ttl_s: float
    max_active_jobs_per_scope: int
    max_backlog: int
    terminal_job_retention_s: float
    max_retained_terminal_jobs_per_scope: int
    window: int = WINDOW
    short_runs: int = SHORT_RUNS


# -- how many controllers ----------------------------------------------------------------------------------------------

_CPUS_EACH = 8
"""Ray keeps up to as many idle workers as a node has CPUs, and a worker serves one controller alone; see
``docs/design/measurements.md``."""


def useful_controllers(cpus: float) -> int:
    """How many controllers a cluster with so many CPUs gains by: more would end each other's workers."""
    return max(1, int(cpus) // _CPUS_EACH)


# -- shares ------------------------------------------------------------------------------------------------------------


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
