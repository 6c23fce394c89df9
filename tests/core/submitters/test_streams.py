"""Output line by line, changes one by one, ends in an event loop."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import cast

import pytest
from checkmaite.jobs import JobProgress, JobStatus, JobTimeoutError, as_completed, watch
from checkmaite.jobs._submitters.streams import new_in
from checkmaite.jobs.spi import Cancelled, JobControls, JobHandle, Printed, Progressed, Started

AT = datetime(2026, 1, 31, 12, tzinfo=UTC)


def handle(name: str = "job") -> JobHandle:
    return JobHandle(job_id=name, job_name=name, capability_id="c", created_at=AT, controls=cast(JobControls, None))


def test_lines_come_whole_and_at_the_end_what_is_left() -> None:
    job = handle()
    lines = job.follow_logs()
    job.apply(Printed(start=0, text="one\ntw"))
    assert next(lines) == "one"
    job.apply(Printed(start=6, text="o\n\nthree"))
    job.finish(Cancelled())
    assert list(lines) == ["two", "", "three"]
    assert list(handle_of_silence().follow_logs()) == []


def handle_of_silence() -> JobHandle:
    job = handle()
    job.finish(Cancelled())
    return job


@pytest.mark.parametrize(
    ("before", "now", "new"),
    [
        ("", "a", "a"),
        ("ab", "abc", "c"),
        ("x" * 300 + "END", "y" * 10 + "x" * 250 + "ENDnew", "new"),
        ("all of it is gone", "other", "other"),
    ],
)
def test_what_is_new_is_found_where_the_beginning_was_cut(before: str, now: str, new: str) -> None:
    assert new_in(before, now) == new


def test_each_change_is_told_once() -> None:
    one, two = handle("one"), handle("two")
    changes = watch([one, two])
    assert [(next(changes)).job_id for _ in range(2)] == ["one", "two"]
    one.apply(Started(node="n", pid=1, at=AT))
    assert (info := next(changes)).job_id == "one"
    assert (info.status, info.node) == (JobStatus.RUNNING, "n")
    one.apply(Progressed(JobProgress(done=1)))
    assert next(changes).progress == JobProgress(done=1)
    one.finish(Cancelled())
    two.finish(Cancelled())
    assert [(info.job_id, info.status) for info in changes] == [(name, JobStatus.CANCELLED) for name in ("one", "two")]
    assert list(watch([])) == []


def test_watching_ends_in_time() -> None:
    changes = watch([handle()], 0.01)
    next(changes)
    with pytest.raises(JobTimeoutError, match=r"not final after 0\.01 s: 1 of 1"):
        next(changes)


def test_an_event_loop_goes_on_while_jobs_end() -> None:
    one, two = handle("one"), handle("two")

    async def ends() -> list[str]:
        asyncio.get_running_loop().call_later(0.01, two.finish, Cancelled())
        found = []
        async for job in as_completed([one, two, one]):
            found.append(job.job_id)
            one.finish(Cancelled())
        return found

    assert asyncio.run(ends()) == ["two", "one"]


def test_an_event_loop_is_told_that_time_is_up_and_may_be_gone_when_a_job_ends() -> None:
    job = handle()

    async def ends() -> list[str]:
        return [each.job_id async for each in as_completed([job], 0.01)]

    with pytest.raises(JobTimeoutError, match=r"not finished after 0\.01 s: 1 of 1"):
        asyncio.run(ends())
    job.finish(Cancelled())
    assert asyncio.run(ends()) == ["job"]
