"""The registry: a detached actor that knows every job of its scopes and gives them to controllers.

A thin shell. `RegistryMachine` decides; this module brings it what happens and carries out what it wants. Nothing is
awaited between reading and writing its state.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Mapping, Sequence
from typing import Any

from checkmaite.jobs import BackpressureError
from checkmaite.jobs.spi import JobQuery
from checkmaite.jobs_ray._actors._handshake import check_client
from checkmaite.jobs_ray._actors._link import Link
from checkmaite.jobs_ray._actors._signal import Bell
from checkmaite.jobs_ray._config import RegistrySettings
from checkmaite.jobs_ray._machine._followers import Followers
from checkmaite.jobs_ray._machine._limits import Limits
from checkmaite.jobs_ray._machine._record import Placed, Waiting
from checkmaite.jobs_ray._machine._registry import RegistryMachine
from checkmaite.jobs_ray._messages import Change, Draft, JobFacts
from checkmaite.jobs_ray._names import controller_name
from checkmaite.jobs_ray._ray._objects import keep_payload
from checkmaite.jobs_ray._ray._packages import Packages
from checkmaite.jobs_ray._ray._resources import shortage_of

_log = logging.getLogger("checkmaite.jobs")
_TICK_S = 0.5
_KEEP_S = 60.0
_BATCH = 500
"""Jobs in one call to a controller."""
_CHANGES = 5_000
"""Changes in one answer to a client."""
_CONFIRM_S = 2.0
"""A submission waits at most this long for controllers to take its jobs."""
_RECOVER_S = 10.0
"""A registry that has just begun waits at most this long for what the controllers know."""
_SILENT_S = 120.0
"""A client that has asked nothing for so long is forgotten; it may come back."""
_RETRY_AFTER_S = 0.25


class JobRegistry:
    """The actor. All methods run on one event loop, and each may be called again after a lost reply.

    Args:
        settings: `RegistrySettings` as a mapping, with the actor's own ``name`` and ``namespace``.
    """

    def __init__(self, settings: Mapping[str, Any]) -> None:
        named = dict(settings)
        self._name, namespace = named.pop("name"), named.pop("namespace")
        self._settings = kept = RegistrySettings(**named)
        # Later registries of this name must grant larger tokens, also after this one's process has died.
        self._machine = RegistryMachine(_limits(kept), epoch=time.time_ns() // 1_000)
        self._followers = Followers()
        self._bells: dict[str, Bell] = {}
        self._sent: dict[str, tuple[int, list[str]]] = {}
        self._placeable = asyncio.Event()
        self._confirmed = asyncio.Event()
        self._packages = Packages()
        self._submissions = 0
        self._links = {
            name: Link(name, namespace, kept, self._machine, self._after)
            for name in (controller_name(self._name, number) for number in range(kept.controller_pool_size))
        }
        loop = asyncio.get_running_loop()
        self._loops = [loop.create_task(link.run()) for link in self._links.values()]
        self._loops += [loop.create_task(self._place()), loop.create_task(self._tick())]
        self._loops.append(loop.create_task(self._keep_packages()))
        self._recovered = loop.create_task(self._recover())

    # -- what clients call --------------------------------------------------------------------------------------------

    async def hello(self, client: Mapping[str, Any]) -> Mapping[str, Any]:
        """Whether this client and this registry understand each other; what this one runs and keeps to.

        Raises:
            IncompatibleVersionError: They do not.
            ConfigurationError: The client asks for settings that this registry does not have.
        """
        return check_client(client, registry=self._name, settings=self._settings)

    async def submit(self, client: str, drafts: Sequence[Draft]) -> list[JobFacts]:
        """Accept all of these jobs or none; the facts of the job that stands for each. The client follows them.

        Raises:
            BackpressureError: There is no room; nothing was accepted.
        """
        self._submissions += 1
        try:
            if self._submissions > self._settings.registry_max_pending_calls:
                raise BackpressureError(
                    f"The registry {self._name!r} works on {self._settings.registry_max_pending_calls} submissions "
                    "already. Nothing was accepted.",
                    retry_after_s=_RETRY_AFTER_S,
                )
            await asyncio.sleep(0)  # lets all calls that have arrived be counted
            await asyncio.shield(self._recovered)
            return await self._submit(client, drafts)
        finally:
            self._submissions -= 1

    async def follow(self, client: str, jobs: Sequence[str]) -> list[str]:
        """Tell this client of these jobs from now on, beginning with what they are now; those that are not known."""
        await asyncio.shield(self._recovered)
        known = [job_id for job_id in jobs if self._machine.change(job_id) is not None]
        self._follow(client, known)
        self._followers.changed(known)
        self._bell(client).ring()
        return sorted({*jobs}.difference(known))

    async def changes(self, client: str, received: int, wait_s: float) -> tuple[int, list[Change]] | None:
        """What changed of the jobs that a client follows, as soon as something does; nothing after `wait_s` seconds.

        Args:
            client: Who asks.
            received: Number of the last answer that it has, 0 before the first; a lost one is given again.
            wait_s: Seconds.

        Returns:
            The answer's number, and the changes. None when the client is not known here, because the registry has begun
            anew: it must follow again.
        """
        if not self._followers.knows(client):
            return None
        number, sent = self._sent.get(client, (0, []))
        if number != received:
            self._followers.changed(sent)
            self._bell(client).ring()
        await self._bell(client).wait(wait_s)
        if not self._followers.knows(client):
            return None
        ids = self._followers.take(client, _CHANGES, time.time())
        if len(ids) == _CHANGES:
            self._bell(client).ring()
        self._sent[client] = number + 1, ids
        return number + 1, [change for job_id in ids if (change := self._machine.change(job_id)) is not None]

    async def get(self, client: str, scope: str, job_id: str) -> JobFacts:
        """What is known of a job; the client follows it.

        Raises:
            JobNotFoundError: The scope has no such job.
        """
        await asyncio.shield(self._recovered)
        facts = self._machine.facts(scope, job_id)
        self._follow(client, [job_id] if facts.outcome is None else [])
        return facts

    async def list_jobs(self, client: str, scope: str, query: JobQuery) -> list[JobFacts]:
        """The jobs of a scope that match, newest first; the client follows those that are not final."""
        await asyncio.shield(self._recovered)
        found = self._machine.list_jobs(scope, query)
        self._follow(client, [each.job_id for each in found if each.outcome is None])
        return found

    async def cancel(self, scope: str, job_id: str, grace_s: float) -> bool:
        """Begin to stop a job; False when it was final already.

        Raises:
            JobNotFoundError: The scope has no such job.
        """
        await asyncio.shield(self._recovered)
        accepted = self._machine.cancel(scope, job_id, grace_s, time.time())
        self._after()
        return accepted

    async def explain(self, scope: str, job_id: str) -> str:
        """Why a job is where it is.

        Raises:
            JobNotFoundError: The scope has no such job.
        """
        await asyncio.shield(self._recovered)
        said, waiting = self._machine.explain(scope, job_id)
        short = shortage_of(waiting.resources) if waiting is not None else ""
        return f"{short} {said}".strip()

    async def logs(self, scope: str, job_id: str) -> str | None:
        """What a job has printed; None when it is kept no more.

        Raises:
            JobNotFoundError: The scope has no such job.
        """
        await asyncio.shield(self._recovered)
        link = self._links.get(self._machine.controller_of(scope, job_id) or "")
        return None if link is None else await link.logs(job_id)

    # -- inside -------------------------------------------------------------------------------------------------------

    async def _submit(self, client: str, drafts: Sequence[Draft]) -> list[JobFacts]:
        kept = [draft._replace(payload=keep_payload(draft.payload)) for draft in drafts]
        admissions = self._machine.submit(kept, time.time())
        self._packages.keep({id(draft.runtime_env): draft.runtime_env for draft in drafts}.values())
        book = self._machine.book
        found = [book.records[each.job_id] for each in admissions]
        self._follow(client, [record.draft.job_id for record in found if record.is_live])
        self._after()
        await self._taken([each.job_id for each in admissions if each.is_new])
        return [book.facts(book.records.get(record.draft.job_id, record)) for record in found]

    async def _taken(self, jobs: Sequence[str]) -> None:
        """Wait until controllers have these jobs: until then they are known to this process alone."""
        records, left = self._machine.book.records, iter(jobs)
        try:
            async with asyncio.timeout(_CONFIRM_S):
                for job_id in left:
                    while job_id in records and isinstance(records[job_id].state, Waiting | Placed):
                        self._confirmed.clear()
                        await self._confirmed.wait()
        except TimeoutError:
            _log.info("some jobs wait for a controller longer than %g s", _CONFIRM_S)

    def _after(self) -> None:
        """Do what the machine wants done, after each time that it was told something."""
        self._machine.book.take_events()
        for effect in self._machine.take_effects():
            self._links[effect.controller].stop(effect)
        for client in self._followers.changed(self._machine.book.take_changed()):
            self._bell(client).ring()
        self._placeable.set()
        self._confirmed.set()

    async def _place(self) -> None:
        while True:
            await self._placeable.wait()
            self._placeable.clear()
            ready = [name for name, link in self._links.items() if link.is_ready]
            assignments = self._machine.place(ready, _BATCH, time.time()) if ready else []
            for each in assignments:
                self._links[each.controller].give(each)
            if assignments:
                self._after()

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(_TICK_S)
            now = time.time()
            self._machine.tick(now)
            for client in self._followers.drop_silent(now - _SILENT_S):
                del self._bells[client]
                self._sent.pop(client, None)
            self._after()

    async def _keep_packages(self) -> None:
        while True:
            await asyncio.sleep(_KEEP_S)
            self._packages.keep(each.draft.runtime_env for each in self._machine.book.live())

    async def _recover(self) -> None:
        """Learn from controllers that are there already what an earlier registry of this name had accepted."""
        try:
            async with asyncio.timeout(_RECOVER_S):
                for link in self._links.values():
                    await link.attached.wait()
        except TimeoutError:
            _log.warning("registry %s begins without some of its controllers", self._name)

    def _follow(self, client: str, jobs: Sequence[str]) -> None:
        self._followers.follow(client, jobs, time.time())
        self._bell(client)

    def _bell(self, client: str) -> Bell:
        return self._bells.setdefault(client, Bell())


def _limits(kept: RegistrySettings) -> Limits:
    return Limits(
        lease_ttl_s=kept.lease_ttl_s,
        max_active_jobs_per_scope=kept.max_active_jobs_per_scope,
        max_backlog=kept.controller_max_pending_calls * kept.controller_pool_size,
        terminal_job_retention_s=kept.terminal_job_retention_s,
        max_retained_terminal_jobs_per_scope=kept.max_retained_terminal_jobs_per_scope,
    )
