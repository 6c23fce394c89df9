"""What a registry's process asks of the store that is no more than a call or two, as `JournalWriter` does it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from checkmaite.jobs import StoreNotFoundError
from checkmaite.jobs_ray.journal.format import Leader
from checkmaite.jobs_ray.journal.reading import read_journal
from checkmaite.jobs_ray.journal.replay import payload_key, take_over
from checkmaite.jobs_ray.journal.steps import Create, Delete, Read, Steps
from checkmaite.jobs_ray.journal.storage import Journal
from checkmaite.jobs_ray.registry.model.job_table import JobTable
from checkmaite.jobs_ray.wire import JobSpec, StoredPayload

from tests.ray_registry.sim_cluster import Lent


def opening(leader: Leader, new_nonce: Callable[[], str]) -> Steps[tuple[Journal, JobTable]]:
    """See `JournalWriter.open`."""
    found = yield from read_journal("journal")
    return (yield from take_over("journal", leader, new_nonce, found))


def keeping(specs: Sequence[JobSpec], new_nonce: Callable[[], str]) -> Steps[dict[str, StoredPayload]]:
    """See `JournalWriter.keep`."""
    kept = {}
    for spec in specs:
        key = payload_key(spec.job_id, new_nonce())
        yield Create(key, spec.payload)
        kept[spec.job_id] = StoredPayload(key, len(spec.payload), Lent(spec.payload))
    return kept


def deleting(keys: Sequence[str]) -> Steps[None]:
    for key in keys:
        yield Delete([key])


def stored(journal: Journal, number: int, rows: Any) -> Steps[None]:
    """See `JournalWriter._store`."""
    yield from journal.snapshot(number, rows)
    yield from journal.prune()


def loading(kept: StoredPayload) -> Steps[bytes]:
    content: bytes | None = yield Read(kept.key)
    if content is None:
        raise StoreNotFoundError(f"{kept.key} is not there", uri=kept.key)
    return content
