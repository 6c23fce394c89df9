"""What is known of a job in this process, as its backend tells it: facts arrive from any thread, and final ones stay.

A backend calls `advance`, `apply` and `finish`. Nothing here asks anybody, and a fact that contradicts an earlier final
one is dropped.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import UTC, datetime

from checkmaite.jobs._shared.job_info import JobAttempt, Used
from checkmaite.jobs._shared.job_protocols import JobProgress
from checkmaite.jobs._shared.logs import LogBudget, LogTail, LostOutput
from checkmaite.jobs._shared.news import Leaving, News, Printed, Progressed, Started
from checkmaite.jobs._shared.outcome import Cancelled, Outcome, status_of
from checkmaite.jobs._shared.resources import Resources
from checkmaite.jobs._shared.reuse import RUN, Reuse
from checkmaite.jobs._shared.status import JobStatus
from checkmaite.jobs._shared.trace_context import TraceContext

_budget = LogBudget(64 * 2**20)
"""What all jobs that this process knows may keep of output together."""


class ToldJob:
    """The facts of a job.

    Args:
        resources: What it asks for; None when nobody knows.
    """

    def __init__(self, resources: Resources | None) -> None:
        self._resources = resources
        self._lock = threading.RLock()
        self._ended: threading.Event | None = None  # a thousand handles are made at once; what few of them need waits
        self._status = JobStatus.PENDING
        self._outcome: Outcome | None = None
        self._cancelling = False
        self._progress: JobProgress | None = None
        self._started: Started | None = None
        self._finished_at: datetime | None = None
        self._queued_at: datetime | None = None
        self._attempt = 0
        self._begun = 0  # number of the attempt that `_started` is about
        self._past: tuple[JobAttempt, ...] = ()
        self._used: Used | None = None
        self._reuse = RUN
        self._trace: TraceContext | None = None
        self._printed: LogTail | None = None
        self._lost: LostOutput | None = None
        self._callbacks: tuple[Callable[[], None], ...] = ()
        self._start_callbacks: tuple[Callable[[], None], ...] = ()

    @property
    def outcome(self) -> Outcome | None:
        """How the job ended; None while it has not."""
        return self._outcome

    @property
    def finished_at(self) -> datetime | None:
        """When it ended (UTC); None while it has not."""
        return self._finished_at

    @property
    def started(self) -> Started | None:
        """What the worker of its last attempt has said of itself; None while none has, or after it was lost."""
        return self._started

    @property
    def resources(self) -> Resources | None:
        """What it asks for; None when nobody knows."""
        return self._resources

    @property
    def queued_at(self) -> datetime | None:
        """When its last start was handed to what starts it."""
        return self._queued_at

    @property
    def attempt(self) -> tuple[int, bool]:
        """Number of the present or last attempt, 0 before the first, and whether `started` is about that one."""
        return self._attempt, self._begun == self._attempt

    @property
    def past_attempts(self) -> tuple[JobAttempt, ...]:
        """Those that were lost before the present one."""
        return self._past

    @property
    def used(self) -> Used | None:
        """What its worker has used at most, once it has ended; None where nobody knows."""
        return self._used

    def measured(self, used: Used | None) -> None:
        """Note what its worker has used."""
        self._used = used

    def counted(
        self, attempt: int, past: tuple[JobAttempt, ...], queued_at: datetime | None, *, has_begun: bool
    ) -> None:
        """Note what the backend knows of its attempts, where it knows better than what the news of workers say.

        Args:
            attempt: Number of the present or last one.
            past: Those before it.
            queued_at: When it was handed to what starts it.
            has_begun: Whether `started` is about that one.
        """
        with self._lock:
            self._attempt, self._past, self._queued_at = attempt, past, queued_at
            self._begun = attempt if has_begun else 0

    @property
    def cancelling(self) -> bool:
        """Whether `cancel` was accepted."""
        return self._cancelling

    def decided(self, reuse: Reuse) -> None:
        """Note what was decided about the submission that this handle was returned for."""
        self._reuse = reuse

    @property
    def trace(self) -> TraceContext | None:
        """What it was submitted in, by whoever made the job; None when in no trace, or nobody knows."""
        return self._trace

    def traced(self, trace: TraceContext | None) -> None:
        """Note what it was submitted in."""
        self._trace = trace

    def advance(self, status: JobStatus) -> bool:
        """Move the status forward; a step back, or one to a final status, is dropped. Returns whether it moved.

        Back goes `lose_start` alone.
        """
        with self._lock:
            if status.is_final or not self._status.may_become(status):
                return False
            self._status = status
            if status is JobStatus.SCHEDULING and self._queued_at is None:
                self._queued_at = datetime.now(UTC)
            return True

    def lose_start(self) -> None:
        """Note that the worker of the last start is gone, and that another start follows: the job is PENDING again."""
        with self._lock:
            if self._outcome is None:
                self._leave_start()
                self._status = JobStatus.PENDING

    def _leave_start(self) -> None:
        """Count the start that was under way, if any, among those that were lost."""
        if self._started is None:
            return
        self._past += (JobAttempt.of(self._attempt, self._started, end="lost"),)
        self._lost = self._lost or LostOutput()
        self._lost.add(len(self._lost) + 1, self._printed or LogTail())
        self._started = self._printed = self._progress = None

    def add_start_callback(self, callback: Callable[[], None]) -> None:
        """Call `callback()` each time that a worker has begun the job, and now when one has already."""
        with self._lock:
            self._start_callbacks += (callback,)
            has_begun = self._started is not None
        if has_begun:
            callback()

    def apply(self, news: News) -> None:
        """Apply a message of the worker; one that comes after the end changes nothing but the logs."""
        match news:
            case Started():
                callbacks: tuple[Callable[[], None], ...] = ()
                with self._lock:
                    if self._outcome is None and self._started != news:
                        self._leave_start()
                        self._started = news
                        self._attempt = self._begun = self._attempt + 1
                        callbacks = self._start_callbacks
                self.advance(JobStatus.RUNNING)
                for call in callbacks:
                    call()
            case Progressed():
                with self._lock:
                    if self._outcome is None:
                        self._progress = news.progress
            case Leaving():
                pass  # why a start was lost is told by whoever knows that it was
            case Printed():
                with self._lock:
                    printed = self._printed = self._printed or LogTail()
                    printed.ended = self._outcome is not None
                _budget.extend(printed, news.start, news.text)

    def replace_output(self, left: Printed) -> None:
        """Replace the job's output by what its dead worker has left in a file, which is more than it had sent."""
        with self._lock:
            self._printed = None
        self.apply(left)

    def finish(self, outcome: Outcome, at: datetime | None = None) -> bool:
        """End the job; only the first outcome counts. Returns whether it did.

        After an accepted `cancel` every outcome means that the work has stopped, so the job ends CANCELLED.

        Args:
            outcome: How it ended.
            at: When; now when that is not known better.
        """
        with self._lock:
            if self._outcome is not None:
                return False
            if self._cancelling and not isinstance(outcome, Cancelled):
                outcome = Cancelled()
            self._status = status_of(outcome)
            self._finished_at = at or datetime.now(UTC)
            self._outcome = outcome  # after the others: who sees it asks for them without the lock
            callbacks, self._callbacks = self._callbacks, ()
            if self._printed is not None:
                self._printed.ended = True
            if self._ended is not None:
                self._ended.set()
        for call in callbacks:
            call()
        return True
