"""The clients that a registry tells of their jobs: what each has been told, and its call that waits for more."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Sequence

from attrs import define, field
from checkmaite.jobs import JobStatus
from checkmaite.jobs.spi import Failed
from checkmaite.jobs_ray._actors._signal import Bell
from checkmaite.jobs_ray._machine._followers import Followers
from checkmaite.jobs_ray._messages import Change, Cursor

_CHANGES = 5_000
"""Changes in one answer."""
_SILENT_S = 120.0
"""A client that has asked nothing for so long is forgotten; it may come back."""
_FORGOTTEN = (
    "the registry lists it no more: terminal_job_retention_s or max_retained_terminal_jobs_per_scope passed before "
    "this client was told; the analytics store may hold its run"
)


@define
class _Listener:
    """One client.

    Attributes:
        bell: Rung when something changes of a job that it follows.
        name: In the client's cursors: what another listener has told this client is no news of this one.
        number: Of the last answer.
        sent: The jobs in that.
        over: Those of them that are final, or are listed no more: once it has the answer it follows them no more.
        turn: Of the last call. When an earlier one is still parked, nobody hears its answer.
    """

    bell: Bell
    name: str = field(factory=lambda: secrets.token_hex(8))
    number: int = 0
    sent: Sequence[str] = ()
    over: Sequence[str] = ()
    turn: int = 0


class Listeners:
    """All of them, on one event loop.

    Args:
        change_of: What a client is told of a job now; None of one that is not known any more, which is lost to it.
    """

    def __init__(self, change_of: Callable[[str], Change | None]) -> None:
        self._change_of = change_of
        self._followers = Followers()
        self._listeners: dict[str, _Listener] = {}

    def follow(self, client: str, jobs: Sequence[str]) -> str:
        """Tell this client of these jobs from now on; the name of the listener that does."""
        listener = self._listeners.get(client)
        if listener is None:
            listener = self._listeners[client] = _Listener(Bell(lambda: self._followers.count(client)))
        self._followers.follow(client, jobs, time.time())
        return listener.name

    def tell(self, changed: Sequence[str]) -> None:
        """These jobs have changed."""
        for client in self._followers.changed(changed):
            self._listeners[client].bell.ring()

    async def changes(self, client: str, received: Cursor, wait_s: float) -> tuple[Cursor, list[Change]] | None:
        """See `JobRegistry.changes`."""
        listener = self._listeners.get(client)
        if listener is None or listener.name != received.listener:
            return None
        if listener.number == received.number:
            self._followers.unfollow(client, listener.over)
        else:
            self._followers.changed(listener.sent)
            listener.bell.ring()
        turn = listener.turn = listener.turn + 1
        await listener.bell.wait(wait_s)
        if self._listeners.get(client) is not listener:
            return None
        if listener.turn != turn:
            listener.bell.ring()
            return received, []
        ids = self._followers.take(client, _CHANGES, time.time())
        if len(ids) == _CHANGES:
            listener.bell.ring()
        found = [self._change_of(job_id) or _forgotten(job_id) for job_id in ids]
        listener.number += 1
        listener.sent, listener.over = ids, [each.job_id for each in found if each.outcome is not None]
        return Cursor(listener.name, listener.number), found

    def forget_silent(self) -> None:
        """Forget the clients that have asked nothing for long."""
        for client in self._followers.drop_silent(time.time() - _SILENT_S):
            del self._listeners[client]


def _forgotten(job_id: str) -> Change:
    """What is told of a job that has ended and is not known any more: its handle must not wait for ever."""
    failed = Failed(
        error_type="JobLost",
        error_message=_FORGOTTEN,
        phase="lost",
        exit_cause=_FORGOTTEN,
        lost=True,
        remedy="Look in the analytics store; a run that is not there can be submitted again. Configure a longer "
        "retention where clients sleep for long.",
    )
    return Change(job_id, JobStatus.FAILED, 0, False, None, None, failed, None)
