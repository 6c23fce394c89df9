"""What a journal amounts to: the table of all its jobs, and the payloads that these still need."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress

from checkmaite.jobs_ray.journal.format import JournalCorruptError
from checkmaite.jobs_ray.journal.leader import Leader
from checkmaite.jobs_ray.journal.reading import Found
from checkmaite.jobs_ray.journal.schema import PAYLOADS, events_of
from checkmaite.jobs_ray.journal.snapshot import restore
from checkmaite.jobs_ray.journal.steps import Delete, Names, Steps
from checkmaite.jobs_ray.journal.storage import Journal, lead
from checkmaite.jobs_ray.registry.model.events import Event
from checkmaite.jobs_ray.registry.model.job_table import JobTable, ReplayState
from checkmaite.jobs_ray.wire import StoredPayload

IMPOSSIBLE = (ValueError, TypeError, LookupError, ArithmeticError, AssertionError, AttributeError, RecursionError)
"""What rows and events raise that this project does not write, or that contradict those before them."""


def payload_key(job_id: str, nonce: str) -> str:
    """Where to keep a payload beside the journal.

    Each call that submits a job keeps a copy of its own, and deletes no other: which of several calls, perhaps to
    several registries, has made the job is known only later.

    Args:
        job_id: The job's, for people.
        nonce: What no other key has.
    """
    return f"{PAYLOADS}/{job_id}-{nonce}"


def take_over(
    root: str, leader: Leader, new_nonce: Callable[[], str], found: Found, kept: Mapping[str, str] | None = None
) -> Steps[tuple[Journal, JobTable]]:
    """Lead the journal; what it amounts to. Payloads that nothing needs are deleted.

    They are looked for before this leads. A leader that is superseded meanwhile, and does not know it, thus deletes
    nothing that a later one has kept.

    Args:
        root: Where the journal is, for errors.
        leader: Who will lead; one that never has.
        new_nonce: Gives what no other object carries.
        found: The journal as it was read already.
        kept: Payloads that are kept beyond the end of their jobs: the key of each, by job.

    Raises:
        JobsError: See `lead` and `table_of`.
    """
    names: list[str] = yield Names(PAYLOADS)
    journal, found = yield from lead(root, leader, new_nonce, found)
    table = table_of(found)
    needed = {each.spec.payload.key for each in table.live() if isinstance(each.spec.payload, StoredPayload)}
    needed.update(key for job_id, key in (kept or {}).items() if job_id in table.records)
    unneeded = [key for name in names if (key := f"{PAYLOADS}/{name}") not in needed]
    if unneeded:
        yield Delete(unneeded)
    return journal, table


def table_of(found: Found) -> JobTable:
    """The table that the snapshot and every event after it make.

    Raises:
        JournalCorruptError: A row is none that this project writes, or contradicts those before it.
    """
    replayed, uri = ReplayState(), found.root
    try:
        with _no_garbage():
            if found.snapshot:
                uri = found.snapshot.uri
                restore(replayed, found.snapshot_rows(), found.snapshot.protocol)
            for stored in found.segments():
                uri = stored.uri
                for event in events_of(stored.rows(), stored.protocol):
                    replayed.apply(event)
            return JobTable.of(replayed)
    except IMPOSSIBLE as error:
        raise JournalCorruptError.of(
            uri,
            f"what it says cannot be ({type(error).__name__}: {error})",
            f"Restore {found.root} from a copy; move it away or pass another journal_uri to begin without a history.",
        ) from error


def rest_of(found: Found) -> tuple[JobTable, int]:
    """The table of what `read_rest` gave, and how many events were left out: those of jobs that it does not know."""
    replayed, left_out = ReplayState(), 0
    with suppress(*IMPOSSIBLE):
        if found.snapshot:
            restore(replayed, found.snapshot_rows(), found.snapshot.protocol)
    for stored in found.segments():
        events = events_of(stored.rows(), stored.protocol)
        while True:
            try:
                event = next(events)
            except StopIteration:
                break
            except IMPOSSIBLE:
                left_out += 1
                break
            left_out += not _is_applied(replayed, event)
    with suppress(*IMPOSSIBLE):
        return JobTable.of(replayed), left_out
    return JobTable(), left_out


def _is_applied(replayed: ReplayState, event: Event) -> bool:
    """Apply an event, unless it cannot follow those before it; whether it could."""
    job_id = getattr(event, "job_id", "")
    before = replayed.records.get(job_id)
    try:
        replayed.apply(event)
    except IMPOSSIBLE:
        if before is not None:
            replayed.records[job_id] = before
        return False
    return True


@contextmanager
def _no_garbage() -> Iterator[None]:
    """Within the block nothing looks for garbage: it would find records only, more each time, and cost a third more.

    What was made meanwhile is old at once, by a short freeze, else the next look would take a tenth of a second.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if not gc.get_freeze_count():  # whoever froze something wants it to stay so
            gc.freeze()
            gc.unfreeze()
        if was_enabled:
            gc.enable()
