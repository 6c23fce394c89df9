"""How a job goes on once it was accepted: it waits for a worker, is stopped, is started again, ends."""

from __future__ import annotations

from attrs import evolve
from checkmaite.jobs.spi import Cancelled, Completed, Failed, Outcome
from checkmaite.jobs_ray._machine._book import JobBook
from checkmaite.jobs_ray._machine._deadlines import Deadlines
from checkmaite.jobs_ray._machine._effects import Effect, StopJobs
from checkmaite.jobs_ray._machine._ending import ending_of
from checkmaite.jobs_ray._machine._events import Ended, GivenBack, StopAsked
from checkmaite.jobs_ray._machine._failures import lost, no_worker
from checkmaite.jobs_ray._machine._record import Doubtful, Owner, Placed, Record, Scheduling, Stopping, Waiting
from checkmaite.jobs_ray._messages import Draft, EndReport, Stop, Where

_UNSWEPT = 500


class Course:
    """Changes jobs of a book by events, and leaves in `effects` what has to happen outside.

    Args:
        book: The jobs.
        now: The time.
    """

    def __init__(self, book: JobBook, now: float) -> None:
        self._book = book
        self._deadlines = Deadlines()
        self.effects: list[Effect] = []
        for record in book.live():
            if isinstance(record.state, Waiting | Placed | Scheduling):
                self.expect_worker(record.draft, record.attempt - (record.owner is not None), now)

    def expect_worker(self, draft: Draft, attempts_before: int, now: float) -> None:
        """Begin to count the time in which a job must find a worker, if it has such a time."""
        timeout_s = draft.policy.scheduling_timeout_s
        if timeout_s is not None:
            self._deadlines.add(now + timeout_s, draft.job_id, attempts_before)

    def end_overdue(self, now: float) -> None:
        """End the jobs that have found no worker in time."""
        for job_id, attempts_before in self._deadlines.passed(now):
            record = self._without_worker(job_id, attempts_before)
            if record is not None:
                self.stop(record, no_worker(record), 0.0, now)
        if len(self._deadlines) > 2 * sum(len(index.live) for index in self._book.scopes.values()) + _UNSWEPT:
            self._deadlines.keep(self._without_worker)

    def stop(self, record: Record, then: Cancelled | Failed, grace_s: float, now: float) -> None:
        """Begin to stop a job; without a controller it ends at once."""
        owner = record.owner
        if owner is None:
            self.finish(record, then, now)
        else:
            self._book.apply(StopAsked(record.draft.job_id, then))
            self.tell(owner, Stop(record.draft.job_id, record.attempt, grace_s, then))

    def tell(self, owner: Owner, stop: Stop) -> None:
        """Have a controller told to end a job."""
        self.effects.append(StopJobs(owner.controller, owner.token, [stop]))

    def end(self, record: Record, report: EndReport, now: float) -> None:
        """A job's work has stopped: it ends, or is started again."""
        state = record.state
        if isinstance(state, Stopping):
            in_time = isinstance(report.outcome, Completed) and isinstance(state.then, Failed)
            self.finish(record, report.outcome if in_time else state.then, report.at, report.where)
        elif report.worker_lost:
            self._lose_worker(record, report, now)
        else:
            self.finish(record, report.outcome, report.at, report.where)

    def start_again_or_end(self, record: Record, reason: str, now: float) -> None:
        """A job's controller is gone, and with it what it had begun; the store does not hold its run."""
        policy = record.draft.policy
        if policy.resubmit and record.attempt < policy.max_attempts:
            self._give_back(record, f"Start {record.attempt} ended when {reason}.", now)
        else:
            self.finish(record, lost(reason, record), now)

    def finish(self, record: Record, outcome: Outcome, at: float, where: Where | None = None) -> None:
        """A job is final."""
        where = None if where == record.where else where
        self._book.apply(Ended(record.draft.job_id, ending_of(outcome), at, where))

    def _lose_worker(self, record: Record, report: EndReport, now: float) -> None:
        attempt, failed = record.attempt, report.outcome
        cause = failed.exit_cause if isinstance(failed, Failed) and failed.exit_cause else "its worker died"
        if record.draft.policy.allows_retry(attempt, record.losses, counts=report.counts):
            spared = "" if report.counts else " It does not count: another worker there had more memory."
            self._give_back(record, f"Start {attempt} was lost: {cause}.{spared}", now, lost=report.counts)
            return
        if isinstance(failed, Failed):
            failed = evolve(failed, exit_cause=f"{cause}; starts: {attempt}")
        self.finish(record, failed, report.at, report.where)

    def _give_back(self, record: Record, note: str, now: float, *, lost: bool = False) -> None:
        self._book.apply(GivenBack(record.draft.job_id, note, lost=lost))
        self.expect_worker(record.draft, record.attempt, now)

    def _without_worker(self, job_id: str, attempts_before: int) -> Record | None:
        """The job, when the start after so many others has not found a worker."""
        record = self._book.records.get(job_id)
        if record is None or not isinstance(record.state, Waiting | Doubtful | Placed | Scheduling):
            return None
        return record if record.attempt - (record.owner is not None) == attempts_before else None
