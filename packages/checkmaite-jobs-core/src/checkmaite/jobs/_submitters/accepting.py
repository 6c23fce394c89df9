"""Makes a job of a submission."""

from __future__ import annotations

import os
import socket
from datetime import UTC, datetime
from functools import lru_cache

from checkmaite.jobs._shared.code import Code
from checkmaite.jobs._shared.config import StoreSpec
from checkmaite.jobs._shared.order import WorkOrder
from checkmaite.jobs._submitters.handle import JobControls, JobHandle, new_job_id
from checkmaite.jobs._submitters.listing import labels_for
from checkmaite.jobs._submitters.preparing import PreparedSubmission


def accept(
    prepared: PreparedSubmission,
    *,
    controls: JobControls,
    backend_name: str,
    store: StoreSpec,
    code: Code | None = None,
) -> tuple[JobHandle, WorkOrder]:
    """Make a job of a submission: its handle for the user, and its order for a worker.

    Args:
        prepared: The submission.
        controls: What the handle asks of its backend.
        backend_name: The backend's kind, for the provenance.
        store: The store that the worker writes to.
        code: What the worker imports, for a backend that says so.
    """
    job = JobHandle(
        job_id=new_job_id(),
        **labels_for(prepared),
        tags=prepared.tags,
        resources=prepared.resources,
        created_at=datetime.now(UTC),
        controls=controls,
        home=_home(backend_name, os.getpid()),
    )
    job.traced(prepared.trace)
    return job, WorkOrder.of(
        prepared, job_id=job.job_id, submitted_at=job.created_at, backend=backend_name, store=store, code=code
    )


@lru_cache(maxsize=8)
def _home(backend_name: str, pid: int) -> str:
    return f"{backend_name!r} in process {pid} on {socket.gethostname()}, whose jobs no other process knows"
