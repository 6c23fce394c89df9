"""A handle on a job that a registry keeps."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Protocol

from checkmaite.jobs import JobAttempt, UnconfirmedError
from checkmaite.jobs.spi import (
    DEFAULT_GRACE_S,
    EXPLANATION_BYTES,
    Cancelled,
    JobControls,
    JobHandle,
    Progressed,
    TellsPendingReason,
    labels_of,
    shortened,
    usable_grace_s,
)
from checkmaite.jobs_ray.wire import Change, JobFacts, PastAttempt, lost_starts

_NO_OUTPUT = "[... the output of this job is no longer kept ...]\n"


class RegistryClient(JobControls, TellsPendingReason, Protocol):
    """What a handle asks of the registry, through its backend."""

    def ask_to_cancel(self, job_id: str, grace_s: float) -> bool:
        """Begin to stop the job; whether it is, or is going to be, cancelled."""
        ...

    def explanation(self, job_id: str) -> tuple[str, str]:
        """What keeps the registry from going on with any job, empty when nothing does; what it knows of this one."""
        ...

    def logs(self, job_id: str) -> str | None:
        """What the job has printed; None when it is kept no more."""
        ...


class RayJob(JobHandle):
    """A `Job` whose facts come from the registry, so that every client sees the same."""

    def __init__(self, facts: JobFacts, registry: RegistryClient, home: str = "", scope: str | None = None) -> None:
        super().__init__(
            job_id=facts.job_id,
            **labels_of(facts),
            created_at=datetime.fromtimestamp(facts.created_at, UTC),
            controls=registry,
            home=home,
            scope=scope,
            tags=facts.tags,
            resources=facts.resources,
        )
        self._registry = registry
        self.decided(facts.reuse)
        self.traced(facts.trace)
        self._seen_attempt = 0
        self._lost_starts = 0
        self._is_cancel_unconfirmed = False
        self.learn(facts)

    def learn(self, facts: JobFacts | Change) -> None:
        """Take in what the registry says."""
        lost = lost_starts(facts)
        if lost < self._lost_starts and facts.outcome is None:
            return  # an answer that was given before, and comes later
        if lost > self._lost_starts:
            self.lose_start()
        self._lost_starts = lost
        if facts.started is not None and (facts.attempt > self._seen_attempt or self.started is None):
            self._seen_attempt = facts.attempt
            self.apply(facts.started)
        self.measured(facts.used)
        if facts.attempt:  # a registry that has forgotten the job does not know
            past = tuple(map(_attempt, facts.past))
            has_begun = self._seen_attempt == facts.attempt
            self.counted(facts.attempt, past, _instant(facts.queued_at), has_begun=has_begun)
        if facts.progress is not None:
            self.apply(Progressed(facts.progress))
        if facts.outcome is not None:
            ended_at = facts.finished_at
            self.finish(facts.outcome, _instant(ended_at))
        else:
            self.advance(facts.status)

    def cancel(self, grace: float = DEFAULT_GRACE_S) -> bool:
        """Ask the registry to stop the job, by force after `grace` seconds; see `Job.cancel`.

        True means that the job will end CANCELLED, for every client.

        Raises:
            UnconfirmedError: The registry did not say in time whether the job will be stopped. Asked again, this says
                whether it is.
        """
        grace_s = usable_grace_s(grace)
        if self.outcome is not None:
            return self._is_cancel_unconfirmed and isinstance(self.outcome, Cancelled)
        try:
            return self._registry.ask_to_cancel(self.job_id, grace_s)
        except UnconfirmedError:
            self._is_cancel_unconfirmed = True
            raise

    def explain(self) -> str:
        """Why the job is where it is, in words, as the registry knows it."""
        if self.outcome is None:
            trouble, more = self._registry.explanation(self.job_id)
            return shortened(f"{trouble} {self.explained(more)}".strip(), EXPLANATION_BYTES)
        said = super().explain()
        return shortened(f"{said} {self._registry.explain(self)}".rstrip(), EXPLANATION_BYTES)

    def logs(self) -> str:
        """What the job has printed so far, stdout and stderr together; of very long output the end.

        Raises:
            BackendUnavailableError: The registry did not answer.
        """
        found = self._registry.logs(self.job_id)
        return _NO_OUTPUT if found is None else found


def _attempt(past: PastAttempt) -> JobAttempt:
    return JobAttempt.of(past.number, past.started, ended_at=_instant(past.ended_at), end=past.end)


def _instant(seconds: float | None) -> datetime | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC)
