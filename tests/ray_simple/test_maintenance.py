"""When a worker is let maintain a store, and what becomes of that."""

from __future__ import annotations

import logging
import random
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

import pytest
from checkmaite.jobs.spi import StoreSpec, Terms
from checkmaite.jobs_ray_simple.cluster import StoreMaintenance, maintenance

from tests.maintaining import MaintenanceStory


@pytest.mark.usefixtures("local_ray")
class TestMaintenanceRaySimple(MaintenanceStory):
    kind = "ray-simple"


class Work:
    """What Ray would be handed."""

    begun: list[Work]

    def __init__(self, make: Callable[..., Any]) -> None:
        self.ended: Future[bytes] = Future()
        make(None)

    def start(self, terms: bytes, **options: Any) -> Work:
        assert options["resources"].num_cpus == 0, "no job waits for it"
        if Terms.read(terms).store.backend == "refused":
            raise RuntimeError("Ray refuses")
        self.begun.append(self)
        return self

    def future(self) -> Future[bytes]:
        self.ended = Future()
        return self.ended


@pytest.fixture
def begun(monkeypatch: pytest.MonkeyPatch) -> list[Work]:
    Work.begun = []
    monkeypatch.setattr(maintenance, "RemoteWork", Work)
    return Work.begun


def of(jobs: int | None) -> StoreMaintenance:
    found = StoreMaintenance(jobs, took=lambda future: found.ended(future))
    return found


def complete(maintained: StoreMaintenance, jobs: int, kind: str = "parquet") -> None:
    for _ in range(jobs):
        maintained.completed(Terms(store=StoreSpec(kind, {}), facts={}), code="")


def test_it_comes_after_so_many_jobs_one_at_a_time(begun: list[Work]) -> None:
    maintained = of(5)
    complete(maintained, 4)
    assert begun == []
    complete(maintained, 1)
    assert len(begun) == 1
    complete(maintained, 1)
    begun[0].ended.set_result(b"")
    complete(maintained, 4)
    assert len(begun) == 1
    complete(maintained, 1)
    assert len(begun) == 2


def test_where_many_jobs_complete_meanwhile_many_more_do_before_the_next(begun: list[Work]) -> None:
    """Its process takes a second of CPU, which is as much as hundreds of short jobs."""
    maintained = of(5)
    complete(maintained, 5)
    complete(maintained, 21)
    assert len(begun) == 1, "the first is still under way"
    begun[0].ended.set_result(b"")
    complete(maintained, 83)
    assert len(begun) == 1
    complete(maintained, 1)
    assert len(begun) == 2


def test_a_store_that_needs_none_is_asked_once(begun: list[Work]) -> None:
    maintained = of(1)
    complete(maintained, 1, "null")
    begun[0].ended.set_result(maintenance._NEEDS_NONE)
    complete(maintained, 100, "null")
    assert len(begun) == 1
    complete(maintained, 1)
    assert len(begun) == 2, "another one has to be asked for itself"


def test_processes_that_end_early_do_their_share(begun: list[Work], monkeypatch: pytest.MonkeyPatch) -> None:
    """Of two hundred processes with twenty jobs each about twenty have their turn."""
    monkeypatch.setattr(maintenance, "random", random.Random(1))
    for _ in range(200):
        complete(of(200), 20)
    assert 5 <= len(begun) <= 45


def test_none_is_never(begun: list[Work]) -> None:
    complete(of(None), 1000)
    assert begun == []


def test_what_fails_is_said_and_tried_again(begun: list[Work], caplog: pytest.LogCaptureFixture) -> None:
    maintained = of(1)
    with caplog.at_level(logging.WARNING, "checkmaite.jobs"):
        complete(maintained, 1, "refused")
        complete(maintained, 1)
        begun[0].ended.set_exception(OSError("no space"))
    assert "no space" in caplog.text
    assert "Ray refuses" in caplog.text
    complete(maintained, 1)
    assert len(begun) == 2
