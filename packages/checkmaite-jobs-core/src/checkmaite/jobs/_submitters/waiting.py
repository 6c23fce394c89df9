"""Waiting for many jobs at once, driven by the jobs themselves: nothing here polls."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Iterator
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


def as_completed(jobs: Iterable[Job], timeout: float | None = None) -> Completions:
    """Yield each job once, as soon as it is final, whatever its end: in a ``for`` or an ``async for``.

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
    return Completions([*reversed(once.values())], timeout_s)


class Completions(Iterator[Job]):
    """What `as_completed` gives: an iterator that an event loop can iterate, too, without being held up."""

    def __init__(self, jobs: list[Job], timeout: float | None) -> None:
        self._jobs = jobs
        self._timeout = timeout
        self._deadline = Deadline.after(timeout)
        self._ends = self._blocking()

    def __next__(self) -> Job:
        return next(self._ends)

    def __repr__(self) -> str:
        return f"<as_completed() of {len(self._jobs)} jobs>"

    def _blocking(self) -> Iterator[Job]:
        finished: SimpleQueue[Job] = SimpleQueue()
        for job in self._jobs:
            job.add_done_callback(finished.put)
        for count in range(len(self._jobs)):
            try:
                yield finished.get(timeout=self._deadline.remaining_s())
            except Empty:
                raise self._too_late(count) from None

    async def __aiter__(self) -> AsyncIterator[Job]:
        import asyncio  # whoever iterates like this has imported it; workers have not

        loop = asyncio.get_running_loop()
        finished: asyncio.Queue[Job] = asyncio.Queue()

        def note(job: Job) -> None:
            with suppress(RuntimeError):  # the loop was closed: nobody listens any more
                loop.call_soon_threadsafe(finished.put_nowait, job)

        for job in self._jobs:
            job.add_done_callback(note)
        for count in range(len(self._jobs)):
            try:
                yield await asyncio.wait_for(finished.get(), self._deadline.remaining_s())
            except TimeoutError:
                raise self._too_late(count) from None

    def _too_late(self, count: int) -> JobTimeoutError:
        missing, total = len(self._jobs) - count, len(self._jobs)
        return JobTimeoutError(f"jobs not finished after {self._timeout:g} s: {missing} of {total}. They go on.")
