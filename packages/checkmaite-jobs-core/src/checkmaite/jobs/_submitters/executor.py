"""Jobs by the means of `concurrent.futures`: an executor whose futures are jobs of the active backend."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator
from concurrent import futures
from concurrent.futures import Executor, Future
from typing import Any

from checkmaite.jobs._shared.job_protocols import Job
from checkmaite.jobs._shared.refs import CapabilityRunRef
from checkmaite.jobs._submitters.api import submit_capability


class JobFuture(Future[CapabilityRunRef]):
    """The future of a job's result, with what `concurrent.futures` promises.

    It is pending until a worker has begun the job, and can be cancelled until then.

    Attributes:
        job: The job.
    """

    def __init__(self, job: Job) -> None:
        super().__init__()
        self.job = job
        self._beginning = threading.Lock()
        self._has_begun = self._goes_on = False
        when_started = getattr(job, "add_start_callback", None)  # a handle of another make has none
        if when_started is not None:
            when_started(self._begin)
        job.add_done_callback(self._end)

    def cancel(self) -> bool:
        """Cancel the job, unless a worker has begun it or it is final; whether it will not be run.

        Jobs are shared: where another submission of the same run was answered with this job, it is cancelled for both.
        `job.cancel()` stops one that runs.
        """
        if not super().cancel():
            return False
        self.job.cancel()
        return True

    def _begin(self) -> bool:
        """The future is running, unless it was cancelled before; whether it goes on."""
        with self._beginning:
            if not self._has_begun:
                self._has_begun = True
                self._goes_on = self.set_running_or_notify_cancel()
            return self._goes_on

    def _end(self, job: Job) -> None:
        if not self._begin():
            return
        error = job.exception()
        if error is None:
            self.set_result(job.result())
        else:
            self.set_exception(error)


class JobExecutor(Executor):
    """A `concurrent.futures.Executor` that submits runs to the active backend: for code that takes an executor.

    ``submit(capability, models=..., datasets=...)`` takes what `submit_capability` takes. The
    end of a ``with`` block waits for all of them.

    Each run is submitted by itself: for very many `submit_capabilities` is faster, and ``job.future()`` of each is a
    future too.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._live: set[JobFuture] = set()
        self._is_shut_down = False

    # What a run gives is its reference, whatever the capability is; a function's type would say what it returns.

    def submit(self, fn: Any, /, *args: Any, **kwargs: Any) -> JobFuture:  # type: ignore[override]
        """Submit a run of the capability `fn`; the rest are arguments of `submit_capability`.

        Raises:
            RuntimeError: The executor was shut down.
            JobsError: See `submit_capability`.
        """
        with self._lock:
            if self._is_shut_down:
                raise RuntimeError("cannot schedule new futures after shutdown")
        future = JobFuture(submit_capability(fn, *args, **kwargs))
        with self._lock:
            self._live.add(future)
        future.add_done_callback(self._live.discard)
        return future

    def map(  # type: ignore[override]
        self, fn: Any, *iterables: Iterable[Any], timeout: float | None = None, **others: Any
    ) -> Iterator[CapabilityRunRef]:
        """Submit a run of the capability `fn` for each tuple of positional arguments; gives their results in order.

        Args:
            fn: The capability.
            *iterables: Models, datasets, metrics and configs, as many of them as there are.
            timeout: Seconds for all of them, from this call; None waits for ever.
            **others: What `concurrent.futures.Executor.map` takes beside it.
        """
        return super().map(fn, *iterables, timeout=timeout, **others)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Submit nothing more. The backend stays as it is.

        Args:
            wait: Wait until all jobs of this executor are final. They go on without.
            cancel_futures: Cancel those that no worker has begun.
        """
        with self._lock:
            self._is_shut_down = True
            live = list(self._live)
        if cancel_futures:
            for future in live:
                future.cancel()
        if wait:
            futures.wait(live)
