"""A job handle that its backend pushes news into; the promises of `Job` are kept here once for every backend.

A backend makes a `JobHandle`, tells it facts as they arrive (`told_job`), and supplies a `JobControls`. Everything that
a user may ask is answered from those facts: nothing polls.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
import threading
import time
from collections.abc import Callable, Generator, Iterator, Mapping
from concurrent.futures import Future
from datetime import UTC, datetime
from functools import partial
from typing import Any, Protocol, Self, runtime_checkable

from checkmaite.jobs._shared.deadline import Deadline
from checkmaite.jobs._shared.errors import JobNotFoundError, JobSubmissionError, JobTimeoutError, NotConfiguredError
from checkmaite.jobs._shared.job_info import JobInfo
from checkmaite.jobs._shared.job_protocols import Job, JobProgress, SchedulingInfo
from checkmaite.jobs._shared.kinds import PendingReason
from checkmaite.jobs._shared.outcome import Completed, Outcome, error_of
from checkmaite.jobs._shared.refs import CapabilityRunRef
from checkmaite.jobs._shared.resources import Resources
from checkmaite.jobs._shared.reuse import Reuse, settled
from checkmaite.jobs._shared.run_table import RunTable
from checkmaite.jobs._shared.status import JobStatus
from checkmaite.jobs._shared.tags import Tags
from checkmaite.jobs._shared.texts import shortened
from checkmaite.jobs._submitters.active import get_job_backend
from checkmaite.jobs._submitters.again import Changes, run_again
from checkmaite.jobs._submitters.arguments import check_callback, usable_grace_s, usable_timeout_s
from checkmaite.jobs._submitters.informing import info_of
from checkmaite.jobs._submitters.showing import explanation, html_table, one_line
from checkmaite.jobs._submitters.streams import lines_of
from checkmaite.jobs._submitters.told_job import ToldJob

DEFAULT_GRACE_S = 10.0
"""Seconds that a cancelled job has to stop by itself before it is stopped by force."""

EXPLANATION_BYTES = 64 * 2**10
"""What `explain` says at most."""

_log = logging.getLogger("checkmaite.jobs")


def new_job_id() -> str:
    """A new job id: the time in milliseconds and 40 random bits, so that ids sort by age."""
    return f"job-{time.time_ns() // 1_000_000:012x}-{secrets.token_hex(5)}"


class JobControls(Protocol):
    """What a handle asks of its backend."""

    def cancel(self, job: JobHandle, grace: float) -> None:
        """Begin to stop the job; return at once."""
        ...

    def explain(self, job: JobHandle) -> str:
        """What the backend knows beyond the handle's own facts, as a sentence; empty when it knows no more."""
        ...


_FOR_BACKENDS = {"explained", *(name for name in vars(ToldJob) if name[0] != "_")} - {"finished_at"}
"""What is no question of a user's: `info` has the facts."""


@runtime_checkable
class TellsPendingReason(Protocol):
    """Controls of a backend that can name what a job waits for."""

    def pending_reason(self, job: JobHandle) -> PendingReason | None:
        """What a job that has not started waits for; None when it waits no more, or nobody can say now."""
        ...


class JobHandle(ToldJob):
    """A thread-safe `Job`. See the module's text for how a backend drives it.

    It pickles as its job's id: whoever unpickles it gets the handle that the active backend has for the job. A copy is
    the handle itself, whichever backend is active.

    Handles of one job are equal. A process has several where several submissions of its were answered with that job:
    each says in `reuse` what was decided about its own.
    """

    def __init__(
        self,
        *,
        job_id: str,
        job_name: str,
        capability_id: str,
        created_at: datetime,
        controls: JobControls,
        submitted_by: str | None = None,
        home: str = "",
        scope: str | None = None,
        tags: Tags = (),
        resources: Resources | None = None,
    ) -> None:
        """Make a handle.

        Args:
            job_id: See the properties of the same names.
            job_name: Likewise.
            capability_id: Likewise.
            created_at: Likewise.
            controls: What the handle asks of its backend.
            submitted_by: See the property.
            home: The backend that knows the job, for whoever unpickles the handle elsewhere.
            scope: See the property.
            tags: What it was submitted with.
            resources: What it asks for; None when nobody knows.
        """
        super().__init__(resources)
        self._job_id = job_id
        self._job_name = job_name
        self._capability_id = capability_id
        self._created_at = created_at
        self._controls = controls
        self._submitted_by = submitted_by
        self._home = home
        self._scope = scope
        self._tags = tags
        self._future: Future[CapabilityRunRef] | None = None

    # -- what a user asks ---------------------------------------------------------------------------------------------

    @property
    def job_id(self) -> str:
        """Identity of the job."""
        return self._job_id

    @property
    def job_name(self) -> str:
        """The job's name for people."""
        return self._job_name

    @property
    def capability_id(self) -> str:
        """The capability that the job runs."""
        return self._capability_id

    @property
    def submitted_by(self) -> str | None:
        """Who submitted it: ``user_id`` of the provenance, else ``user@host``; None when nobody knows any more."""
        return self._submitted_by

    @property
    def scope(self) -> str | None:
        """The ``idempotency_scope`` that it is in; None where the backend has none."""
        return self._scope

    @property
    def created_at(self) -> datetime:
        """When the job was accepted (UTC), by the clock of whoever accepted it: with "ray" the registry's."""
        return self._created_at

    @property
    def status(self) -> JobStatus:
        """What is known of the job now."""
        return self._status

    @property
    def progress(self) -> JobProgress | None:
        """What the job said last through `report_progress`; None when it has said nothing."""
        return self._progress

    @property
    def scheduling_info(self) -> SchedulingInfo:
        """How long the job has waited for a worker, and where it runs or ran last."""
        with self._lock:
            started = self._started
            waits_until = started.at if started else self._finished_at or datetime.now(UTC)
        return SchedulingInfo(
            created_at=self._created_at,
            started_at=started.at if started else None,
            wait_s=max(0.0, (waits_until - self._created_at).total_seconds()),
            node=started.node if started else None,
            pid=started.pid if started else None,
        )

    @property
    def tags(self) -> Mapping[str, str]:
        """What the job was submitted with as ``tags=``."""
        return dict(self._tags)

    @property
    def info(self) -> JobInfo:
        """All facts of the job as they are now, as a value.

        While the job waits to be started, its backend is asked what for: with "ray" that is a call to the registry, and
        `pending_reason` is None when there is no answer. `known` asks nobody.
        """
        controls = self._controls
        waits = self._outcome is None and self._status in (JobStatus.PENDING, JobStatus.SCHEDULING)
        if waits and isinstance(controls, TellsPendingReason):
            return info_of(self, controls.pending_reason(self))
        return info_of(self)

    @property
    def known(self) -> JobInfo:
        """The same without asking anybody, so that it costs nothing for thousands of jobs: no `pending_reason`."""
        return info_of(self)

    @property
    def reuse(self) -> Reuse:
        """Whether the run is made, was there already, or replaces a stale result; as far as is known by now."""
        outcome = self._outcome
        return settled(self._reuse, outcome.reuse) if isinstance(outcome, Completed) else self._reuse

    def wait(self, timeout: float | None = None) -> JobStatus:
        """Block until the job is final or `timeout` seconds have passed; return the status then."""
        timeout_s = usable_timeout_s(timeout)
        if self._outcome is None:
            deadline = Deadline.after(timeout_s)
            with self._lock:
                if self._outcome is not None:
                    return self._status
                ended = self._ended = self._ended or threading.Event()
            ended.wait(deadline.remaining_s())
        return self._status

    def result(self, timeout: float | None = None) -> CapabilityRunRef:
        """Block until the job is final and return its run ref; see `Job.result`."""
        outcome = self._await_outcome(timeout)
        if isinstance(outcome, Completed):
            return outcome.ref
        error = error_of(outcome, job_id=self._job_id, job_name=self._job_name)
        assert error is not None, "only a completed job has no error"
        raise error

    def exception(self, timeout: float | None = None) -> Exception | None:
        """Block until the job is final and return what `result` would raise; None when it completed."""
        return error_of(self._await_outcome(timeout), job_id=self._job_id, job_name=self._job_name)

    def cancel(self, grace: float = DEFAULT_GRACE_S) -> bool:
        """Ask the job to stop, by force after `grace` seconds; see `Job.cancel`.

        True means that the job will end CANCELLED, once its work has stopped. Results that it committed before it
        stopped stay in the store.
        """
        grace_s = usable_grace_s(grace)
        with self._lock:
            if self._outcome is not None:
                return False
            self._cancelling = True
        self._controls.cancel(self, grace_s)
        return True

    def table(self, name: str | None = None) -> RunTable:
        """The rows of the job's result, once it has completed; see `CapabilityRunRef.records`.

        Args:
            name: The store's table, where the run has rows in several.

        Raises:
            JobFailedError, JobCancelledError: There is no result.
            LookupError: There are no such rows.
            StoreError: The store cannot be read.
        """
        return self.result().records(name)

    def rerun(
        self,
        *,
        job_name: str | None = None,
        resources: Resources | Mapping[str, Any] | None = None,
        tags: Mapping[str, str] | None = None,
        **options: Any,
    ) -> Job:
        """Submit the job's run once more; returns the new job.

        A failed or cancelled job is run again; one that completed as well, as with ``force=True``. The process that
        submitted it, and still has its models and datasets, submits them to the backend that is active now. Any other
        has the job's own backend run what that has kept of the job: ``"ray"`` does, see its option ``keep_inputs``.

        Args:
            job_name: Another name; the same when None.
            resources: Other resources, for example ``{"memory": 16 * 2**30}``; what is not named stays as it was.
            tags: Other tags; the same when None.
            **options: Options of the job that replace those of then.

        Raises:
            JobSubmissionError: The job is not final; what it was given is not here and its backend has not kept it; or
                what it was submitted with here has changed.
            BackendUnavailableError: Its backend does not answer.
        """
        if self._outcome is None:
            raise JobSubmissionError(
                f"{self._job_name} ({self._job_id}) is {self._status}: a job that is not final is not run a second "
                "time. Wait for it, or cancel it first.",
                phase="validate",
            )
        if isinstance(self._outcome, Completed) and "reuse" not in options:
            options = {"force": True, **options}
        changes = Changes(job_name=job_name, resources=resources, tags=tags, options=options)
        return run_again(self, self._controls, changes)

    def add_done_callback(self, callback: Callable[[Job], object]) -> None:
        """Call `callback(job)` once the job is final, at once when it is already.

        It runs on the thread that brings the news, so it should be quick; what it raises is logged.
        """
        check_callback(callback)
        with self._lock:
            if self._outcome is None:
                self._callbacks += (partial(self._call, callback),)
                return
        self._call(callback)

    def future(self) -> Future[CapabilityRunRef]:
        """A `concurrent.futures.Future` of `result`, the same one each time.

        It counts as running from the start, so cancelling it, or a coroutine that awaits it, does not cancel the job.
        """
        with self._lock:
            if self._future is None:
                self._future = Future()
                self._future.set_running_or_notify_cancel()
                new = self._future
            else:
                return self._future
        self.add_done_callback(lambda _: self._settle(new))
        return new

    def __await__(self) -> Generator[Any, None, CapabilityRunRef]:
        return asyncio.wrap_future(self.future()).__await__()

    def explain(self) -> str:
        """Why the job is where it is, in words, at most 64 KiB of them."""
        return shortened(self.explained(), EXPLANATION_BYTES)

    def explained(self, more: str | None = None) -> str:
        """What `explain` says.

        Args:
            more: What the backend knows of a job that is not final; it is asked when None.
        """
        if more is None and self._outcome is None:
            more = self._controls.explain(self)
        return explanation(self, more or "")

    def logs(self) -> str:
        """What the job has printed so far, stdout and stderr together; of very long output the end.

        What starts had printed that were lost comes first, marked as theirs.
        """
        printed, lost = self._printed, self._lost
        text = printed.text() if printed is not None else ""
        return text if lost is None else lost.before(text)

    def follow_logs(self) -> Iterator[str]:
        """The lines that the job prints, as they come, from the first that is kept until it is final.

        It looks twice a second. Of a job that prints faster than its kept output can hold, lines are missing.
        """
        return lines_of(self)

    def __dir__(self) -> list[str]:
        """Without what backends tell a handle: completion shows what a user may ask."""
        return [name for name in super().__dir__() if name not in _FOR_BACKENDS]

    def __reduce__(self) -> tuple[Any, ...]:
        return _handle_of, (self._job_id, self._job_name, self._home)

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, memo: object) -> Self:
        return self

    def __eq__(self, other: object) -> bool:
        return self._job_id == other._job_id if isinstance(other, JobHandle) else NotImplemented

    def __hash__(self) -> int:
        return hash(self._job_id)

    def __repr__(self) -> str:
        return one_line(self)

    def _repr_html_(self) -> str:
        return html_table(self)

    # -- inside -------------------------------------------------------------------------------------------------------

    def _await_outcome(self, timeout: float | None) -> Outcome:
        timeout_s = usable_timeout_s(timeout)
        self.wait(timeout_s)
        if self._outcome is None:
            raise JobTimeoutError(
                f"job {self._job_name} ({self._job_id}) is still {self._status} after {timeout_s:g} s; it goes on. "
                "Wait longer, or see job.explain()."
            )
        return self._outcome

    def _settle(self, future: Future[CapabilityRunRef]) -> None:
        error = self.exception()
        if error is None:
            future.set_result(self.result())
        else:
            future.set_exception(error)

    def _call(self, callback: Callable[[Job], object]) -> None:
        try:
            callback(self)
        except Exception:  # noqa: BLE001 - as concurrent.futures does: one callback's fault must not keep others from the news
            _log.exception("a done callback of %r raised", self)


def _handle_of(job_id: str, job_name: str, home: str = "") -> Job:
    """The handle of the active backend that takes the place of a pickled one.

    Args:
        job_id: The job.
        job_name: Its name.
        home: See `JobHandle`; empty when an earlier version has pickled it.

    Raises:
        NotConfiguredError: No backend is active here.
        JobNotFoundError: The active backend does not know the job.
    """
    try:
        return get_job_backend().get_job(job_id)
    except NotConfiguredError as error:
        raise NotConfiguredError(
            f"a handle of the job {job_name} ({job_id}) was unpickled where no job backend is configured, and only a "
            "backend can find the job. Call configure_job_backend(...) first, with the address and scope that the job "
            f"was submitted to{f': {home}' if home else ''}."
        ) from error
    except JobNotFoundError as error:
        if not home:
            raise
        where = getattr(error, "where", "the active backend")  # an earlier version's registry may have said it
        raise JobNotFoundError(job_id, where=f"{where}. Its handle was pickled where the backend was {home}") from error
