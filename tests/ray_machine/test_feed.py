"""A process's handles and the news of them, whichever comes first."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from checkmaite.jobs import BackendUnavailableError, JobStatus
from checkmaite.jobs.spi import Cancelled, StoreSpec, Terms
from checkmaite.jobs_ray import _feed
from checkmaite.jobs_ray._feed import Feed
from checkmaite.jobs_ray._job import RayJob
from checkmaite.jobs_ray._messages import Change, Context, JobFacts
from checkmaite.jobs_ray._ray._calls import BrokenOffError

SOON_S = 10.0


class Line:
    """The registry's answers, one after the other; what is raised is raised."""

    def __init__(self) -> None:
        self.answers: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self.asked: queue.SimpleQueue[str] = queue.SimpleQueue()

    def ask(self, method: str, *arguments: Any, timeout_s: float) -> Any:
        self.asked.put(method)
        answer = self.answers.get()
        if isinstance(answer, BaseException):
            raise answer
        return answer

    def break_off(self) -> None:
        self.answers.put(BrokenOffError())


@pytest.fixture
def line() -> Line:
    return Line()


@pytest.fixture
def feed(line: Line, monkeypatch: pytest.MonkeyPatch) -> Iterator[Feed]:
    monkeypatch.setattr(_feed, "Line", lambda calls: line)
    monkeypatch.setattr(_feed, "_AGAIN_S", 0.0)
    made = Feed(
        None,  # type: ignore[arg-type] # the line stands for it
        "scope",
        Context(Terms(store=StoreSpec("null", {}), facts={}), None),
        patience_s=SOON_S,
        idle=lambda: None,
    )
    yield made
    made.fall_silent()


def facts(job_id: str = "job-1") -> JobFacts:
    return JobFacts(
        job_id=job_id,
        job_name="name",
        capability_id="capability",
        created_at=0.0,
        status=JobStatus.PENDING,
        attempt=0,
        cancelling=False,
        where=None,
        progress=None,
        outcome=None,
        finished_at=None,
    )


def end(job_id: str = "job-1") -> Change:
    return Change(job_id, JobStatus.CANCELLED, 1, False, None, None, Cancelled(), 1.0)


def make() -> Callable[[JobFacts], RayJob]:
    return lambda known: RayJob(known, None)  # type: ignore[arg-type] # nothing is asked of the registry


def test_news_that_overtakes_the_answer_naming_its_job_is_kept(feed: Feed, line: Line) -> None:
    (other,) = feed.handles([facts("job-0")], make())
    heard = threading.Event()
    other.add_done_callback(lambda _: heard.set())
    line.answers.put((1, [end("job-1"), end("job-0")]))
    assert heard.wait(SOON_S)
    (job,) = feed.handles([facts("job-1")], make())
    assert job.wait(0) is JobStatus.CANCELLED
    assert feed.live() == []


def test_a_process_has_one_handle_of_a_live_job(feed: Feed, line: Line) -> None:
    first, second = feed.handles([facts(), facts()], make())
    (third,) = feed.handles([facts()], make())
    assert first is second is third
    line.answers.put((1, [end()]))
    assert first.wait(SOON_S) is JobStatus.CANCELLED


def test_what_an_answer_says_of_a_known_job_is_learnt(feed: Feed) -> None:
    (job,) = feed.handles([facts()], make())
    feed.handles([facts()._replace(status=JobStatus.CANCELLED, outcome=Cancelled())], make())
    assert job.status is JobStatus.CANCELLED
    assert feed.live() == []


@pytest.mark.parametrize("trouble", [BackendUnavailableError("away"), RuntimeError("what Ray raises")])
def test_trouble_on_the_way_is_outlasted(feed: Feed, line: Line, trouble: Exception) -> None:
    (job,) = feed.handles([facts()], make())
    line.answers.put(trouble)
    line.answers.put((1, [end()]))
    assert job.wait(SOON_S) is JobStatus.CANCELLED


def test_many_jobs_have_one_parked_call(feed: Feed, line: Line) -> None:
    jobs = feed.handles([facts(f"job-{number}") for number in range(100)], make())
    line.answers.put((1, [end(job.job_id) for job in jobs]))
    assert {job.wait(SOON_S) for job in jobs} == {JobStatus.CANCELLED}
    assert line.asked.qsize() == 1
