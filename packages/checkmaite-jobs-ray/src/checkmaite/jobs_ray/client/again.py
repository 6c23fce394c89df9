"""A job that is run again with what its registry has kept: its new submission."""

from __future__ import annotations

import secrets
import time

from attrs import evolve
from checkmaite.jobs import JobSubmissionError
from checkmaite.jobs.spi import RUN, CheckedChanges, new_job_id, resealed, submitter_of, terms_of
from checkmaite.jobs_ray.registry.model.contexts import RedactedContext, whole_context
from checkmaite.jobs_ray.wire import Context, JobSpec, Order
from checkmaite.jobs_ray_simple.cluster import carried

_POLICY = ("max_retries", "max_attempts", "scheduling_timeout_s", "isolation")


def spec_again(
    kept: JobSpec, redacted: RedactedContext, here: Context, changed: CheckedChanges
) -> tuple[JobSpec, dict[str, Context]]:
    """What to submit, and its context.

    What workers are told is that of then: versions, code, store. What is not kept, since it may be secret, is this
    process's, if it was configured alike; and so is who has asked for the run.

    Args:
        kept: What was submitted then, its payload as bytes.
        redacted: Its context then.
        here: That of this process.
        changed: What is to be other.

    Raises:
        JobSubmissionError: The context needs what this process has not.
        PayloadKeyError: The payload is encrypted, and the key is not here.
    """
    whole = whole_context(redacted, here)
    if whole is None:
        raise JobSubmissionError(
            f"{kept.job_id} cannot be run again from here: what may be secret is not kept of it, and this process is "
            f"configured otherwise. The job had {', '.join(redacted.lacks)}. Configure the backend with the same store "
            "and options, and Ray with a runtime environment of the same parts.",
            phase="validate",
        )
    job_id, name = new_job_id(), secrets.token_hex(8)
    terms = terms_of(changed.provenance, backend="ray", store=whole.terms.store, scope=kept.scope)
    context = whole._replace(terms=evolve(whole.terms, facts=terms.facts))
    assert kept.order, "it is kept as it was submitted"
    threshold = kept.order.report_threshold if changed.report_threshold is None else changed.report_threshold
    policy = {each: value for each in _POLICY if (value := getattr(changed.options, each)) is not None}
    spec = kept._replace(
        job_id=job_id,
        job_name=kept.job_name if changed.job_name is None else changed.job_name,
        resources=changed.resources,
        order=Order(time.time(), kept.order.run_uid, threshold),
        payload=carried(resealed(kept.payload, kept.job_id, job_id)),
        context=name,
        policy=kept.policy._replace(**policy),
        basis=kept.basis._replace(policy=changed.reuse or kept.basis.policy, decided=RUN),
        submitted_by=submitter_of(changed.provenance),
        tags=kept.tags if changed.tags is None else changed.tags,
    )
    return spec, {name: context}
