"""The controller: a detached actor that owns the Ray tasks of many jobs.

It decides nothing about jobs. It launches and cancels what the registry says, and tells the registry, which asks, how
its jobs go on. Its tasks end with it.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from collections import deque
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from attrs import evolve
from checkmaite.jobs.spi import (
    NOTHING_BEGUN,
    Failed,
    Leaving,
    LeftPackNews,
    News,
    Printed,
    Progressed,
    RunnerNews,
    Started,
    failure,
    read_pack_news,
)
from checkmaite.jobs_ray.clock import tell_time
from checkmaite.jobs_ray.cluster import Arrivals, is_elsewhere, left_output, this_actor
from checkmaite.jobs_ray.config import RegistrySettings
from checkmaite.jobs_ray.controller.cluster import (
    EndedRunner,
    EndedTask,
    Tasks,
    left_pack,
    told_of,
    written_pack,
)
from checkmaite.jobs_ray.controller.machine import Cancel, ControllerMachine
from checkmaite.jobs_ray.controller.packing import Packing, is_packed
from checkmaite.jobs_ray.loops import answers_first, take_turns
from checkmaite.jobs_ray.memory import return_memory
from checkmaite.jobs_ray.notifier import Notifier
from checkmaite.jobs_ray.wire import AttemptId, Bundle, Inventory, Launch, LostAttempt, Report, Stop, attempt_of
from checkmaite.jobs_ray_simple.cluster import is_known, lost_worker

_log = logging.getLogger("checkmaite.jobs")
_LOG_CHARACTERS = 64 * 2**20
_SWEEP_S = 1.0
_RETURN_AFTER = 20
"""Sweeps after which memory is returned, if there is reason to."""
_WATCH_S = 2.0
_WATCH_SHARE = 0.02
"""Of its time the controller spends at most so much on looking for workers that have died."""
_PROGRESS_DELAY_S = 0.1
_ASIDE_S = 0.5
"""What shares a runner with a job that is ended by force has this long to be given back before."""
_FORCE_AGAIN_S = 1.0
_AT_ONCE = 50
"""Tasks that are launched before others get a turn on the event loop."""


class JobController:
    """One of a registry's pool. All methods run on one event loop, and each may be called again after a lost reply.

    Args:
        given: `RegistrySettings` as a mapping.
    """

    def __init__(self, given: Mapping[str, Any]) -> None:
        settings = RegistrySettings(**given)
        self._incarnation = secrets.token_hex(8)
        self._machine = ControllerMachine(
            self._incarnation,
            retention_s=settings.controller_retention_s,
            max_retained=settings.max_retained_terminal_controllers,
            max_log_characters=_LOG_CHARACTERS,
        )
        self._packing = Packing(self._incarnation, self._machine)
        self._tasks = Tasks(this_actor(), self._take, self._take_runner, settings.store_maintenance_jobs)
        self._tasks.prepare()
        self._arrivals = Arrivals()
        self._patience_s = settings.lease_ttl_s / 2  # a registry that has no answer within a lease asks again
        self._looking_into: dict[AttemptId, asyncio.Task[None]] = {}
        self._to_launch: deque[Launch] = deque()
        self._has_ended = False
        self._launching: asyncio.Task[None] | None = None
        self._news = Notifier(lambda: self._machine.live)
        self._sweeps = 0
        self._watch_after_s = _WATCH_S
        turns = self._sweep, self._watch
        self._loops = [asyncio.get_running_loop().create_task(take_turns(each)) for each in turns]

    async def incarnation(self) -> str:
        """Which start of this process this is."""
        return self._incarnation

    async def attach(self, token: int) -> Inventory:
        """See `ControllerMachine.attach`."""
        found = self._machine.attach(token, tell_time(self._machine))
        self._arrivals.abandon()
        return found

    async def keep(self, token: int, attempt_ids: Sequence[AttemptId]) -> None:
        """See `ControllerMachine.keep`."""
        self._cancel(self._machine.keep(token, attempt_ids, tell_time(self._machine)))

    async def launch(self, token: int, launches: Sequence[Launch]) -> list[str]:
        """Take jobs; the ids of those that this controller has now. Ray gets them when the answer is on its way.

        A job is taken once its payload is this process's own, so that it no longer needs the registry's. One whose
        payload does not come, since who had it is gone, or not in time, is left out and may be brought again.
        """
        if any(is_elsewhere(launch.spec.payload) for launch in launches):
            launches = await self._with_payloads(token, launches)
        self._to_launch.extend(self._machine.launch(token, launches))
        if self._launching is None or self._launching.done():
            self._launching = asyncio.get_running_loop().create_task(self._launch_all())
        return [launch.spec.job_id for launch in launches]

    async def stop(self, token: int, stops: Sequence[Stop]) -> None:
        """See `ControllerMachine.stop`."""
        self._cancel(self._machine.stop(token, stops, tell_time(self._machine)))
        self._notify()

    async def next_reports(self, token: int, after: int, wait_s: float) -> tuple[int, Sequence[Report]]:
        """The reports after number `after`, as soon as there are any; after `wait_s` seconds there may be none."""
        _, waiting = self._machine.reports(token, after)
        if waiting:
            await self._news.gather()
        else:
            await self._news.wait(wait_s)
        last, reports = self._machine.reports(token, after)
        return last, Bundle(reports)

    async def logs(self, job_id: str) -> str | None:
        """What a job has printed; None when it is not remembered here. Of a worker that has died it is looked for."""
        if looking := [task for attempt_id, task in self._looking_into.items() if attempt_id[0] == job_id]:
            await asyncio.wait(looking)
        return self._machine.logs(job_id)

    async def post(self, attempt_id: AttemptId, news: Sequence[News]) -> None:
        """A worker tells how its job goes on."""
        for each in news:
            match each:
                case Started():
                    self._machine.started(attempt_id, each)
                    self._notify()
                case Progressed():
                    self._machine.progressed(attempt_id, each.progress)
                    self._news.notify_soon(_PROGRESS_DELAY_S)
                case Printed():
                    self._machine.printed(attempt_id, each)
                case Leaving():
                    self._machine.leaving(attempt_id, each.cause)

    async def next_pack(self, runner: str, said: bytes) -> bytes:
        """A runner says how its pack went, and asks for the next one; see core's `Line`."""
        news, now = read_pack_news(said), tell_time(self._machine)
        self._hear(runner, news)
        pack = self._packing.give(runner, news.started, now)
        self._start_runners()
        return written_pack(pack)

    async def tell_of_pack(self, runner: str, said: bytes) -> Collection[AttemptId]:
        """A runner says how its pack goes on; which of its jobs are to stop."""
        self._hear(runner, read_pack_news(said))
        self._start_runners()
        return self._packing.stops_of(runner)

    # -- inside -------------------------------------------------------------------------------------------------------

    async def _with_payloads(self, token: int, launches: Sequence[Launch]) -> list[Launch]:
        """Those that are here, or whose payloads are; what an earlier call has brought needs none again."""
        lacking = self._machine.lacking(token, launches)
        asked = {attempt_of(each): each.spec.payload for each in lacking}
        came = await self._arrivals.own(asked, self._patience_s)
        # This very call may have come a second time, and may have taken more, in the meantime.
        absent = {attempt_of(each) for each in self._machine.lacking(token, lacking)} - came.keys()
        return [
            each._replace(spec=each.spec._replace(payload=came.get(attempt_of(each), each.spec.payload)))
            for each in launches
            if attempt_of(each) not in absent
        ]

    async def _launch_all(self) -> None:
        await answers_first()
        number = 0
        while self._to_launch:
            self._launch(self._to_launch.popleft())
            number += 1
            if number % _AT_ONCE == 0:
                await asyncio.sleep(0)
        self._start_runners()

    def _launch(self, launch: Launch) -> None:
        attempt_id = attempt_of(launch)
        try:
            if not self._machine.begins(attempt_id, tell_time(self._machine)):
                self._notify()
            elif is_packed(launch):
                self._packing.add(launch)
            else:
                self._tasks.launch(launch)
        except Exception as error:  # noqa: BLE001 - whatever Ray raises for one job must not keep the others
            self._refuse(attempt_id, error)

    def _refuse(self, attempt_id: AttemptId, error: Exception) -> None:
        now = tell_time(self._machine)
        self._machine.ended(attempt_id, failure(error, phase="launch"), worker_lost=False, now=now)
        self._notify()

    def _start_runners(self) -> None:
        for order in self._packing.orders():
            try:
                self._tasks.start(order)
            except Exception as error:  # noqa: BLE001 - whatever Ray raises for jobs of one kind must not keep the others
                for attempt_id in self._packing.refused(order.runner):
                    self._refuse(attempt_id, error)

    def _hear(self, runner: str, news: RunnerNews) -> None:
        for launch in self._packing.take(runner, news, tell_time(self._machine)):
            self._tasks.completed(launch)
        if news.ended:
            self._has_ended = True
            self._notify()

    def _take_runner(self, ended: EndedRunner) -> None:
        """A runner has ended: what it has not begun is run by others. What its worker has left says what that was."""
        runner, news, failed = ended
        if failed is not None:
            for attempt_id in self._packing.refused(runner):
                self._machine.ended(attempt_id, failed, worker_lost=False, now=tell_time(self._machine))
        if news is not None:
            self._hear(runner, news)
            self._over(runner, NOTHING_BEGUN)
        elif (pattern := self._packing.pattern_of(runner)) is None:
            self._over(runner, None)
        else:
            started, launch = pattern
            looking = self._look_into_runner(runner, started, launch)
            self._looking_into[runner, 0] = asyncio.get_running_loop().create_task(looking)

    async def _look_into_runner(self, runner: str, started: Started, launch: Launch) -> None:
        try:
            self._over(runner, await left_pack(runner, started, launch.context), started)
        finally:
            del self._looking_into[runner, 0]

    def _over(self, runner: str, left: LeftPackNews | None, started: Started | None = None) -> None:
        failed = lost_worker()
        if started is not None:
            failed = evolve(failed, node=started.node, pid=started.pid)
        for attempt_id in self._packing.over(runner, left, failed, tell_time(self._machine)):
            if started is not None:
                self._machine.started(attempt_id, started)
            self._lose(attempt_id, failed)
        self._start_runners()
        self._notify()

    def _take(self, ended_tasks: Sequence[EndedTask]) -> None:
        self._has_ended = True
        now = tell_time(self._machine)
        for attempt_id, finished, worker_lost in ended_tasks:
            if attempt_id in self._looking_into:
                continue
            if finished.printed is not None:
                self._machine.printed(attempt_id, finished.printed)
            if worker_lost and isinstance(finished.outcome, Failed) and self._lose(attempt_id, finished.outcome):
                continue
            self._machine.ended(
                attempt_id,
                finished.outcome,
                worker_lost=worker_lost,
                now=now,
                started=finished.started,
                used=finished.used,
                took_s=finished.took_s,
            )
        self._notify()

    def _lose(self, attempt_id: AttemptId, failed: Failed) -> bool:
        """Look into the loss of an attempt with its worker; False when its end is known."""
        known = self._machine.known_of(attempt_id)
        if known is None:
            return False
        looking = self._look_into(attempt_id, failed, known)
        self._looking_into[attempt_id] = asyncio.get_running_loop().create_task(looking)
        return True

    async def _look_into(self, attempt_id: AttemptId, failed: Failed, known: LostAttempt) -> None:
        """End an attempt whose worker has died, and take in what that has left: more than it had told.

        Where Ray does not know how it died, that is waited for, since it may say so.
        """
        try:
            death = self._tasks.death_of(known)
            told, counts = told_of(failed, known, death)
            at_once = known.is_stopped or is_known(death, known.last_words)
            if at_once:
                self._end_lost(attempt_id, told, counts=counts)
            left = await left_output(attempt_id[0], told.node, known.launch.context.runtime_env)
            if left is not None:
                self._machine.recovered(attempt_id, left.printed)
            if not at_once:
                told, counts = told_of(failed, known, death, left)
                self._end_lost(attempt_id, told, counts=counts)
        except Exception:  # noqa: BLE001 - whatever cannot be found out, the attempt is over
            _log.exception("what became of a job's worker could not be looked into")
            self._end_lost(attempt_id, failed, counts=True)
        finally:
            del self._looking_into[attempt_id]

    def _end_lost(self, attempt_id: AttemptId, failed: Failed, *, counts: bool) -> None:
        self._machine.ended(attempt_id, failed, worker_lost=True, now=tell_time(self._machine), counts=counts)
        self._notify()

    def _notify(self) -> None:
        """Answer the registry, if there is anything to tell: an answer without costs it, and the next one waits."""
        if self._machine.has_news:
            self._news.notify()

    def _cancel(self, cancels: Sequence[Cancel]) -> None:
        loop, now = asyncio.get_running_loop(), tell_time(self._machine)
        for attempt_id, force_at in cancels:
            runner = self._packing.stop(attempt_id, now)
            if runner is not None:
                self._stop_in_runner(runner, attempt_id, force_at)
            elif force_at > now:
                self._tasks.interrupt(attempt_id)
                loop.call_later(force_at - now, self._force, attempt_id)
            else:
                self._force(attempt_id)

    def _force(self, attempt_id: AttemptId) -> None:
        """End a job's worker. It is asked again: Ray forgets it while an interruption is on its way."""
        if self._tasks.force(attempt_id):
            asyncio.get_running_loop().call_later(_FORCE_AGAIN_S, self._force, attempt_id)

    def _stop_in_runner(self, runner: str, attempt_id: AttemptId, force_at: float) -> None:
        now = tell_time(self._machine)
        if self._packing.shares(runner):
            force_at = max(force_at, now + _ASIDE_S)
        if force_at > now:
            self._tasks.interrupt(runner)
            asyncio.get_running_loop().call_later(force_at - now, self._force_in_runner, runner, attempt_id)
        else:
            self._force_in_runner(runner, attempt_id)

    def _force_in_runner(self, runner: str, attempt_id: AttemptId) -> None:
        if self._packing.runner_of(attempt_id) == runner and self._tasks.force(runner):
            asyncio.get_running_loop().call_later(_FORCE_AGAIN_S, self._force_in_runner, runner, attempt_id)

    async def _watch(self) -> None:
        await asyncio.sleep(self._watch_after_s)
        began = time.monotonic()
        begun, runners = self._machine.begun(), self._packing.begun()
        if begun or runners:
            lost, lost_runners = await self._tasks.lost(begun, runners)
            self._take(lost)
            for each in lost_runners:
                self._take_runner(each)
        self._watch_after_s = max(_WATCH_S, (time.monotonic() - began) / _WATCH_SHARE)

    async def _sweep(self) -> None:
        await asyncio.sleep(_SWEEP_S)
        self._machine.sweep(tell_time(self._machine))
        self._packing.sweep()
        self._sweeps += 1
        if self._has_ended and self._sweeps % _RETURN_AFTER == 0:
            self._has_ended = False
            await asyncio.to_thread(return_memory)
