"""What a registry's process asks of the store that is no more than a call or two, as `Chronicle` does it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from checkmaite.jobs import StoreNotFoundError
from checkmaite.jobs_ray._journal._journal import Journal
from checkmaite.jobs_ray._journal._leader import Leader
from checkmaite.jobs_ray._journal._reading import read_journal
from checkmaite.jobs_ray._journal._steps import Create, Delete, Read, Steps
from checkmaite.jobs_ray._machine._book import JobBook
from checkmaite.jobs_ray._messages import Draft, Kept
from checkmaite.jobs_ray._replay import payload_key, take_over

from tests.ray_machine.sim_cluster import Lent


def opening(leader: Leader, new_nonce: Callable[[], str]) -> Steps[tuple[Journal, JobBook]]:
    """See `Chronicle.open`."""
    found = yield from read_journal("journal")
    return (yield from take_over("journal", leader, new_nonce, found))


def keeping(drafts: Sequence[Draft], new_nonce: Callable[[], str]) -> Steps[dict[str, Kept]]:
    """See `Chronicle.keep`."""
    kept = {}
    for draft in drafts:
        key = payload_key(draft.job_id, new_nonce())
        yield Create(key, draft.payload)
        kept[draft.job_id] = Kept(key, len(draft.payload), Lent(draft.payload))
    return kept


def deleting(keys: Sequence[str]) -> Steps[None]:
    for key in keys:
        yield Delete([key])


def stored(journal: Journal, number: int, rows: Any) -> Steps[None]:
    """See `Chronicle._store`."""
    yield from journal.snapshot(number, rows)
    yield from journal.prune()


def loading(kept: Kept) -> Steps[bytes]:
    content: bytes | None = yield Read(kept.key)
    if content is None:
        raise StoreNotFoundError(f"{kept.key} is not there", uri=kept.key)
    return content
