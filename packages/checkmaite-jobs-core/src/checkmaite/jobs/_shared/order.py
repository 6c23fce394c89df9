"""The work order: what a worker needs to know of one job beside the user's objects, and how it travels.

Thousands of orders leave at once and each is read by a worker, so what they have in common is written once, as the
bytes of the `Terms`, and read once by a worker process. The first line of these bytes says which versions the submitter
runs, so that they can be compared before anything is unpickled.
"""

from __future__ import annotations

import io
import json
import pickle
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, Any

from attrs import asdict, field, frozen
from checkmaite.jobs._shared.code import Code
from checkmaite.jobs._shared.codec import structure
from checkmaite.jobs._shared.comparing import prints_text
from checkmaite.jobs._shared.config import StoreSpec
from checkmaite.jobs._shared.provenance import SHARED_FIELDS, Provenance
from checkmaite.jobs._shared.reuse import Prints, ReusePolicy
from checkmaite.jobs._shared.trace_context import TraceContext, usable_trace
from checkmaite.jobs._shared.versions import Versions, check_versions, versions_here

if TYPE_CHECKING:
    from checkmaite.jobs._submitters.preparing import PreparedSubmission

Wire = tuple[bytes, str, float, str | None, ReusePolicy, float, Prints | None, tuple[str, ...] | None]
"""An order as builtins: the terms, job id, submission in seconds since the epoch, run uid, reuse, report threshold,
fingerprints and trace."""


_MOVED = {f"checkmaite.jobs._{name}": f"checkmaite.jobs._shared.{name}" for name in ("code", "config")}
"""Modules by the names that they have in journals of before."""


class _Unpickler(pickle.Unpickler):  # the submitter wrote it, and running its code is the point
    def find_class(self, module: str, name: str) -> Any:
        return super().find_class(_MOVED.get(module, module), name)


@frozen(kw_only=True, slots=False)
class Terms:
    """What the orders of a submitter have in common.

    Attributes:
        store: The store to write to.
        facts: Provenance that is not about one job, by field name.
        versions: What the submitter runs.
        code: What a worker imports; None leaves that to whoever started it.
    """

    store: StoreSpec
    facts: Mapping[str, str | None]
    versions: Versions = field(factory=versions_here)
    code: Code | None = None

    @cached_property
    def written(self) -> bytes:
        """The terms as bytes: the versions as a line of JSON, then store and facts pickled, then the code pickled."""
        header = json.dumps(asdict(self.versions)).encode()
        # Older readers stop behind the first pickle.
        return header + b"\n" + pickle.dumps((self.store, self.facts)) + pickle.dumps(self.code)

    @classmethod
    def read(cls, written: bytes) -> Terms:
        """The terms that were written so.

        Raises:
            IncompatibleVersionError: This process cannot work for that submitter; nothing was unpickled.
        """
        header, _, parts = written.partition(b"\n")
        versions = structure(json.loads(header), Versions)
        check_versions(versions, this_side="worker", other_side="submitter")
        rest = io.BytesIO(parts)
        store, facts = _Unpickler(rest).load()
        code = _Unpickler(rest).load() if rest.tell() < len(parts) else None
        return cls(store=store, facts=facts, versions=versions, code=code)


@frozen(kw_only=True)
class WorkOrder:
    """Everything about one job but the user's objects.

    Attributes:
        job_id: The job.
        submitted_at: When it was accepted (UTC).
        run_uid: The uid that the run will have, when it is known before; lets the worker skip a run that is stored.
        reuse: When a result that the store holds stands for the run.
        report_threshold: Given to ``collect_md_report``.
        prints: Fingerprints of what the run stands on; None where an earlier version submitted it.
        terms: What it has in common with others.
        trace: What it was submitted in.
    """

    job_id: str
    submitted_at: datetime
    run_uid: str | None
    reuse: ReusePolicy
    report_threshold: float
    prints: Prints | None
    terms: Terms
    trace: TraceContext | None = None

    @classmethod
    def of(
        cls,
        prepared: PreparedSubmission,
        *,
        job_id: str,
        submitted_at: datetime,
        backend: str,
        store: StoreSpec,
        code: Code | None = None,
    ) -> WorkOrder:
        """The order for a submission that has become a job; see `terms_of`."""
        return cls(
            job_id=job_id,
            submitted_at=submitted_at,
            run_uid=prepared.run_key.run_uid,
            reuse=prepared.reuse,
            report_threshold=prepared.options.report_threshold,
            prints=prepared.prints,
            terms=terms_of(prepared.provenance, backend=backend, store=store, code=code),
            trace=prepared.trace,
        )

    def provenance(self, *, completed_at: datetime | None = None) -> Provenance:
        """The columns that are stored with the run."""
        facts: Mapping[str, Any] = self.terms.facts
        return Provenance(
            **facts,
            job_id=self.job_id,
            submitted_at=self.submitted_at,
            completed_at=completed_at,
            run_event_id=self.job_id,
            fingerprints=prints_text(self.prints),
        )

    def to_wire(self) -> Wire:
        """The order as builtins, for `execute`."""
        return order_wire(
            self.terms.written,
            job_id=self.job_id,
            submitted_at=self.submitted_at.timestamp(),
            run_uid=self.run_uid,
            reuse=self.reuse,
            report_threshold=self.report_threshold,
            prints=self.prints,
            trace=self.trace,
        )

    @classmethod
    def from_wire(cls, wire: Wire) -> WorkOrder:
        """The order that `to_wire` wrote.

        Raises:
            IncompatibleVersionError: This process cannot work for that submitter; nothing was unpickled.
        """
        written, job_id, submitted_at, run_uid, reuse, report_threshold, prints, trace = wire
        return cls(
            job_id=job_id,
            submitted_at=datetime.fromtimestamp(submitted_at, UTC),
            run_uid=run_uid,
            reuse=reuse,
            report_threshold=report_threshold,
            prints=prints,
            terms=_read(written),
            trace=usable_trace(trace),
        )


def order_wire(
    written_terms: bytes,
    *,
    job_id: str,
    submitted_at: float,
    run_uid: str | None,
    reuse: ReusePolicy,
    report_threshold: float,
    prints: Prints | None,
    trace: TraceContext | None = None,
) -> Wire:
    """An order as builtins, for `execute`; see `WorkOrder`. The submission is in seconds since the epoch."""
    told = None if trace is None else tuple(trace)
    return written_terms, job_id, submitted_at, run_uid, reuse, report_threshold, prints, told


def terms_of(
    provenance: Provenance, *, backend: str, store: StoreSpec, scope: str | None = None, code: Code | None = None
) -> Terms:
    """The terms of a submitter's orders; equal ones are the same object.

    Args:
        provenance: The submitter's.
        backend: The kind of its backend.
        store: The store that workers write to.
        scope: What stands for a workspace that the provenance does not name.
        code: What workers import, for a backend that says so.
    """
    return _terms(provenance.shared, backend, store, scope, code)


@lru_cache(maxsize=8)
def _terms(
    shared: tuple[str | None, ...], backend: str, store: StoreSpec, scope: str | None, code: Code | None
) -> Terms:
    facts = dict(zip(SHARED_FIELDS, shared, strict=True)) | {"backend": backend}
    if facts["workspace_id"] is None:
        facts["workspace_id"] = scope
    return Terms(store=store, facts=facts, code=code)


_read = lru_cache(maxsize=8)(Terms.read)
