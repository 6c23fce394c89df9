"""A journal that does not answer: what is asked for meanwhile is not refused, and nothing says that all is well."""

from __future__ import annotations

import asyncio
import pickle
import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from checkmaite.jobs import BackendUnavailableError, JobStatus, StoreUnavailableError, UnconfirmedError
from checkmaite.jobs.spi import ObjectStore
from checkmaite.jobs_ray.config import RegistrySettings
from checkmaite.jobs_ray.registry import journal_writer, storage
from checkmaite.jobs_ray.registry.actor import Around, JobRegistry
from checkmaite.jobs_ray.registry.storage import Storage

from tests.ray_registry.making import CONTEXTS, spec
from tests.ray_registry.rig import new_controller
from tests.ray_registry.test_session import Wire, WireCluster


class Silent(WireCluster):
    """A cluster that has room for everything."""

    def shortage_of(self, wanted: Any) -> str:
        return ""

    def fits_no_node(self, wanted: Any) -> bool:
        return False

    async def start_obstacle_of(self, runtime_env: Any) -> str:
        return ""


class Stuck:
    """A registry whose journal can be stopped: its calls hang, or are refused."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, folder: Path, *, hangs: bool) -> None:
        self.cluster = Silent(Wire(new_controller("first")))
        self.objects = ObjectStore(str(folder))
        monkeypatch.setattr(journal_writer, "_SLOW_S", 0.0)
        self._monkeypatch = monkeypatch
        monkeypatch.setattr(storage.time, "sleep", lambda _: self.goes_on.wait(0.001))
        self.goes_on = threading.Event()
        self.goes_on.set()
        create = ObjectStore.create

        def when_it_answers(store: ObjectStore, key: str, content: bytes) -> bool:
            if not self.goes_on.is_set() and not hangs:
                raise StoreUnavailableError("503 Slow Down")
            self.goes_on.wait(60)
            return create(store, key, content)

        monkeypatch.setattr(ObjectStore, "create", when_it_answers)
        self.settings = {
            **RegistrySettings(controller_pool_size=1, journal_uri=str(folder)).wire(),
            "name": "registry",
            "namespace": "namespace",
            "journal": None,
            "where": "here",
        }

    def stop(self) -> None:
        """From now on it does not answer, and nobody waits long for it."""
        self._monkeypatch.setattr(JobRegistry._durable, "__defaults__", (0.05,))
        self.goes_on.clear()

    def go_on(self) -> None:
        """It answers again, however long that takes on a busy machine."""
        self._monkeypatch.setattr(JobRegistry._durable, "__defaults__", (60.0,))
        self.goes_on.set()

    def told(self, story: Callable[[JobRegistry], Any]) -> None:
        async def begun() -> None:
            registry = JobRegistry(self.settings, Around(self.cluster, Storage(self.objects)))
            await registry._begun
            try:
                await story(registry)
            finally:
                self.goes_on.set()

        asyncio.run(begun())


@pytest.fixture(params=[True, False], ids=["hangs", "refuses"])
def stuck(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Stuck:
    return Stuck(monkeypatch, tmp_path, hangs=request.param)


async def unconfirmed(call: Any) -> UnconfirmedError:
    with pytest.raises(UnconfirmedError) as caught:
        await call
    error = pickle.loads(pickle.dumps(caught.value))
    assert str(error).startswith("The journal in ")
    assert "go on" not in str(error)
    assert error.retryable
    assert isinstance(error, BackendUnavailableError)
    return error


def test_a_submission_may_yet_be_accepted_and_made_again_it_is_the_same_jobs(stuck: Stuck) -> None:
    async def story(registry: JobRegistry) -> None:
        submit = partial(registry.submit, "client", [spec("one", force=True), spec("two")], CONTEXTS)
        stuck.stop()
        error = await unconfirmed(submit())
        assert error.job_ids == ("one", "two")
        assert "one, two" in str(error)
        trouble, _ = await registry.explain("scope", "one")
        assert trouble.startswith("The journal in ")
        assert "no job starts" in trouble
        stuck.go_on()
        shell = await registry._shell()
        await shell.commits.durable()
        again = await submit()
        assert [each.job_id for each in again] == ["one", "two"]
        assert len(shell.machine.table.records) == 2
        async with asyncio.timeout(30):
            while (await registry.explain("scope", "one"))[0]:  # noqa: ASYNC110 - nobody says that it is over
                await asyncio.sleep(0.01)

    stuck.told(story)


def test_a_cancellation_may_yet_come_true_and_asked_again_says_so(stuck: Stuck) -> None:
    async def story(registry: JobRegistry) -> None:
        await registry.submit("client", [spec("one")], CONTEXTS)
        stuck.stop()
        assert (await unconfirmed(registry.cancel("scope", "one", 0.0))).job_ids == ("one",)
        stuck.go_on()
        shell = await registry._shell()
        await shell.commits.durable()
        record = shell.machine.table.records["one"]
        assert record.is_cancelling or record.status is JobStatus.CANCELLED
        assert await registry.cancel("scope", "one", 0.0)

    stuck.told(story)


def test_what_can_never_be_written_is_refused(stuck: Stuck) -> None:
    async def story(registry: JobRegistry) -> None:
        await registry.submit("client", [spec("one")], CONTEXTS)
        shell = await registry._shell()
        for number in range(2, 20):  # another registry has gone on
            stuck.objects.create(f"seg/{number:012}", b"another's")
        with pytest.raises(BackendUnavailableError, match="taken over") as caught:
            await registry.submit("client", [spec("two")], CONTEXTS)
        assert not isinstance(caught.value, UnconfirmedError)
        assert shell is await registry._shell()

    stuck.told(story)
