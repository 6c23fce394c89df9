"""Waiting for many jobs at once, driven by the jobs themselves: nothing here polls."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import suppress
from queue import Empty, SimpleQueue

from checkmaite.jobs._shared.deadline import Deadline
from checkmaite.jobs._shared.errors import JobTimeoutError
from checkmaite.jobs._shared.job_protocols import Job
from checkmaite.jobs._shared.status import JobStatus
from checkmaite.jobs._submitters.arguments import check_switch, jobs_given, usable_timeout_s

_REDRAW_S = 0.5


def wait_all(jobs: Iterable[Job], timeout: float | None = None, *, progress: bool = True) -> list[JobStatus]:
    """Block until every job is final or `timeout` seconds have passed.

    Args:
        jobs: The jobs.
        timeout: Seconds; None waits for ever.
        progress: Draw one bar of all of them meanwhile, with a guess of the time that is left: in a notebook, and on
            a terminal. Where the output is a file nothing is drawn.

    Returns:
        The status of each job then, in the order given. Like `Job.wait`, and unlike `Job.result`, it raises neither for
        failed jobs nor for time-outs.

    Raises:
        ArgumentError: `jobs` holds something else than jobs, or an argument is of the wrong kind.
    """
    several: list[Job] = jobs_given("wait_all", jobs)
    deadline = Deadline.after(usable_timeout_s(timeout))
    check_switch("progress", progress)
    if progress:
        _draw_until_over(several, deadline)
    return [job.wait(deadline.remaining_s()) for job in several]


def _draw_until_over(jobs: list[Job], deadline: Deadline) -> None:
    """Show how far the jobs are, if somebody looks, until all are final or the time is over."""
    from checkmaite.jobs._submitters.job_list import known_of  # only who waits needs them, and workers do not
    from checkmaite.jobs._submitters.progress_bar import bar_here

    bar = bar_here()
    if bar is None or not jobs:
        return
    ended: SimpleQueue[Job] = SimpleQueue()
    for job in jobs:
        job.add_done_callback(ended.put)
    missing, left_s = len(jobs), deadline.remaining_s()
    with bar:
        while missing and (left_s is None or left_s > 0):
            bar.draw(known_of(jobs))
            with suppress(Empty):
                ended.get(timeout=_REDRAW_S if left_s is None else min(_REDRAW_S, left_s))
                missing -= 1
                while True:
                    ended.get_nowait()
                    missing -= 1
            left_s = deadline.remaining_s()
        bar.draw(known_of(jobs))


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
