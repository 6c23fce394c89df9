"""How a job ended, as a registry keeps it: of a hundred thousand endings few are ever asked for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from checkmaite.jobs import CapabilityRunRef, JobStatus
from checkmaite.jobs.spi import Cancelled, Completed, Failed, Outcome


class Success(NamedTuple):
    """A `Completed` and its ref as one flat tuple, which costs a fifth of the two objects. The fields are theirs."""

    run_uid: str
    capability_id: str
    store_uri: str | None
    outputs_uri: str | None
    report: str | None
    already_stored: bool
    notes: tuple[str, ...]


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
    where = ref.run_uid, ref.capability_id, ref.store_uri, ref.outputs_uri, ref.report
    return Success(*where, outcome.already_stored, outcome.notes)


def outcome_of(ending: Ending) -> Outcome:
    """The outcome that `ending_of` was given."""
    if not isinstance(ending, Success):
        return ending
    run_uid, capability_id, store_uri, outputs_uri, report, already_stored, notes = ending
    ref = CapabilityRunRef(
        run_uid=run_uid, capability_id=capability_id, store_uri=store_uri, outputs_uri=outputs_uri, report=report
    )
    return Completed(ref=ref, already_stored=already_stored, notes=notes)
