"""``"ray-simple"``: each job is one direct Ray task, known to this process alone."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import ClassVar

import ray
from checkmaite.jobs import (
    AnalyticsStore,
    Job,
    JobStatus,
    JobSubmissionError,
    PendingReason,
)
from checkmaite.jobs.spi import (
    BackendContext,
    Code,
    Deadline,
    HookLines,
    HookReport,
    JobHandle,
    JobLedger,
    JobQuery,
    PreparedSubmission,
    ResourceUse,
    accept,
    open_store,
)
from checkmaite.jobs_ray_simple.cluster.code import code_here
from checkmaite.jobs_ray_simple.cluster.connection import connect
from checkmaite.jobs_ray_simple.cluster.nodes import cluster_resources, occupancy
from checkmaite.jobs_ray_simple.cluster.pickling import dumps, payloads
from checkmaite.jobs_ray_simple.cluster.programs import start_obstacle
from checkmaite.jobs_ray_simple.cluster.resources import fits_no_node, shortage
from checkmaite.jobs_ray_simple.config import RaySimpleOptions, RaySimpleRunOptions
from checkmaite.jobs_ray_simple.running_tasks import RunningTasks
from checkmaite.jobs_ray_simple.task import TaskRequest

_CANCEL_WAIT_S = 10.0


class _Shared:
    """The running tasks of this process's connection, which every backend on it shares."""

    lock = threading.RLock()
    running_tasks: RunningTasks | None = None


def _running_tasks_for(backend: RaySimpleBackend, options: RaySimpleOptions) -> RunningTasks:
    with _Shared.lock:
        before = _Shared.running_tasks
        connection = connect(options, live_jobs=_live_jobs, fall_silent=_fall_silent)
        if before is not None and before.connection.identity == connection.identity:
            connection.release()  # the running tasks hold one use for all of their backends
            running_tasks, before = before, None
        else:
            running_tasks = _Shared.running_tasks = RunningTasks(connection, options.store_maintenance_jobs)
        running_tasks.users.add(backend)
    if before is not None:
        before.close(connected=False)
    return running_tasks


def _live_jobs() -> int:
    running_tasks = _Shared.running_tasks
    return len(running_tasks.live()) if running_tasks else 0


def _fall_silent() -> None:
    running_tasks = _Shared.running_tasks
    if running_tasks:
        running_tasks.fall_silent()


def _end_unused(running_tasks: RunningTasks, *, only_idle: bool) -> None:
    """End running tasks that no backend uses any more, and with them their use of the connection.

    The lock is not held while they end: their courier may be waiting for it, to do the same.

    Args:
        running_tasks: What may end.
        only_idle: Let them go on while jobs are under way.
    """
    with _Shared.lock:
        if running_tasks.users or _Shared.running_tasks is not running_tasks or (only_idle and running_tasks.live()):
            return
        _Shared.running_tasks = None
    running_tasks.close(connected=running_tasks.connection.is_alive())
    running_tasks.connection.release()


class RaySimpleBackend:
    """Runs jobs as Ray tasks that this process owns: when it ends, they end."""

    config_type: ClassVar[type[RaySimpleOptions]] = RaySimpleOptions
    run_options_type: ClassVar[type[RaySimpleRunOptions]] = RaySimpleRunOptions
    name = "ray-simple"
    dumps = staticmethod(dumps)

    def __init__(self, options: RaySimpleOptions, context: BackendContext) -> None:
        options.check_payload_key()
        self._options = options
        self.default_reuse = options.reuse
        self._store_spec = context.store
        self._store = open_store(context.store)
        self._closed = False
        self._running_tasks = _running_tasks_for(self, options)
        self._hooks = HookLines(context.hooks)
        self._ledger = JobLedger(
            retained=options.max_retained_terminal_jobs,
            where='this process\'s "ray-simple" backend',
            hooks=self._hooks,
            backend=self.name,
        )

    def __repr__(self) -> str:
        return f"<JobBackend {self.name!r} at address {self._options.address!r}, store {self._store.uri}>"

    @property
    def analytics_store(self) -> AnalyticsStore:
        """The store that jobs write to."""
        return self._store

    def submit(self, submissions: Sequence[PreparedSubmission]) -> list[Job]:
        """Hand all of them to Ray; see `JobBackend.submit`."""
        if self._closed or not self._running_tasks.connection.is_alive():
            why = "was shut down" if self._closed else "has lost its Ray, which was shut down"
            raise JobSubmissionError(f"This ray-simple backend {why}; configure one again.", phase="connect")
        code = code_here()
        requests = [
            self._request(prepared, payload, code)
            for prepared, payload in zip(submissions, payloads(submissions), strict=True)
        ]
        self._running_tasks.launch(requests)
        self._ledger.add(*(each.job for each in requests))
        return [each.job for each in requests]

    def _request(self, prepared: PreparedSubmission, payload: bytes, code: Code) -> TaskRequest:
        job, order = accept(prepared, controls=self, backend_name=self.name, store=self._store_spec, code=code)
        retries = getattr(prepared.options, "max_retries", None)
        isolation = getattr(prepared.options, "isolation", None)
        return TaskRequest(
            job=job,
            order=order,
            payload=self._options.sealed(payload, job.job_id),
            resources=prepared.resources,
            max_retries=self._options.max_retries if retries is None else retries,
            isolation=isolation or self._options.isolation,
            packs_by_history=self._options.packs_by_history,
        )

    def get_job(self, job_id: str) -> Job:
        """A job that this backend submitted; see `JobBackend.get_job`."""
        return self._ledger.get(job_id)

    def list_jobs(self, query: JobQuery) -> list[Job]:
        """The jobs that this backend submitted and that match, newest first."""
        return self._ledger.matching(query)

    def cancel(self, job: JobHandle, grace: float) -> None:
        """Stop a job through Ray: KeyboardInterrupt now, the end of its worker after `grace` seconds."""
        self._running_tasks.cancel(job, grace)

    def explain(self, job: JobHandle) -> str:
        """What a job waits for, when it waits."""
        short, obstacle, reason = self._why(job)
        return " ".join(filter(None, (short, obstacle, reason.sentence if reason else "")))

    def pending_reason(self, job: JobHandle) -> PendingReason | None:
        """See `TellsPendingReason`."""
        return self._why(job)[2]

    def _why(self, job: JobHandle) -> tuple[str, str, PendingReason | None]:
        """Which resources a job lacks, which program cannot be started, and the name of what it waits for."""
        wanted = self._running_tasks.resources(job)
        if job.status is JobStatus.RUNNING or wanted is None or not self._running_tasks.connection.is_alive():
            return "", "", None
        there = cluster_resources()
        obstacle = start_obstacle(ray.get_runtime_context().runtime_env)
        reason = PendingReason.NO_PROGRAM if obstacle else PendingReason.BUSY
        if fits_no_node(wanted, there):
            reason = PendingReason.NO_NODE
        return shortage(wanted, there), obstacle, reason

    def occupancy(self) -> Sequence[ResourceUse]:
        """See `TellsOccupancy`; nothing once Ray has ended."""
        return occupancy() if self._running_tasks.connection.is_alive() else ()

    def hook_reports(self) -> Sequence[HookReport]:
        """See `TellsHooks`."""
        return self._hooks.reports()

    def hand_over(self) -> None:
        """Accept nothing more; jobs go on, and when the last is final Ray ends if nobody else uses it."""
        self._closed = True
        running_tasks = self._running_tasks
        running_tasks.users.discard(self)
        for job in running_tasks.live():
            job.add_done_callback(lambda _: _end_unused(running_tasks, only_idle=True))
        _end_unused(running_tasks, only_idle=True)

    def shutdown(self, *, wait: bool = True) -> None:
        """Stop, after every job is final; without `wait`, cancel those that are not, if their Ray ends now.

        Ray itself is shut down when this package started it and no other backend uses it. Jobs of backends that
        handed over live in it too, so they are waited for, or cancelled, with this one's. On a Ray that stays up,
        without `wait`, jobs go on for as long as this process is connected to it.
        """
        if not wait and not self._running_tasks.connection.ends_with_its_users:
            self.hand_over()
            return
        self._closed = True
        running_tasks = self._running_tasks
        jobs = running_tasks.live() if running_tasks.users <= {self} else self._ledger.live()
        if not wait:
            for job in jobs:
                job.cancel(grace=0)
        deadline = Deadline.after(None if wait else _CANCEL_WAIT_S)
        for job in jobs:
            job.wait(deadline.remaining_s())
        running_tasks.users.discard(self)
        _end_unused(running_tasks, only_idle=False)
        if wait:
            self._hooks.close()
