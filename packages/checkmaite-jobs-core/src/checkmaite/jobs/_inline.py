"""``"inline"``: jobs in threads of this process, for trying things out and for tests of one's own capabilities.

It keeps every promise of `Job` without Ray. What it cannot do is outlive the process or kill a job that never returns
to Python: cancellation raises KeyboardInterrupt in the job's thread, again when the grace is over, and nothing of a
cancelled job is published however late it stops.
"""

from __future__ import annotations

import copy
import os
import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextvars import copy_context
from typing import ClassVar

from attrs import evolve, frozen, validators
from checkmaite.jobs._shared.config import BackendContext, option
from checkmaite.jobs._shared.discovery import open_store
from checkmaite.jobs._shared.errors import JobSubmissionError
from checkmaite.jobs._shared.hook_lines import HookLines
from checkmaite.jobs._shared.hooks import HookReport
from checkmaite.jobs._shared.job_protocols import Job
from checkmaite.jobs._shared.kinds import PendingReason
from checkmaite.jobs._shared.news import News, Reporter
from checkmaite.jobs._shared.order import WorkOrder
from checkmaite.jobs._shared.outcome import Cancelled
from checkmaite.jobs._shared.reuse import check_policy
from checkmaite.jobs._shared.running import teed
from checkmaite.jobs._shared.status import JobStatus
from checkmaite.jobs._shared.store_protocols import AnalyticsStore
from checkmaite.jobs._submitters.accepting import accept
from checkmaite.jobs._submitters.fingerprint import note_imported_code
from checkmaite.jobs._submitters.handle import JobHandle
from checkmaite.jobs._submitters.ledger import JobLedger
from checkmaite.jobs._submitters.listing import JobQuery
from checkmaite.jobs._submitters.own_copies import own_copies
from checkmaite.jobs._submitters.preparing import PreparedSubmission, RunOptions
from checkmaite.jobs._workers.execution import Arguments, Say, carry_out
from checkmaite.jobs._workers.interrupt import Interrupt
from checkmaite.jobs._workers.unstaging import opener

_NO_PROCESSES = {
    "isolation": '"inline" runs jobs in threads of this process, so none can have a process of its own. Leave it out, '
    'or use configure_job_backend("ray-simple", address="local", ...), which starts processes and takes this option.'
}


_NO_RETRIES = {
    "max_retries": '"inline" starts no job again: no worker process can die under it. Leave it out.',
}


_NO_PAYLOADS = {
    "payload_key": 'What "inline" runs never leaves this process, so there is nothing to encrypt. Leave it out.',
    "private_files": '"inline" keeps no files of its own. To keep those of the store private, say so there: '
    'analytics_store={"backend": "parquet", "private_files": True, ...}.',
}


@frozen
class InlineOptions:
    """Options of ``configure_job_backend("inline", ...)``."""

    max_workers: int = option("jobs that run at once; 1 or more.", default=2, validator=validators.ge(1))
    max_retained_terminal_jobs: int = option(
        "finished jobs that list_jobs() and get_job() remember; 1 or more.",
        default=10_000,
        validator=validators.ge(1),
    )
    reuse: str = option(
        'when a result that is there is used again, for jobs that do not say so themselves: "auto", where run key and '
        'fingerprints agree; "always", where the run key agrees; "never"; or "require".',
        default="auto",
        validator=check_policy,
    )

    @classmethod
    def refused_options(cls) -> Mapping[str, str]:
        """Options of other backends that mean nothing in threads, each with the reason."""
        return _NO_PROCESSES | _NO_RETRIES | _NO_PAYLOADS


@frozen(kw_only=True)
class InlineRunOptions(RunOptions):
    """Options of one job."""

    @classmethod
    def refused_options(cls) -> Mapping[str, str]:
        """Options of other backends' jobs that mean nothing in threads, each with the reason."""
        return _NO_PROCESSES | _NO_RETRIES


def _copied(config: object) -> object:
    """A config as it is now, so that a loop may change and submit the same one again; itself when it has no copy."""
    try:
        return copy.deepcopy(config)
    except Exception:  # noqa: BLE001 - a lock, a file, or whatever the user's __deepcopy__ raises: as submitted
        return config


class InlineBackend:
    """Runs jobs in a thread pool of this process; resources are checked but not reserved."""

    config_type: ClassVar[type[InlineOptions]] = InlineOptions
    run_options_type: ClassVar[type[InlineRunOptions]] = InlineRunOptions
    name = "inline"
    runs_in_process: ClassVar[bool] = True

    def __init__(self, options: InlineOptions, context: BackendContext) -> None:
        note_imported_code()
        self.default_reuse = options.reuse
        self._store_spec = context.store
        self._store = open_store(context.store)
        self._hooks = HookLines(context.hooks)
        self._ledger = JobLedger(
            retained=options.max_retained_terminal_jobs,
            where="this process's inline backend",
            hooks=self._hooks,
            backend=self.name,
        )
        self._pool = ThreadPoolExecutor(options.max_workers, thread_name_prefix="checkmaite-job")
        self._running: dict[str, tuple[Future[None], Interrupt]] = {}
        self._lock = threading.Lock()
        self._closed = False

    def __repr__(self) -> str:
        return f"<JobBackend {self.name!r} in process {os.getpid()}, store {self._store.uri}>"

    @property
    def analytics_store(self) -> AnalyticsStore:
        """The store that jobs write to."""
        return self._store

    def submit(self, submissions: Sequence[PreparedSubmission]) -> list[Job]:
        """Queue all of them; see `JobBackend.submit`."""
        with self._lock:
            if self._closed:
                raise JobSubmissionError("this inline backend was shut down; configure one again.", phase="launch")
            accepted = [self._accept(prepared) for prepared in submissions]
            self._ledger.add(*(job for job, *_ in accepted))
            for each in accepted:
                self._queue(*each)
            return [job for job, *_ in accepted]

    def _accept(self, prepared: PreparedSubmission) -> tuple[JobHandle, WorkOrder, PreparedSubmission]:
        prepared = evolve(prepared, submission=evolve(prepared.submission, config=_copied(prepared.submission.config)))
        job, order = accept(prepared, controls=self, backend_name=self.name, store=self._store_spec)
        return job, order, prepared

    def _queue(self, job: JobHandle, order: WorkOrder, prepared: PreparedSubmission) -> None:
        interrupt = Interrupt()
        job.advance(JobStatus.SCHEDULING)
        queued = self._pool.submit(self._run, job, order, prepared, interrupt)
        self._running[job.job_id] = queued, interrupt
        job.add_done_callback(lambda _: self._running.pop(job.job_id, None))

    def _run(self, job: JobHandle, order: WorkOrder, prepared: PreparedSubmission, interrupt: Interrupt) -> None:

        def take(_: str, news: Sequence[News]) -> None:
            for each in news:
                job.apply(each)

        def load(say: Say) -> Arguments:
            return own_copies(prepared.arguments, prepared.prints, opener(self._store_spec, None, say))

        reporter = Reporter(job.job_id, take, announce_after_s=0)
        try:
            with teed(), interrupt.from_threads():
                outcome = copy_context().run(  # the thread's own stays what it was
                    carry_out,
                    order,
                    load=load,
                    open_store=lambda: self._store,
                    reporter=reporter,
                    interrupt=interrupt,
                )
        except KeyboardInterrupt:  # asked to stop in the instant before the work began or after it ended
            outcome = Cancelled()
        printed = reporter.close()
        if printed is not None:
            job.apply(printed)
        job.finish(outcome)

    def get_job(self, job_id: str) -> Job:
        """A job of this process; see `JobBackend.get_job`."""
        return self._ledger.get(job_id)

    def list_jobs(self, query: JobQuery) -> list[Job]:
        """The jobs of this process that match, newest first."""
        return self._ledger.matching(query)

    def cancel(self, job: JobHandle, grace: float) -> None:
        """Stop a job: at once when it is queued, else by KeyboardInterrupt, and again after `grace` seconds."""
        with self._lock:
            found = self._running.get(job.job_id)
        if found is None:
            return
        queued, interrupt = found
        if queued.cancel():
            job.finish(Cancelled())
            return
        interrupt.request()
        again = threading.Timer(grace, interrupt.request)
        again.daemon = True
        again.start()
        job.add_done_callback(lambda _: again.cancel())

    def explain(self, job: JobHandle) -> str:
        """Where a job stands in this process's queue."""
        if job.status is JobStatus.RUNNING:
            return ""
        waiting = [each for each in self._ledger.live() if each.status is JobStatus.SCHEDULING]
        position = next((index for index, each in enumerate(waiting, 1) if each is job), 0)
        place = f"It is number {position} of {len(waiting)} in the queue of this process's thread pool."
        return f"{place} {PendingReason.BUSY.sentence}"

    def pending_reason(self, job: JobHandle) -> PendingReason | None:
        """What a job waits for: those before it, as threads are all that it needs."""
        return PendingReason.BUSY

    def hook_reports(self) -> Sequence[HookReport]:
        """See `TellsHooks`."""
        return self._hooks.reports()

    def hand_over(self) -> None:
        """Accept nothing more; queued and running jobs go on in their threads."""
        with self._lock:
            self._closed = True
        self._pool.shutdown(wait=False)

    def shutdown(self, *, wait: bool = True) -> None:
        """Stop, after every job is final; without `wait`, cancel those that are not."""
        with self._lock:
            self._closed = True
        if not wait:
            for job in self._ledger.live():
                job.cancel(grace=0)
        self._pool.shutdown(wait=wait)
        if wait:
            self._hooks.close()
