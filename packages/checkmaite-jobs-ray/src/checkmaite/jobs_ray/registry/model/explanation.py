"""Why a job is where it is, in words."""

from __future__ import annotations

from collections.abc import Sequence

from checkmaite.jobs import JobStatus, PendingReason
from checkmaite.jobs_ray.registry.model.job_table import JobTable
from checkmaite.jobs_ray.registry.model.known_contexts import KnownContexts
from checkmaite.jobs_ray.registry.model.queue import kind_of
from checkmaite.jobs_ray.registry.model.record import JobRecord, Placed, Scheduling, Unresolved, Waiting

_NAMED = 3
"""Running jobs that an explanation names."""


def explanation(record: JobRecord, table: JobTable, contexts: KnownContexts) -> tuple[str, bool]:
    """What there is to say of a job, as sentences, and whether it waits for a worker."""
    said = list(record.notes)
    if record.is_cancelling:
        said.append("It is being cancelled.")
    if record.supersedes is not None and not record.spec.basis.decided.differences:
        said.append(f"It supersedes {record.supersedes}, which had completed: force=True ran it again on purpose.")
    if record.attempt > 1 and record.is_live:
        said.append(f"This is start number {record.attempt}.")
    waits = False
    match record.state:
        case Waiting() | Unresolved() if record.spec.context not in contexts:
            said.append(_lacking(table.redacted_contexts[record.spec.context].lacks))
        case Unresolved(reason=reason):
            said.append(f"{reason[0].upper()}{reason[1:]}; the store is asked whether its run was stored before.")
        case Waiting() | Placed() | Scheduling():
            said.append(_place_in_queue(record, table))
            waits = True
    return " ".join(said), waits


def pending_reason(
    record: JobRecord, contexts: KnownContexts, obstacles: Sequence[PendingReason]
) -> PendingReason | None:
    """The name of what a job waits for; None when it waits no more.

    Args:
        record: The job.
        contexts: Those that are known in full.
        obstacles: What keeps it from starting outside the model, the weightiest first.
    """
    match record.state:
        case Waiting() | Unresolved() if record.spec.context not in contexts:
            return PendingReason.CLIENT_NEEDED
        case Unresolved():
            return PendingReason.STORE_ASKED
        case Waiting() | Placed() | Scheduling():
            return obstacles[0] if obstacles else PendingReason.BUSY
        case _:
            return None


def _lacking(names: tuple[str, ...]) -> str:
    return (
        f"It waits for what the journal does not keep: {', '.join(names)}. It goes on when a client of its scope "
        "configures the backend with the same store and these."
    )


def _place_in_queue(record: JobRecord, table: JobTable) -> str:
    records, index = table.records, table.scopes[record.spec.scope]
    before = sum(
        records[job_id].created_at < record.created_at
        for job_id in index.with_status(JobStatus.PENDING, JobStatus.SCHEDULING)
    )
    running = [records[job_id].spec.job_name for job_id in index.with_status(JobStatus.RUNNING)]
    if record.owner is not None:
        where = "Ray has it"
    elif given := table.waiting.given(kind_of(record.spec)):
        where = f"Ray has the {given} jobs like it that begin next"
    else:
        where = "no controller has taken it yet"
    said = f"It is number {before + 1} in the queue of its scope; {where}."
    if running:
        more = f" and {len(running) - _NAMED} more" if len(running) > _NAMED else ""
        said += f" Running now: {', '.join(running[:_NAMED])}{more}."
    return said
