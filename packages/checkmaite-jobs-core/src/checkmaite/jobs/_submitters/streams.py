"""What happens to jobs while somebody looks: their output line by line, their changes one by one."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from checkmaite.jobs._shared.deadline import Deadline
from checkmaite.jobs._shared.errors import JobTimeoutError
from checkmaite.jobs._shared.job_info import JobInfo
from checkmaite.jobs._shared.job_protocols import Job
from checkmaite.jobs._submitters.arguments import jobs_given, usable_timeout_s
from checkmaite.jobs._submitters.job_list import known_of

_LOOK_S = 0.5
_RECOGNIZED = 200
"""Characters of what was seen last by which the place is found again where the beginning has been cut."""


def lines_of(job: Job) -> Iterator[str]:
    """The lines that a job prints, without their ends, as they come; at the end what stands on an unfinished line."""
    printed = line = ""
    is_over = False
    while not is_over:
        is_over = job.status.is_final  # before its output is asked for: then it is all there
        text = job.logs()
        *whole, line = (line + new_in(printed, text)).split("\n")
        yield from whole
        printed = text
        if not is_over:
            job.wait(_LOOK_S)
    if line:
        yield line


def new_in(before: str, now: str) -> str:
    """What is new in a text whose beginning may have been cut, or replaced by a remark, since."""
    if now.startswith(before):
        return now[len(before) :]
    _, found, new = now.rpartition(before[-_RECOGNIZED:])
    return new if found else now


def watch(jobs: Iterable[Job], timeout: float | None = None) -> Iterator[JobInfo]:
    """Yield the facts of each job, and again whenever its status, its progress or its node has changed.

    Ends when all jobs are final; each end is told. It looks twice a second, and at once when a job ends.

    Args:
        jobs: The jobs.
        timeout: Seconds for all of it, counted from this call; None waits for ever.

    Raises:
        JobTimeoutError: `timeout` seconds passed before all were final. The jobs go on.
        ArgumentError: `jobs` holds something else than jobs, or `timeout` is no number.
    """
    several: list[Job] = jobs_given("watch", jobs)
    timeout_s = usable_timeout_s(timeout)
    return _changes(several, Deadline.after(timeout_s), timeout_s)


def _changes(jobs: Sequence[Job], deadline: Deadline, timeout: float | None) -> Iterator[JobInfo]:
    ended = threading.Event()

    def note(_: Any) -> None:
        ended.set()

    for job in jobs:
        job.add_done_callback(note)
    seen: dict[str, object] = {}
    while True:
        ended.clear()
        known = known_of(jobs)
        for info in known:
            told = info.status, info.progress, info.node
            if seen.get(info.job_id) != told:
                seen[info.job_id] = told
                yield info
        missing = sum(not info.status.is_final for info in known)
        if not missing:
            return
        left_s = deadline.remaining_s()
        if left_s is not None and left_s <= 0:
            raise JobTimeoutError(f"jobs not final after {timeout:g} s: {missing} of {len(jobs)}. They go on.")
        ended.wait(_LOOK_S if left_s is None else min(_LOOK_S, left_s))
