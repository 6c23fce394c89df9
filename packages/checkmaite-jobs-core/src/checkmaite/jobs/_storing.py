"""A worker and its store: which result of the run is there already, and keeping the one that was made."""

from __future__ import annotations

from typing import Any

from checkmaite.jobs._errors import StoreConflictError, StoreNotFoundError
from checkmaite.jobs._naming import plain_text
from checkmaite.jobs._order import WorkOrder
from checkmaite.jobs._outcome import Completed
from checkmaite.jobs._protocols import AnalyticsStore, KeepsRevisions
from checkmaite.jobs._provenance import Provenance
from checkmaite.jobs._receipt import WriteReceipt
from checkmaite.jobs._refs import CapabilityRunRef
from checkmaite.jobs._report import Draft, Publication


def found_result(store: AnalyticsStore, order: WorkOrder, capability_id: str) -> CapabilityRunRef | None:
    """The result that makes it needless to run: one of this very job, or, unless it is forced, any.

    Raises:
        StoreConflictError: The job is forced, and the store keeps only one result of a run, which is there.
        StoreError: The store cannot say.
    """
    if order.run_uid is None:
        return None
    found = result_of(store, order.job_id, order.run_uid, own=order.force, capability_id=capability_id)
    if found is None and order.force and _keeper(store) is None and store.get_run_uri(order.run_uid) is not None:
        raise _one_result_only(store, order.run_uid)
    return found


def result_of(
    store: AnalyticsStore, job_id: str, run_uid: str, own: bool, *, capability_id: str
) -> CapabilityRunRef | None:
    """The result of a run that a job's ref is about: the one that it has stored itself, else the newest.

    Args:
        store: The store.
        job_id: The job.
        run_uid: The run.
        own: Take no other job's.
        capability_id: The run's capability, for a store that does not keep it.
    """
    if (keeper := _keeper(store)) is not None:
        found = keeper.find_run(run_uid, run_event_id=job_id)
        return None if found is None or (own and found.provenance.run_event_id != job_id) else found.ref
    uri = store.get_run_uri(run_uid)
    if uri is None or (own and not is_by(store, run_uid, job_id)):
        return None
    return CapabilityRunRef(run_uid=run_uid, capability_id=capability_id, store_uri=uri)


def keep_result(
    run: Any, draft: Draft, *, store: AnalyticsStore, order: WorkOrder, provenance: Provenance
) -> Completed:
    """Store a run whole: rows, report and outputs, or none of them. Where another attempt was first, all are its own.

    Raises:
        StoreConflictError: The job is forced, and the store keeps only one result of a run, which is another job's.
        StoreError: The run could not be stored; nothing of it is visible.
    """
    run_uid = plain_text(getattr(run, "run_uid", None))  # the store refuses what is no run
    published = Publication(draft, run_uid, store, order.terms.store.artifacts)
    try:
        if (keeper := _keeper(store)) is not None:
            receipt = keeper.write_with_receipt(
                run, provenance=provenance, report=published.report, supersede=order.force
            )
        else:
            receipt = store.write_with_receipt(run, provenance=provenance)
    except BaseException:
        published.withdraw()
        raise
    if receipt.created or receipt.store_uri is None:
        ref = CapabilityRunRef(
            run_uid=run_uid,
            revision=receipt.revision,
            capability_id=plain_text(run.capability_id),
            store_uri=receipt.store_uri,
            commit_uri=receipt.commit_uri,
            outputs_uri=outputs_uri_of(run),
            report=published.report,
        )
        return Completed(ref=ref, notes=published.notes)
    published.withdraw()
    return _of_the_winner(store, order, run, receipt)


def _keeper(store: AnalyticsStore) -> KeepsRevisions | None:
    return store if isinstance(store, KeepsRevisions) else None


def _of_the_winner(store: AnalyticsStore, order: WorkOrder, run: Any, receipt: WriteReceipt) -> Completed:
    """The result that was there first, instead of the one that this attempt has made."""
    run_uid = plain_text(run.run_uid)
    if (keeper := _keeper(store)) is not None:
        found = keeper.find_run(run_uid, revision=receipt.revision)
        assert found is not None, "the receipt says that it is there"
        return Completed(ref=found.ref, notes=(_whose(found.provenance.job_id, order),))
    is_own = is_by(store, run_uid, order.job_id)
    if order.force and not is_own:
        raise _one_result_only(store, run_uid)
    ref = CapabilityRunRef(
        run_uid=run_uid,
        capability_id=plain_text(run.capability_id),
        store_uri=receipt.store_uri,
        commit_uri=receipt.commit_uri,
    )
    whose = _whose(order.job_id if is_own else None, order)
    return Completed(ref=ref, notes=(f"{whose} This analytics store keeps no reports.",))


def _whose(job_id: str | None, order: WorkOrder) -> str:
    if job_id == order.job_id:
        return "An earlier attempt of this job had stored the run; these are its results."
    return f"{job_id or 'Another job'} stored the run first: these are its results; what this job computed was dropped."


def is_by(store: AnalyticsStore, run_uid: str, job_id: str) -> bool:
    """Whether a job has stored the run, as the table ``runs`` says."""
    try:
        runs = store.read_table("runs", columns=["job_id"], run_uids=[run_uid])
    except StoreNotFoundError:  # this store keeps no provenance
        return False
    return job_id in runs.column("job_id").to_pylist()


def outputs_uri_of(run: Any) -> str | None:
    """Where a run says that it has written more, as plain text."""
    uri = getattr(run, "outputs_uri", None)
    return None if uri is None else plain_text(uri) if isinstance(uri, str) else str(uri)


def _one_result_only(store: AnalyticsStore, run_uid: str) -> StoreConflictError:
    return StoreConflictError(
        f"{store.uri} holds a result of the run {run_uid!r}, and this analytics store keeps one result of a run: "
        "another would be lost. Leave out force=True, give the run another uid, or use a store that keeps revisions.",
        uri=store.uri,
    )
