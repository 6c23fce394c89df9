"""Tasks that end: one that cannot be read, or of which nothing can be learnt, keeps none of the others back."""

from __future__ import annotations

import asyncio
import pickle
from concurrent.futures import Future
from types import SimpleNamespace
from typing import Any

import pytest
from checkmaite.jobs.spi import Failed, Finished
from checkmaite.jobs_ray._ray import _deaths
from checkmaite.jobs_ray._ray._deaths import Death, Deaths
from checkmaite.jobs_ray._ray._tasks import Landed, Tasks

from tests.ray_machine.making import completed


def gives(result: bytes) -> Future[bytes]:
    future: Future[bytes] = Future()
    future.set_result(result)
    return future


def test_a_result_that_cannot_be_read_fails_its_job_alone() -> None:
    async def story() -> None:
        landed: list[Landed] = []
        tasks = Tasks(None, landed.extend)
        finished = Finished(outcome=completed("run"))
        tasks._come_home(("broken", 1), gives(b"not a pickle"))
        tasks._come_home(("well", 1), gives(pickle.dumps(finished)))
        await asyncio.sleep(0)
        (broken, well) = landed
        assert broken.start == ("broken", 1)
        assert isinstance(broken.finished.outcome, Failed)
        assert not broken.worker_lost
        assert well == (("well", 1), finished, False)
        tasks._come_home(("later", 1), gives(pickle.dumps(finished)))
        await asyncio.sleep(0)
        assert [each.start[0] for each in landed] == ["broken", "well", "later"]

    asyncio.run(story())


def test_a_death_is_told_when_the_table_of_nodes_cannot_be_read(monkeypatch: pytest.MonkeyPatch) -> None:
    def nodes() -> Any:
        raise ConnectionError("the control plane is away")

    address = SimpleNamespace(worker_id=b"worker", node_id=b"node", ip_address="10.0.0.1")
    row = SimpleNamespace(worker_address=address, pid=4711, end_time_ms=0, exit_detail="It was killed.")
    monkeypatch.setattr(_deaths, "_dead_workers", lambda: [row])
    monkeypatch.setattr(_deaths, "_untyped", SimpleNamespace(nodes=nodes))
    assert Deaths().of_task(4711) == Death("10.0.0.1", 4711, "It was killed")
