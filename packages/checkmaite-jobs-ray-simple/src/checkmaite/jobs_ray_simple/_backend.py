"""``"ray-simple"``: each job is one direct Ray task, known to this process alone."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, ClassVar

import ray.cloudpickle
from checkmaite.jobs import (
    AnalyticsStore,
    Job,
    JobStatus,
    JobSubmissionError,
    Problem,
)
from checkmaite.jobs.spi import (
    BackendContext,
    Deadline,
    JobHandle,
    JobLedger,
    JobQuery,
    PreparedSubmission,
    WorkOrder,
    new_job_id,
    open_store,
)
from checkmaite.jobs_ray_simple import _cluster
from checkmaite.jobs_ray_simple._config import RaySimpleOptions, RaySimpleRunOptions
from checkmaite.jobs_ray_simple._flights import Departure, Flights

_pickle: Any = ray.cloudpickle  # carries no types
_CANCEL_WAIT_S = 10.0
_ARGUMENTS = ("capability", "models", "datasets", "metrics", "config")


class _Shared:
    """The flights of this process's connection, which every backend on it shares."""

    lock = threading.RLock()
    flights: Flights | None = None


class RaySimpleBackend:
    """Runs jobs as Ray tasks that this process owns: when it ends, they end."""

    config_type: ClassVar[type[RaySimpleOptions]] = RaySimpleOptions
    run_options_type: ClassVar[type[RaySimpleRunOptions]] = RaySimpleRunOptions
    name = "ray-simple"

    def __init__(self, options: RaySimpleOptions, context: BackendContext) -> None:
        self._options = options
        self._store_spec = context.store
        self._store = open_store(context.store)
        self._ledger = JobLedger(
            retained=options.max_retained_terminal_jobs, where='this process\'s "ray-simple" backend'
        )
        self._closed = False
        self._flights = _flights_for(self, options)

    @property
    def analytics_store(self) -> AnalyticsStore:
        """The store that jobs write to."""
        return self._store

    def submit(self, submissions: Sequence[PreparedSubmission]) -> list[Job]:
        """Hand all of them to Ray; see `JobBackend.submit`."""
        if self._closed or not _cluster.is_connected():
            why = "was shut down" if self._closed else "has lost its Ray, which was shut down"
            raise JobSubmissionError(f"This ray-simple backend {why}; configure one again.", phase="connect")
        departures = [
            self._departure(prepared, payload)
            for prepared, payload in zip(submissions, _payloads(submissions), strict=True)
        ]
        self._flights.launch(departures)
        for each in departures:
            self._ledger.add(each.job)
        return [each.job for each in departures]

    def _departure(self, prepared: PreparedSubmission, payload: bytes) -> Departure:
        created_at = datetime.now(UTC)
        job = JobHandle(
            job_id=new_job_id(),
            job_name=prepared.job_name,
            capability_id=prepared.capability_id,
            created_at=created_at,
            controls=self,
        )
        provenance = prepared.provenance.for_job(job_id=job.job_id, backend=self.name, submitted_at=created_at)
        retries = getattr(prepared.options, "max_retries", None)
        return Departure(
            job=job,
            order=WorkOrder.of(prepared, store=self._store_spec, provenance=provenance).to_wire(),
            payload=payload,
            resources=prepared.resources,
            max_retries=self._options.max_retries if retries is None else retries,
        )

    def get_job(self, job_id: str) -> Job:
        """A job that this backend submitted; see `JobBackend.get_job`."""
        return self._ledger.get(job_id)

    def list_jobs(self, query: JobQuery) -> list[Job]:
        """The jobs that this backend submitted and that match, newest first."""
        return self._ledger.matching(query)

    def cancel(self, job: JobHandle, grace: float) -> None:
        """Stop a job through Ray: KeyboardInterrupt now, the end of its worker after `grace` seconds."""
        self._flights.cancel(job, grace)

    def explain(self, job: JobHandle) -> str:
        """What a job waits for, when it waits."""
        wanted = self._flights.resources(job)
        if job.status is JobStatus.RUNNING or wanted is None or not _cluster.is_connected():
            return ""
        return _cluster.shortage(wanted)

    def hand_over(self) -> None:
        """Accept nothing more; jobs go on, on the Ray that stays."""
        self._closed = True
        self._flights.users.discard(self)

    def shutdown(self, *, wait: bool = True) -> None:
        """Stop, after every job is final; without `wait`, cancel those that are not.

        Ray itself is shut down when this package started it and no other backend uses it. Jobs of backends that
        handed over live in it too, so they are waited for, or cancelled, with this one's.
        """
        self.hand_over()
        flights = self._flights
        with _Shared.lock:
            alone = not flights.users
        jobs = flights.live() if alone else self._ledger.live()
        if not wait:
            for job in jobs:
                job.cancel(grace=0)
        deadline = Deadline.after(None if wait else _CANCEL_WAIT_S)
        for job in jobs:
            job.wait(deadline.remaining_s())
        with _Shared.lock:
            if flights.users or _Shared.flights is not flights:
                return
            _Shared.flights = None
            flights.close(connected=_cluster.is_connected())
            _cluster.disconnect()


def _flights_for(backend: RaySimpleBackend, options: RaySimpleOptions) -> Flights:
    with _Shared.lock:
        before = _Shared.flights
        connection = _cluster.connect(options, live_jobs=len(before.live()) if before else 0)
        if before is not None and before.connection != connection:
            before.close(connected=False)
            before = None
        _Shared.flights = before or Flights(connection)
        _Shared.flights.users.add(backend)
        return _Shared.flights


def _payloads(submissions: Sequence[PreparedSubmission]) -> list[bytes]:
    """Each submission's pickled arguments; what the user's __main__ defines goes by value.

    Raises:
        JobSubmissionError: Some cannot be pickled; every such argument is named.
    """
    found: list[bytes] = []
    problems: list[Problem] = []
    for index, prepared in enumerate(submissions):
        try:
            found.append(_pickle.dumps(prepared.arguments))
        except Exception as error:  # noqa: BLE001 - pickling runs the user's __reduce__, which may raise anything
            path = f"submissions[{index}]" if len(submissions) > 1 else ""
            problems += [each.below(path) for each in _unpicklable(prepared, error)]
    if problems:
        raise JobSubmissionError("Nothing was submitted.", phase="serialize", problems=problems)
    return found


def _unpicklable(prepared: PreparedSubmission, whole: Exception) -> list[Problem]:
    faults: list[Problem] = []
    for name, value in zip(_ARGUMENTS, prepared.arguments, strict=True):
        try:
            _pickle.dumps(value)
        except Exception as error:  # noqa: BLE001 - as above
            faults.append(_fault(name, error))
    return faults or [_fault("submission", whole)]


def _fault(name: str, error: Any) -> Problem:
    first = (str(error).strip().splitlines() or [""])[0]
    return Problem(
        name,
        f"cannot be sent to a worker: {type(error).__name__}: {first}.",
        "Open files, connections, locks and generators inside run() instead of keeping them in the object.",
    )
