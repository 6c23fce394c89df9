"""What surrounds the registry's machine: it says what happens, and carries out what the machine wants.

What the machine decides is durable before anything follows from it, inside the cluster or out.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import defaultdict
from collections.abc import Callable, Coroutine, Iterable, Sequence
from functools import partial
from typing import Any, NamedTuple

from checkmaite.jobs.spi import SHORT_RUNS, Metric
from checkmaite.jobs_ray.clock import tell_time
from checkmaite.jobs_ray.config import RegistrySettings
from checkmaite.jobs_ray.loops import take_turns
from checkmaite.jobs_ray.registry.cluster import Cluster, UnanswerableError
from checkmaite.jobs_ray.registry.group_commit import GroupCommit
from checkmaite.jobs_ray.registry.hook_feed import HookFeed
from checkmaite.jobs_ray.registry.input_keeper import InputKeeper, Inputs
from checkmaite.jobs_ray.registry.job_output import JobOutput
from checkmaite.jobs_ray.registry.journal_writer import JournalWriter
from checkmaite.jobs_ray.registry.model.events import Event, Launched
from checkmaite.jobs_ray.registry.model.happenings import happenings
from checkmaite.jobs_ray.registry.model.job_table import JobTable
from checkmaite.jobs_ray.registry.model.lifecycle import AskStore, Effect, StopJobs
from checkmaite.jobs_ray.registry.model.machine import RegistryMachine
from checkmaite.jobs_ray.registry.model.placement import WINDOW, Limits
from checkmaite.jobs_ray.registry.model.record import Placed, Waiting
from checkmaite.jobs_ray.registry.model.tallies import Tallies, hook_metrics
from checkmaite.jobs_ray.registry.payloads import MEMORY_BYTES, PayloadObjects, Payloads, keep_payloads
from checkmaite.jobs_ray.registry.pool import ControllerPool
from checkmaite.jobs_ray.registry.session import ControllerSession
from checkmaite.jobs_ray.wire import JobSpec, StoredPayload

_log = logging.getLogger("checkmaite.jobs")
_TICK_S = 0.5
_KEEP_S = 60.0
_RETURN_S = 20.0
_PUBLISH_S = 5.0
_ASK_AGAIN_S = 5.0
_BATCH = 500
"""Jobs in one call to a controller."""
_CONFIRM_S = 2.0
"""Without a journal a submission waits at most this long for controllers to take its jobs."""
_ALL = 2**53
_KEPT_S = 5.0
"""The end of a job is told after so long at the latest, whether or not its output and its inputs are kept by then."""


class Window(NamedTuple):
    """How much of what is queued is more than a record in the registry's memory.

    Attributes:
        jobs: Of each kind, those that controllers have before a worker has begun them; see `registry.model.queue`.
        payload_bytes: Payloads in this process; those that are submitted beyond are beside the journal alone.
    """

    jobs: int = WINDOW
    payload_bytes: int = MEMORY_BYTES


_USUAL = Window()


class Shell:
    """The machine and everything that it touches, on one event loop. Nothing is awaited between reading and writing it.

    Args:
        name: The registry's.
        cluster: Where it and its controllers are.
        settings: What it keeps to.
        journal_writer: Its journal; None keeps jobs in memory only.
        table: What the journal holds.
        tell: Called with the ids of jobs that changed, once the change is durable.
        window: How much of what is queued is more than a record here.
    """

    def __init__(
        self,
        name: str,
        cluster: Cluster,
        settings: RegistrySettings,
        *,
        journal_writer: JournalWriter | None,
        table: JobTable | None,
        tell: Callable[[Sequence[str]], object],
        window: Window = _USUAL,
    ) -> None:
        # Later registries must grant larger tokens: after this one's process has died, and also when it goes on late.
        epoch = journal_writer.epoch if journal_writer else time.time_ns() // 1_000
        # Without a journal controllers are told of every job: what nobody else knows is lost with this process.
        limits = _limits(settings, window.jobs if journal_writer else _ALL)
        self.machine = RegistryMachine(limits, epoch=epoch, table=table, now=time.monotonic())
        self._journal_writer = journal_writer
        self._cluster = cluster
        self._window = window
        self._tell = tell
        self.commits = GroupCommit(journal_writer.write if journal_writer else None)
        self._placeable = asyncio.Event()
        self._confirmed = asyncio.Event()
        self._payload_objects = PayloadObjects(journal_writer.storage) if journal_writer else None
        payloads = Payloads(cluster, self._payload_objects, self.machine.table.goes_on)

        def session(controller: str) -> ControllerSession:
            told = self.machine, self.after, self.commits.durable
            return ControllerSession(controller, cluster, settings, *told, payloads)

        size = settings.controller_pool_size
        self.pool = ControllerPool(name, size, cluster, self.machine, session, self._placeable.set)
        self._output = JobOutput(settings, self.machine, cluster, self.pool.sessions, journal_writer)
        storage, names = (journal_writer.storage, journal_writer.inputs_before) if journal_writer else (None, ())
        self._inputs = InputKeeper(settings, self.machine.table, storage, names)
        self._chores: set[asyncio.Task[None]] = set()
        self._unanswered: dict[str, str] = {}
        self._late: dict[str, asyncio.Task[None]] = {}  # jobs whose end is told once what is kept of them is
        self._has_released = False
        self.hook_feed = HookFeed(cluster.hooks(name), settings.hooks) if settings.hooks else None
        self._tallies = Tallies()
        turns = self._place, self._tick, self._keep_packages, self._return_memory, self._publish
        loops = [*map(take_turns, turns), self._output.watch(self.pool.gathered)]
        if self.hook_feed is not None:
            loops.append(self.hook_feed.run())
        self._loops = [asyncio.get_running_loop().create_task(each) for each in loops]
        if journal_writer is not None:
            self._spawn(self._write())
            self._loops.append(asyncio.get_running_loop().create_task(journal_writer.watch(self.commits.prove)))
        self.after()

    def after(self, then: Iterable[Callable[[], object]] = ()) -> None:
        """Do what the machine wants done, each time that it was told something; and `then`, when that is durable."""
        table = self.machine.table
        events, changed, unneeded = table.take_events(), table.take_changed(), table.take_unneeded()
        effects, ended = self.machine.take_effects(), table.take_ended()
        self._tallies.note(events, table)
        if self.hook_feed is not None and (happened := happenings(events, table)):
            then = [*then, partial(self.hook_feed.add, happened)]
        self._placeable.set()  # first, so that what is submitted and where it is placed are written in one piece
        if events or changed or effects or then:
            # That Ray has a job follows from what is durable, and a short job's end comes soon after.
            can_wait = not (effects or then) and all(isinstance(each, Launched) for each in events)
            release = partial(self._release, events, effects, changed, unneeded, ended, then)
            self.commits.add(events, release, can_wait=can_wait)
        self._confirmed.set()

    async def keep_payloads(self, specs: Sequence[JobSpec]) -> list[JobSpec]:
        """The specs with payloads where they outlive this process, or at least do not fill its memory."""
        objects, cluster = self._payload_objects, self._cluster
        if objects is None:
            return [spec._replace(payload=cluster.keep_payload(spec.payload)) for spec in specs]
        return await keep_payloads(specs, self.machine, cluster, objects, self._window.payload_bytes)

    def forget_payloads(self, specs: Iterable[JobSpec]) -> None:
        """Delete the payloads of specs that came to nothing, but for those that are in one object with others."""
        if self._payload_objects is not None:
            keys = {spec.payload.key for spec in specs if isinstance(spec.payload, StoredPayload)}
            self._payload_objects.forget([key for key in sorted(keys) if not self.machine.table.needs(key)])

    async def taken(self, jobs: Sequence[str]) -> None:
        """Without a journal, wait until controllers have these jobs: before, they are known to this process alone."""
        if self._journal_writer is not None:
            return
        records, left = self.machine.table.records, iter(jobs)
        try:
            async with asyncio.timeout(_CONFIRM_S):
                for job_id in left:
                    while job_id in records and isinstance(records[job_id].state, Waiting | Placed):
                        self._confirmed.clear()
                        await self._confirmed.wait()
        except TimeoutError:
            _log.info("some jobs wait for a controller longer than %g s", _CONFIRM_S)

    async def recover(self) -> None:
        """Without a journal, learn from the controllers that are there what an earlier registry had accepted."""
        if self._journal_writer is None:
            await asyncio.shield(self.pool.gathered)

    def controllers_trouble(self) -> str:
        """Why no controller can take jobs, as a sentence; empty when one can."""
        return self.pool.trouble()

    async def logs(self, scope: str, job_id: str) -> str | None:
        """What a job has printed; None when it is kept no more.

        Raises:
            JobNotFoundError: The scope has no such job.
            StoreError: It is kept, and cannot be read.
        """
        self.machine.table.of_scope(scope, job_id)
        return await self._output.of(job_id)

    async def inputs(self, job_id: str) -> Inputs | None:
        """What a finished job was given, its payload as bytes; None when that is not kept.

        Raises:
            StoreError: It is kept, and cannot be read.
        """
        return await self._inputs.read(job_id)

    async def metrics(self, scope: str | None = None) -> list[Metric]:
        """What has happened to the jobs of a scope, or of all of them, since this process has begun, in numbers.

        Those of hooks are the registry's, whatever the scope, and count since their own process has begun.
        """
        of_hooks = [] if self.hook_feed is None else hook_metrics(await self.hook_feed.latest_reports())
        return [*self._tallies.metrics(self.machine.table, scope), *of_hooks]

    async def kept(self, jobs: Iterable[str]) -> None:
        """Wait until what is kept beyond the ends of these jobs is kept, or has had its time; they are durable."""
        late = {self._late[job_id] for job_id in jobs if job_id in self._late}
        if late:
            await asyncio.wait(late)

    def unanswered(self, job_id: str) -> str:
        """Why it is not known yet whether the store holds a job's run; empty when that is not asked."""
        why = self._unanswered.get(job_id)
        return f"The store has not answered yet: {why}" if why else ""

    # -- inside -------------------------------------------------------------------------------------------------------

    def _release(
        self,
        events: Sequence[Event],
        effects: list[Effect],
        changed: list[str],
        unneeded: list[str],
        ended: Sequence[Inputs],
        then: Iterable[Callable[[], object]],
    ) -> None:
        self._has_released = True
        late: defaultdict[str, list[asyncio.Future[None]]] = defaultdict(list)
        for under_way in (self._inputs.note(ended, events), self._output.note(events)):
            for job_id, kept in under_way.items():
                late[job_id].append(kept)
        for job_id, all_kept in late.items():
            self._late[job_id] = self._spawn(self._tell_when(job_id, all_kept))
        for effect in effects:
            match effect:
                case StopJobs():
                    self.pool.sessions[effect.controller].stop(effect)
                case AskStore():
                    self._spawn(self._ask(effect))
        for act in then:
            act()
        if self._payload_objects is not None:
            self._payload_objects.forget(self._inputs.released(unneeded))
        self._tell([job_id for job_id in changed if job_id not in late])

    async def _tell_when(self, job_id: str, kept: Iterable[asyncio.Future[None]]) -> None:
        """Tell of a job's end once its output and inputs are kept: whoever has heard of it may end the cluster."""
        await asyncio.wait({*kept}, timeout=_KEPT_S)
        del self._late[job_id]
        self._tell([job_id])

    async def _write(self) -> None:
        try:
            await self.commits.run()
        finally:
            self.pool.close()
            self._inputs.close()
            for loop in self._loops:  # another registry leads now: this one changes nothing any more
                loop.cancel()

    async def _place(self) -> None:
        await asyncio.shield(self.pool.gathered)  # else the first controller would get all jobs that were waiting
        await self._placeable.wait()
        self._placeable.clear()
        ready = self.pool.takers()
        assignments = self.machine.place(ready, _BATCH, tell_time(self.machine)) if ready else []
        for each in assignments:
            self.pool.sessions[each.controller].reserve()
        if assignments:
            self.after([partial(self.pool.sessions[each.controller].give, each) for each in assignments])

    async def _tick(self) -> None:
        await asyncio.sleep(_TICK_S)
        self.machine.tick(tell_time(self.machine))
        self.after()

    async def _keep_packages(self) -> None:
        await asyncio.sleep(_KEEP_S)
        self._cluster.keep_packages(context.runtime_env for context in self.machine.contexts())

    async def _publish(self) -> None:
        self._cluster.publish(await self.metrics())
        await asyncio.sleep(_PUBLISH_S)

    async def _return_memory(self) -> None:
        await asyncio.sleep(_RETURN_S)
        if self._has_released:
            self._has_released = False
            await self._cluster.return_memory()

    async def _ask(self, effect: AskStore) -> None:
        asked = [spec.job_id for spec in effect.specs]
        try:
            stored = await self._cluster.look_up(effect.context, effect.specs)
        except UnanswerableError as error:  # an attempt will meet the same, and the job's own end says so
            _log.warning("the store cannot be asked which runs it holds: %s", error)
            stored = {}
        except Exception as error:  # noqa: BLE001 - whatever Ray or a store raises, nothing is known: it is asked again
            _log.warning("the store cannot say which runs it holds", exc_info=True)
            said = str(error).strip().splitlines() or [type(error).__name__]
            self._unanswered |= dict.fromkeys(asked, said[-1])
            await asyncio.sleep(_ASK_AGAIN_S)
            self.machine.settle(asked, None, tell_time(self.machine))
            self.machine.ask()
            self.after()
            return
        for job_id in asked:
            self._unanswered.pop(job_id, None)
        self.machine.settle(asked, stored, tell_time(self.machine))
        self.after()

    def _spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(work)
        self._chores.add(task)
        task.add_done_callback(self._chores.discard)
        return task


def _limits(settings: RegistrySettings, window: int) -> Limits:
    return Limits(
        lease_ttl_s=settings.lease_ttl_s,
        max_active_jobs_per_scope=settings.max_active_jobs_per_scope,
        max_backlog=settings.controller_max_pending_calls * settings.controller_pool_size,
        terminal_job_retention_s=settings.terminal_job_retention_s,
        max_retained_terminal_jobs_per_scope=settings.max_retained_terminal_jobs_per_scope,
        window=window,
        short_runs=SHORT_RUNS if settings.packs_by_history else _ALL,
    )
