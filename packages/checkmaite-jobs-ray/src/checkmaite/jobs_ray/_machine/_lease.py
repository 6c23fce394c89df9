"""The right to run jobs, given for a time."""

from __future__ import annotations

from attrs import evolve, frozen


@frozen
class Lease:
    """A controller's time-bound right to own jobs and to say how they went.

    The token fences: what shows another token than the present one is refused, so a controller that was paused
    past `expires_at` can change nothing once its jobs have been given away.

    Attributes:
        controller: Who holds it.
        token: Larger than that of every lease before.
        expires_at: On the registry's clock, in seconds since the epoch.
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
