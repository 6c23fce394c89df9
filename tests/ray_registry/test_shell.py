"""What surrounds the registry's machine, with a real journal and a controller whose Ray is a fake."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from checkmaite.jobs import JobStatus
from checkmaite.jobs.spi import ObjectStore
from checkmaite.jobs_ray.config import RegistrySettings
from checkmaite.jobs_ray.journal.inputs import INPUTS
from checkmaite.jobs_ray.registry import pool as pool_module
from checkmaite.jobs_ray.registry import shell as shell_module
from checkmaite.jobs_ray.registry.journal_writer import JournalWriter
from checkmaite.jobs_ray.registry.model.events import Assigned, Event, Introduced, Submitted
from checkmaite.jobs_ray.registry.shell import Shell
from checkmaite.jobs_ray.registry.storage import Storage

from tests.ray_registry.making import CONTEXTS, POLICY, spec
from tests.ray_registry.rig import new_controller
from tests.ray_registry.test_session import Wire, WireCluster


def test_what_is_submitted_and_where_it_is_placed_are_written_in_one_piece(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A job waits for each write before its worker can begin."""
    cluster = WireCluster(Wire(new_controller("first")))

    async def story() -> None:
        writer = JournalWriter(Storage(ObjectStore(str(tmp_path))), name="r", address="here")
        table = await writer.open()
        write, written = writer.write, list[list[type[Event]]]()

        async def noted(events: Sequence[Event], **more: Any) -> None:
            written.append([type(each) for each in events])
            await write(events, **more)

        monkeypatch.setattr(writer, "write", noted)
        settings = RegistrySettings(controller_pool_size=1)
        shell = Shell("r", cluster, settings, journal_writer=writer, table=table, tell=lambda _: None)
        await shell.pool.gathered
        while shell._placeable.is_set():  # noqa: ASYNC110 - nobody says that it has been cleared
            await asyncio.sleep(0)
        shell.machine.submit([spec("a")], CONTEXTS, time.monotonic())
        shell.after()
        await shell.commits.durable()
        assert written == [[Introduced, Submitted, Assigned]]

    asyncio.run(story())


def test_a_failure_is_told_once_the_inputs_of_the_job_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who has heard of it may end the cluster, as a script does whose Ray is its own."""
    cluster = WireCluster(Wire(new_controller("first")))

    async def story() -> None:
        objects, told = ObjectStore(str(tmp_path)), asyncio.Event()
        storage = Storage(objects)
        writer = JournalWriter(storage, name="r", address="here")

        def tell(jobs: Sequence[str]) -> None:
            if "a" in jobs:
                told.set()

        shell = Shell("r", cluster, RegistrySettings(), journal_writer=writer, table=await writer.open(), tell=tell)
        write, may_write = storage.run, asyncio.Event()

        async def gated(steps: Any) -> Any:
            await may_write.wait()
            return await write(steps)

        monkeypatch.setattr(storage, "run", gated)
        now = time.monotonic()
        shell.machine.submit([spec("a", policy=POLICY._replace(scheduling_timeout_s=1.0))], CONTEXTS, now)
        shell.machine.tick(now + 2.0)
        shell.after()
        await shell.commits.durable()
        assert shell.machine.table.records["a"].status is JobStatus.FAILED
        assert shell._output._keeper is not None
        await asyncio.gather(*shell._output._keeper._chores)
        for _ in range(5):  # what waited for its output has gone on
            await asyncio.sleep(0)
        assert not told.is_set()
        # Whoever is told of something earlier meanwhile is told of the job as it is, so that answer waits as well.
        answer = asyncio.ensure_future(shell.kept(["a", "another"]))
        for _ in range(5):
            await asyncio.sleep(0)
        assert not answer.done()
        may_write.set()
        await asyncio.wait_for(told.wait(), 30)
        await asyncio.wait_for(answer, 30)
        await asyncio.wait_for(shell.kept(["a"]), 30)
        assert len(objects.names(INPUTS)) == 1

    asyncio.run(story())


@pytest.mark.parametrize(("settings", "runs"), [({}, 20), ({"packs_by_history": False}, 2**53)])
def test_capabilities_are_packed_by_their_history_unless_that_is_turned_off(settings: Any, runs: int) -> None:
    assert shell_module._limits(RegistrySettings(**settings), window=1).short_runs == runs


def test_drains_are_heeded_when_ray_has_once_not_answered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The controller has no jobs, so it moves at once, and a spare one is kept."""
    cluster = WireCluster(Wire(new_controller("first")))
    answers = [ConnectionError("the control plane is away"), ["its node"]]

    async def drained() -> Any:
        answer = answers.pop(0) if answers else []
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def leaving(controllers: Any, nodes: Any) -> Any:
        return ["r-controller-0"] if nodes else []

    async def stays(nodes: Any) -> bool:
        return False

    monkeypatch.setattr(cluster, "drained", drained)
    monkeypatch.setattr(cluster, "leaving", leaving)
    monkeypatch.setattr(cluster, "moves_registry", stays)
    monkeypatch.setattr(pool_module, "_LEAVES_S", 0.01)

    async def story() -> None:
        moved = asyncio.Event()
        monkeypatch.setattr(cluster, "restart", lambda _: moved.set())
        writer = JournalWriter(Storage(ObjectStore(str(tmp_path))), name="r", address="here")
        settings = RegistrySettings(controller_pool_size=1)
        shell = Shell("r", cluster, settings, journal_writer=writer, table=await writer.open(), tell=lambda _: None)
        await shell.pool.gathered
        await asyncio.wait_for(moved.wait(), 30)
        assert {*shell.pool.serving} == {"r-controller-0", "r-controller-1"}

    asyncio.run(story())


@pytest.mark.parametrize(("cpus", "takers"), [(2.0, [0]), (16.0, [0, 1]), (64.0, [0, 1, 2])])
def test_no_more_controllers_are_given_jobs_than_the_cluster_has_workers_for(
    cpus: float, takers: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each has workers of its own, and Ray ends those that are idle beyond the number of CPUs."""

    async def story() -> None:
        cluster = WireCluster(Wire(new_controller("none")))
        wires = {f"r-controller-{number}": Wire(new_controller(f"{number}")) for number in range(4)}
        counted = asyncio.Event()

        async def count() -> float:
            counted.set()
            return cpus

        monkeypatch.setattr(cluster, "controller", wires.__getitem__)
        monkeypatch.setattr(cluster, "cpus", count)
        settings = RegistrySettings(controller_pool_size=3)
        shell = Shell("r", cluster, settings, journal_writer=None, table=None, tell=lambda _: None)
        await shell.pool.gathered
        await counted.wait()
        await asyncio.sleep(0)
        assert shell.pool.takers() == [f"r-controller-{number}" for number in takers]
        lost = shell.pool.sessions["r-controller-0"]
        lost.attached.clear()
        assert shell.pool.takers() == [f"r-controller-{number + 1}" for number in takers][:2], (
            "another one is given them"
        )

    asyncio.run(story())
