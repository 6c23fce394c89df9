"""A controller's logic: which jobs it has, what it has to tell the registry, what it still remembers.

It keeps reports until the registry has said that it has them, so that neither a lost reply nor a new registry loses
one. It knows nothing of Ray: the shell launches and cancels tasks as it is told.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Collection, Iterable, Sequence
from typing import NamedTuple

from attrs import define
from checkmaite.jobs import JobProgress
from checkmaite.jobs.spi import Cancelled, Failed, LogBudget, LogTail, LostOutput, Outcome, Printed, Started, Used
from checkmaite.jobs_ray.wire import (
    AttemptId,
    ControllerJob,
    EndReport,
    Inventory,
    Launch,
    LostAttempt,
    ProgressReport,
    Report,
    StartReport,
    Stop,
    attempt_of,
)

_SERVED = 100
"""Tokens of former leases that a controller remembers."""


class StaleLeaseError(Exception):
    """The token that a caller shows is not the one that this process was attached with.

    Refused by `ControllerMachine.attach`, a caller has been superseded. Refused by anything else, it may attach anew:
    the controller may have begun again, and nothing of what the caller gave it before is there.

    Attributes:
        seen: The largest token that has been seen.
    """

    def __init__(self, message: str, seen: int) -> None:
        self.seen = seen
        super().__init__(message)

    def __reduce__(self) -> tuple[type[StaleLeaseError], tuple[str, int]]:
        return StaleLeaseError, (str(self), self.seen)


class Cancel(NamedTuple):
    """What the shell has to do to a task: interrupt it now, and end its worker when it is still there at `force_at`."""

    attempt_id: AttemptId
    force_at: float


@define
class _Task:
    launch: Launch
    started: Started | None = None
    last_words: str | None = None
    then: Cancelled | Failed | None = None
    end: EndReport | None = None
    end_number: int = 0
    ended_at: float = 0.0
    printed: LogTail | None = None
    lost: LostOutput | None = None

    def text(self) -> str:
        """What it has printed so far, and what attempts before it had printed here that were lost."""
        text = self.printed.text() if self.printed else ""
        return text if self.lost is None else self.lost.before(text)

    def lost_so_far(self) -> LostOutput | None:
        """What a further attempt begins with: this one was lost."""
        if self.printed is not None:
            self.lost = self.lost or LostOutput()
            self.lost.add(self.launch.attempt, self.printed)
        return self.lost


class ControllerMachine:
    """The jobs of one controller.

    Args:
        incarnation: Another one for each start of the controller's process.
        retention_s: Finished jobs and their output are kept for so long.
        max_retained: And at most so many of them.
        max_log_characters: At most so much output of all jobs is kept; see `LogBudget`.

    Times are those of a clock that nobody sets; what the registry is told are dates, see `set_calendar`.
    """

    def __init__(self, incarnation: str, *, retention_s: float, max_retained: int, max_log_characters: int) -> None:
        self._incarnation = incarnation
        self._retention_s = retention_s
        self._max_retained = max_retained
        self._budget = LogBudget(max_log_characters)
        self._token = -1
        self._served: deque[int] = deque(maxlen=_SERVED)
        self._declared: tuple[int, set[AttemptId]] = 0, set()
        self._acknowledged = 0
        self._unknown_stops: dict[AttemptId, tuple[Cancelled | Failed, float]] = {}
        self._taken: set[AttemptId] = set()
        self._tasks: dict[str, _Task] = {}
        self._finished: OrderedDict[str, None] = OrderedDict()
        self._reports: deque[Report] = deque()
        self._progress: dict[str, ProgressReport] = {}
        self._last = self._told = 0
        self._ahead_s = 0.0

    def set_calendar(self, ahead_s: float) -> None:
        """So far the calendar is ahead of the clock that the times given here are read from."""
        self._ahead_s = ahead_s

    # -- what the registry asks ---------------------------------------------------------------------------------------

    def attach(self, token: int, now: float) -> Inventory:
        """A registry takes over: calls with older tokens are refused from now on.

        Raises:
            StaleLeaseError: This token, or a later one, has been seen already.
        """
        if token <= self._token:
            raise StaleLeaseError(f"the lease {token} is over: {self._token} has been seen", self._token)
        served = tuple(self._served)
        self._served.append(token)
        self._token = token
        jobs = [
            ControllerJob(each.launch, each.started, each.then, each.end, now - each.ended_at if each.end else 0.0)
            for each in self._tasks.values()
        ]
        self._declared = self._last, {attempt_of(each.launch) for each in jobs}
        self._progress.clear()
        self._reports.clear()  # the inventory says it all
        self._told = self._last
        self._unknown_stops.clear()
        self._taken.clear()
        return Inventory(self._incarnation, jobs, self._last, served)

    def keep(self, token: int, attempt_ids: Collection[AttemptId], now: float) -> list[Cancel]:
        """Of the jobs in the inventory keep these and no others; what to cancel at once.

        Raises:
            StaleLeaseError: The controller was not attached with this token.
        """
        self._check(token)
        (number, declared), ended = self._declared, []
        self._acknowledged = max(self._acknowledged, number)
        self._declared = number, set()
        for attempt_id in declared.difference(attempt_ids):
            if self._live(attempt_id) is not None:
                ended.append(Cancel(attempt_id, now))
            if self._task(attempt_id) is not None:
                self._drop(attempt_id[0])
        return ended

    def lacking(self, token: int, launches: Iterable[Launch]) -> list[Launch]:
        """Those that `launch` would take anew: not those that this call has brought when it came before.

        Raises:
            StaleLeaseError: See `keep`.
        """
        self._check(token)
        return [each for each in launches if attempt_of(each) not in self._taken]

    def launch(self, token: int, launches: Iterable[Launch]) -> list[Launch]:
        """Take jobs; those of them that have to be started: not those that this call has brought when it came before.

        A call is repeated until it was answered, and only then another one follows. It may bring more of its jobs when
        it comes again, but not less.

        Raises:
            StaleLeaseError: See `keep`.
        """
        self._check(token)
        before, self._taken, new = self._taken, set(), []
        for launch in launches:
            attempt_id = job_id, _ = attempt_of(launch)
            self._taken.add(attempt_id)
            if attempt_id in before:
                continue
            lost = None
            if job_id in self._tasks:
                lost = self._tasks[job_id].lost_so_far()
                self._drop(job_id)
            self._tasks[job_id] = task = _Task(launch, lost=lost)
            if attempt_id in self._unknown_stops:
                task.then, stopped_at = self._unknown_stops.pop(attempt_id)
                self.ended(attempt_id, Cancelled(), worker_lost=False, now=stopped_at)
            else:
                new.append(launch)
        return new

    def begins(self, attempt_id: AttemptId, now: float) -> bool:
        """Whether to hand a job that was taken to Ray: one that was stopped in between ends here."""
        task = self._live(attempt_id)
        if task is not None and task.then is not None:
            self.ended(attempt_id, Cancelled(), worker_lost=False, now=now)
        return self._live(attempt_id) is not None

    def stop(self, token: int, stops: Iterable[Stop], now: float) -> list[Cancel]:
        """Begin to stop jobs; what to cancel. One that is not here has stopped, and does not begin if it comes late.

        Raises:
            StaleLeaseError: See `keep`.
        """
        self._check(token)
        cancels = []
        for job_id, attempt, grace_s, then in stops:
            task = self._task((job_id, attempt))
            if task is None:
                self._unknown_stops[job_id, attempt] = then, now
                self._tell(EndReport(job_id, attempt, Cancelled(), worker_lost=False, at=now + self._ahead_s))
                continue
            if not isinstance(task.then, Cancelled):
                task.then = then
            if task.end is None:
                cancels.append(Cancel((job_id, attempt), now + grace_s))
        return cancels

    def reports(self, token: int, after: int) -> tuple[int, Sequence[Report]]:
        """The reports after number `after`, and the number of the last; those up to `after` are forgotten.

        Raises:
            StaleLeaseError: See `keep`.
        """
        self._check(token)
        self._acknowledged = max(self._acknowledged, after)
        for _ in range(after - (self._last - len(self._reports))):
            self._reports.popleft()
        for each in self._progress.values():
            self._tell(each)
        self._progress.clear()
        self._told = self._last
        return self._last, list(self._reports)

    @property
    def has_news(self) -> bool:
        """Whether `reports` would give anything that it has not given before."""
        return self._last > self._told or bool(self._progress)

    @property
    def live(self) -> int:
        """How many jobs it has that have not ended."""
        return len(self._tasks) - len(self._finished)

    def logs(self, job_id: str) -> str | None:
        """What a job has printed; None when it is not remembered here."""
        task = self._tasks.get(job_id)
        return None if task is None else task.text()

    # -- what workers say ---------------------------------------------------------------------------------------------

    def begun(self) -> dict[AttemptId, Started]:
        """The live jobs whose workers have spoken, and those workers."""
        live = (each for each in self._tasks.values() if each.end is None)
        return {attempt_of(each.launch): each.started for each in live if each.started is not None}

    def known_of(self, attempt_id: AttemptId) -> LostAttempt | None:
        """What there is to say of an attempt that was lost with its worker; None when its end is known."""
        task = self._live(attempt_id)
        if task is None:
            return None
        return LostAttempt(task.started, task.last_words, task.launch, task.then is not None)

    def started(self, attempt_id: AttemptId, started: Started) -> None:
        """A worker has begun a job."""
        task = self._live(attempt_id)
        if task is not None and task.started is None:
            task.started = started
            self._tell(StartReport(*attempt_id, started))

    def leaving(self, attempt_id: AttemptId, cause: str) -> None:
        """A job's worker is about to end."""
        task = self._live(attempt_id)
        if task is not None:
            task.last_words = cause

    def progressed(self, attempt_id: AttemptId, progress: JobProgress) -> None:
        """How far a job is; only the newest is told."""
        if self._live(attempt_id) is not None:
            self._progress[attempt_id[0]] = ProgressReport(*attempt_id, progress)

    def printed(self, attempt_id: AttemptId, piece: Printed) -> None:
        """What a job has printed; it may come after the job's end."""
        task = self._task(attempt_id)
        if task is not None:
            task.printed = task.printed or LogTail()
            task.printed.ended = task.end is not None
            self._budget.extend(task.printed, piece.start, piece.text)

    def recovered(self, attempt_id: AttemptId, left: Printed) -> None:
        """The end of a job's output, as its dead worker has left it: more than the worker had told."""
        task, (job_id, attempt) = self._task(attempt_id), attempt_id
        if task is not None:
            task.printed = None
            self.printed(attempt_id, left)
        elif (later := self._tasks.get(job_id)) is not None and later.launch.attempt > attempt:
            tail = LogTail()
            self._budget.extend(tail, left.start, left.text)
            later.lost = later.lost or LostOutput()
            later.lost.add(attempt, tail)

    def ended(
        self,
        attempt_id: AttemptId,
        outcome: Outcome,
        *,
        worker_lost: bool,
        now: float,
        started: Started | None = None,
        counts: bool = True,
        used: Used | None = None,
        in_doubt: bool = False,
        took_s: float | None = None,
    ) -> None:
        """A job's work has stopped; see `EndReport`. When, follows from what it took its worker, if that is known."""
        task = self._live(attempt_id)
        if task is None:
            return
        job_id, attempt = attempt_id
        task.ended_at, at = now, now + self._ahead_s
        started = started or task.started
        if started is not None and took_s is not None:  # ends are heard later, those of a pack together
            at = min(at, started.at.timestamp() + took_s)
        task.end = EndReport(job_id, attempt, outcome, worker_lost, at, started, counts, used, in_doubt)
        spec = task.launch.spec
        if not (worker_lost and spec.policy.allows_retry(attempt, task.launch.losses, counts=counts)):
            task.launch = task.launch._replace(spec=spec.slim())
        self._progress.pop(job_id, None)
        self._tell(task.end)
        task.end_number = self._last
        self._finished[job_id] = None
        if task.printed is not None:
            task.printed.ended = True

    def sweep(self, now: float) -> None:
        """Forget finished jobs that are too many or too old; the oldest first.

        The registry must have heard of a job's end before: else it would be told of the job no more.
        """
        for attempt_id, (_, stopped_at) in list(self._unknown_stops.items()):
            if stopped_at + self._retention_s <= now:
                del self._unknown_stops[attempt_id]
        while self._finished:
            oldest = next(iter(self._finished))
            task = self._tasks[oldest]
            assert task.end is not None, "a finished task has ended"
            if task.end_number > self._acknowledged or (
                len(self._finished) <= self._max_retained and task.ended_at + self._retention_s > now
            ):
                return
            self._drop(oldest)

    # -- inside -------------------------------------------------------------------------------------------------------

    def _check(self, token: int) -> None:
        if token != self._token:
            raise StaleLeaseError(f"the lease {token} is not the present one, which is {self._token}", self._token)

    def _task(self, attempt_id: AttemptId) -> _Task | None:
        task = self._tasks.get(attempt_id[0])
        return task if task is not None and task.launch.attempt == attempt_id[1] else None

    def _live(self, attempt_id: AttemptId) -> _Task | None:
        task = self._task(attempt_id)
        return task if task is not None and task.end is None else None

    def _tell(self, report: Report) -> None:
        self._reports.append(report)
        self._last += 1

    def _drop(self, job_id: str) -> None:
        del self._tasks[job_id]
        self._progress.pop(job_id, None)
        self._finished.pop(job_id, None)
