"""The clients that a registry tells of their jobs: who follows which, what each was told, whose call waits for more."""

from __future__ import annotations

import secrets
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence

from attrs import define, field
from checkmaite.jobs import FailureKind, JobStatus
from checkmaite.jobs.spi import Failed
from checkmaite.jobs_ray.notifier import Notifier
from checkmaite.jobs_ray.wire import Bundle, Change, Cursor

_CHANGES = 5_000
"""Changes in one answer."""
_SILENT_S = 120.0
"""A client that has asked nothing for so long is forgotten; it may come back."""
_SOON_S = 0.1
"""How a job goes on is told after so long, the end of one at once: a job that is over in less is one piece of news."""
_FORGOTTEN = (
    "the registry lists it no more: terminal_job_retention_s or max_retained_terminal_jobs_per_scope passed before "
    "this client was told; the analytics store may hold its run"
)


@define
class _Subscription:
    """That of one client.

    Attributes:
        notifier: Told when something changes of a job that it follows.
        name: In the client's cursors: what another one has told this client is not told by this one.
        number: Of the last answer.
        sent: The jobs in that.
        over: Those of them that are final, or are listed no more: once it has the answer it follows them no more.
        turn: Of the last call. When an earlier one is still parked, nobody hears its answer.
    """

    notifier: Notifier
    name: str = field(factory=lambda: secrets.token_hex(8))
    number: int = 0
    sent: Sequence[str] = ()
    over: Sequence[str] = ()
    turn: int = 0


class Subscriptions:
    """All of them, on one event loop.

    Args:
        change_of: What a client is told of a job now; None of one that is not known any more, which is lost to it.
        goes_on: Whether a job is known and not final.
    """

    def __init__(self, change_of: Callable[[str], Change | None], goes_on: Callable[[str], bool]) -> None:
        self._change_of = change_of
        self._goes_on = goes_on
        self._followed = FollowedJobs()
        self._subscriptions: dict[str, _Subscription] = {}

    def follow(self, client: str, jobs: Sequence[str]) -> str:
        """Tell this client of these jobs from now on; the name of the subscription that does."""
        subscription = self._subscriptions.get(client)
        if subscription is None:
            subscription = self._subscriptions[client] = _Subscription(Notifier(lambda: self._followed.count(client)))
        self._followed.follow(client, jobs, time.monotonic())
        return subscription.name

    def tell(self, changed: Sequence[str]) -> None:
        """These jobs have changed."""
        over = [job_id for job_id in changed if not self._goes_on(job_id)]
        for client in self._followed.changed(over):
            self._subscriptions[client].notifier.notify()
        for client in self._followed.changed(changed):
            self._subscriptions[client].notifier.notify_soon(_SOON_S)

    async def changes(self, client: str, received: Cursor, wait_s: float) -> tuple[Cursor, list[Change]] | None:
        """See `JobRegistry.changes`."""
        subscription = self._subscriptions.get(client)
        if subscription is None or subscription.name != received.subscription:
            return None
        if subscription.number == received.number:
            self._followed.unfollow(client, subscription.over)
        else:
            self._followed.changed(subscription.sent)
            subscription.notifier.notify()
        turn = subscription.turn = subscription.turn + 1
        await subscription.notifier.wait(wait_s)
        if self._subscriptions.get(client) is not subscription:
            return None
        if subscription.turn != turn:
            subscription.notifier.notify()
            return received, []
        ids = self._followed.take(client, _CHANGES, time.monotonic())
        if len(ids) == _CHANGES:
            subscription.notifier.notify()
        found = Bundle(self._change_of(job_id) or _forgotten(job_id) for job_id in ids)
        subscription.number += 1
        subscription.sent, subscription.over = ids, [each.job_id for each in found if each.outcome is not None]
        return Cursor(subscription.name, subscription.number), found

    def forget_all(self) -> None:
        """Forget every client; each that may follow its jobs says so again."""
        before, self._subscriptions, self._followed = self._subscriptions, {}, FollowedJobs()
        for subscription in before.values():
            subscription.notifier.notify()

    def forget_silent(self) -> None:
        """Forget the clients that have asked nothing for long."""
        for client in self._followed.drop_silent(time.monotonic() - _SILENT_S):
            del self._subscriptions[client]


def _forgotten(job_id: str) -> Change:
    """What is told of a job that has ended and is not known any more: its handle must not wait for ever."""
    failed = Failed(
        error_type="JobLost",
        error_message=_FORGOTTEN,
        phase="lost",
        exit_cause=_FORGOTTEN,
        lost=True,
        kind=FailureKind.FORGOTTEN,
        remedy="Look in the analytics store; a run that is not there can be submitted again. Configure a longer "
        "retention where clients sleep for long.",
    )
    return Change(job_id, JobStatus.FAILED, 0, None, None, failed, None)


# -- who follows which jobs --------------------------------------------------------------------------------------------


@define
class _Followed:
    heard_at: float
    jobs: set[str] = field(factory=set)
    changed: dict[str, None] = field(factory=dict)


class FollowedJobs:
    """Clients, the jobs that each follows, and what changed since it was last told.

    A change is kept as the job's id: what the client is told is the job as it is then, so that a slow client costs no
    more than a fast one.
    """

    def __init__(self) -> None:
        self._clients: dict[str, _Followed] = {}
        self._of_job: defaultdict[str, set[str]] = defaultdict(set)

    def follow(self, client: str, jobs: Iterable[str], now: float) -> None:
        """Tell this client of these jobs from now on."""
        followed = self._clients.setdefault(client, _Followed(now))
        followed.heard_at = now
        for job_id in jobs:
            followed.jobs.add(job_id)
            self._of_job[job_id].add(client)

    def count(self, client: str) -> int:
        """How many jobs a client follows."""
        followed = self._clients.get(client)
        return len(followed.jobs) if followed else 0

    def unfollow(self, client: str, jobs: Iterable[str]) -> None:
        """Tell it of these no more."""
        followed = self._clients.get(client)
        if followed is None:
            return
        for job_id in jobs:
            followed.jobs.discard(job_id)
            followed.changed.pop(job_id, None)
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
        followed = self._clients[client]
        followed.heard_at = now
        if len(followed.changed) <= limit:
            taken, followed.changed = list(followed.changed), {}
            return taken
        taken = [job_id for job_id, _ in zip(followed.changed, range(limit), strict=False)]
        for job_id in taken:
            del followed.changed[job_id]
        return taken

    def drop_silent(self, since: float) -> list[str]:
        """Forget the clients that have not asked since an instant; which they were."""
        silent = [client for client, followed in self._clients.items() if followed.heard_at < since]
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
