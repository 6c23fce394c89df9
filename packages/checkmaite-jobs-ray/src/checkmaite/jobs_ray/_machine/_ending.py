"""How a job ended, as a registry keeps it: of a hundred thousand endings few are ever asked for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from checkmaite.jobs import CapabilityRunRef, JobStatus, Report, Reuse
from checkmaite.jobs.spi import Cancelled, Completed, Failed, Outcome


class Success(NamedTuple):
    """A `Completed` and its ref as one flat tuple, which costs a fifth of the two objects. The fields are theirs."""

    run_uid: str
    revision: int
    capability_id: str
    store_uri: str | None
    commit_uri: str | None
    outputs_uri: str | None
    report: Report | None
    notes: tuple[str, ...]
    reuse: Reuse


Ending = Success | Failed | Cancelled
FINAL: Mapping[type[Ending], JobStatus] = {
    Success: JobStatus.COMPLETED,
    Failed: JobStatus.FAILED,
    Cancelled: JobStatus.CANCELLED,
}
"""The status that each ending means."""


def ending_of(outcome: Outcome) -> Ending:
    """What is kept of an outcome: all of it."""
    if not isinstance(outcome, Completed):
        return outcome
    ref = outcome.ref
    where = ref.run_uid, ref.revision, ref.capability_id, ref.store_uri, ref.commit_uri, ref.outputs_uri, ref.report
    return Success(*where, outcome.notes, outcome.reuse)


def outcome_of(ending: Ending) -> Outcome:
    """The outcome that `ending_of` was given."""
    if not isinstance(ending, Success):
        return ending
    return Completed(ref=ref_of(ending), notes=ending.notes, reuse=ending.reuse)


def ref_of(ending: Success) -> CapabilityRunRef:
    """The ref of the outcome that `ending_of` was given."""
    return CapabilityRunRef(
        run_uid=ending.run_uid,
        revision=ending.revision,
        capability_id=ending.capability_id,
        store_uri=ending.store_uri,
        commit_uri=ending.commit_uri,
        outputs_uri=ending.outputs_uri,
        report=ending.report,
    )
