"""The jobs of a scope as a table, read from the journal by anybody and at any time."""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

from checkmaite.jobs import ConfigurationError, MissingDependencyError, StoreNotFoundError
from checkmaite.jobs.spi import (
    LABELS,
    Completed,
    Failed,
    ObjectStore,
    StoreSpec,
    kind_of,
    labels_of,
    prints_text,
    settled,
)
from checkmaite.jobs_ray.config import RayOptions
from checkmaite.jobs_ray.journal.format import JournalGapError
from checkmaite.jobs_ray.journal.location import JournalLocation
from checkmaite.jobs_ray.journal.logs import find_log
from checkmaite.jobs_ray.journal.reading import read_journal, read_rest
from checkmaite.jobs_ray.journal.replay import rest_of, table_of
from checkmaite.jobs_ray.journal.runner import perform
from checkmaite.jobs_ray.journal.walls import WALLS, find_wall, proof_of
from checkmaite.jobs_ray.registry.model.job_table import JobTable
from checkmaite.jobs_ray.registry.model.record import Final, JobRecord, Unresolved

_TEXTS = ("job_id", *LABELS, "status", "failure_kind", "error_type")
_INSTANTS = ("created_at", "submitted_at", "started_at", "finished_at")


def read_history(options: RayOptions, store: StoreSpec) -> Any:
    """See `checkmaite.jobs.read_job_history`."""
    _arrow()  # before anything is read
    objects = journal_objects(options, store)
    scope = options.idempotency_scope
    if (wall := find_wall(objects, scope)) is not None:
        wall.check(proof_of(options))
    table = table_in(objects)
    return table_of_records([record for record in table.records.values() if record.spec.scope == scope])


def table_of_records(records: Iterable[JobRecord]) -> Any:
    """Jobs as a ``pyarrow.Table``, the oldest first."""
    pa = _arrow()
    instant = pa.timestamp("us", tz="UTC")
    types = {
        **dict.fromkeys(_TEXTS, pa.string()),
        **dict.fromkeys(_INSTANTS, instant),
        "node": pa.string(),
        "attempts": pa.int64(),
        "run_uid": pa.string(),
        "revision": pa.int64(),
        "store_uri": pa.string(),
        "commit_uri": pa.string(),
        "reuse": pa.string(),
        "fingerprints": pa.string(),
        "queued_at": instant,
        "error_message": pa.string(),
        "traceback_text": pa.string(),
        "peak_memory_bytes": pa.int64(),
        "peak_gpu_memory_bytes": pa.int64(),
        "tags": pa.map_(pa.string(), pa.string()),
    }
    by_date = sorted(records, key=lambda each: each.created_at)
    return pa.Table.from_pylist([_row(record) for record in by_date], schema=pa.schema(types))


def _arrow() -> Any:
    try:
        import pyarrow as pa
    except ImportError as error:
        raise MissingDependencyError(
            "A table of jobs needs pyarrow.", requirement="checkmaite-jobs[parquet]"
        ) from error
    return pa


def read_kept_log(options: RayOptions, store: StoreSpec, job_id: str) -> str:
    """See `checkmaite.jobs.read_job_logs`. Where a scope has a key, each has what its own jobs have printed alone."""
    objects = journal_objects(options, store)
    if objects.names(WALLS):
        if (wall := find_wall(objects, options.idempotency_scope)) is not None:
            wall.check(proof_of(options))
        record = table_in(objects).records.get(job_id)
        if record is None or record.spec.scope != options.idempotency_scope:
            raise StoreNotFoundError(
                f"{objects.root}: the scope {options.idempotency_scope!r} has no job {job_id!r}.", uri=objects.root
            )
    return find_log(objects, job_id)


def table_in(objects: ObjectStore) -> JobTable:
    """What the journal says; of one with a gap what is left, with a warning.

    Raises:
        StoreNotFoundError: There is no journal.
        JournalCorruptError: It is damaged otherwise.
    """
    try:
        found = perform(read_journal(objects.root), objects)
    except JournalGapError as error:
        table, left_out = rest_of(perform(read_rest(objects.root), objects))
        warnings.warn(
            f"This is what is left of the journal, {len(table.records)} jobs: {error.uri} is missing. Jobs that only "
            f"what is missing knew are not in this table, nor are {left_out} events of theirs; others may have gone on "
            "since.",
            stacklevel=2,
        )
        return table
    if found.leader is None:
        raise StoreNotFoundError(
            f"{objects.root}: there is no journal. Its folder follows from idempotency_scope or registry_actor_name, "
            "registry_namespace, and journal_uri or the analytics store's URI: pass what was passed to "
            "configure_job_backend().",
            uri=objects.root,
        )
    return table_of(found)


def journal_objects(options: RayOptions, store: StoreSpec) -> ObjectStore:
    """The folder of the journal that these options lead to.

    Raises:
        ConfigurationError: There is none.
    """
    location = JournalLocation.of(options, store)
    if location is None:
        raise ConfigurationError(
            "There is no journal to read: jobs are kept in memory only. Pass journal_uri, as it was when they were "
            "submitted."
        )
    return location.objects(options.registry_namespace, options.registry_name)


def _row(record: JobRecord) -> dict[str, Any]:
    spec, state = record.spec, record.state
    outcome = state.outcome if isinstance(state, Final) else None
    decided = spec.basis.decided
    started = None if isinstance(state, Unresolved) else record.started  # that start is over, and another may follow
    ref = outcome.ref if isinstance(outcome, Completed) else None
    row = {
        "job_id": spec.job_id,
        **labels_of(spec),
        "status": str(record.status),
        "failure_kind": None if outcome is None else kind_of(outcome),
        "error_type": outcome.error_type if isinstance(outcome, Failed) else None,
        "created_at": (created_at := _instant(record.created_at)),
        "submitted_at": created_at,  # as it was called before; in the table `runs` that is by the submitter's clock
        "started_at": started.at if started else None,
        "finished_at": _instant(state.at) if isinstance(state, Final) else None,
        "node": started.node if started else None,
        "attempts": record.attempt,
        "run_uid": ref.run_uid if ref else None,
        "revision": ref.revision if ref else None,
        "store_uri": ref.store_uri if ref else None,
        "commit_uri": ref.commit_uri if ref else None,
        "reuse": str(settled(decided, outcome.reuse) if isinstance(outcome, Completed) else decided),
        "fingerprints": prints_text(spec.basis.prints),
        "queued_at": None if record.queued_at is None else _instant(record.queued_at),
        "error_message": outcome.error_message if isinstance(outcome, Failed) else None,
        "traceback_text": (outcome.traceback_text or None) if isinstance(outcome, Failed) else None,
        "peak_memory_bytes": record.used.memory_bytes if record.used else None,
        "peak_gpu_memory_bytes": record.used.gpu_memory_bytes if record.used else None,
        "tags": [(_encodable(name), _encodable(value)) for name, value in spec.tags],
    }
    return {name: _encodable(value) if isinstance(value, str) else value for name, value in row.items()}


def _encodable(text: str) -> str:
    """A text that a column can hold: no journal of this project has half a character in a name."""
    return text if text.isascii() else text.encode("utf-8", "backslashreplace").decode()


def _instant(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
