"""Tasks that end: one that cannot be read, or of which nothing can be learnt, keeps none of the others back."""

from __future__ import annotations

import asyncio
import pickle
import threading
import time
from collections import deque
from concurrent.futures import Future
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest
from attrs import evolve
from checkmaite.jobs.spi import Failed, Finished, Started
from checkmaite.jobs_ray.controller.actor import JobController
from checkmaite.jobs_ray.controller.cluster import EndedTask, Tasks
from checkmaite.jobs_ray.notifier import Notifier
from checkmaite.jobs_ray.wire import EndReport, LostAttempt
from checkmaite.jobs_ray_simple.cluster import deaths
from checkmaite.jobs_ray_simple.cluster.deaths import Death, Deaths, dead_for_a_while
from checkmaite.jobs_ray_simple.cluster.ray_errors import explained, lost_worker

from tests.ray_controller.test_machine import attached
from tests.ray_registry.making import STARTED, completed


def gives(result: bytes) -> Future[bytes]:
    future: Future[bytes] = Future()
    future.set_result(result)
    return future


def test_a_result_that_cannot_be_read_fails_its_job_alone() -> None:
    async def story() -> None:
        ended_tasks: list[EndedTask] = []
        tasks = Tasks(None, ended_tasks.extend, lambda _: None)
        finished = Finished(outcome=completed("run"))
        tasks._note_ended(("broken", 1), gives(b"not a pickle"))
        tasks._note_ended(("well", 1), gives(pickle.dumps(finished)))
        await asyncio.sleep(0)
        (broken, well) = ended_tasks
        assert broken.attempt_id == ("broken", 1)
        assert isinstance(broken.finished.outcome, Failed)
        assert not broken.worker_lost
        assert well == (("well", 1), finished, False)
        tasks._note_ended(("again", 1), gives(b""))
        await asyncio.sleep(0)
        assert ended_tasks.pop().worker_lost, "a second start by Ray brings the word that the first was lost"
        tasks._note_ended(("later", 1), gives(pickle.dumps(finished)))
        await asyncio.sleep(0)
        assert [each.attempt_id[0] for each in ended_tasks] == ["broken", "well", "later"]

    asyncio.run(story())


def test_tasks_that_end_on_two_threads_at_once_are_both_taken_in() -> None:
    """One was over before its future was asked for, so that its end is noted where it was launched."""

    class Both(deque[Any]):
        def append(self, ended: Any) -> None:
            super().append(ended)
            if len(self) == 1:
                other = threading.Thread(target=tasks._note_ended, args=(("second", 1), result))
                other.start()
                other.join()

    async def story() -> None:
        nonlocal tasks
        tasks = Tasks(None, ended_tasks.extend, lambda _: None)
        tasks._ended = Both()
        tasks._note_ended(("first", 1), result)
        await asyncio.sleep(0)
        assert [each.attempt_id[0] for each in ended_tasks] == ["first", "second"]

    tasks: Any = None
    ended_tasks: list[EndedTask] = []
    result = gives(pickle.dumps(Finished(outcome=completed("run"))))
    asyncio.run(story())


def test_an_end_that_cannot_be_dealt_with_keeps_no_other_back(caplog: pytest.LogCaptureFixture) -> None:
    async def story() -> None:
        ended_tasks: list[EndedTask] = []
        tasks = Tasks(None, ended_tasks.extend, {}.__getitem__)
        tasks._refs["runner"] = "its reference"
        finished = gives(pickle.dumps(Finished(outcome=completed("run"))))
        tasks._note_ended(("first", 1), finished)
        tasks._note_ended("runner", gives(b""))
        tasks._note_ended(("second", 1), finished)
        await asyncio.sleep(0)
        assert [each.attempt_id[0] for each in ended_tasks] == ["first", "second"]

    asyncio.run(story())
    assert "the end of task runner was not all dealt with" in caplog.text


def test_an_attempt_whose_loss_cannot_be_looked_into_is_lost_all_the_same(caplog: pytest.LogCaptureFixture) -> None:
    def death_of(known: LostAttempt) -> Any:
        raise ConnectionError("Ray does not answer")

    async def story() -> None:
        controller = JobController.__new__(JobController)  # what it would ask of Ray is not needed
        controller._machine = machine = attached("job")
        controller._tasks, controller._news = SimpleNamespace(death_of=death_of), Notifier(lambda: 1)  # type: ignore[assignment]
        controller._looking_into = {}
        machine.started(("job", 1), STARTED)
        assert controller._lose(("job", 1), lost_worker())
        await controller._looking_into["job", 1]
        assert controller._looking_into == {}
        end = machine.reports(1, 0)[1][-1]
        assert isinstance(end, EndReport)
        assert end.worker_lost

    asyncio.run(story())
    assert "could not be looked into" in caplog.text


GONE = (
    "Worker unexpectedly exits with a connection error code 2. End of file. Some common causes include: (1) the moon."
)
LEASED = "The leased worker has unrecoverable failure. Worker is requested to be destroyed when it is returned. "
OUT_OF_MEMORY = """2 worker(s) were killed due to the node running low on memory. Memory on the node was 9GB / 10GB
OOM kill reason: Memory usage
Top 10 memory users: PID\tMEM(GB)\tCOMMAND
7\t5.00\tpython notebook.py
4711\t{mine}\tray::checkmaite_job
4712\t2.00\tray::checkmaite_job"""


@pytest.mark.parametrize(
    ("detail", "told"),
    [
        (GONE, ""),
        (f"{LEASED}RPC error: Socket closed", ""),
        (f"{LEASED}Worker exits with an exit code 7.", "Worker exits with an exit code 7"),
    ],
)
def test_a_death_is_told_by_what_ray_knows_of_it(monkeypatch: pytest.MonkeyPatch, detail: str, told: str) -> None:
    died(monkeypatch, {"n1": "host"}, detail)
    assert Deaths().of_task(4711) == Death("host", 4711, told)


@pytest.mark.parametrize(("mine", "had_most"), [(3.0, True), (2.0, True), (1.5, False)])
def test_of_those_killed_for_memory_who_had_most_is_known(
    monkeypatch: pytest.MonkeyPatch, mine: float, had_most: bool
) -> None:
    died(monkeypatch, {"n1": "host"}, OUT_OF_MEMORY.format(mine=f"{mine:.2f}"), 4, int(mine * 2**30))
    death = Deaths().of_task(4711, "host")
    assert death is not None
    assert (death.memory, death.had_most) == (mine * 2**30, had_most)
    failed = explained(lost_worker(), death, last_words="SIGTERM", reserved=2**30)
    assert failed.exit_cause is not None
    assert failed.exit_cause.endswith(f"its process had {mine:.2f} GiB, it had reserved 1.00 GiB")
    assert (failed.error_type, failed.pid) == ("OutOfMemoryError", 4711)


def test_a_death_with_its_node_is_one_of_the_node(monkeypatch: pytest.MonkeyPatch) -> None:
    died(monkeypatch, {"n1": "host"}, GONE, node_lives=False)
    began = Started(node="host", pid=4711, at=datetime.fromtimestamp(0.0, UTC))
    assert dead_for_a_while([began]) == {began}
    failed = explained(lost_worker(), Deaths().of_task(4711), last_words=None, reserved=None)
    assert (failed.error_type, failed.exit_cause, failed.lost) == ("NodeDiedError", "its node died", True)


def test_a_process_is_dead_when_its_result_would_have_come(monkeypatch: pytest.MonkeyPatch) -> None:
    now = time.time()
    begun = Started(node="host", pid=4711, at=datetime.fromtimestamp(now - 60, UTC))
    for ended_at, is_dead in ((now - 30, True), (now - 0.5, False), (now - 90, False)):
        died(monkeypatch, {"n1": "host"}, GONE, ended_at=ended_at)
        others = [evolve(begun, node="another"), evolve(begun, pid=4712)]
        assert dead_for_a_while([begun, *others]) == ({begun} if is_dead else set())


def died(
    patch: pytest.MonkeyPatch,
    nodes: dict[str, str],
    detail: str,
    exit_type: int = 0,
    memory: int = 0,
    *,
    ended_at: float = 0.0,
    node_lives: bool = True,
) -> None:
    """A worker of the node ``n1`` has died."""
    row = SimpleNamespace(
        worker_address=SimpleNamespace(
            worker_id=b"worker", node_id=SimpleNamespace(hex=lambda: "n1"), ip_address="10.0.0.1"
        ),
        is_alive=False,
        pid=4711,
        start_time_ms=0,
        end_time_ms=ended_at * 1_000,
        exit_type=exit_type,
        exit_detail=detail,
        memory_used_bytes_at_death=memory,
    )
    known = [{"NodeID": name, "NodeManagerHostname": host, "Alive": node_lives} for name, host in nodes.items()]
    patch.setattr(deaths, "_rows", lambda: [row])
    patch.setattr(deaths, "_untyped", SimpleNamespace(nodes=lambda: known))


def test_a_worker_that_was_to_end_is_not_taken_for_one_that_died_under_a_task(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its driver has left a moment ago: all that is known of a task that died before it could tell is when."""
    gone = "Worker force exited because its job has finished"
    died(monkeypatch, {"n1": "host"}, gone, exit_type=1, ended_at=time.time())
    assert Deaths().of_task(None) is None
    died(monkeypatch, {"n1": "host"}, GONE, ended_at=time.time())
    assert Deaths().of_task(None) == Death("host", 4711, "")


def test_a_death_is_told_when_the_table_of_nodes_cannot_be_read(monkeypatch: pytest.MonkeyPatch) -> None:
    def nodes() -> Any:
        raise ConnectionError("the control plane is away")

    died(monkeypatch, {}, "It was killed.")
    monkeypatch.setattr(deaths, "_untyped", SimpleNamespace(nodes=nodes))
    assert Deaths().of_task(4711) == Death("10.0.0.1", 4711, "It was killed")


def test_nothing_is_told_when_the_table_of_workers_cannot_be_read(monkeypatch: pytest.MonkeyPatch) -> None:
    def rows() -> Any:
        raise AttributeError("another Ray")

    monkeypatch.setattr(deaths, "_rows", rows)
    assert Deaths().of_task(4711) is None
    began = Started(node="host", pid=4711, at=datetime.fromtimestamp(0.0, UTC))
    assert dead_for_a_while([began]) == set()
