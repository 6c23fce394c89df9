"""How a job goes on once it was accepted: it waits for a worker, is stopped, is started again, ends."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from heapq import heapify, heappop, heappush
from typing import NamedTuple

from attrs import evolve
from checkmaite.jobs import FailureKind
from checkmaite.jobs.spi import Cancelled, Completed, Failed, Outcome, Started, Used
from checkmaite.jobs_ray.registry.model.events import Ended, OwnerLost, Requeued, StopAsked
from checkmaite.jobs_ray.registry.model.job_table import JobTable
from checkmaite.jobs_ray.registry.model.record import (
    JobRecord,
    Owner,
    Placed,
    Scheduling,
    Stopping,
    Unresolved,
    Waiting,
    ending_of,
)
from checkmaite.jobs_ray.wire import Context, EndReport, JobSpec, Stop

_UNSWEPT = 500


class Lifecycle:
    """Changes jobs of a table by events, and leaves in `effects` what has to happen outside.

    Args:
        table: The jobs.
        now: The time.
    """

    def __init__(self, table: JobTable, now: float) -> None:
        self._table = table
        self._deadlines = Deadlines()
        self.effects: list[Effect] = []
        for record in table.live():
            if isinstance(record.state, Waiting | Placed | Scheduling):
                self.expect_worker(record.spec, record.attempt - (record.owner is not None), now)

    def expect_worker(self, spec: JobSpec, attempts_before: int, now: float) -> None:
        """Begin to count the time in which a job must find a worker, if it has such a time."""
        timeout_s = spec.policy.scheduling_timeout_s
        if timeout_s is not None:
            self._deadlines.add(now + timeout_s, spec.job_id, attempts_before)

    def end_overdue(self, now: float) -> None:
        """End the jobs that have found no worker in time."""
        for job_id, attempts_before in self._deadlines.passed(now):
            record = self._without_worker(job_id, attempts_before)
            if record is not None:
                self.stop(record, no_worker(record), 0.0, now)
        if len(self._deadlines) > 2 * sum(len(index.live) for index in self._table.scopes.values()) + _UNSWEPT:
            self._deadlines.keep(self._without_worker)

    def stop(self, record: JobRecord, then: Cancelled | Failed, grace_s: float, now: float) -> None:
        """Begin to stop a job; without a controller it ends at once."""
        owner = record.owner
        if owner is None:
            self.finish(record, then, self._table.date)
        else:
            self._table.apply(StopAsked(record.spec.job_id, then))
            self.tell(owner, Stop(record.spec.job_id, record.attempt, grace_s, then))

    def tell(self, owner: Owner, stop: Stop) -> None:
        """Have a controller told to end a job."""
        self.effects.append(StopJobs(owner.controller, owner.token, [stop]))

    def end(self, record: JobRecord, report: EndReport, now: float) -> None:
        """A job's work has stopped: it ends, or is started again."""
        state = record.state
        if isinstance(state, Stopping):
            in_time = isinstance(report.outcome, Completed) and isinstance(state.then, Failed)
            self.finish(record, report.outcome if in_time else state.then, report.at, report.started, report.used)
        elif report.worker_lost and report.in_doubt:
            self._table.apply(OwnerLost(record.spec.job_id, PACK_LOST))
        elif report.worker_lost:
            self._lose_worker(record, report, now)
        else:
            self.finish(record, report.outcome, report.at, report.started, report.used)

    def start_again_or_end(self, record: JobRecord, reason: str, now: float) -> None:
        """What a job had begun is gone with its controller, or its node; the store does not hold its run."""
        policy = record.spec.policy
        if (policy.resubmit or reason == PACK_LOST) and record.attempt < policy.max_attempts:
            self._requeue(record, f"Start {record.attempt} ended when {reason}.", now)
        else:
            self.finish(record, lost(reason, record), self._table.date)

    def finish(
        self,
        record: JobRecord,
        outcome: Outcome,
        at: float,
        started: Started | None = None,
        used: Used | None = None,
    ) -> None:
        """A job is final."""
        started = None if started == record.started else started
        self._table.apply(Ended(record.spec.job_id, ending_of(outcome), at, started, self._table.counted_s, used))

    def _lose_worker(self, record: JobRecord, report: EndReport, now: float) -> None:
        attempt, failed = record.attempt, report.outcome
        cause = failed.exit_cause if isinstance(failed, Failed) and failed.exit_cause else "its worker died"
        if record.spec.policy.allows_retry(attempt, record.losses, counts=report.counts):
            is_drained = isinstance(failed, Failed) and failed.kind is FailureKind.NODE_LOST
            why = "that is no fault of the job" if is_drained else "another worker there had more memory"
            spared = "" if report.counts else f" It does not count: {why}."
            self._requeue(record, f"Start {attempt} was lost: {cause}.{spared}", now, lost=report.counts, ended=report)
            return
        if isinstance(failed, Failed):
            failed = evolve(failed, exit_cause=f"{cause}; starts: {attempt}")
        self.finish(record, failed, report.at, report.started)

    def _requeue(
        self, record: JobRecord, note: str, now: float, *, lost: bool = False, ended: EndReport | None = None
    ) -> None:
        at, started = (self._table.date, None) if ended is None else (ended.at, ended.started)
        started = None if started == record.started else started
        self._table.apply(Requeued(record.spec.job_id, note, lost=lost, at=at, started=started))
        self.expect_worker(record.spec, record.attempt, now)

    def _without_worker(self, job_id: str, attempts_before: int) -> JobRecord | None:
        """The job, when the attempt after so many others has not found a worker."""
        record = self._table.records.get(job_id)
        if record is None or not isinstance(record.state, Waiting | Unresolved | Placed | Scheduling):
            return None
        return record if record.attempt - (record.owner is not None) == attempts_before else None


# -- failures of what is around a job ----------------------------------------------------------------------------------

DIED = "its controller's process died"
GONE = "its controller and its registry were lost"
PACK_LOST = "its node was lost with those that ran beside it"
SURPLUS = "its cluster's registry had more controllers than this one"


def silent(lease_ttl_s: float) -> str:
    """The reason for a loss when a controller has not answered for so long."""
    return f"{_SILENT} {lease_ttl_s:g} s"


_SILENT = "its controller was silent for"


def _kind_of_loss(reason: str) -> FailureKind:
    if reason.startswith(_SILENT):
        return FailureKind.CONTROLLER_SILENT
    if reason == PACK_LOST:
        return FailureKind.NODE_LOST
    return FailureKind.CLUSTER_LOST if reason in {GONE, SURPLUS} else FailureKind.CONTROLLER_DIED


def lost(reason: str, record: JobRecord) -> Failed:
    """Its start was lost, and no other follows."""
    kind = _kind_of_loss(reason)
    return Failed(
        error_type="ControllerLost",
        error_message=f"start {record.attempt} ended when {reason}",
        phase="lost",
        node=record.started.node if record.started else None,
        pid=record.started.pid if record.started else None,
        exit_cause=reason,
        lost=True,
        kind=kind,
        remedy=kind.remedy,
    )


def superseded(other: str) -> Failed:
    """Another job stands for its run by now."""
    return Failed(
        error_type="RunSubmittedAgain",
        error_message=f"{other} was submitted for the same run while the controller of this job could not be reached",
        phase="lost",
        lost=True,
        kind=FailureKind.SUBMITTED_AGAIN,
        remedy=f"Use {other}.",
    )


def no_worker(record: JobRecord) -> Failed:
    """It found no worker in the time that it had."""
    return Failed(
        error_type="SchedulingTimeout",
        error_message=f"no worker took it within {record.spec.policy.scheduling_timeout_s:g} s",
        phase="schedule",
        kind=FailureKind.NO_WORKER_IN_TIME,
        remedy=FailureKind.NO_WORKER_IN_TIME.remedy,
    )


# -- deadlines ---------------------------------------------------------------------------------------------------------


class Deadlines:
    """Starts that must have found a worker by an instant. One that has found it is left in and ignored when due."""

    def __init__(self) -> None:
        self._due: list[tuple[float, str, int]] = []

    def __len__(self) -> int:
        return len(self._due)

    def add(self, at: float, job_id: str, attempts_before: int) -> None:
        """Expect the attempt after `attempts_before` others by an instant."""
        heappush(self._due, (at, job_id, attempts_before))

    def passed(self, now: float) -> Iterator[tuple[str, int]]:
        """Take out what was due: job ids and the attempts that had been made when it was added."""
        while self._due and self._due[0][0] <= now:
            _, job_id, attempts_before = heappop(self._due)
            yield job_id, attempts_before

    def keep(self, wanted: Callable[[str, int], object]) -> None:
        """Leave out what is not wanted any more."""
        self._due = [each for each in self._due if wanted(each[1], each[2])]
        heapify(self._due)


# -- effects -----------------------------------------------------------------------------------------------------------


class StopJobs(NamedTuple):
    """Tell a controller to end jobs."""

    controller: str
    token: int
    stops: Sequence[Stop]


class AskStore(NamedTuple):
    """Ask the store of a context whether it holds the runs of jobs; `RegistryMachine.settle` takes the answer."""

    context: Context
    specs: Sequence[JobSpec]


Effect = StopJobs | AskStore
