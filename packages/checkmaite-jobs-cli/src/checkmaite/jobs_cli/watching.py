"""What changes about jobs while somebody looks."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence

import attrs
from checkmaite.jobs import Job
from checkmaite.jobs_cli.summaries import JobSummary

_LOOK_S = 0.5


def changes(jobs: Sequence[Job], *, every_look: bool = False) -> Iterator[list[JobSummary]]:
    """The jobs that are another status or progress further than at the look before, at first all; until all are final.

    Args:
        jobs: The jobs.
        every_look: Also yield where nothing has changed, for who shows the time that passes.
    """
    ended = threading.Event()
    for job in jobs:
        job.add_done_callback(lambda _: ended.set())
    before: dict[str, JobSummary] = {}
    while True:
        ended.clear()
        now = {job.job_id: JobSummary.of_job(job) for job in jobs}
        changed = [record for job_id, record in now.items() if _seen(record) != _seen(before.get(job_id))]
        if changed or every_look:
            yield changed
        if all(record.status.is_final for record in now.values()):
            return
        before = now
        ended.wait(_LOOK_S)


def _seen(record: JobSummary | None) -> object:
    return record and attrs.astuple(record, filter=attrs.filters.include("status", "progress", "node"))
