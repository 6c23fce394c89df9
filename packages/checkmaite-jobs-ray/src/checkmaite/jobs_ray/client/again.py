"""A job that is run again with what its registry has kept: its new submission."""

from __future__ import annotations

import secrets
import time

from attrs import evolve
from checkmaite.jobs import JobSubmissionError
from checkmaite.jobs.spi import RUN, CheckedChanges, KeyPlace, new_job_id, resealed, submitter_of, terms_of
from checkmaite.jobs_ray.registry.model.contexts import RedactedContext, whole_context
from checkmaite.jobs_ray.wire import Context, JobSpec, Order
from checkmaite.jobs_ray_simple.cluster import carried

_POLICY = ("max_retries", "max_attempts", "scheduling_timeout_s", "isolation")
_MOST_CONTEXTS = 256


class ContextsHere:
    """The contexts of what this process has run again: jobs that have the same share it, and it travels once.

    Attributes:
        here: That of what this process submits itself.
    """

    def __init__(self, here: Context) -> None:
        self.here = here
        self._known: dict[tuple[bytes, bool], tuple[str, Context]] = {}

    def named(self, context: Context) -> tuple[str, Context]:
        """The id of a context, and the same."""
        key = context.terms.written, context.runtime_env is None  # else it is that of this process
        if key not in self._known:
            if len(self._known) >= _MOST_CONTEXTS:
                self._known.clear()
            self._known[key] = secrets.token_hex(8), context
        return self._known[key]


def spec_again(
    kept: JobSpec,
    redacted: RedactedContext,
    contexts: ContextsHere,
    changed: CheckedChanges,
    payload_key: KeyPlace | None = None,
) -> tuple[JobSpec, dict[str, Context]]:
    """What to submit, and its context.

    What workers are told is that of then: versions, code, store. What is not kept, since it may be secret, is this
    process's, if it was configured alike; and so is who has asked for the run.

    Args:
        kept: What was submitted then, its payload as bytes.
        redacted: Its context then.
        contexts: Those of this process.
        changed: What is to be other.
        payload_key: What this process encrypts payloads with.

    Raises:
        JobSubmissionError: The context needs what this process has not.
        PayloadKeyError: The payload is encrypted, and the key is not here.
    """
    whole = whole_context(redacted, contexts.here)
    if whole is None:
        raise JobSubmissionError(
            f"{kept.job_id} cannot be run again from here: what may be secret is not kept of it, and this process is "
            f"configured otherwise. The job had {', '.join(redacted.lacks)}. Configure the backend with the same store "
            "and options, and Ray with a runtime environment of the same parts.",
            phase="validate",
        )
    job_id = new_job_id()
    terms = terms_of(changed.provenance, backend="ray", store=whole.terms.store, scope=kept.scope)
    name, context = contexts.named(whole._replace(terms=evolve(whole.terms, facts=terms.facts)))
    assert kept.order, "it is kept as it was submitted"
    threshold = kept.order.report_threshold if changed.report_threshold is None else changed.report_threshold
    policy = {each: value for each in _POLICY if (value := getattr(changed.options, each)) is not None}
    spec = kept._replace(
        job_id=job_id,
        job_name=kept.job_name if changed.job_name is None else changed.job_name,
        resources=changed.resources,
        order=Order(time.time(), kept.order.run_uid, threshold),
        payload=carried(resealed(kept.payload, kept.job_id, job_id, payload_key)),
        context=name,
        policy=kept.policy._replace(**policy),
        basis=kept.basis._replace(policy=changed.reuse or kept.basis.policy, decided=RUN),
        submitted_by=submitter_of(changed.provenance),
        tags=kept.tags if changed.tags is None else changed.tags,
        trace=changed.trace,
    )
    return spec, {name: context}
