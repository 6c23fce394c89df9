"""What queued jobs keep in memory: records, and payloads within a bound; the journal has the others."""

from __future__ import annotations

import asyncio
import pickle
import tracemalloc
from collections.abc import Callable, Coroutine, Sequence
from pathlib import Path
from typing import Any

import pytest
from checkmaite.jobs import StoreUnavailableError
from checkmaite.jobs.spi import Completed, ObjectStore
from checkmaite.jobs_ray.config import RegistrySettings
from checkmaite.jobs_ray.registry import payloads
from checkmaite.jobs_ray.registry.actor import Around, JobRegistry
from checkmaite.jobs_ray.registry.model.record import Waiting
from checkmaite.jobs_ray.registry.shell import Shell, Window
from checkmaite.jobs_ray.registry.storage import Storage
from checkmaite.jobs_ray.wire import Context, JobSpec

from tests.ray_registry.making import CONTEXTS, completed, limits, spec
from tests.ray_registry.rig import Rig, new_controller
from tests.ray_registry.test_session import Wire, WireCluster

SIZE = 2_000
WINDOW = Window(jobs=50, payload_bytes=10 * SIZE)


def payload_of(job_id: str) -> bytes:
    return job_id.encode().ljust(SIZE)


def batch(first: int, count: int) -> list[JobSpec]:
    ids = [f"job {number}" for number in range(first, first + count)]
    return [spec(job_id, payload=payload_of(job_id)) for job_id in ids]


class Emptied(WireCluster):
    """A cluster beside a store that holds no run."""

    async def look_up(self, context: Context, specs: Sequence[JobSpec]) -> dict[str, Completed]:
        return {}


class Queued:
    """A registry with a real journal, and a controller whose workers never begin."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.controller = new_controller("first", max_retained=10_000)

    @property
    def objects(self) -> list[str]:
        return sorted(path.name for path in (self.folder / "payload").glob("*"))

    def told(self, story: Callable[[JobRegistry, Shell], Coroutine[Any, Any, None]]) -> None:
        """A registry begins, and its story is told; what is there afterwards another one finds."""
        named = {"name": "r", "namespace": "n", "journal": None, "where": "here"}
        settings = {**RegistrySettings(controller_pool_size=1).wire(), **named}

        async def begun() -> None:
            storage = Storage(ObjectStore(str(self.folder)))
            registry = JobRegistry(settings, Around(Emptied(Wire(self.controller)), storage, WINDOW))
            await story(registry, await registry._begun)

        asyncio.run(begun())

    def given(self) -> dict[str, Any]:
        """The payloads that the controller has of jobs that have not ended."""
        return {job_id: task.launch.spec.payload for job_id, task in self.controller._tasks.items() if task.end is None}

    async def until(self, condition: Callable[[], object]) -> None:
        async with asyncio.timeout(30):
            while not condition():  # noqa: ASYNC110 - nobody says that it has come so far
                await asyncio.sleep(0.005)

    def end(self, jobs: Sequence[str]) -> None:
        for job_id in jobs:
            self.controller.ended((job_id, 1), completed(job_id), worker_lost=False, now=0.0)


@pytest.fixture
def queued(tmp_path: Path) -> Queued:
    return Queued(tmp_path)


def test_payloads_beyond_the_bound_are_in_the_journal_alone(queued: Queued, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(payloads, "_PACK_BYTES", 20 * SIZE)

    async def story(registry: JobRegistry, shell: Shell) -> None:
        table = shell.machine.table
        await registry.submit("client", batch(0, 8), CONTEXTS)
        assert not queued.objects, "what fits needs no object of its own"
        assert table.payload_bytes == 8 * SIZE
        await registry.submit("client", batch(8, 200), CONTEXTS)
        assert len(queued.objects) == 10
        assert table.payload_bytes == 8 * SIZE, "one copy of all others is in the journal, and none here"
        await queued.until(lambda: len(queued.given()) == WINDOW.jobs)
        assert queued.given() == {f"job {number}": payload_of(f"job {number}") for number in range(WINDOW.jobs)}
        await registry.submit("client", batch(208, 2), CONTEXTS)
        assert table.payload_bytes == 10 * SIZE

        done = 0
        while done < 210:
            await queued.until(queued.given)
            jobs = list(queued.given())
            assert all(payload == payload_of(job_id) for job_id, payload in queued.given().items())
            queued.end(jobs)
            done += len(jobs)
        await queued.until(lambda: not any(record.is_live for record in table.records.values()))
        assert table.payload_bytes == 0
        await queued.until(lambda: not queued.objects)

    queued.told(story)


def test_another_registry_finds_them_there(queued: Queued) -> None:
    async def before(registry: JobRegistry, shell: Shell) -> None:
        await registry.submit("client", batch(0, 100), CONTEXTS)
        await queued.until(lambda: len(queued.given()) == WINDOW.jobs)

    queued.told(before)
    queued.controller = new_controller("second")  # the whole cluster is another one

    async def story(registry: JobRegistry, shell: Shell) -> None:
        table = shell.machine.table
        assert table.payload_bytes == 0
        waiting = [job_id for job_id, record in table.records.items() if isinstance(record.state, Waiting)]
        assert waiting == [f"job {number}" for number in range(WINDOW.jobs, 100)], "the others are in doubt"
        await queued.until(lambda: len(queued.given()) == WINDOW.jobs)
        assert all(payload == payload_of(job_id) for job_id, payload in queued.given().items())
        assert queued.objects, "what is in one object with others that wait is kept"

    queued.told(story)


def test_whoever_has_an_object_with_others_does_not_take_it_with_him(queued: Queued) -> None:
    async def story(registry: JobRegistry, shell: Shell) -> None:
        specs = batch(0, 20)
        twice = [*specs, spec("again", specs[3].run_key, payload=payload_of("again"))]
        facts = await registry.submit("client", twice, CONTEXTS)
        assert facts[20].job_id == "job 3"
        (kept,) = queued.objects
        for job_id in [f"job {number}" for number in range(19)]:
            await registry.cancel("scope", job_id, 0.0)
        assert queued.objects == [kept]

    queued.told(story)


def test_of_two_calls_with_the_same_runs_the_second_keeps_what_is_its_own(
    queued: Queued, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both have written when the first is accepted: then only one job of the second's object is a new one."""

    async def story(registry: JobRegistry, shell: Shell) -> None:
        keep, has_written, is_accepted = payloads.PayloadObjects.keep_together, asyncio.Event(), asyncio.Event()

        async def in_turn(objects: Any, given: Sequence[tuple[str, bytes]]) -> Any:
            found = await keep(objects, given)
            is_second = len(given) == 21
            if is_second:
                has_written.set()
            await (is_accepted if is_second else has_written).wait()
            return found

        monkeypatch.setattr(payloads.PayloadObjects, "keep_together", in_turn)
        first = batch(0, 20)
        again = [each._replace(job_id=f"again-{number}") for number, each in enumerate(first)]
        second = asyncio.get_running_loop().create_task(registry.submit("client", again + batch(20, 1), CONTEXTS))
        await has_written.wait()
        await registry.submit("client", first, CONTEXTS)
        is_accepted.set()
        await second
        needed = shell.machine.table.records["job 20"].spec.payload.key
        assert shell._payload_objects is not None
        await asyncio.gather(*shell._payload_objects._chores)
        assert needed.rpartition("/")[2] in queued.objects

    queued.told(story)


def test_what_cannot_be_written_there_waits_in_memory(queued: Queued, monkeypatch: pytest.MonkeyPatch) -> None:
    create = ObjectStore.create

    def refusing(store: ObjectStore, key: str, content: bytes) -> bool:
        if key.startswith("payload/"):
            raise StoreUnavailableError("503 Slow Down")
        return create(store, key, content)

    monkeypatch.setattr(ObjectStore, "create", refusing)

    async def story(registry: JobRegistry, shell: Shell) -> None:
        await registry.submit("client", batch(0, 20), CONTEXTS)
        assert shell.machine.table.payload_bytes == 20 * SIZE
        await queued.until(lambda: len(queued.given()) == 20)

    queued.told(story)


def test_a_queued_job_costs_a_registry_little(queued: Queued) -> None:
    """Counted where Python hands out memory: what the same jobs take is the same each time."""
    rig = Rig(within=limits(window=10))
    pickled = [pickle.dumps(spec(f"job-{number:032}")._replace(payload=None)) for number in range(2_000)]
    rig.registry.submit([spec("first")], CONTEXTS, rig.now)
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        for each in pickled:
            rig.registry.submit([pickle.loads(each)], CONTEXTS, rig.now)
        rig.registry.table.take_events()
        rig.registry.table.take_changed()
        after, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert (after - before) / len(pickled) < 4_096
