"""What this process asks about the jobs of one scope, and the handles that it has of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from checkmaite.jobs import BackendUnavailableError, Job, JobsError, PendingReason, UnconfirmedError
from checkmaite.jobs.spi import Changes, JobHandle, KeyPlace, checked_changes
from checkmaite.jobs_ray.client.again import ContextsHere, spec_again
from checkmaite.jobs_ray.client.cluster import Calls, UnansweredError
from checkmaite.jobs_ray.client.job import RayJob
from checkmaite.jobs_ray.client.subscription import Subscription
from checkmaite.jobs_ray.config import RayRunOptions
from checkmaite.jobs_ray.wire import JobFacts, named


class ScopeClient:
    """One scope of one registry; it is what a `RayJob` asks, see `checkmaite.jobs_ray.client.job.RegistryClient`.

    Args:
        scope: The scope.
        calls: Its registry.
        subscription: Keeps the handles up to date.
        proof: What is shown for the scope's key; None for no key.
        home: See `JobHandle`.
        contexts: Those of this process.
        payload_key: What it encrypts payloads with.
        timeout_s: How long an answer may take.
    """

    def __init__(
        self,
        scope: str,
        calls: Calls,
        subscription: Subscription,
        proof: bytes | None,
        home: str,
        *,
        contexts: ContextsHere,
        payload_key: KeyPlace | None,
        timeout_s: float,
    ) -> None:
        self.subscription = subscription
        self._scope = scope
        self._calls = calls
        self._proof = proof
        self._home = home
        self._contexts = contexts
        self._payload_key = payload_key
        self._timeout_s = timeout_s

    def ask(self, method: str, *arguments: Any, job_ids: Sequence[str] = ()) -> Any:
        """The registry's answer; `job_ids` names the jobs that a call without one may have changed."""
        try:
            return self._calls.ask(method, *arguments, self._proof, timeout_s=self._timeout_s)
        except UnansweredError as error:
            if not job_ids:
                raise BackendUnavailableError(str(error)) from error
            raise UnconfirmedError(
                f"{error} Whether {method}() is carried out is not known: it may be, for {named(job_ids)}. The same "
                "call may be made again, and get_job() tells what became of it.",
                job_ids=job_ids,
            ) from error

    def followed(self, method: str, *arguments: Any, job_ids: Sequence[str] = ()) -> list[Job]:
        """The handles of the jobs that the registry answers a call with; this client follows them from then on."""
        with self.subscription.asking() as asked:
            said: JobFacts | list[JobFacts] = self.ask(method, self.subscription.client, *arguments, job_ids=job_ids)
            found = [said] if isinstance(said, JobFacts) else said
            return list(self.subscription.handles(found, self._handle, asked))

    def ask_to_cancel(self, job_id: str, grace_s: float) -> bool:
        """See `RegistryClient`."""
        accepted: bool = self.ask("cancel", self._scope, job_id, grace_s, job_ids=[job_id])
        return accepted

    def cancel(self, job: JobHandle, grace: float) -> None:
        """See `JobControls`; a `RayJob` asks itself."""
        self.ask_to_cancel(job.job_id, grace)

    def explain(self, job: JobHandle) -> str:
        """What the registry knows of a job beyond its facts."""
        return " ".join(self.explanation(job.job_id)).strip()

    def explanation(self, job_id: str) -> tuple[str, str]:
        """See `RegistryClient`."""
        try:
            said: tuple[str, str] = self.ask("explain", self._scope, job_id)
        except JobsError as error:
            return f"{error} More is not known now:", ""
        return said

    def pending_reason(self, job: JobHandle) -> PendingReason | None:
        """See `TellsPendingReason`."""
        try:
            reason: PendingReason | None = self.ask("pending_reason", self._scope, job.job_id)
        except JobsError:  # `explain` says what is wrong; here it means that nobody can say
            return None
        return reason

    def logs(self, job_id: str) -> str | None:
        """What a job has printed; None when it is kept no more."""
        found: str | None = self.ask("logs", self._scope, job_id)
        return found

    def run_again(self, job: JobHandle, changes: Changes) -> Job:
        """See `RunsAgain`.

        Raises:
            JobSubmissionError: What the job was given is not kept, a change is faulty, or this process is configured
                otherwise than whoever submitted it.
            BackendUnavailableError: The registry does not answer.
        """
        kept, redacted = self.ask("inputs", self._scope, job.job_id)
        changed = checked_changes(changes, kept.resources, RayRunOptions)
        spec, contexts = spec_again(kept, redacted, self._contexts, changed, self._payload_key)
        (new,) = self.followed("submit", [spec], contexts, job_ids=[spec.job_id])
        return new

    def _handle(self, facts: JobFacts) -> RayJob:
        return RayJob(facts, self, self._home, self._scope)
