"""A process's handles and the news of them, whichever comes first."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from attrs import evolve
from checkmaite.jobs import BackendUnavailableError, JobsError, JobStatus, Reuse, ReuseKind, as_completed
from checkmaite.jobs.spi import Cancelled, StoreSpec, Terms
from checkmaite.jobs_ray.client import subscription as subscription_module
from checkmaite.jobs_ray.client.cluster import BrokenOffError
from checkmaite.jobs_ray.client.job import RayJob
from checkmaite.jobs_ray.client.subscription import Subscription
from checkmaite.jobs_ray.wire import Change, Context, Cursor, JobFacts, PastAttempt

from tests.ray_registry.making import STARTED, completed

SOON_S = 120.0


class ParkedCalls:
    """The registry's answers, one after the other; exceptions are raised, functions called when it is asked."""

    def __init__(self) -> None:
        self.answers: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self.asked: queue.SimpleQueue[tuple[Any, ...]] = queue.SimpleQueue()

    def ask(self, method: str, *arguments: Any, timeout_s: float) -> Any:
        self.asked.put((method, *arguments))
        answer = self.answers.get()
        if isinstance(answer, BaseException):
            raise answer
        return answer() if callable(answer) else answer

    def next(self) -> tuple[str, Any]:
        """What is asked next, and about what: a cursor, or jobs."""
        method, _, about, *_ = self.asked.get(timeout=SOON_S)
        return method, sorted(about) if method == "follow" else about

    def break_off(self) -> None:
        self.answers.put(BrokenOffError())


@pytest.fixture
def line() -> ParkedCalls:
    return ParkedCalls()


@pytest.fixture
def subscription(line: ParkedCalls, monkeypatch: pytest.MonkeyPatch) -> Iterator[Subscription]:
    monkeypatch.setattr(subscription_module, "ParkedCalls", lambda calls: line)
    monkeypatch.setattr(subscription_module, "_AGAIN_S", 0.0)
    made = Subscription(
        None,  # type: ignore[arg-type] # the line stands for it
        "scope",
        Context(Terms(store=StoreSpec("null", {}), facts={}), None),
        patience_s=10.0,
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
        started=None,
        progress=None,
        outcome=None,
        finished_at=None,
    )


def end(job_id: str = "job-1") -> Change:
    return Change(job_id, JobStatus.CANCELLED, 1, None, None, Cancelled(), 1.0)


def make() -> Callable[[JobFacts], RayJob]:
    return lambda known: RayJob(known, None)  # type: ignore[arg-type] # nothing is asked of the registry


def test_news_that_overtakes_the_answer_naming_its_job_is_kept(subscription: Subscription, line: ParkedCalls) -> None:
    (other,) = subscription.handles([facts("job-0")], make())
    heard = threading.Event()
    other.add_done_callback(lambda _: heard.set())
    with subscription.asking():
        line.answers.put((Cursor("l", 1), [end("job-1"), end("job-0")]))
        assert heard.wait(SOON_S)
        (job,) = subscription.handles([facts("job-1")], make())
    assert job.wait(0) is JobStatus.CANCELLED
    assert subscription.live() == []


def test_a_process_has_one_handle_of_a_live_job(subscription: Subscription, line: ParkedCalls) -> None:
    first, second = subscription.handles([facts(), facts()], make())
    (third,) = subscription.handles([facts()], make())
    assert first is second is third
    line.answers.put((Cursor("l", 1), [end()]))
    assert first.wait(SOON_S) is JobStatus.CANCELLED


def test_who_joins_a_live_job_is_told_so_by_a_handle_of_its_own(subscription: Subscription, line: ParkedCalls) -> None:
    joining = Reuse(kind=ReuseKind.REUSED, job_id="job-1")
    first, again = subscription.handles([facts(), facts()], make())
    second, third = subscription.handles([facts()._replace(reuse=joining)] * 2, make())
    assert first is again
    assert second is third
    assert first is not second
    assert (first.reuse, second.reuse) == (Reuse(), joining)
    assert (first, {first}) == (second, {second})
    assert first != subscription.handles([facts("job-2")], make())[0]
    assert [job.job_id for job in subscription.live()] == ["job-1", "job-2"]
    line.answers.put((Cursor("l", 1), [end()]))
    assert [job.wait(SOON_S) for job in (first, second)] == [JobStatus.CANCELLED] * 2
    assert (first.reuse, second.reuse) == (Reuse(), joining)
    assert list(as_completed([first, second], SOON_S)) == [first]


def test_both_of_one_batch_hear_the_news_that_overtakes_their_answer(
    subscription: Subscription, line: ParkedCalls
) -> None:
    (other,) = subscription.handles([facts("job-0")], make())
    heard = threading.Event()
    other.add_done_callback(lambda _: heard.set())
    joining = Reuse(kind=ReuseKind.REUSED, job_id="job-1")
    with subscription.asking():
        line.answers.put((Cursor("l", 1), [end("job-1"), end("job-0")]))
        assert heard.wait(SOON_S)
        jobs = subscription.handles([facts("job-1"), facts("job-1")._replace(reuse=joining)], make())
    assert [job.wait(0) for job in jobs] == [JobStatus.CANCELLED] * 2
    assert subscription.live() == []


def test_a_handle_that_is_made_while_another_is_told_of_the_end_hears_it_too(
    subscription: Subscription, line: ParkedCalls
) -> None:
    made: queue.SimpleQueue[RayJob] = queue.SimpleQueue()

    def join() -> None:
        made.put(*subscription.handles([facts()._replace(reuse=joining)], make()))

    joining = Reuse(kind=ReuseKind.REUSED, job_id="job-1")
    (first,) = subscription.handles([facts()], make())
    first.add_done_callback(lambda _: join())  # on the thread that hears, between one handle and the other
    line.answers.put((Cursor("l", 1), [end()]))
    assert first.wait(SOON_S) is JobStatus.CANCELLED
    assert made.get(timeout=SOON_S).wait(SOON_S) is JobStatus.CANCELLED


def test_news_that_cannot_be_read_keeps_no_other_job_from_its_own(
    subscription: Subscription, line: ParkedCalls, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken, well = subscription.handles([facts("job-1"), facts("job-2")], make())
    monkeypatch.setattr(broken, "learn", {}.__getitem__)
    line.answers.put((Cursor("l", 1), [end("job-1"), end("job-2")]))
    assert well.wait(SOON_S) is JobStatus.CANCELLED
    assert not broken.status.is_final


def test_every_handle_of_a_lost_job_says_so(subscription: Subscription) -> None:
    joining = Reuse(kind=ReuseKind.REUSED, job_id="job-1")
    jobs = subscription.handles([facts(), facts()._replace(reuse=joining)], make())
    subscription.close("shut down")
    assert [job.wait(0) for job in jobs] == [JobStatus.FAILED] * 2


def test_what_an_answer_says_of_a_known_job_is_learnt(subscription: Subscription) -> None:
    (job,) = subscription.handles([facts()], make())
    subscription.handles([facts()._replace(status=JobStatus.CANCELLED, outcome=Cancelled())], make())
    assert job.status is JobStatus.CANCELLED
    assert subscription.live() == []


def test_a_job_waits_again_when_its_start_was_lost_and_older_answers_do_not_bring_it_back(
    subscription: Subscription,
) -> None:
    running = facts()._replace(status=JobStatus.RUNNING, attempt=1, started=STARTED)
    lost = facts()._replace(attempt=1, past=[PastAttempt(1, STARTED, 2.0, "Start 1 was lost: signal 9.")])
    again = evolve(STARTED, pid=4712)
    (job,) = subscription.handles([running], make())

    def told(said: JobFacts) -> tuple[JobStatus, int | None, list[str]]:
        subscription.handles([said], make())
        return job.known.status, job.known.pid, [each.end for each in job.known.attempts]

    ends = ["Start 1 was lost: signal 9."]
    assert told(running) == (JobStatus.RUNNING, STARTED.pid, [""])
    assert told(lost) == (JobStatus.PENDING, None, ends)
    assert told(running) == (JobStatus.PENDING, None, ends), "an answer that was given before"
    assert told(lost._replace(status=JobStatus.SCHEDULING, attempt=2)) == (JobStatus.SCHEDULING, None, [*ends, ""])
    assert told(lost._replace(status=JobStatus.RUNNING, attempt=2, started=again)) == (
        JobStatus.RUNNING,
        4712,
        [*ends, ""],
    )
    assert told(lost._replace(status=JobStatus.SCHEDULING, attempt=2)) == (JobStatus.RUNNING, 4712, [*ends, ""])


def test_where_a_run_was_stored_before_its_controller_was_lost_is_told_again(subscription: Subscription) -> None:
    asked = facts()._replace(attempt=1, past=[PastAttempt(1, STARTED, None, "Start 1 ended when it died.")])
    (job,) = subscription.handles([facts()._replace(status=JobStatus.RUNNING, attempt=1, started=STARTED)], make())
    subscription.handles([asked], make())
    assert (job.known.status, job.known.pid) == (JobStatus.PENDING, None)
    done = end()._replace(started=STARTED, status=JobStatus.COMPLETED, outcome=completed())
    job.learn(done)
    assert (job.known.status, job.known.pid) == (JobStatus.COMPLETED, STARTED.pid)
    assert [each.end for each in job.known.attempts] == ["COMPLETED"]


@pytest.mark.parametrize("trouble", [BackendUnavailableError("away"), RuntimeError("what Ray raises")])
def test_trouble_on_the_way_is_outlasted(subscription: Subscription, line: ParkedCalls, trouble: Exception) -> None:
    (job,) = subscription.handles([facts()], make())
    line.answers.put(trouble)
    line.answers.put((Cursor("l", 1), [end()]))
    assert job.wait(SOON_S) is JobStatus.CANCELLED


def test_many_jobs_have_one_parked_call(subscription: Subscription, line: ParkedCalls) -> None:
    jobs = subscription.handles([facts(f"job-{number}") for number in range(100)], make())
    line.answers.put((Cursor("l", 1), [end(job.job_id) for job in jobs]))
    assert {job.wait(SOON_S) for job in jobs} == {JobStatus.CANCELLED}
    assert line.asked.qsize() == 1


def test_where_one_job_follows_another_one_thread_listens_which_rests_and_asks_nothing_meanwhile(
    subscription: Subscription, line: ParkedCalls, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(subscription_module, "_REST_S", SOON_S)
    threads = set()
    for number in range(3):
        (job,) = subscription.handles([facts(f"job-{number}")], make())
        job.add_done_callback(lambda _: threads.add(threading.current_thread()))
        assert line.next()[0] == "changes"
        line.answers.put((Cursor("l", number + 1), [end(job.job_id)]))
        assert job.wait(SOON_S) is JobStatus.CANCELLED
    assert len(threads) == 1
    assert line.asked.empty()
    subscription.fall_silent()


def test_a_thread_that_is_not_needed_again_ends(
    subscription: Subscription, line: ParkedCalls, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(subscription_module, "_REST_S", 0.0)
    threads = []
    for number in range(2):
        (job,) = subscription.handles([facts(f"job-{number}")], make())
        job.add_done_callback(lambda _: threads.append(threading.current_thread()))
        line.answers.put((Cursor("l", number + 1), [end(job.job_id)]))
        assert job.wait(SOON_S) is JobStatus.CANCELLED
        threads[-1].join(SOON_S)
        assert not threads[-1].is_alive()
    assert len({*threads}) == 2


def test_the_end_of_a_job_that_overtakes_an_answer_naming_it_is_remembered(
    subscription: Subscription, line: ParkedCalls
) -> None:
    (first,) = subscription.handles([facts()], make())
    with subscription.asking(), subscription.asking():
        line.answers.put((Cursor("l", 1), [end()]))
        assert first.wait(SOON_S) is JobStatus.CANCELLED
        for _ in range(2):  # of two answers that were on their way
            (late,) = subscription.handles([facts()._replace(status=JobStatus.RUNNING)], make())
            assert late.wait(0) is JobStatus.CANCELLED
            assert subscription.live() == []


def test_the_end_that_an_answer_told_is_remembered_too(subscription: Subscription) -> None:
    subscription.handles([facts()], make())
    with subscription.asking():
        subscription.handles([facts()._replace(status=JobStatus.CANCELLED, outcome=Cancelled())], make())
        (late,) = subscription.handles([facts()], make())
    assert late.wait(0) is JobStatus.CANCELLED


def test_a_job_that_was_lost_to_its_handle_is_found_again(subscription: Subscription, line: ParkedCalls) -> None:
    (lost,) = subscription.handles([facts()], make())
    line.answers.put(JobsError("what the registry raises"))
    assert lost.wait(SOON_S) is JobStatus.FAILED
    (found,) = subscription.handles([facts()], make())
    assert not found.status.is_final
    line.answers.put((Cursor("l", 1), [end()]))
    assert found.wait(SOON_S) is JobStatus.CANCELLED


def test_a_registry_that_has_begun_anew_is_told_all_that_is_followed(
    subscription: Subscription, line: ParkedCalls
) -> None:
    jobs = subscription.handles([facts("job-1"), facts("job-2")], make())
    assert line.next() == ("changes", Cursor("", 0))
    line.answers.put(None)
    assert line.next() == ("follow", ["job-1", "job-2"])
    line.answers.put(("second", ["job-2"]))
    assert line.next() == ("changes", Cursor("second", 0))
    assert jobs[1].wait(0) is JobStatus.FAILED
    assert "terminal_job_retention_s" in str(jobs[1].exception(0))
    line.answers.put((Cursor("second", 1), [end("job-1")]))
    assert jobs[0].wait(SOON_S) is JobStatus.CANCELLED


def test_a_job_whose_answer_comes_while_the_registry_is_told_is_followed_too(
    subscription: Subscription, line: ParkedCalls
) -> None:
    subscription.handles([facts("job-1")], make())
    line.answers.put(None)

    def answers_late() -> Any:
        subscription.handles([facts("job-2")], make(), "")
        return "second", []

    line.answers.put(answers_late)
    assert [line.next() for _ in range(3)] == [
        ("changes", Cursor("", 0)),
        ("follow", ["job-1"]),
        ("follow", ["job-2"]),
    ]
    line.answers.put(("second", []))
    assert line.next() == ("changes", Cursor("second", 0))


def test_a_job_of_the_last_answer_of_a_registry_that_died_is_followed_again(
    subscription: Subscription, line: ParkedCalls
) -> None:
    asked = subscription.known_as
    subscription.handles([facts("job-1")], make())
    line.answers.put(None)
    line.answers.put(("second", []))
    assert [line.next()[0] for _ in range(3)] == ["changes", "follow", "changes"]
    (job,) = subscription.handles([facts("job-2")], make(), asked)
    subscription.handles([facts("job-3")], make(), subscription.known_as)
    line.answers.put((Cursor("second", 1), []))
    assert line.next() == ("follow", ["job-2"])
    line.answers.put(("second", ["job-2"]))
    assert job.wait(SOON_S) is JobStatus.FAILED


def test_a_registry_that_begins_anew_while_one_job_is_followed_again_is_told_all(
    subscription: Subscription, line: ParkedCalls
) -> None:
    subscription.handles([facts("job-1")], make())
    line.answers.put(None)
    line.answers.put(("second", []))
    assert [line.next()[0] for _ in range(3)] == ["changes", "follow", "changes"]
    subscription.handles([facts("job-2")], make(), "first")
    line.answers.put((Cursor("second", 1), []))
    line.answers.put(("third", []))
    assert line.next() == ("follow", ["job-2"])
    assert line.next() == ("changes", Cursor("second", 1))
    line.answers.put(None)
    assert line.next() == ("follow", ["job-1", "job-2"])


def test_a_handle_says_when_its_job_ended_not_when_it_was_heard(subscription: Subscription, line: ParkedCalls) -> None:
    (job,) = subscription.handles([facts()], make())
    line.answers.put((Cursor("l", 1), [end()._replace(finished_at=1.5)]))
    assert job.wait(SOON_S) is JobStatus.CANCELLED
    assert "<th>took</th><td>1.5 s</td>" in job._repr_html_()
    (again,) = subscription.handles([facts()._replace(outcome=Cancelled(), finished_at=2.5)], make())
    assert "2.5 s" in again._repr_html_()
