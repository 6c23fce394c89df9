"""A wrong argument of a call that neither configures nor submits is one typed error, whatever state the job is in."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Any, cast

import pytest
from checkmaite.jobs import (
    ArgumentError,
    ConfigurationError,
    Job,
    JobBackend,
    JobsError,
    JobStatus,
    JobTimeoutError,
    Submission,
    as_completed,
    configure_job_backend,
    get_job,
    get_job_backend,
    list_jobs,
    shutdown_job_backend,
    submit_capability,
    wait_all,
)
from checkmaite.jobs.spi import Completed, JobControls, JobHandle
from checkmaite.jobs.testing import SampleCapability

from tests.refusals import Said, assert_said


class Controls:
    """Notes what it is asked for."""

    def __init__(self) -> None:
        self.asked: list[Any] = []

    def cancel(self, job: JobHandle, grace: float) -> None:
        self.asked.append(grace)

    def explain(self, job: JobHandle) -> str:
        return ""


class Handle(JobHandle):
    """A job that is not final unless a test says so."""

    def __init__(self) -> None:
        self.controls = Controls()
        super().__init__(
            job_id="job-1",
            job_name="name",
            capability_id="c",
            created_at=datetime.now(UTC),
            controls=cast(JobControls, self.controls),
        )


LIVE, DONE = Handle(), Handle()
DONE.finish(Completed(ref=cast(Any, None)))


async def awaits(job: Job) -> None: ...


def generator() -> Iterator[Any]:
    yield DONE
    yield 3


ID, SECONDS = "expected the id of a job, got", "expected a number of seconds, got"
EVER, GRACE = "Pass timeout=5, or leave it out", "Pass grace=5"
LISTED, MADE = "Known: CANCELLED, COMPLETED", "as submit_capability(), get_job() and list_jobs() return them"
BAD_CALLS: list[tuple[str, Callable[[Any], Any], Said]] = [
    ("a job to wait for", lambda job: wait_all(job), Said("jobs", "several jobs, got one Job", "wait_all([job])")),
    ("a job as completed", lambda job: as_completed(job), Said("jobs", "got one Job", "as_completed([job])")),
    ("an id", lambda job: wait_all("job-1"), Said("jobs", "got the text 'job-1'", "wait_all([get_job(job_id)])")),
    ("ids", lambda job: wait_all([job, "job-1"]), Said("jobs[1]", "a Job, got the text 'job-1'", "get_job(job_id)")),
    ("ids as completed", lambda job: as_completed(["job-1"]), Said("jobs[0]", "got the text", "Pass get_job(job_id)")),
    ("a mapping", lambda job: wait_all({"a": job}), Said("jobs", "a mapping (dict)", "wait_all(jobs.values())")),
    ("None", lambda job: wait_all(None), Said("jobs", "expected jobs, got None", "with a list of jobs")),
    ("a number", lambda job: as_completed(3), Said("jobs", "expected jobs, got 3", "with a list of jobs")),
    ("a generator", lambda job: as_completed(generator()), Said("jobs[1]", "expected a Job, got 3", MADE)),
    ("a list in a list", lambda job: wait_all([[job]]), Said("jobs[0]", "expected a Job, got list", MADE)),
    ("futures", lambda job: wait_all([Future()]), Said("jobs[0]", "a Job, got Future", "concurrent.futures.wait()")),
    ("a class", lambda job: wait_all([Handle]), Said("jobs[0]", "is the class Handle", MADE)),
    ("many timeout", lambda job: wait_all([job], "5"), Said("timeout", f"{SECONDS} the text '5'", EVER)),
    ("many timeout nan", lambda job: as_completed([job], math.nan), Said("timeout", "nan is not a number", EVER)),
    ("wait text", lambda job: job.wait("5"), Said("timeout", f"{SECONDS} the text '5'", EVER)),
    ("wait True", lambda job: job.wait(True), Said("timeout", f"{SECONDS} True", EVER)),
    ("wait nan", lambda job: job.wait(math.nan), Said("timeout", "nan is not a number of seconds", EVER)),
    ("wait delta", lambda job: job.wait(timedelta(1)), Said("timeout", f"{SECONDS} timedelta", "total_seconds()")),
    ("result text", lambda job: job.result(timeout="5"), Said("timeout", f"{SECONDS} the text '5'", EVER)),
    ("exception list", lambda job: job.exception([5]), Said("timeout", f"{SECONDS} list", EVER)),
    ("grace text", lambda job: job.cancel(grace="10"), Said("grace", f"{SECONDS} the text '10'", GRACE)),
    ("grace None", lambda job: job.cancel(None), Said("grace", f"{SECONDS} None", "math.inf never uses force")),
    ("grace nan", lambda job: job.cancel(math.nan), Said("grace", "nan is not a number of seconds", GRACE)),
    ("no callback", lambda job: job.add_done_callback(None), Said("callback", "a function, got None", "(print)")),
    ("async callback", lambda job: job.add_done_callback(awaits), Said("callback", "awaits() is an async", "`await")),
    ("get a job", lambda job: get_job(job), Said("job_id", f"{ID} the Job", "its id is job.job_id")),
    ("get None", lambda job: get_job(None), Said("job_id", f"{ID} None", "list_jobs() shows")),
    ("get bytes", lambda job: get_job(b"job-1"), Said("job_id", f"{ID} bytes", "list_jobs() shows")),
    ("get nothing", lambda job: get_job(""), Said("job_id", "is empty", "list_jobs() shows")),
    (
        "wait no switch",
        lambda job: shutdown_job_backend("no"),
        Said("wait", "True or False, got the text", "wait=True"),
    ),
    ("wait seconds", lambda job: shutdown_job_backend(5), Said("wait", "True or False, got 5", "wait=False")),
    ("limit 0", lambda job: list_jobs(0), Said("limit", "0 is not a number of jobs", "1 or more")),
    ("limit text", lambda job: list_jobs("many"), Said("limit", "'many' is not a number of jobs", "1 or more")),
    ("limit fraction", lambda job: list_jobs(1.5), Said("limit", "1.5 is not a number of jobs", "1 or more")),
    ("status unknown", lambda job: list_jobs(5, "DONE"), Said("status_filter", "unknown status 'DONE'", LISTED)),
    ("status near", lambda job: list_jobs(5, "complete"), Said("status_filter", "unknown", "mean 'COMPLETED'?")),
    ("status number", lambda job: list_jobs(5, [3]), Said("status_filter", "a JobStatus or its name, got 3", LISTED)),
    ("status mapping", lambda job: list_jobs(5, {"FAILED": 1}), Said("status_filter", "its name, got dict", LISTED)),
    ("status bytes", lambda job: list_jobs(5, b"FAILED"), Said("status_filter", "its name, got bytes", LISTED)),
    (
        "an instant as datetime",
        lambda job: list_jobs(submitted_before_ts=datetime.now(UTC)),
        Said("submitted_before_ts", "expected seconds since the epoch, got datetime", "timestamp()"),
    ),
    (
        "an instant not finite",
        lambda job: list_jobs(submitted_after_ts=math.inf),
        Said("submitted_after_ts", "inf is not an instant", "timestamp()"),
    ),
    ("name number", lambda job: list_jobs(job_name=3), Said("job_name", "expected text, got int", "Pass a string")),
    ("id number", lambda job: list_jobs(capability_id=b"c"), Said("capability_id", "got bytes", "Pass a string")),
]


@pytest.fixture(autouse=True)
def active() -> Iterator[JobBackend]:
    yield configure_job_backend("inline", analytics_store={"backend": "null"})
    shutdown_job_backend(wait=False)


@pytest.mark.parametrize("job", [LIVE, DONE], ids=["live", "done"])
@pytest.mark.parametrize(("call", "said"), [case[1:] for case in BAD_CALLS], ids=[case[0] for case in BAD_CALLS])
def test_a_bad_call(active: JobBackend, call: Callable[[Any], Any], said: Said, job: Handle) -> None:
    with pytest.raises(ArgumentError) as caught:
        call(job)
    assert_said(caught.value.problems, said)
    assert isinstance(caught.value, (JobsError, TypeError, ValueError, ConfigurationError))
    assert (job.controls.asked, job._callbacks, get_job_backend()) == ([], (), active), "something was done"


def test_of_many_wrong_elements_the_first_are_named() -> None:
    with pytest.raises(ArgumentError) as caught:
        wait_all([f"job-{number}" for number in range(10_000)])  # type: ignore[misc]
    assert [each.path for each in caught.value.problems] == [f"jobs[{number}]" for number in range(5)]


@pytest.mark.parametrize("timeout", [0, -1, 0.0, -math.inf, Fraction(0)])
def test_no_time_left_is_over_at_once(timeout: Any) -> None:
    """As in Python's own library: what is left of a deadline may be less than nothing."""
    assert wait_all([LIVE], timeout) == [LIVE.wait(timeout)] == [JobStatus.PENDING]
    with pytest.raises(JobTimeoutError):
        LIVE.result(timeout)
    with pytest.raises(JobTimeoutError):
        next(as_completed([LIVE], timeout))


@pytest.mark.parametrize("timeout", [None, 5, 5.0, Fraction(5), math.inf, 10**400])
def test_any_real_number_is_a_timeout(timeout: Any) -> None:
    assert wait_all([DONE], timeout) == [DONE.wait(timeout)] == [JobStatus.COMPLETED]
    assert list(as_completed([DONE], timeout)) == [DONE]


def test_decimals_are_not_reckoned_with() -> None:
    with pytest.raises(ArgumentError, match="got Decimal"):
        DONE.wait(cast(Any, Decimal(5)))


@pytest.mark.parametrize(("grace", "told"), [(-1, 0.0), (Fraction(1, 2), 0.5), (math.inf, 1e9), (10**400, 1e9)])
def test_any_real_number_is_a_grace(grace: Any, told: float) -> None:
    job = Handle()
    assert job.cancel(grace)
    assert job.controls.asked == [told]


def test_any_iterable_of_jobs_will_do() -> None:
    several = {"a": DONE}
    assert wait_all(job for job in (DONE, DONE)) == [JobStatus.COMPLETED] * 2
    assert wait_all(several.values()) == [JobStatus.COMPLETED]
    assert list(as_completed((DONE, DONE))) == [DONE]
    assert wait_all([]) == []


@pytest.mark.parametrize("given", ["completed", JobStatus.COMPLETED, ("Completed", "FAILED"), iter(["COMPLETED"])])
def test_a_status_is_known_by_its_name_in_any_case(given: Any) -> None:
    job = submit_capability(SampleCapability(), config={"run_uid": "one"})
    job.result(60)
    assert [each.job_id for each in list_jobs(status_filter=given)] == [job.job_id]


def test_a_submission_is_no_job() -> None:
    with pytest.raises(ArgumentError, match=r"jobs\[0\]"):
        wait_all([Submission(capability=SampleCapability())])  # type: ignore[list-item]


def test_an_async_function_still_awaits_a_job() -> None:
    async def awaited() -> Any:
        return await DONE

    assert asyncio.run(awaited()) is None
