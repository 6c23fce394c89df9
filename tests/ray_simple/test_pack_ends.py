"""What becomes of the jobs of a pack by how Ray says that its task has ended. No Ray is started."""

from __future__ import annotations

import pickle
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest
import ray.exceptions as rx
from attrs import define, evolve, field
from checkmaite.jobs import CapabilityRunRef, JobStatus, Resources
from checkmaite.jobs.spi import (
    Completed,
    EndedJob,
    Failed,
    Finished,
    JobHandle,
    LeftPack,
    PackNews,
    Started,
    StoreSpec,
    Terms,
    WorkOrder,
)
from checkmaite.jobs_ray_simple import packs as packs_module
from checkmaite.jobs_ray_simple.packs import Packs
from checkmaite.jobs_ray_simple.task import RunningTask, TaskRequest
from checkmaite.jobs_ray_simple.under_way import UnderWay

TERMS = Terms(store=StoreSpec("null", {}), facts={})
STARTED = Started(node="node-1", pid=4711, at=datetime.fromtimestamp(100.5, UTC))
DONE = Finished(outcome=Completed(ref=CapabilityRunRef(run_uid="run", capability_id="capability")))
errors: Any = rx  # their constructors carry no types


class Ref:
    """A task that Ray has taken."""

    def __init__(self, runner: str, pack: bytes) -> None:
        self.runner = runner
        self.jobs = [each.sender[0] for each in pickle.loads(pack)]
        self.answer: Future[bytes] = Future()


@define
class Ray:
    """What a driver sees of it."""

    refs: list[Ref] = field(factory=list)
    cancelled: list[tuple[str, bool, bool]] = field(factory=list)
    """Runners, whether by force, and whether with the tasks that they have started."""
    stopped: list[tuple[str, str]] = field(factory=list)
    refuses: bool = False
    timers: list[Callable[[], object]] = field(factory=list)
    last_timer_at: float = 0.0
    left: LeftPack | None = None
    is_connected: bool = True

    def start(self, runner: str, terms: bytes, pack: bytes, **_: object) -> Ref:
        if self.refuses:
            raise ValueError("Ray takes no such task")
        self.refs.append(Ref(runner, pack))
        return self.refs[-1]

    # the courier, which does all at once
    def follow(self, ref: Any, act: Callable[[Any], object]) -> None:
        ref.answer.add_done_callback(act)

    def at(self, at: float, act: Callable[[], object]) -> None:
        self.timers.append(act)
        self.last_timer_at = at

    def first_of(self, refs: Sequence[object], within_s: float, act: Callable[[LeftPack | None], object]) -> None:
        act(self.left)

    # the mailbox
    actor = None

    def stop(self, runner: str, start: tuple[str, int]) -> Any:
        self.stopped.append((runner, start[0]))
        arrived: Future[None] = Future()
        arrived.set_result(None)
        return SimpleNamespace(answer=arrived)


class Driver:
    """Packs, and what they tell."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.ray: Any = Ray()
        self.lost: list[str] = []
        self.stumbles: set[str] = set()
        self.doubted: list[str] = []
        self.jobs: dict[str, JobHandle] = {}
        monkeypatch.setattr(packs_module, "RemoteWork", lambda _: self.ray)
        monkeypatch.setattr(packs_module, "cancel", self._cancel)
        monkeypatch.setattr(packs_module, "pack_left_by", lambda *_, **__: [])
        self.under_way = UnderWay(
            completed=self._count, doubt=lambda running, _: self.doubted.append(running.request.job.job_id)
        )
        self.packs = Packs(self.ray, self.ray, self.under_way, lambda job_id, _: self.lost.append(job_id))

    def brings(self, *names: str) -> Ref:
        """Jobs that make a pack."""
        requests = [self.request(name) for name in names]
        self.under_way.add(RunningTask.of(each, None) for each in requests)
        self.packs.add(requests)
        return self.last

    @property
    def last(self) -> Ref:
        last: Ref = self.ray.refs[-1]
        return last

    @property
    def ends(self) -> dict[str, JobStatus]:
        """How jobs have ended."""
        return {name: job.status for name, job in self.jobs.items() if job.outcome is not None}

    def _cancel(self, ref: Ref, *, force: bool, with_children: bool = True) -> None:
        self.ray.cancelled.append((ref.runner, force, with_children))

    def _count(self, request: TaskRequest) -> None:
        if request.job.job_id in self.stumbles:
            raise ValueError("whatever it was")

    def request(self, name: str) -> TaskRequest:
        self.jobs[name] = job = JobHandle(
            job_id=name,
            job_name=name,
            capability_id="capability",
            created_at=datetime.now(UTC),
            controls=SimpleNamespace(cancel=lambda job, grace: self.packs.stop(job.job_id, time.monotonic() + grace)),  # type: ignore[arg-type]
        )
        order = WorkOrder(
            job_id=name,
            submitted_at=datetime.now(UTC),
            run_uid=None,
            reuse="auto",
            report_threshold=0.5,
            prints=None,
            terms=TERMS,
        )
        short = Resources(short=True)
        return TaskRequest(job=job, order=order, payload=b"", resources=short, max_retries=3, isolation="reuse")


def says(*ended: str, unbegun: Sequence[str] = ()) -> bytes:
    told = [EndedJob((name, 1), 0.001, pickle.dumps(DONE)) for name in ended]
    return pickle.dumps(PackNews(STARTED, 1, told, [(name, 1) for name in unbegun]))


BEGINS = pickle.dumps(PackNews(STARTED, 0, (), ()))


@pytest.fixture
def driver(monkeypatch: pytest.MonkeyPatch) -> Driver:
    return Driver(monkeypatch)


def test_what_a_pack_does_not_tell_of_goes_out_with_another(driver: Driver) -> None:
    driver.brings("a", "b", "c").answer.set_result(says("a", unbegun=["b"]))
    assert driver.ends == {"a": JobStatus.COMPLETED}
    assert driver.last.jobs == ["b", "c"]
    driver.last.answer.set_result(says("b", "c"))
    assert set(driver.ends.values()) == {JobStatus.COMPLETED}
    assert len(driver.ray.refs) == 2


def test_a_job_that_ended_says_when(driver: Driver) -> None:
    told = evolve(DONE, started=STARTED, took_s=2.0)
    ended = [EndedJob(("a", 1), 2.0, pickle.dumps(told))]
    driver.brings("a").answer.set_result(pickle.dumps(PackNews(STARTED, 1, ended, ())))
    assert driver.jobs["a"].finished_at == datetime.fromtimestamp(102.5, UTC)


def test_a_stopped_job_takes_a_pack_that_has_not_begun_out_of_the_queue(driver: Driver) -> None:
    ref = driver.brings("a", "b")
    assert driver.jobs["a"].cancel()
    assert driver.ray.stopped == [(ref.runner, "a")]
    assert driver.ray.cancelled == [(ref.runner, False, False)]
    ref.answer.set_exception(errors.TaskCancelledError())
    assert driver.ends == {"a": JobStatus.CANCELLED}
    assert driver.last.jobs == ["b"]


def test_a_pack_that_waits_has_time_to_leave_the_queue_before_it_is_ended_by_force(driver: Driver) -> None:
    ref, before = driver.brings("a"), time.monotonic()
    driver.jobs["a"].cancel(grace=0.0)
    assert driver.ray.last_timer_at >= before + packs_module._ASIDE_S
    driver.brings("b")
    driver.packs.hear(driver.last.runner, BEGINS)
    driver.jobs["b"].cancel(grace=0.0)
    assert driver.ray.last_timer_at <= time.monotonic(), "it has its process for itself"
    ref.answer.set_exception(errors.TaskCancelledError())
    assert driver.ends == {"a": JobStatus.CANCELLED}


def test_a_process_that_is_ended_by_force_is_looked_into_whatever_ray_calls_it(driver: Driver) -> None:
    ref = driver.brings("a", "b", "c")
    driver.jobs["b"].cancel(grace=0.0)
    for each in list(driver.ray.timers):
        each()
    assert driver.ray.cancelled == [(ref.runner, False, False), (ref.runner, True, True)]
    driver.ray.left = LeftPack({("a", 1): pickle.dumps(DONE)}, ("b", 1))
    ref.answer.set_exception(errors.TaskCancelledError())
    assert driver.ends == {"a": JobStatus.COMPLETED}
    assert driver.lost == ["b"]
    assert driver.last.jobs == ["c"]


@pytest.mark.parametrize("error", [None, errors.WorkerCrashedError(), errors.ObjectLostError("00", None, "")])
def test_a_lost_process_costs_the_job_that_was_running(driver: Driver, error: Exception | None) -> None:
    ref = driver.brings("a", "kills", "c")
    driver.ray.left = LeftPack({("a", 1): pickle.dumps(DONE)}, ("kills", 1))
    ref.answer.set_result(b"") if error is None else ref.answer.set_exception(error)
    assert driver.ends == {"a": JobStatus.COMPLETED}
    assert (driver.lost, driver.doubted) == (["kills"], [])
    assert driver.last.jobs == ["c"]


@pytest.mark.parametrize(
    "error", [errors.TaskCancelledError(), errors.RayTaskError("short jobs", "MemoryError", MemoryError())]
)
def test_a_process_that_has_begun_is_looked_into_whatever_ray_says(driver: Driver, error: Exception) -> None:
    """Ray calls a task cancelled whose process dies after it was asked which of its jobs are to stop."""
    ref = driver.brings("a", "kills", "c")
    driver.packs.hear(ref.runner, BEGINS)
    driver.jobs["c"].cancel()
    driver.ray.left = LeftPack({("a", 1): pickle.dumps(DONE)}, ("kills", 1))
    assert driver.ray.cancelled == [], "the job that runs may wait for Ray"
    driver.packs.hear(ref.runner, says(unbegun=["c"]))
    ref.answer.set_exception(error)
    assert driver.ends == {"a": JobStatus.COMPLETED, "c": JobStatus.CANCELLED}
    assert driver.lost == ["kills"]
    assert len(driver.ray.refs) == 1


def test_a_fault_in_bringing_one_job_home_keeps_no_other(driver: Driver) -> None:
    driver.stumbles.add("a")
    driver.brings("a", "b", "c").answer.set_result(says("a", "b", unbegun=["c"]))
    assert driver.ends == dict.fromkeys("ab", JobStatus.COMPLETED)
    assert driver.last.jobs == ["c"]


def test_a_job_that_was_stopped_before_it_came_here_goes_out_with_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packs_module, "_AHEAD", 1)
    driver = Driver(monkeypatch)
    driver.brings("first")
    request = driver.request("b")
    driver.under_way.add([RunningTask.of(request, None)])
    request.job.cancel()
    driver.packs.add([request])
    assert driver.ends == {"b": JobStatus.CANCELLED}
    assert len(driver.ray.refs) == 1


def test_where_a_lost_process_has_left_nothing_each_job_may_have_begun(driver: Driver) -> None:
    driver.brings("a", "b").answer.set_exception(errors.NodeDiedError(""))
    assert (driver.lost, driver.doubted, driver.ends) == ([], ["a", "b"], {})
    assert len(driver.ray.refs) == 1


def test_a_process_that_was_found_dead_is_heard_no_more(driver: Driver, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packs_module, "dead_for_a_while", set)
    ref = driver.brings("kills", "b")
    driver.packs.end_dead()
    assert driver.ray.cancelled == [], "no process of this pack is known"
    driver.packs.began("kills", STARTED)
    driver.ray.left = LeftPack({}, ("kills", 1))
    driver.packs.end_dead()
    assert driver.lost == ["kills"]
    assert driver.last.jobs == ["b"]
    ref.answer.set_result(says("b", "kills"))
    assert driver.ends == {}


def test_a_task_that_cannot_begin_fails_its_jobs(driver: Driver) -> None:
    driver.brings("a", "b").answer.set_exception(errors.RuntimeEnvSetupError("no such package"))
    assert driver.ends == dict.fromkeys("ab", JobStatus.FAILED)
    driver.ray.refuses = True
    driver.brings("c")
    assert driver.ends["c"] is JobStatus.FAILED
    failed = driver.jobs["c"].outcome
    assert isinstance(failed, Failed)
    assert "takes no such task" in failed.error_message
    driver.ray.refuses = False
    assert driver.brings("d").jobs == ["d"]


def test_nothing_is_sent_out_anew_once_the_connection_has_ended(driver: Driver) -> None:
    ref = driver.brings("a", "b")
    driver.ray.is_connected = False
    ref.answer.set_exception(errors.TaskCancelledError())
    assert (driver.ends, len(driver.ray.refs)) == ({}, 1)


def test_what_is_told_while_a_pack_runs_counts_at_once(driver: Driver) -> None:
    ref = driver.brings("a", "long", "c")
    driver.packs.hear(ref.runner, says("a", unbegun=["c"]))
    assert driver.ends == {"a": JobStatus.COMPLETED}
    assert driver.last.jobs == ["c"]
    driver.packs.hear("another", says("long"))
    assert "long" not in driver.ends
    ref.answer.set_result(says("a", "long", unbegun=["c"]))
    assert driver.ends["long"] is JobStatus.COMPLETED
    assert len(driver.ray.refs) == 2
