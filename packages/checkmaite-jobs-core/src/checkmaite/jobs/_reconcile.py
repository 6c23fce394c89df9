"""Which of some jobs have stored their runs: asked on a worker, of jobs whose own word is lost."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from checkmaite.jobs._discovery import open_store
from checkmaite.jobs._errors import StoreNotFoundError
from checkmaite.jobs._order import Terms
from checkmaite.jobs._outcome import Completed
from checkmaite.jobs._protocols import AnalyticsStore
from checkmaite.jobs._refs import CapabilityRunRef

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
    named: dict[str, str] = {}
    unnamed = False
    capabilities = {}
    for capability_id, (job_id, _, run_uid, force, _) in jobs:
        capabilities[job_id] = capability_id
        if run_uid is None or force:
            unnamed = True
        else:
            named[job_id] = run_uid
    committed = _committed(store) if unnamed else ()
    listed = {job_id: run_uid for job_id, run_uid in committed if job_id in capabilities}
    uids = named | listed
    uris = _uris(store, set(uids.values()))
    return {
        job_id: _completed(run_uid, capabilities[job_id], uris[run_uid])
        for job_id, run_uid in uids.items()
        if job_id in listed or uris[run_uid] is not None
    }


def _uris(store: AnalyticsStore, run_uids: Iterable[str]) -> dict[str, str | None]:
    """Each run's URI, None when the store does not hold it. Each costs a request, so several are under way at once."""
    asked = list(run_uids)
    with ThreadPoolExecutor(_THREADS, "checkmaite-reconcile") as threads:
        return dict(zip(asked, threads.map(store.get_run_uri, asked), strict=True))


def _committed(store: AnalyticsStore) -> Iterable[tuple[str, str]]:
    """Job id and run uid of every run in the store."""
    try:
        runs = store.read_table("runs", columns=["job_id", "run_uid"])
    except StoreNotFoundError:  # nothing was ever committed, or this store keeps no provenance
        return ()
    return set(zip(runs.column("job_id").to_pylist(), runs.column("run_uid").to_pylist(), strict=True))


def _completed(run_uid: str, capability_id: str, store_uri: str | None) -> Completed:
    ref = CapabilityRunRef(run_uid=run_uid, capability_id=capability_id, store_uri=store_uri)
    return Completed(ref=ref, already_stored=True, notes=(_NOTE,))
