"""A registry's end of a controller, whose Ray is a fake: calls are lost, and Ray refuses what it has no room for."""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

import pytest
import ray.exceptions as rx
from checkmaite.jobs import FailureKind, JobStatus
from checkmaite.jobs.spi import Failed
from checkmaite.jobs_ray.config import RegistrySettings
from checkmaite.jobs_ray.controller.machine import ControllerMachine
from checkmaite.jobs_ray.registry import session as session_module
from checkmaite.jobs_ray.registry.cluster import Cluster
from checkmaite.jobs_ray.registry.model.lifecycle import AskStore
from checkmaite.jobs_ray.registry.model.machine import RegistryMachine
from checkmaite.jobs_ray.registry.payloads import Payloads, Reading
from checkmaite.jobs_ray.registry.session import ControllerSession
from checkmaite.jobs_ray.wire import JobSpec

from tests.ray_registry.making import CONTEXTS, POLICY, limits, spec
from tests.ray_registry.rig import new_controller


class Wire:
    """A controller's actor. What `troubles` says of a method happens to its next calls: one that raises is lost."""

    def __init__(self, machine: ControllerMachine) -> None:
        self.machine = machine
        self.troubles: defaultdict[str, list[Callable[[], object]]] = defaultdict(list)
        self.restarts = 0

    def __getattr__(self, method: str) -> Any:
        return _Method(lambda *arguments: self._call(method, *arguments))

    def _call(self, method: str, *arguments: Any) -> Awaitable[Any]:
        if method == "launch" and self.troubles["put"]:
            self.troubles["put"].pop(0)()  # Ray has not taken the call
        return self._answer(method, *arguments)

    async def _answer(self, method: str, *arguments: Any) -> Any:
        await asyncio.sleep(0)
        given: Any = None
        match method:
            case "incarnation":
                given = self.machine._incarnation
            case "attach":
                given = self.machine.attach(*arguments, 0.0)
            case "keep":
                token, starts = arguments
                self.machine.keep(token, starts, 0.0)
            case "launch":
                token, launches = arguments
                self.machine.launch(token, launches)
                given = [each.spec.job_id for each in launches]
            case "next_reports":
                token, after, _ = arguments
                await asyncio.sleep(0.01)
                given = self.machine.reports(token, after)
        if self.troubles[method]:
            self.troubles[method].pop(0)()
        return given


class _Method:
    def __init__(self, remote: Any) -> None:
        self.remote = remote


class WireCluster(Cluster):
    """One whose only controller is at the end of a wire."""

    def __init__(self, wire: Wire) -> None:
        super().__init__("namespace", RegistrySettings())
        self.wire = wire

    def controller(self, name: str) -> Any:
        return self.wire

    def has_controller(self, name: str) -> bool:
        return False

    async def cpus(self) -> float:
        return 64.0

    async def drained(self) -> list[str]:
        return []

    def restart(self, controller: Any) -> None:
        controller.restarts += 1

    def publish(self, metrics: Any) -> None:
        pass


class Given(Payloads):
    """Payloads, for some of which Ray has no room."""

    def __init__(self, cluster: Cluster) -> None:
        super().__init__(cluster, None, lambda _: True)
        self.refused: list[str] = []

    async def of(self, spec: JobSpec, reading: Reading) -> Any:
        if spec.job_id in self.refused:
            self.refused.remove(spec.job_id)
            raise rx.OutOfDiskError("local disk is full")
        return await super().of(spec, reading)


class Rig:
    """A link, its registry's machine, and its controller."""

    def __init__(self) -> None:
        self.wire = Wire(new_controller("first"))
        self.cluster = WireCluster(self.wire)
        self.payloads = Given(self.cluster)
        self.effects: list[Any] = []
        self._begin(0)

    def submit(self, *jobs: str) -> None:
        self.registry.submit([spec(each) for each in jobs], CONTEXTS, 1.0)

    def status(self, job_id: str) -> JobStatus:
        return self.registry.facts("scope", job_id).status

    async def settled(self, *jobs: str) -> None:
        """Place what waits, as the shell does, until the controller has all of these jobs."""
        while any(self.status(each) is not JobStatus.SCHEDULING for each in jobs):
            await self.place()

    async def place(self) -> None:
        """Give the controller what waits, if it can be given any."""
        if self.session.is_ready:
            for assignment in self.registry.place(["c"], 100, time.monotonic()):
                self.session.reserve()
                self.session.give(assignment)
        await asyncio.sleep(0.005)

    def take_over(self, job_id: str) -> None:
        """Another registry's controller, which has this job; its own registry is gone."""
        old = RegistryMachine(limits())
        token = old.grant("c", 1.0)
        old.submit([spec(job_id)], CONTEXTS, 1.0)
        (assignment,) = old.place(["c"], 10, 1.0)
        self.wire.machine.attach(token, 0.0)
        self.wire.machine.keep(token, [], 1.0)
        self.wire.machine.launch(token, assignment.launches)
        self._begin(token)

    def _begin(self, epoch: int) -> None:
        self.registry = RegistryMachine(limits(), epoch=epoch)
        self.session = ControllerSession(
            "c", self.cluster, RegistrySettings(), self.registry, self._changed, self._durable, self.payloads
        )

    def _changed(self) -> None:
        self.effects += self.registry.take_effects()

    async def _durable(self) -> None:
        pass


@pytest.fixture
def rig(monkeypatch: pytest.MonkeyPatch) -> Rig:
    made = Rig()
    monkeypatch.setattr(session_module, "_AGAIN_S", 0.001)
    monkeypatch.setattr(session_module, "_REFUSED_S", 0.001)
    return made


def told(rig: Rig, story: Callable[[], Awaitable[None]]) -> None:
    """Let a story happen while the link runs."""

    async def both() -> None:
        running = asyncio.create_task(rig.session.run())
        try:
            await asyncio.wait_for(rig.session.attached.wait(), 60)
            await asyncio.wait_for(story(), 60)
        finally:
            running.cancel()
            with suppress(asyncio.CancelledError):
                await running

    asyncio.run(both())


def raises(error: Exception) -> Callable[[], object]:
    def trouble() -> None:
        raise error

    return trouble


def test_a_registry_that_was_stopped_itself_does_not_take_its_controller_for_silent(rig: Rig) -> None:
    """Its timer is due when it goes on, and so is the answer that has come meanwhile."""
    lease_s = 0.1
    rig.session._settings = RegistrySettings(heartbeat_interval_s=lease_s / 2, lease_ttl_s=lease_s)

    async def story() -> None:
        for _ in range(3):
            await asyncio.sleep(0.005)
            time.sleep(2 * lease_s)  # noqa: ASYNC251 - the whole process is held up
        await asyncio.sleep(0.05)
        assert rig.wire.restarts == 0
        assert rig.session.attached.is_set()

    told(rig, story)


def test_a_payload_that_ray_has_no_room_for_keeps_no_other_job_and_is_tried_again(rig: Rig) -> None:
    rig.payloads.refused = ["one", "one"]

    async def story() -> None:
        rig.submit("one", "two")
        await rig.settled("one", "two")
        assert rig.registry.facts("scope", "one").attempt == 1, "a start that came to nothing does not count"
        rig.submit("three")
        await rig.settled("three")

    told(rig, story)
    assert not rig.payloads.refused


@pytest.mark.parametrize("method", ["put", "launch"])
def test_a_call_that_ray_refuses_is_made_again(rig: Rig, method: str) -> None:
    rig.wire.troubles[method] = [raises(rx.OutOfDiskError("local disk is full")), raises(rx.ObjectStoreFullError())]

    async def story() -> None:
        rig.submit("one")
        await rig.settled("one")
        rig.submit("two")
        await rig.settled("two")

    told(rig, story)
    assert not rig.wire.troubles[method]


def test_a_controller_that_dies_while_it_is_attached_is_known_by_its_new_process(rig: Rig) -> None:
    """Else the next lost call would be taken for its death, and what it has would be given up."""

    def die() -> None:
        rig.wire.machine = new_controller("second")

    rig.wire.troubles["incarnation"] = [die]

    async def story() -> None:
        rig.submit("one")
        await rig.settled("one")
        rig.wire.troubles["next_reports"] = [raises(rx.ActorUnavailableError("lost", None))]
        while rig.wire.troubles["next_reports"]:
            await rig.place()
        rig.submit("two")
        await rig.settled("one", "two")
        assert [rig.registry.facts("scope", each).attempt for each in ("one", "two")] == [1, 1]

    told(rig, story)
    assert not [each for each in rig.effects if isinstance(each, AskStore)], "the job was in doubt"


def test_a_takeover_whose_last_answer_is_lost_gives_no_running_job_up(rig: Rig) -> None:
    rig.take_over("one")
    rig.wire.troubles["keep"] = [raises(rx.ActorUnavailableError("lost", None)), raises(TimeoutError())]

    async def story() -> None:
        assert rig.status("one") is JobStatus.SCHEDULING
        facts = rig.registry.facts("scope", "one")
        assert facts.attempt == 1
        assert rig.wire.machine._live(("one", 1)) is not None, "the controller was told to end a job that runs"
        rig.submit("two")
        await rig.settled("two")

    told(rig, story)
    assert not rig.wire.troubles["keep"]
    assert not [each for each in rig.effects if isinstance(each, AskStore)], "the job was unresolved"
    assert rig.wire.restarts == 0


def test_a_process_that_died_before_it_knew_what_to_keep_has_lost_its_jobs(rig: Rig) -> None:
    rig.take_over("one")

    def dies() -> None:
        rig.wire.machine = new_controller("second")
        raise rx.ActorUnavailableError("lost", None)

    rig.wire.troubles["keep"] = [dies]

    async def story() -> None:
        (asked,) = [each for each in rig.effects if isinstance(each, AskStore)]
        assert [each.job_id for each in asked.specs] == ["one"]
        rig.registry.settle(["one"], {}, time.monotonic())
        while rig.wire.machine._live(("one", 2)) is None:
            await rig.place()

    told(rig, story)


@pytest.mark.parametrize("is_silent", [True, False])
def test_a_controller_that_was_silent_is_not_said_to_have_died(rig: Rig, is_silent: bool) -> None:
    """The registry ends the silent one itself, so that another process answers next in both cases."""

    def trouble() -> None:
        rig.wire.machine = new_controller("second")
        raise TimeoutError if is_silent else rx.ActorDiedError

    async def story() -> None:
        rig.registry.submit([spec("one", policy=POLICY._replace(resubmit=False))], CONTEXTS, 1.0)
        await rig.settled("one")
        rig.wire.troubles["next_reports"] = [trouble]
        while not (asked := [each for each in rig.effects if isinstance(each, AskStore)]):
            await rig.place()
        rig.registry.settle([each.job_id for each in asked[0].specs], {}, time.time())
        failed = rig.registry.facts("scope", "one").outcome
        assert isinstance(failed, Failed)
        kind = FailureKind.CONTROLLER_SILENT if is_silent else FailureKind.CONTROLLER_DIED
        assert (failed.kind, failed.remedy) == (kind, kind.remedy)
        assert ("was silent for" in failed.error_message, "died" in failed.error_message) == (is_silent, not is_silent)

    told(rig, story)
    assert rig.wire.restarts == is_silent
