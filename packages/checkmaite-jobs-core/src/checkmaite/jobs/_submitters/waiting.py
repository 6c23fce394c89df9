"""Waiting for many jobs at once, driven by the jobs themselves: nothing here polls."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from queue import Empty, SimpleQueue

from checkmaite.jobs._shared.deadline import Deadline
from checkmaite.jobs._shared.errors import JobTimeoutError
from checkmaite.jobs._shared.job_protocols import Job
from checkmaite.jobs._shared.status import JobStatus
from checkmaite.jobs._submitters.arguments import jobs_given, usable_timeout_s


def wait_all(jobs: Iterable[Job], timeout: float | None = None) -> list[JobStatus]:
    """Block until every job is final or `timeout` seconds have passed.

    Returns:
        The status of each job then, in the order given. Like `Job.wait`, and unlike `Job.result`, it raises neither for
        failed jobs nor for time-outs.

    Raises:
        ArgumentError: `jobs` holds something else than jobs, or `timeout` is no number.
    """
    several: list[Job] = jobs_given("wait_all", jobs)
    deadline = Deadline.after(usable_timeout_s(timeout))
    return [job.wait(deadline.remaining_s()) for job in several]


def as_completed(jobs: Iterable[Job], timeout: float | None = None) -> Iterator[Job]:
    """Yield each job once, as soon as it is final, whatever its end.

    Args:
        jobs: The jobs; one that is given twice is yielded once.
        timeout: Seconds for all of them together, counted from this call; None waits for ever.

    Raises:
        JobTimeoutError: `timeout` seconds passed before all were final. Those that were have been yielded.
        ArgumentError: `jobs` holds something else than jobs, or `timeout` is no number.
    """
    several: list[Job] = jobs_given("as_completed", jobs)
    timeout_s = usable_timeout_s(timeout)
    once = {job.job_id: job for job in reversed(several)}
    return _as_completed([*reversed(once.values())], Deadline.after(timeout_s), timeout_s)


def _as_completed(jobs: list[Job], deadline: Deadline, timeout: float | None) -> Iterator[Job]:
    finished: SimpleQueue[Job] = SimpleQueue()
    for job in jobs:
        job.add_done_callback(finished.put)
    for count in range(len(jobs)):
        try:
            yield finished.get(timeout=deadline.remaining_s())
        except Empty:
            raise JobTimeoutError(
                f"jobs not finished after {timeout:g} s: {len(jobs) - count} of {len(jobs)}. They go on."
            ) from None
