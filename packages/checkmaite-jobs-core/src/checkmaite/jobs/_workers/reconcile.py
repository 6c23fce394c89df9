"""Finds out on a worker which jobs have stored their runs, for jobs that can no longer say so themselves."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from checkmaite.jobs._shared.discovery import open_store
from checkmaite.jobs._shared.errors import StoreNotFoundError
from checkmaite.jobs._shared.order import Terms
from checkmaite.jobs._shared.outcome import Completed
from checkmaite.jobs._shared.store_protocols import AnalyticsStore, KeepsRevisions
from checkmaite.jobs._workers.storing import result_of

_THREADS = 16
_NOTE = "The cluster was lost before the job could say that it had ended; its run was found in the store."


def stored_runs(written_terms: bytes, jobs: Iterable[tuple[str, Sequence[Any]]]) -> dict[str, Completed]:
    """Of these jobs, those whose run the store holds, and the outcome that this means, by job id.

    A run whose uid was known before is asked for by its uid. The others are looked for in the table ``runs``, by the
    job's id, which reads two columns of the whole table once.

    Args:
        written_terms: `Terms.written` of all of them.
        jobs: Each one's capability id, and what follows the terms in its `WorkOrder.to_wire`.

    Raises:
        IncompatibleVersionError: This process cannot work for that submitter.
        StoreError: The store cannot say. It is never taken for "holds none".
    """
    store = open_store(Terms.read(written_terms).store)
    named: dict[str, tuple[str, bool]] = {}
    unnamed = set()
    capabilities = {}
    for capability_id, (job_id, _, run_uid, reuse, *_) in jobs:
        capabilities[job_id] = capability_id
        if run_uid is None:
            unnamed.add(job_id)
        else:
            named[job_id] = run_uid, reuse == "never"
    if unnamed:
        named |= {job_id: (run_uid, True) for job_id, run_uid in _committed(store) if job_id in unnamed}
    # Each costs some requests, so several are under way at once.
    with ThreadPoolExecutor(_THREADS, "checkmaite-reconcile") as threads:
        found = threads.map(
            lambda job_id: result_of(store, job_id, *named[job_id], capability_id=capabilities[job_id]), named
        )
        refs = dict(zip(named, found, strict=True))
    return {job_id: Completed(ref=ref, notes=(_NOTE,)) for job_id, ref in refs.items() if ref is not None}


def _committed(store: AnalyticsStore) -> Iterable[tuple[str, str]]:
    """Job id and run uid of every result in the store."""
    every: Mapping[str, Any] = {"revision": "all"} if isinstance(store, KeepsRevisions) else {}
    try:
        runs = store.read_table("runs", columns=["job_id", "run_uid"], **every)
    except StoreNotFoundError:  # nothing was ever committed, or this store keeps no provenance
        return ()
    return set(zip(runs.column("job_id").to_pylist(), runs.column("run_uid").to_pylist(), strict=True))
