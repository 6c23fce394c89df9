"""The registry's session with one controller: keeps it alive, gives it jobs and payloads, hears how they go on."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Collection, Sequence
from typing import Any

from checkmaite.jobs import Resources, StoreError
from checkmaite.jobs.spi import failure
from checkmaite.jobs_ray.clock import tell_time
from checkmaite.jobs_ray.cluster import Unreachable, answer
from checkmaite.jobs_ray.config import RegistrySettings
from checkmaite.jobs_ray.controller.machine import StaleLeaseError
from checkmaite.jobs_ray.loops import answers_first
from checkmaite.jobs_ray.registry.cluster import Cluster
from checkmaite.jobs_ray.registry.model.lifecycle import DIED, GONE, StopJobs, silent
from checkmaite.jobs_ray.registry.model.machine import Assignment, RegistryMachine
from checkmaite.jobs_ray.registry.payloads import Payloads, Reading
from checkmaite.jobs_ray.wire import EndReport, Inventory, Launch, Report, bundled

_log = logging.getLogger("checkmaite.jobs")
_AGAIN_S = 0.1
_MOST_AGAIN_S = 5.0
_REFUSED_S = 0.5
_START_S = 60.0
_LOGS_S = 20.0
"""Longer than a controller looks for what a dead worker has left."""


class ControllerSession:
    """One controller of the pool, for as long as the registry lives.

    A controller that is silent for longer than its lease, or that comes back as another process, has lost its jobs: the
    machine gives them away only after its process was ended, so that what it still ran has ended too.

    Args:
        name: The controller's name.
        cluster: Where it is.
        settings: The registry's.
        machine: The registry's.
        changed: Called after the machine was told something.
        durable: Waits until everything that the machine was told is durable: only then a controller may forget it.
        payloads: Gives what jobs start from.

    Attributes:
        actor: Its handle; None before it was asked for.
        is_leaving: Whether its node is about to go: it is given no jobs.
    """

    def __init__(
        self,
        name: str,
        cluster: Cluster,
        settings: RegistrySettings,
        machine: RegistryMachine,
        changed: Callable[[], None],
        durable: Callable[[], Awaitable[None]],
        payloads: Payloads,
    ) -> None:
        self.name = name
        self._cluster = cluster
        self._settings = settings
        self._machine = machine
        self._changed = changed
        self._durable = durable
        self._payloads = payloads
        self.actor: Any = None
        self.is_leaving = False
        self._incarnation: str | None = None
        self._token = -1
        self._after = 0
        self._busy = False
        self._keeping = False
        self._trouble = ""
        self._calls: set[asyncio.Task[None]] = set()
        self.attached = asyncio.Event()

    @property
    def is_ready(self) -> bool:
        """Whether it can be given jobs."""
        return self.attached.is_set() and not self._busy

    async def run(self) -> None:
        """Attach, listen, and attach again whatever happens."""
        reason = DIED
        while True:
            try:
                if await self._attach(reason):
                    reason = DIED
                    reason = await self._listen()
            except Exception:  # noqa: BLE001 - whatever Ray raises here, the registry must try again
                _log.exception("the link to controller %s broke", self.name)
            self.attached.clear()
            self._changed()
            await asyncio.sleep(_AGAIN_S)

    def trouble(self) -> str:
        """Why the controller is not there, as a sentence."""
        settings = self._settings
        wanted = Resources(
            num_cpus=settings.controller_num_cpus,
            memory=settings.controller_memory,
            custom=settings.controller_resources or {},
        )
        why = self._trouble or self._cluster.shortage_of(wanted)
        return f"No controller of its registry runs, which would start it. Of the controller: {why}"

    def reserve(self) -> None:
        """Take the controller's turn for an assignment that is to follow; it is busy until it has answered that."""
        self._busy = True

    def give(self, assignment: Assignment) -> None:
        """Hand jobs to the controller."""
        self._spawn(self._give(assignment))

    def stop(self, effect: StopJobs) -> None:
        """Tell the controller to end jobs."""
        self._spawn(self._stop(effect))

    async def logs(self, job_id: str) -> str | None:
        """A job's output; None when the controller does not have it, or is not there."""
        if self.actor is None:
            return None
        try:
            logs: str | None = await answer(self.actor.logs.remote(job_id), _LOGS_S)
        except (*Unreachable, TimeoutError):
            return None
        return logs

    # -- inside -------------------------------------------------------------------------------------------------------

    async def _attach(self, reason: str) -> bool:
        """Become the one that the controller listens to; whether that succeeded."""
        settings = self._settings
        self.actor = self._cluster.controller(self.name)
        first = self._incarnation is None
        try:
            incarnation = await answer(self.actor.incarnation.remote(), _START_S if first else settings.lease_ttl_s)
        except TimeoutError:
            if first or self._keeping:  # it is stopped: its workers must end before its jobs start elsewhere
                self._cluster.restart(self.actor)
            self._lose(reason)
            return False
        except Unreachable as error:
            said = str(error).strip().splitlines()
            self._trouble = said[-1].strip() if said else type(error).__name__
            self._lose(reason)
            return False
        if not first and (incarnation != self._incarnation or not self._keeping):
            self._lose(reason)
        self._token = self._machine.grant(self.name, tell_time(self._machine))
        try:
            found: Inventory = await answer(self.actor.attach.remote(self._token), settings.lease_ttl_s)
            if found.incarnation != incarnation:  # its process has died between the two calls
                return False
            keep = self._machine.adopt(self.name, self._token, found.jobs, tell_time(self._machine))
            self._machine.miss(self.name, self._token, GONE, tell_time(self._machine), served=found.served)
            self._incarnation, self._keeping = incarnation, True
            self._changed()
            await self._durable()
            await answer(self.actor.keep.remote(self._token, keep), settings.lease_ttl_s)
        except StaleLeaseError as error:
            if not first or self._payloads.are_kept:
                raise
            # No journal says which tokens are new. Ray runs one process of this name: the calendar of one before it was
            # ahead of this one's.
            self._machine.outgrow(error.seen)
            return False
        except (*Unreachable, TimeoutError):
            return False
        self._trouble = ""
        self._after = found.last
        self._busy = self._keeping = False
        self.attached.set()
        self._changed()
        return True

    def _lose(self, reason: str) -> None:
        self._keeping = False
        if self._incarnation is None:  # what it had under an earlier registry may be in the store
            self._machine.miss(self.name, self._token, GONE, tell_time(self._machine))
        else:
            self._machine.lose(self.name, reason, tell_time(self._machine))
        self._changed()

    async def _listen(self) -> str:
        """Hear reports until the lease is over; why it is."""
        settings = self._settings
        while True:
            try:
                self._after, reports = await answer(
                    self.actor.next_reports.remote(self._token, self._after, settings.heartbeat_interval_s),
                    settings.lease_ttl_s,
                )
            except TimeoutError:
                self._cluster.restart(self.actor)
                return silent(settings.lease_ttl_s)
            except Unreachable:
                if not await self._is_the_same():
                    return DIED
                continue
            self._hear(reports)
            await self._durable()
            await answers_first()  # first of all to who waits for what was heard

    def _hear(self, reports: Sequence[Report]) -> None:
        """The controller has spoken, which renews its lease."""
        self._machine.report(self.name, self._token, reports, tell_time(self._machine))
        self._changed()

    async def _is_the_same(self) -> bool:
        """Whether the controller's process is still the one that was attached, after a call to it was lost."""
        try:
            async with asyncio.timeout(self._settings.lease_ttl_s):
                while True:
                    try:
                        return bool(await self.actor.incarnation.remote() == self._incarnation)
                    except Unreachable:
                        await asyncio.sleep(_AGAIN_S)
        except TimeoutError:
            return False

    async def _give(self, assignment: Assignment) -> None:
        await answers_first()  # first of all to who has submitted these
        token, reading = assignment.token, self._payloads.reading()
        launches, refused = [], None
        for each in assignment.launches:
            try:
                if (ready := await self._ready(each, token, reading)) is not None:
                    launches.append(ready)
            except Exception as error:  # noqa: BLE001 - Ray has no room for it, say; the others do not wait for that
                refused = error
        if refused is not None:
            _log.warning("jobs wait, since their payloads cannot be handed to controller %s: %s", self.name, refused)
        given = bundled(launches, (each.spec.payload for each in launches))
        taken = await self._told(token, lambda: self.actor.launch.remote(token, given))
        if taken is None:
            return
        taken = set(taken)
        self._payloads.note([each.spec.job_id for each in launches], taken)
        self._confirm(assignment, taken)
        if len(taken) < len(assignment.launches):  # they are given again: not as fast as they can be refused
            await asyncio.sleep(_REFUSED_S)
        if self._token == token:
            self._busy = False
            self._changed()

    def _confirm(self, assignment: Assignment, taken: Collection[str]) -> None:
        """The controller has taken these."""
        self._machine.confirm(assignment, taken, tell_time(self._machine))
        self._changed()

    async def _ready(self, launch: Launch, token: int, reading: Reading) -> Launch | None:
        """The same with its payload; None when that cannot be had, or the lease is over."""
        spec = launch.spec
        while self._token == token:
            try:
                payload = await self._payloads.of(spec, reading)
                return launch if payload is spec.payload else launch._replace(spec=spec._replace(payload=payload))
            except StoreError as error:
                if error.retryable:
                    await asyncio.sleep(_AGAIN_S)
                    continue
                now = tell_time(self._machine)
                failed = failure(error, phase="launch")
                end = EndReport(spec.job_id, launch.attempt, failed, worker_lost=False, at=time.time())
                self._machine.report(self.name, token, [end], now)
                self._changed()
                return None
        return None

    async def _stop(self, effect: StopJobs) -> None:
        await self._told(effect.token, lambda: self.actor.stop.remote(effect.token, effect.stops))

    async def _told(self, token: int, call: Callable[[], Any]) -> Any:
        """The answer to a call that may be repeated; None once the lease is over, which settles everything else.

        Also what fails for another reason is repeated: it is not known whether an earlier one was carried out.
        """
        pause_s = _AGAIN_S
        while self._token == token:
            try:
                return await answer(call(), self._settings.lease_ttl_s)
            except (*Unreachable, TimeoutError):
                await asyncio.sleep(_AGAIN_S)
            except Exception:  # noqa: BLE001 - whatever Ray raises here, the controller must be given jobs again
                if self._token == token:
                    _log.warning("a call to controller %s failed", self.name, exc_info=True)
                await asyncio.sleep(pause_s)
                pause_s = min(2 * pause_s, _MOST_AGAIN_S)
        return None

    def _spawn(self, work: Any) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._calls.add(task)
        task.add_done_callback(self._calls.discard)
