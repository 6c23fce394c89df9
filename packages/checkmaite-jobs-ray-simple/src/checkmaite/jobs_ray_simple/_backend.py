"""``"ray-simple"``: a job is a Ray task that this client owns; it ends with the client."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from queue import SimpleQueue
from typing import Any, ClassVar

import ray
from ray import cloudpickle

from checkmaite.jobs import AnalyticsStore, Job, JobStatus, JobSubmissionError, Problem
from checkmaite.jobs.spi import (
    BackendContext,
    Cancelled,
    JobHandle,
    JobLedger,
    JobQuery,
    PreparedSubmission,
    WorkOrder,
    execute,
    new_job_id,
    open_store,
)
from checkmaite.jobs_ray_simple._cluster import connect, disconnect, outcome_of, unmet_resources
from checkmaite.jobs_ray_simple._config import RaySimpleOptions, RaySimpleRunOptions
from checkmaite.jobs_ray_simple._newsroom import Newsroom

_ARGUMENTS = ("capability", "models", "datasets", "metrics", "config")
_INLINE_PAYLOAD_BYTES = 64 * 1024
"""A larger payload goes through Ray's object store, once, instead of with the task."""


class RaySimpleBackend:
    """Runs each job as one Ray task; see the module's text."""

    config_type: ClassVar[type[RaySimpleOptions]] = RaySimpleOptions
    run_options_type: ClassVar[type[RaySimpleRunOptions]] = RaySimpleRunOptions
    name = "ray-simple"

    def __init__(self, options: RaySimpleOptions, context: BackendContext) -> None:
        self._options = options
        self._store_spec = context.store
        self._store = open_store(context.store)
        connect(options)
        self._task = ray.remote(execute)
        self._ledger = JobLedger(retained=options.max_retained_terminal_jobs, where="this client's ray-simple backend")
        self._newsroom = Newsroom(self._ledger)
        self._refs: dict[str, Any] = {}
        self._wanted: dict[str, Mapping[str, float]] = {}
        self._ended: SimpleQueue[tuple[JobHandle, Any] | None] = SimpleQueue()
        self._finisher = threading.Thread(target=self._finish_jobs, name="checkmaite ray-simple results", daemon=True)
        self._finisher.start()
        self._closing = threading.Lock()
        self._accepting = True
        self._connected = True

    @property
    def analytics_store(self) -> AnalyticsStore:
        """The store that jobs write to, opened in this process."""
        return self._store

    def submit(self, submissions: Sequence[PreparedSubmission]) -> list[Job]:
        """Start a task for each; see `JobBackend.submit`.

        Raises:
            JobSubmissionError: Something cannot be pickled, in phase ``serialize``, or the backend was shut down.
        """
        if not self._accepting:
            raise JobSubmissionError("this ray-simple backend was replaced or shut down.", phase="launch")
        payloads = _pickled(submissions)
        return [
            self._start(prepared, payload) for prepared, payload in zip(submissions, payloads, strict=True)
        ]

    def _start(self, prepared: PreparedSubmission, payload: bytes) -> Job:
        created_at = datetime.now(UTC)
        job = JobHandle(
            job_id=new_job_id(),
            job_name=prepared.job_name,
            capability_id=prepared.capability_id,
            created_at=created_at,
            controls=self,
        )
        provenance = prepared.provenance.for_job(job_id=job.job_id, backend=self.name, submitted_at=created_at)
        order = WorkOrder.of(prepared, store=self._store_spec, provenance=provenance)
        self._ledger.add(job)
        self._wanted[job.job_id] = _resources_in_rays_words(prepared)
        sent = payload if len(payload) <= _INLINE_PAYLOAD_BYTES else ray.put(payload)
        task = self._task.options(**self._task_options(prepared))
        ref = task.remote(order.to_wire(), sent, self._newsroom.post())
        self._refs[job.job_id] = ref
        job.advance(JobStatus.SCHEDULING)
        # Ray calls back on a thread of its own, which must not be kept: another one takes it from there.
        ref.future().add_done_callback(lambda done: self._ended.put((job, done.exception() or done.result())))
        return job

    def _task_options(self, prepared: PreparedSubmission) -> dict[str, Any]:
        resources, options = prepared.resources, prepared.options
        retries = options.max_retries if isinstance(options, RaySimpleRunOptions) else None
        task_options: dict[str, Any] = {
            "name": prepared.job_name,
            "num_cpus": resources.num_cpus,
            "max_retries": self._options.max_retries if retries is None else retries,
            "retry_exceptions": False,
        }
        if resources.num_gpus:
            task_options["num_gpus"] = resources.num_gpus
        if resources.memory is not None:
            task_options["memory"] = resources.memory
        if resources.custom:
            task_options["resources"] = dict(resources.custom)
        return task_options

    def _finish_jobs(self) -> None:
        while (ended := self._ended.get()) is not None:
            job, value = ended
            finished = outcome_of(value)
            self._refs.pop(job.job_id, None)
            self._wanted.pop(job.job_id, None)
            if finished.printed is not None:
                job.apply(finished.printed)
            job.finish(finished.outcome)

    def get_job(self, job_id: str) -> Job:
        """A job of this client; see `JobBackend.get_job`."""
        return self._ledger.get(job_id)

    def list_jobs(self, query: JobQuery) -> list[Job]:
        """The jobs of this client that match, newest first."""
        return self._ledger.matching(query)

    def cancel(self, job: JobHandle, grace: float) -> None:
        """Have Ray interrupt the task, and end its worker when it has not stopped after `grace` seconds."""
        self._ray_cancel(job, force=False)
        forced = threading.Timer(grace, self._ray_cancel, args=(job,), kwargs={"force": True})
        forced.daemon = True
        forced.start()
        job.add_done_callback(lambda _: forced.cancel())

    def _ray_cancel(self, job: JobHandle, *, force: bool) -> None:
        ref = self._refs.get(job.job_id)
        if ref is not None and not job.status.is_final:
            ray.cancel(ref, force=force)

    def explain(self, job: JobHandle) -> str:
        """What a job that does not run yet waits for."""
        wanted = self._wanted.get(job.job_id)
        return unmet_resources(wanted) if wanted and job.status is not JobStatus.RUNNING else ""

    def hand_over(self) -> None:
        """Accept nothing more; tasks go on, and the connection to Ray is given up after the last one."""
        self._accepting = False
        threading.Thread(target=self._close, name="checkmaite ray-simple hand-over", daemon=True).start()

    def shutdown(self, *, wait: bool = True) -> None:
        """Stop, after every job is final; without `wait`, cancel those that are not, by force."""
        self._accepting = False
        if not wait:
            for job in self._ledger.live():
                job.cancel(grace=0)
        self._close()

    def _close(self) -> None:
        """Wait for the last job, then give up what this backend holds. Does nothing the second time."""
        for job in self._ledger.live():
            job.wait()
        with self._closing:
            if not self._connected:
                return
            self._connected = False
        self._newsroom.close()
        self._ended.put(None)
        disconnect()


def _resources_in_rays_words(prepared: PreparedSubmission) -> dict[str, float]:
    resources = prepared.resources
    wanted = {"CPU": resources.num_cpus, "GPU": resources.num_gpus, "memory": resources.memory or 0, **resources.custom}
    return {name: float(amount) for name, amount in wanted.items() if amount}


def _pickled(submissions: Sequence[PreparedSubmission]) -> list[bytes]:
    """Every submission's objects as bytes, or one error that names what cannot be pickled."""
    payloads: list[bytes] = []
    problems: list[Problem] = []
    for index, prepared in enumerate(submissions):
        try:
            payloads.append(cloudpickle.dumps(prepared.arguments))
        except Exception as error:  # noqa: BLE001 - an object's own __reduce__ may raise anything
            where = f"submissions[{index}]." if len(submissions) > 1 else ""
            problems.append(Problem(where + _culprit(prepared), f"cannot be pickled: {error}.", _PICKLE_REMEDY))
    if problems:
        raise JobSubmissionError("Nothing was submitted.", phase="serialize", problems=problems)
    return payloads


_PICKLE_REMEDY = (
    "Workers get a copy: keep open files, locks, connections and generators out of it, and open them in run()."
)


def _culprit(prepared: PreparedSubmission) -> str:
    for name, value in zip(_ARGUMENTS, prepared.arguments, strict=True):
        try:
            cloudpickle.dumps(value)
        except Exception:  # noqa: BLE001 - as above: it is the one looked for
            return name
    return "submission"
