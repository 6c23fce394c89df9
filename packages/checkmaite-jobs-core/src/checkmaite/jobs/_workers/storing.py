"""Finds the result of a run that the store holds already, and stores the one that the worker has made."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, cast

from checkmaite.jobs._shared.comparing import UNCOMPARED, planned
from checkmaite.jobs._shared.errors import StaleResultError, StoreConflictError, StoreNotFoundError
from checkmaite.jobs._shared.naming import plain_text
from checkmaite.jobs._shared.order import WorkOrder
from checkmaite.jobs._shared.outcome import Completed
from checkmaite.jobs._shared.provenance import Provenance
from checkmaite.jobs._shared.receipt import WriteReceipt
from checkmaite.jobs._shared.records import check_run
from checkmaite.jobs._shared.refs import CapabilityRunRef
from checkmaite.jobs._shared.reuse import RUN, Reuse, ReuseKind
from checkmaite.jobs._shared.store_protocols import AnalyticsStore, KeepsRevisions
from checkmaite.jobs._workers.report import Draft, Publication

_EARLIER_ATTEMPT = "An earlier attempt of this job had stored the run; these are its results."


def found_result(store: AnalyticsStore, order: WorkOrder, capability_id: str) -> Completed | None:
    """The result that makes it needless to run: one of this very job, or one that the reuse policy lets stand for it.

    Raises:
        StaleResultError: The policy requires such a result, and there is none.
        StoreConflictError: The run is to be made again, and the store keeps only one result of a run, which is there.
        StoreError: The store cannot say.
    """
    if order.run_uid is None:
        if order.reuse == "require":  # what the submitter was told of is gone, and nobody knows what to look for
            raise stale_result(f"this run of {capability_id}", None)
        return None
    own = order.reuse == "never"
    if (keeper := _keeper(store)) is None:
        ref = result_of(store, order.job_id, order.run_uid, own=own, capability_id=capability_id)
        if ref is not None:
            return _found_uncompared(store, order, ref)
        if own and store.get_run_uri(order.run_uid) is not None:
            raise _one_result_only(store, order.run_uid)
        reuse = None
    else:
        found = keeper.find_run(order.run_uid, run_event_id=order.job_id)
        if found is not None and found.provenance.run_event_id == order.job_id:
            return Completed(ref=found.ref, notes=(_EARLIER_ATTEMPT,))
        reuse = planned(found, order.reuse, order.prints)
        if found is not None and reuse.kind is ReuseKind.REUSED:
            return Completed(ref=found.ref, reuse=reuse)
    if order.reuse == "require":
        raise stale_result(order.run_uid, reuse)
    return None


def stale_result(what: str, reuse: Reuse | None) -> StaleResultError:
    """The error that a result was required and none agrees."""
    stale = reuse is not None and reuse.kind is ReuseKind.STALE
    why = f"is {reuse}" if stale else "has no result"
    return StaleResultError(
        f'{what} {why}, and reuse="require" was asked for: nothing was run. Leave it out to have the run made.',
        phase="reuse",
    )


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
        RecordError: It is no run, or does not say which; nothing was written, its report neither.
        StoreError: The run could not be stored; nothing of it is visible.
    """
    run_uid = check_run(run)
    published = Publication(draft, run_uid, order.job_id, store, order.terms.store.artifacts)
    try:
        if (keeper := _keeper(store)) is not None:
            receipt, reuse = _written(keeper, run, published, order, provenance)
        else:
            receipt, reuse = store.write_with_receipt(run, provenance=provenance), RUN
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
        return Completed(ref=ref, reuse=reuse, notes=published.notes)
    published.withdraw()
    return _of_the_winner(store, order, run, receipt, reuse)


def _found_uncompared(store: AnalyticsStore, order: WorkOrder, ref: CapabilityRunRef) -> Completed:
    """A result in a store that keeps neither revisions nor fingerprints."""
    if is_by(store, ref.run_uid, order.job_id):
        return Completed(ref=ref, notes=(_EARLIER_ATTEMPT,))
    return Completed(ref=ref, reuse=Reuse(kind=ReuseKind.REUSED, unknown=UNCOMPARED))


def _written(
    keeper: KeepsRevisions, run: Any, published: Publication, order: WorkOrder, provenance: Provenance
) -> tuple[WriteReceipt, Reuse]:
    """Write the result; as a new revision, where the one that is there may not stand for the run."""

    def write(*, supersede: bool) -> WriteReceipt:
        return keeper.write_with_receipt(run, provenance=provenance, report=published.report, supersede=supersede)

    if order.reuse == "never":
        before = keeper.find_run(plain_text(run.run_uid))
        return write(supersede=True), planned(before, order.reuse, order.prints)
    receipt = write(supersede=False)
    if receipt.created or receipt.store_uri is None:
        return receipt, RUN
    found = keeper.find_run(receipt.run_uid, revision=receipt.revision)
    if found is None or found.provenance.run_event_id == order.job_id:
        return receipt, RUN
    reuse = planned(found, order.reuse, order.prints)
    return (write(supersede=True) if reuse.kind is ReuseKind.STALE else receipt), reuse


def _keeper(store: AnalyticsStore) -> KeepsRevisions | None:
    return cast("KeepsRevisions", store) if _keeps_revisions(type(store)) else None


@lru_cache(maxsize=64)
def _keeps_revisions(kind: type) -> bool:
    """Whether stores of a class do: looking at a class for a protocol takes as long as much of a short job."""
    return issubclass(kind, KeepsRevisions)


def _of_the_winner(store: AnalyticsStore, order: WorkOrder, run: Any, receipt: WriteReceipt, reuse: Reuse) -> Completed:
    """The result of the attempt that was first, in place of the one that this attempt has made."""
    run_uid = plain_text(run.run_uid)
    if (keeper := _keeper(store)) is not None:
        found = keeper.find_run(run_uid, revision=receipt.revision)
        assert found is not None, "the receipt says that it is there"
        is_own = found.provenance.run_event_id == order.job_id
        notes = (_whose(found.provenance.job_id, order, run, found.ref),)
        return Completed(ref=found.ref, reuse=RUN if is_own else reuse, notes=notes)
    is_own = is_by(store, run_uid, order.job_id)
    if order.reuse == "never" and not is_own:
        raise _one_result_only(store, run_uid)
    ref = CapabilityRunRef(
        run_uid=run_uid,
        capability_id=plain_text(run.capability_id),
        store_uri=receipt.store_uri,
        commit_uri=receipt.commit_uri,
    )
    whose = _whose(order.job_id if is_own else None, order, run, ref)
    reuse = RUN if is_own else Reuse(kind=ReuseKind.REUSED, unknown=UNCOMPARED)
    return Completed(ref=ref, reuse=reuse, notes=(f"{whose} This analytics store keeps no reports.",))


def _whose(job_id: str | None, order: WorkOrder, run: Any, won: CapabilityRunRef) -> str:
    """Whose results these are, and what becomes of those that came second."""
    outputs = outputs_uri_of(run)
    left = f" Its outputs in {outputs} belong to no result." if outputs not in (None, won.outputs_uri) else ""
    if job_id == order.job_id:
        return f"{_EARLIER_ATTEMPT} What this one computed was dropped.{left}"
    first = job_id or "Another job"
    return f"{first} stored the run first: these are its results; what this job computed was dropped.{left}"


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
