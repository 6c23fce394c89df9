"""Who wants to hear of which jobs: one set of changes for each client, however many jobs it follows."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

from attrs import define, field


@define
class _Follower:
    heard_at: float
    jobs: set[str] = field(factory=set)
    changed: dict[str, None] = field(factory=dict)


class Followers:
    """Clients, the jobs that each follows, and what changed since it was last told.

    A change is kept as the job's id: what the client is told is the job as it is then, so that a slow client costs no
    more than a fast one.
    """

    def __init__(self) -> None:
        self._clients: dict[str, _Follower] = {}
        self._of_job: defaultdict[str, set[str]] = defaultdict(set)

    def follow(self, client: str, jobs: Iterable[str], now: float) -> None:
        """Tell this client of these jobs from now on."""
        follower = self._clients.setdefault(client, _Follower(now))
        follower.heard_at = now
        for job_id in jobs:
            follower.jobs.add(job_id)
            self._of_job[job_id].add(client)

    def count(self, client: str) -> int:
        """How many jobs a client follows."""
        follower = self._clients.get(client)
        return len(follower.jobs) if follower else 0

    def unfollow(self, client: str, jobs: Iterable[str]) -> None:
        """Tell it of these no more."""
        follower = self._clients.get(client)
        if follower is None:
            return
        for job_id in jobs:
            follower.jobs.discard(job_id)
            follower.changed.pop(job_id, None)
            self._forget(client, job_id)

    def changed(self, jobs: Iterable[str]) -> set[str]:
        """Note changes; the clients that have something to hear."""
        touched: set[str] = set()
        for job_id in jobs:
            for client in self._of_job.get(job_id, ()):
                self._clients[client].changed[job_id] = None
                touched.add(client)
        return touched

    def take(self, client: str, limit: int, now: float) -> list[str]:
        """Ids of jobs that changed since the client was last told, at most `limit` of them."""
        follower = self._clients[client]
        follower.heard_at = now
        if len(follower.changed) <= limit:
            taken, follower.changed = list(follower.changed), {}
            return taken
        taken = [job_id for job_id, _ in zip(follower.changed, range(limit), strict=False)]
        for job_id in taken:
            del follower.changed[job_id]
        return taken

    def drop_silent(self, since: float) -> list[str]:
        """Forget the clients that have not asked since an instant; which they were."""
        silent = [client for client, follower in self._clients.items() if follower.heard_at < since]
        for client in silent:
            for job_id in self._clients.pop(client).jobs:
                self._forget(client, job_id)
        return silent

    def _forget(self, client: str, job_id: str) -> None:
        clients = self._of_job.get(job_id)
        if clients is not None:
            clients.discard(client)
            if not clients:
                del self._of_job[job_id]
