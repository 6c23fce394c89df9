"""Checks what is to be other when a job is run again with what its backend has kept."""

from __future__ import annotations

from attrs import frozen
from checkmaite.jobs._shared.errors import JobSubmissionError
from checkmaite.jobs._shared.provenance import Provenance, get_provenance_defaults, unwritable_fields
from checkmaite.jobs._shared.resources import Resources, resolve_resources, resources_over
from checkmaite.jobs._shared.reuse import ReusePolicy
from checkmaite.jobs._shared.tags import Tags, checked_tags
from checkmaite.jobs._shared.trace_context import TraceContext
from checkmaite.jobs._submitters.again import Changes
from checkmaite.jobs._submitters.preparing import RunOptions, name_problems, read_options


@frozen(kw_only=True)
class CheckedChanges:
    """`Changes`, checked.

    Attributes:
        job_name: See `Changes`.
        resources: All of the new job.
        tags: See `Changes`.
        options: Of the backend's class; what was not given has its default.
        reuse: When a result that is there stands for the run; None where it stays as it was.
        report_threshold: Likewise.
        provenance: Of whoever has the job run again.
        trace: See `Changes`.
    """

    job_name: str | None
    resources: Resources
    tags: Tags | None
    options: RunOptions
    reuse: ReusePolicy | None
    report_threshold: float | None
    provenance: Provenance
    trace: TraceContext | None


def checked_changes(changes: Changes, before: Resources, options_type: type[RunOptions]) -> CheckedChanges:
    """Check what is to be other.

    Args:
        changes: What the user gave.
        before: The resources that the job had.
        options_type: The backend's class of per-job options.

    Raises:
        JobSubmissionError: With every fault.
    """
    provenance = get_provenance_defaults()
    problems = [*unwritable_fields(provenance), *name_problems(changes.job_name)]
    tags, faults = checked_tags(changes.tags)
    problems += faults
    resources, faults = resolve_resources(resources_over(before, changes.resources))
    problems += faults
    options, faults = read_options(changes.options, options_type)
    problems += faults
    if problems or options is None:
        raise JobSubmissionError("Nothing was submitted.", phase="validate", problems=problems)
    return CheckedChanges(
        job_name=changes.job_name,
        resources=resources,
        tags=None if changes.tags is None else tags,
        options=options,
        reuse="never" if options.force else options.reuse,
        report_threshold=options.report_threshold if "report_threshold" in changes.options else None,
        provenance=provenance,
        trace=changes.trace,
    )
