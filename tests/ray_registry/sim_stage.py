"""What there is in a simulation, what its parts tell, and the story of it all."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from random import Random
from typing import Any

from checkmaite.jobs.spi import Failed
from checkmaite.jobs_ray.config import RegistrySettings
from checkmaite.jobs_ray.journal.format import Kind, decode
from checkmaite.jobs_ray.journal.schema import events_of
from checkmaite.jobs_ray.journal.snapshot import snapshot_rows
from checkmaite.jobs_ray.journal.storage import Journal
from checkmaite.jobs_ray.names import controller_name
from checkmaite.jobs_ray.registry.model.events import (
    Adopted,
    Ended,
    Event,
    Forgotten,
    OwnerLost,
    Requeued,
    Submitted,
)
from checkmaite.jobs_ray.registry.model.job_table import JobTable
from checkmaite.jobs_ray.wire import AttemptId

from tests.ray_registry.making import check_table, job_of
from tests.ray_registry.sim_clients import SCHEDULING_S, Ask, Clients, Refused
from tests.ray_registry.sim_cluster import Analytics, Cluster
from tests.ray_registry.sim_disk import Disk
from tests.ray_registry.sim_registry import SimRegistry
from tests.ray_registry.sim_truth import Truth, ViolationError, check_same

SETTINGS = RegistrySettings(
    lease_ttl_s=20.0,
    max_active_jobs_per_scope=8,
    controller_max_pending_calls=10,
    terminal_job_retention_s=200.0,
    max_retained_terminal_jobs_per_scope=6,
    max_kept_input_bytes=5 * 2**20,  # room for one object with payloads of several jobs
)
COUNTED_S = 1.0
"""A journal counts whole seconds."""
IN_SEQUENCE = frozenset({Kind.SEGMENT, Kind.FENCE})


class Stage:
    """The processes, the stores, and what is remembered of them.

    Attributes:
        truth: What is durable.
        leader: Id of the leader of the last fence.
        tail: Number of the last object of the journal that has come into being.
        at_fence: What was durable at each fence, for whoever leads from there.
        is_cluster_lost: Whether the only cluster died since the last fence.
        zeal: How many appends of one are followed by a snapshot.
        misfortune: How much goes wrong beside storage calls.
        since: When each job was accepted first, by a clock that nobody sets.
        ended: When each was final first, by that clock.
        starts: Those of jobs that have begun on a worker.
        calendar_dice: Choose who sets a calendar: it changes nothing of the rest of a story.
    """

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.dice = Random(seed)
        self.calendar_dice = Random(-seed - 1)
        self.now = 1000.0
        self.lines: list[tuple[float, str, tuple[Any, ...], Sequence[str]]] = []
        self.settings = SETTINGS
        self.runs: SimRegistry | None = None
        self.failures: list[BaseException] = []
        self.disk = Disk(
            self.dice, self._created, self._deleted, self.say, trouble=self.dice.choice((0.0, 0.02, 0.1, 0.3))
        )
        self.analytics = Analytics()
        self.truth = Truth(self.analytics)
        self.clients = Clients(self.truth)
        self.clusters: list[Cluster] = []
        self.starts: set[AttemptId] = set()
        self.registries: list[SimRegistry] = []
        self.leader = ""
        self.at_fence: dict[int, Iterator[Any]] = {}
        self.is_cluster_lost = False
        self.misfortune = self.dice.choice((0.3, 0.7, 1.0, 2.0))
        self.tail = 0
        self.zeal = self.dice.choice((0.1, 0.3, 0.8))
        self._nonces = 0
        self.since: dict[str, float] = {}
        self.ended: dict[str, float] = {}

    # -- what begins -------------------------------------------------------------------------------------------------

    def begin_cluster(self) -> None:
        number = self.clusters[-1].number + 1 if self.clusters else len(self.registries) + 1
        cluster = Cluster(
            number, self.dice, self.analytics, self.say, pool_size=self.dice.choice((1, 2)), begins=self._begins
        )
        for controller in range(cluster.pool_size):
            cluster.begin(controller_name("r", controller))
        self.clusters.append(cluster)
        self.begin_registry(cluster)

    def begin_registry(self, cluster: Cluster) -> None:
        registry = SimRegistry(self, cluster, len(self.registries) + 1)
        self.registries.append(registry)
        self.say("{} begins on cluster {}", registry.name, cluster.number)

    # -- what the parts tell ------------------------------------------------------------------------------------------

    def say(self, text: str, *about: Any, jobs: Sequence[str] = ()) -> None:
        """Remember it for the story."""
        self.lines.append((self.now, text, about, jobs))

    def story(self, jobs: Sequence[str]) -> str:
        """What went wrong, and what happened to these jobs, or to all."""
        wanted = frozenset(jobs)
        lines = [f"seed {self.seed}, about {', '.join(sorted(wanted)) or 'everything'}:"]
        for at, text, about, concerned in self.lines:
            if not wanted or not concerned or wanted.intersection(concerned):
                lines.append(f"  {at:9.3f} {text.format(*about) if about else text}")
        return "\n".join(lines)

    def _begins(self, attempt_id: AttemptId) -> None:
        """A job's start begins on a worker: once, whoever has had it before."""
        if attempt_id in self.starts:
            raise ViolationError(f"start {attempt_id[1]} of {attempt_id[0]} begins twice", [attempt_id[0]])
        self.starts.add(attempt_id)

    def new_nonce(self) -> str:
        self._nonces += 1
        return f"{self._nonces:016x}"

    @contextmanager
    def _noting_failures(self) -> Iterator[None]:
        """What is raised within is no affair of the code that is watched."""
        try:
            yield
        except Exception as error:  # noqa: BLE001 - it is raised when that code has had its turn
            self.failed(error)

    def failed(self, error: BaseException) -> None:
        """Something was raised that nobody has caught, or whose catcher goes on as if it were Ray's."""
        self.failures.append(error)

    def opened(self, registry: SimRegistry, journal: Journal, table: JobTable) -> None:
        """A registry has read the journal, up to its own fence."""
        with self._noting_failures():
            self._check_opened(registry, journal, table)

    def _check_opened(self, registry: SimRegistry, journal: Journal, table: JobTable) -> None:
        self.say("{} leads the journal from {} on", registry.name, journal.tail)
        if journal.tail not in self.at_fence:
            raise ViolationError(f"{registry.name} has no fence at {journal.tail}, or is not alone with it")
        check_same(self.at_fence.pop(journal.tail), table, registry.name)
        check_table(table, is_torn=True)

    def happened(self, registry: SimRegistry, events: Sequence[Event]) -> None:
        """A registry has decided something, which is not durable yet."""
        with self._noting_failures():
            self._check_retention(registry, [each.job_id for each in events if isinstance(each, Forgotten)])
            for event in events:
                job_id = job_of(event)
                self.say("{}: {}", registry.name, event, jobs=(job_id,))
                if isinstance(event, OwnerLost):
                    self._check_doubt(registry, job_id)
                elif isinstance(event, Submitted | Adopted):
                    self.since.setdefault(job_id, self.now)
                elif isinstance(event, Ended):
                    self._check_in_time(event)
                if isinstance(event, Requeued) and not event.attempted and self._leads(registry):
                    self._check_never_began(job_id)

    def answered(self, registry: SimRegistry, ask: Ask, answer: Any) -> None:
        """A client hears from a registry."""
        with self._noting_failures():
            self._hear(registry, ask, answer)

    def _hear(self, registry: SimRegistry, ask: Ask, answer: Any) -> None:
        about = [spec.job_id for spec in ask.specs] or [ask.job_id]
        if isinstance(answer, Refused):
            self.say("{} refuses {} of {}: {!r}", registry.name, ask.kind, about, answer.error, jobs=about)
            return
        said = [f"{each.job_id} {each.status}" for each in answer] if isinstance(answer, list) else answer
        jobs = about + [each.job_id for each in answer] if isinstance(answer, list) else about
        self.say("{} answers {} of {}: {}", registry.name, ask.kind, about, said, jobs=jobs)
        self.clients.answered(ask, answer)

    def _created(self, key: str, content: bytes) -> None:
        """An object of the journal has come into being: what is in it has happened for ever."""
        if not key.startswith("seg/"):
            return
        number = int(key.removeprefix("seg/"))
        if number <= self.tail:  # it was there, and pruned; a late create has brought it back
            assert f"snap/{number:012}" <= max(name for name in self.disk.objects if name.startswith("snap/")), key
            return
        assert number == self.tail + 1, f"{key} comes after {self.tail}"
        self.tail = number
        stored = decode(content, uri=key, kinds=IN_SEQUENCE, number=number)
        if stored.header.kind is Kind.FENCE:
            self.leader = stored.header.leader
            self.at_fence[number] = snapshot_rows(self.truth.table)
            if self.is_cluster_lost:
                self.is_cluster_lost = False
                self.truth.all_is_lost()
        else:
            self.truth.apply([*events_of(stored.rows())])

    def _deleted(self, key: str) -> None:
        if key.startswith("payload/"):
            self.truth.check_unneeded(key)

    def _check_doubt(self, registry: SimRegistry, job_id: str) -> None:
        """A job is given up only when its controller's process is gone, or could not be reached."""
        record = self.truth.table.records.get(job_id)
        if record is None or record.owner is None or not self._leads(registry):
            return
        controller = record.owner.controller
        if controller not in registry.cluster.processes:  # it is not of this pool
            return
        is_excused = controller in registry.excused
        start, token = (job_id, record.attempt), record.owner.token
        process = registry.cluster.processes[controller]
        task = process.machine._task(start)
        if task is not None and task.end is None and not is_excused:
            raise ViolationError(f"{job_id} is given up, and {process.incarnation} has it", [job_id])
        # A start that was taken over has the token of whoever has taken it over, and came under an earlier one.
        reached = token not in process.leases or any(given == start for _, given in process.all_taken)
        if not reached and not is_excused:
            raise ViolationError(f"{job_id} is taken for lost, and {process.incarnation} never got it", [job_id])

    def _check_in_time(self, event: Ended) -> None:
        """A job is ended for want of a worker only after its time, whatever calendars say."""
        self.ended.setdefault(event.job_id, self.now)
        ending = event.ending
        if isinstance(ending, Failed) and ending.error_type == "SchedulingTimeout":
            waited = self.now - self.since[event.job_id]
            if waited < SCHEDULING_S - 0.001:
                raise ViolationError(f"{event.job_id} was ended after {waited} s for want of a worker", [event.job_id])

    def _check_retention(self, registry: SimRegistry, forgotten: Sequence[str]) -> None:
        """Jobs are forgotten after their time, or because there are too many, whatever calendars say."""
        if not forgotten:
            return
        most, scopes = self.settings.max_retained_terminal_jobs_per_scope, registry.machine.table.scopes
        if any(len(index.finished) >= most for index in scopes.values()):
            return  # they were too many
        for job_id in forgotten:
            age = self.now - self.ended.get(job_id, self.now)
            if age + COUNTED_S < self.settings.terminal_job_retention_s:
                raise ViolationError(f"{job_id} was forgotten {age} s after its end", [job_id])

    def _leads(self, registry: SimRegistry) -> bool:
        """Whether what it decides can become durable, so that what is durable is what it knows."""
        return registry.journal.leader.id == self.leader

    def _check_never_began(self, job_id: str) -> None:
        """A start that does not count never came to a controller."""
        record = self.truth.table.records.get(job_id)
        if record is None or record.owner is None:
            return
        start = record.owner.token, (job_id, record.attempt)
        if any(start in each.all_taken for cluster in self.clusters for each in cluster.processes.values()):
            raise ViolationError(
                f"start {record.attempt} of {job_id} does not count, and a controller got it", [job_id]
            )
