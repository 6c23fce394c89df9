"""The registry: a detached actor that knows every job of its scopes and gives them to controllers.

What clients may call. `RegistryMachine` decides, `Shell` carries out; an answer leaves once all that it says is
durable.
"""

from __future__ import annotations

import asyncio
import logging
import platform
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from checkmaite.jobs import (
    BackendUnavailableError,
    BackpressureError,
    JobStatus,
    JobSubmissionError,
    PendingReason,
    Reuse,
    StoreError,
    UnconfirmedError,
)
from checkmaite.jobs.spi import HookReport, JobQuery, Metric
from checkmaite.jobs_ray.clock import tell_time
from checkmaite.jobs_ray.cluster import arrived, end_this_actor
from checkmaite.jobs_ray.config import RegistrySettings
from checkmaite.jobs_ray.handshake import check_client
from checkmaite.jobs_ray.journal.location import JournalLocation
from checkmaite.jobs_ray.registry.cluster import Cluster
from checkmaite.jobs_ray.registry.input_keeper import IN_MEMORY_BYTES
from checkmaite.jobs_ray.registry.journal_writer import JournalWriter
from checkmaite.jobs_ray.registry.model.contexts import RedactedContext
from checkmaite.jobs_ray.registry.model.record import JobRecord
from checkmaite.jobs_ray.registry.shell import Shell, Window
from checkmaite.jobs_ray.registry.storage import Storage
from checkmaite.jobs_ray.registry.subscriptions import Subscriptions
from checkmaite.jobs_ray.registry.walls import Walls
from checkmaite.jobs_ray.wire import Bundle, Change, Context, Cursor, JobFacts, JobSpec, ScopeFacts, named

_log = logging.getLogger("checkmaite.jobs")
_FORGET_S = 10.0
_RETRY_AFTER_S = 0.25
_PATIENCE_S = 20.0
"""A caller is told after so long that the journal does not answer."""
_END_AFTER_S = 1.0
_STUCK = "Until it answers no job starts and none is seen to end; those that have a worker run on."


class Around(NamedTuple):
    """All that a registry reaches beside its clients. The simulation gives it another one.

    Attributes:
        cluster: Ray, its controllers, and what workers reach.
        storage: Of the journal; None when it has none.
        window: See there.
    """

    cluster: Cluster
    storage: Storage | None
    window: Window = Window()


class JobRegistry:
    """The actor. All methods run on one event loop, and each may be called again after a lost reply.

    Args:
        settings: `RegistrySettings` as a mapping, with the actor's own ``name`` and ``namespace``.
        around: What it stands on; Ray, and threads that reach its journal, when None.
    """

    def __init__(self, settings: Mapping[str, Any], around: Around | None = None) -> None:
        named = dict(settings)
        self._name, namespace = named.pop("name"), named.pop("namespace")
        journal, address = named.pop("journal"), named.pop("where")
        self._settings = RegistrySettings(**named)
        if around is None:
            storage = None
            if journal is not None:
                location, private = JournalLocation.from_text(journal), self._settings.private_files
                storage = Storage(location.objects(namespace, self._name, private=private))
            around = Around(Cluster(namespace, self._settings), storage)
        self._cluster, self._window = around.cluster, around.window
        self._journal_writer = None
        if around.storage is not None:
            self._journal_writer = JournalWriter(around.storage, name=self._name, address=address)
        self._walls = self._journal_writer.walls if self._journal_writer else Walls(None)
        self._subscriptions = Subscriptions(
            lambda job_id: self._begun.result().machine.change(job_id),
            lambda job_id: self._begun.result().machine.table.goes_on(job_id),
        )
        self._submissions = 0
        loop = asyncio.get_running_loop()
        self._begun = loop.create_task(self._begin())
        self._forgetting = loop.create_task(self._forget_silent())

    # -- what clients call --------------------------------------------------------------------------------------------

    async def hello(self, client: Mapping[str, Any]) -> Mapping[str, Any]:
        """Whether this client and this registry understand each other; what this one runs and keeps to.

        A scope that has no key has that of the first client that shows one.

        Raises:
            IncompatibleVersionError: They do not.
            ScopeKeyError: The client's scope has a key that it has not shown.
            ConfigurationError: The client asks for settings that this registry does not have.
            BackendUnavailableError: The journal does not answer, or refuses what this registry opens it with.
        """
        answer = check_client(client, registry=self._name, settings=self._settings)
        try:
            shell = await self._shell(client["patience_s"])
            shell.commits.check()
            if self._journal_writer is not None and self._journal_writer.is_refused:
                raise self._waits()
        except Exception:
            if self._begun.done():  # it can do nothing any more: who configures again gets a new one
                end_this_actor(_END_AFTER_S)
            raise
        if await self._walls.meet(client["scope"], client["proof"]):
            self._subscriptions.forget_all()  # who knows the key follows its jobs again, and the others are refused
            await self._durable(shell)
        return answer

    # Each of these takes the proof that the client has shown with its hello, for a registry that has begun anew since.

    async def offer(self, scope: str, context: Context, proof: bytes | None = None) -> None:
        """A client supplies what the journal does not keep, for its scope's jobs of a lost cluster that wait for it."""
        shell = await self._admitted(scope, proof)
        shell.machine.offer(scope, context)
        shell.after()

    async def submit(
        self, client: str, specs: Sequence[JobSpec], contexts: Mapping[str, Context], proof: bytes | None = None
    ) -> list[JobFacts]:
        """Accept all of these jobs or none; the facts of the job that stands for each. The client follows them.

        Raises:
            UnconfirmedError: The journal does not answer: they are accepted once it does.
            BackpressureError: There is no room; nothing was accepted.
            JobSubmissionError: There never is room for so many; nothing was accepted.
        """
        self._submissions += 1
        try:
            if self._submissions > self._settings.registry_max_pending_calls:
                raise BackpressureError(
                    f"The registry {self._name!r} works on as many submissions as it may at once: "
                    f"registry_max_pending_calls={self._settings.registry_max_pending_calls}. Nothing was accepted.",
                    retry_after_s=_RETRY_AFTER_S,
                )
            await asyncio.sleep(0)  # lets all calls that have arrived be counted
            await self._admitted_to_all(specs, proof)
            received = [
                spec if type(spec.payload) is bytes else spec._replace(payload=arrived(spec.payload)) for spec in specs
            ]
            return await self._submit(client, received, contexts)
        finally:
            self._submissions -= 1

    async def plan(self, specs: Sequence[JobSpec], proof: bytes | None = None) -> list[Reuse | None]:
        """What `submit` would decide about each spec now; None where no job of its run is known."""
        return (await self._admitted_to_all(specs, proof)).machine.plan(specs)

    async def follow(
        self, client: str, jobs: Sequence[str], scope: str, context: Context | None, proof: bytes | None = None
    ) -> tuple[str, list[str]]:
        """Tell this client of these jobs from now on, beginning with what they are now.

        Returns:
            What the subscription is called, for its cursor; those of the jobs that the scope does not know.
        """
        if context is not None:
            await self.offer(scope, context, proof)
        records = (await self._admitted(scope, proof)).machine.table.records
        known = [job_id for job_id in jobs if job_id in records and records[job_id].spec.scope == scope]
        subscription = self._subscriptions.follow(client, known)
        self._subscriptions.tell(known)
        return subscription, sorted({*jobs}.difference(known))

    async def changes(
        self, client: str, received: Cursor, wait_s: float, patience_s: float
    ) -> tuple[Cursor, list[Change]] | None:
        """What changed of the jobs that a client follows, as soon as something does; nothing after `wait_s` seconds.

        Args:
            client: Who asks.
            received: How far it has heard; a lost answer is given again.
            wait_s: Seconds.
            patience_s: Seconds after which there is no news as long as the journal does not answer.

        Returns:
            How far it has heard then, and the changes. None when its subscription is not here, because the registry
            has begun anew or has forgotten the client: it must follow again, also when a later call made a new
            subscription, which does not know of the earlier jobs.
        """
        try:
            shell = await self._shell(patience_s)
        except BackendUnavailableError:
            if self._begun.done():
                raise
            return received, []
        answer = await self._subscriptions.changes(client, received, wait_s)
        try:
            if answer is not None:
                await self._durable(shell, patience_s)
                await shell.kept(each.job_id for each in answer[1])
        except BackendUnavailableError:
            shell.commits.check()
            return received, []  # they are given again
        return answer

    async def get(self, client: str, scope: str, job_id: str, proof: bytes | None = None) -> JobFacts:
        """What is known of a job; the client follows it.

        Raises:
            JobNotFoundError: The scope has no such job.
        """
        shell = await self._admitted(scope, proof)
        facts = shell.machine.facts(scope, job_id)
        self._subscriptions.follow(client, [job_id] if facts.outcome is None else [])
        await self._durable(shell)
        return facts

    async def list_jobs(self, client: str, scope: str, query: JobQuery, proof: bytes | None = None) -> list[JobFacts]:
        """The jobs of a scope that match, newest first; the client follows those that are not final."""
        shell = await self._admitted(scope, proof)
        found = shell.machine.list_jobs(scope, query)
        self._subscriptions.follow(client, [each.job_id for each in found if each.outcome is None])
        await self._durable(shell)
        return found

    async def scopes(self) -> tuple[str, list[ScopeFacts]]:
        """The host that this registry is on, and what is known of each of its scopes; of one with a key its name."""
        shell = await self._shell()
        found = shell.machine.table.summaries(self._walls.scopes())
        await self._durable(shell)
        return platform.node(), found

    async def cancel(self, scope: str, job_id: str, grace_s: float, proof: bytes | None = None) -> bool:
        """Begin to stop a job; whether it is, or is going to be, cancelled.

        Raises:
            JobNotFoundError: The scope has no such job.
            UnconfirmedError: The journal does not answer: it is cancelled once it does.
        """
        shell = await self._admitted(scope, proof)
        accepted = shell.machine.cancel(scope, job_id, grace_s, tell_time(shell.machine))
        shell.after()
        await self._confirmed(shell, f"{job_id} is not stopped yet, and will be", [job_id])
        return accepted

    async def explain(self, scope: str, job_id: str, proof: bytes | None = None) -> tuple[str, str]:
        """What keeps the registry from going on with any job, if something does, and why a job is where it is.

        Raises:
            JobNotFoundError: The scope has no such job.
        """
        shell = await self._admitted(scope, proof)
        said, short, program, reason = await self._why(shell, scope, job_id)
        sentence = reason.sentence if reason else ""
        return self._stuck, " ".join(
            part for part in (short, program, said, shell.unanswered(job_id), sentence) if part
        )

    async def pending_reason(self, scope: str, job_id: str, proof: bytes | None = None) -> PendingReason | None:
        """What a job waits for; None when it waits no more.

        Raises:
            JobNotFoundError: The scope has no such job.
        """
        *_, reason = await self._why(await self._admitted(scope, proof), scope, job_id)
        return reason

    async def _why(self, shell: Shell, scope: str, job_id: str) -> tuple[str, str, str, PendingReason | None]:
        """What the model says of a job, what is short, which program cannot be started, and the name of all that."""
        said, waiting = shell.machine.explain(scope, job_id)
        short = program = ""
        obstacles: list[PendingReason] = []
        if waiting is not None:
            short = shell.controllers_trouble()
            if short:
                obstacles.append(PendingReason.NO_CONTROLLER)
            else:
                short = self._cluster.shortage_of(waiting.resources)
                obstacles += [PendingReason.NO_NODE] * self._cluster.fits_no_node(waiting.resources)
            program = await self._cluster.start_obstacle_of(shell.machine.runtime_env_of(waiting))
            obstacles += [PendingReason.NO_PROGRAM] * bool(program)
        if self._stuck:
            obstacles.append(PendingReason.JOURNAL_SILENT)
        return said, short, program, shell.machine.pending_reason(scope, job_id, obstacles)

    async def logs(self, scope: str, job_id: str, proof: bytes | None = None) -> str | None:
        """What a job has printed; None when it is kept no more.

        Raises:
            JobNotFoundError: The scope has no such job.
            StoreError: It is kept beside the journal, and cannot be read.
        """
        shell = await self._admitted(scope, proof)
        return await shell.logs(scope, job_id)

    async def inputs(self, scope: str, job_id: str, proof: bytes | None = None) -> tuple[JobSpec, RedactedContext]:
        """What a finished job was given, its payload as bytes, and its context without secrets: to submit it again.

        Raises:
            JobNotFoundError: The scope has no such job.
            JobSubmissionError: It is not kept.
            StoreError: It is kept, and cannot be read.
            BackendUnavailableError: The journal does not answer.
        """
        shell = await self._admitted(scope, proof)
        record = shell.machine.table.of_scope(scope, job_id)
        await self._durable(shell)  # an end is looked after once it is, by the registry that leads
        found = await shell.inputs(job_id)
        if found is None:
            why = self._why_not_kept(record)
            raise JobSubmissionError(f"{job_id} cannot be run again by its id: {why}", phase="validate")
        return found

    async def metrics(self, scope: str, proof: bytes | None = None) -> list[Metric]:
        """What has happened to the jobs of a scope since this registry has begun, in numbers; see `Shell.metrics`."""
        return await (await self._admitted(scope, proof)).metrics(scope)

    async def hook_reports(self, scope: str, proof: bytes | None = None) -> list[HookReport]:
        """How the hooks of this registry are doing."""
        feed = (await self._admitted(scope, proof)).hook_feed
        return [] if feed is None else await feed.reports()

    async def settle_hooks(self, scope: str, timeout_s: float, proof: bytes | None = None) -> bool:
        """Wait until hooks have been told everything, at most so long; whether they have."""
        feed = (await self._admitted(scope, proof)).hook_feed
        return feed is None or await feed.settle(timeout_s)

    # -- inside -------------------------------------------------------------------------------------------------------

    async def _begin(self) -> Shell:
        table = await self._journal_writer.open() if self._journal_writer else None
        shell = Shell(
            self._name,
            self._cluster,
            self._settings,
            journal_writer=self._journal_writer,
            table=table,
            tell=self._subscriptions.tell,
            window=self._window,
        )
        await shell.recover()
        return shell

    async def _admitted(self, scope: str, proof: bytes | None) -> Shell:
        """The shell, for a client that may use a scope.

        Raises:
            ScopeKeyError: It may not.
            JobsError: See `_shell`.
        """
        shell = await self._shell()
        self._walls.check(scope, proof)
        return shell

    async def _admitted_to_all(self, specs: Sequence[JobSpec], proof: bytes | None) -> Shell:
        shell = await self._shell()
        for scope in {spec.scope for spec in specs}:
            self._walls.check(scope, proof)
        return shell

    async def _shell(self, patience_s: float = _PATIENCE_S) -> Shell:
        """The shell, once the registry has begun.

        Raises:
            BackendUnavailableError: It has not begun in time.
            JobsError: It cannot.
        """
        if self._begun.done():
            return self._begun.result()
        try:
            async with asyncio.timeout(patience_s):
                return await asyncio.shield(self._begun)
        except TimeoutError:
            raise self._waits() from None

    async def _durable(self, shell: Shell, patience_s: float = _PATIENCE_S) -> None:
        """Wait until everything that has happened so far is durable, and this registry has just been seen to lead.

        Raises:
            BackendUnavailableError: It is not in time, or another registry has taken over.
        """
        try:
            async with asyncio.timeout(patience_s):
                await shell.commits.durable()
                if self._journal_writer is not None and not await self._journal_writer.seems_led():
                    await shell.commits.prove()
        except (TimeoutError, StoreError) as error:
            raise self._waits(error) from None

    async def _confirmed(self, shell: Shell, what: str, job_ids: Sequence[str]) -> None:
        """Wait until what a client has asked for is durable.

        Raises:
            UnconfirmedError: It is not in time. It has happened, and comes true unless another registry takes over.
            BackendUnavailableError: It never will be.
        """
        try:
            await self._durable(shell)
        except BackendUnavailableError as error:
            shell.commits.check()
            raise UnconfirmedError(
                f"{error} What was asked for is not known to be durable: {what}, unless the registry dies before. The "
                "same call may be made again, and get_job() tells what became of it.",
                job_ids=job_ids,
            ) from None

    def _why_not_kept(self, record: JobRecord) -> str:
        """Why nobody has what a job was given, as sentences."""
        settings = self._settings
        if record.is_live:
            return f"it is {record.status}. Wait for it, or cancel it first."
        most = settings.max_kept_input_bytes
        if record.status is JobStatus.COMPLETED and settings.keep_inputs != "all":
            why = (
                "it is COMPLETED, and this registry keeps the inputs of jobs that failed or were cancelled. Start it "
                'with keep_inputs="all" to keep all.'
            )
        elif most == 0:
            why = (
                "this registry keeps no inputs (max_kept_input_bytes=0). Start it with another max_kept_input_bytes to "
                "keep those of later jobs."
            )
        elif self._journal_writer is not None:
            why = (
                "its inputs are not kept. Either there was no room beside those of other jobs "
                f"(max_kept_input_bytes={most}), or they could not be written, or an earlier version ended the job."
            )
        else:
            why = (
                "its inputs are not kept. Without a journal the registry keeps them in memory, where they are up to "
                f"32 KiB, and {min(most, IN_MEMORY_BYTES)} bytes of them in all. Pass journal_uri to keep more."
            )
        return f"{why} Submit it with submit_capability() and the same arguments."

    @property
    def _trouble(self) -> str:
        """Why nothing can be written down at the moment; empty when it can."""
        return self._journal_writer.trouble if self._journal_writer else ""

    @property
    def _stuck(self) -> str:
        """What that means for every job, as sentences."""
        return f"The journal in {self._trouble}. {_STUCK}" if self._trouble else ""

    def _waits(self, error: Exception | None = None) -> BackendUnavailableError:
        why = self._trouble or f"{self._settings.journal_uri} does not answer{f': {error}' if str(error or '') else ''}"
        return BackendUnavailableError(
            f"The journal in {why}. The registry {self._name!r} waits for it. {_STUCK} Try again later."
        )

    async def _submit(self, client: str, specs: Sequence[JobSpec], contexts: Mapping[str, Context]) -> list[JobFacts]:
        shell = await self._shell()
        machine, table = shell.machine, shell.machine.table
        kept = await shell.keep_payloads(specs)
        try:
            admissions = machine.submit(kept, contexts, tell_time(machine))
        except (BackpressureError, JobSubmissionError):
            shell.forget_payloads(kept)
            raise
        shell.forget_payloads(spec for spec, each in zip(kept, admissions, strict=True) if not each.is_new)
        self._cluster.keep_packages(context.runtime_env for context in contexts.values())
        found = [table.records[each.job_id] for each in admissions]
        self._subscriptions.follow(client, [record.spec.job_id for record in found if record.is_live])
        answers = zip(found, admissions, strict=True)
        facts = Bundle(table.facts(record, each.reuse) for record, each in answers)
        shell.after()
        job_ids = [each.job_id for each in admissions]
        await self._confirmed(shell, f"these jobs will be accepted: {named(job_ids)}", job_ids)
        await shell.taken([each.job_id for each in admissions if each.is_new])
        return facts

    async def _forget_silent(self) -> None:
        while True:
            await asyncio.sleep(_FORGET_S)
            self._subscriptions.forget_silent()
