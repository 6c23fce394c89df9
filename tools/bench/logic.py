"""The registry's logic without Ray, in this process: with as many jobs as are wanted, and with a journal if wanted."""

from __future__ import annotations

import hashlib
import itertools
import pickle
import secrets
import tempfile
from datetime import UTC, datetime
from functools import cache

import work
from attrs import evolve
from checkmaite.jobs import CapabilityRunRef, Resources
from checkmaite.jobs.spi import Completed, ObjectStore, Started, StoreSpec, Terms
from checkmaite.jobs_ray.journal.runner import leader_here, new_nonce, perform
from checkmaite.jobs_ray.journal.schema import rows_of
from checkmaite.jobs_ray.journal.snapshot import snapshot_rows
from checkmaite.jobs_ray.journal.storage import lead
from checkmaite.jobs_ray.registry.model.events import Event
from checkmaite.jobs_ray.registry.model.machine import Assignment, RegistryMachine
from checkmaite.jobs_ray.registry.model.placement import Limits
from checkmaite.jobs_ray.wire import Basis, Context, EndReport, JobSpec, Order, Policy, StartReport

CONTEXTS = {"bench": Context(Terms(store=StoreSpec("null"), facts={}), None)}
_CONTROLLER = "controller"
_UNBOUNDED = Limits(
    lease_ttl_s=1e9,
    max_active_jobs_per_scope=1_000_000,
    max_backlog=1_000_000,
    terminal_job_retention_s=1e9,
    max_retained_terminal_jobs_per_scope=1_000_000,
    window=1_000_000,
)
_PAYLOAD = pickle.dumps((work.Nothing(), {"config": 0}))
_numbers = itertools.count()


class Logic:
    """A registry's machine, with one controller that has no workers.

    Args:
        retained: Finished jobs that it remembers.
    """

    def __init__(self, *, retained: int = 1_000_000) -> None:
        self.now = 1e9
        self.machine = RegistryMachine(evolve(_UNBOUNDED, max_retained_terminal_jobs_per_scope=retained))
        self._token = self.machine.grant(_CONTROLLER, self.now)

    def start(self, count: int, *, payload_bytes: int = 0) -> list[Assignment]:
        """Accept so many jobs and have them run."""
        self.now += 1
        self.machine.submit([spec(payload_bytes) for _ in range(count)], CONTEXTS, self.now)
        placed = self.machine.place([_CONTROLLER], count, self.now)
        for each in placed:
            self.machine.confirm(each, [launch.spec.job_id for launch in each.launches], self.now)
        return placed

    def end(self, placed: list[Assignment]) -> None:
        """Have jobs that run complete."""
        started = Started(node="worker-node", pid=4711, at=datetime.fromtimestamp(self.now, UTC))
        for each in placed:
            jobs = [(launch.spec.job_id, launch.spec.run_key) for launch in each.launches]
            starts = [StartReport(job_id, 1, started) for job_id, _ in jobs]
            ends = [EndReport(job_id, 1, _completed(run_key), False, self.now, started) for job_id, run_key in jobs]
            self.machine.report(_CONTROLLER, self._token, [*starts, *ends], self.now)

    def take(self) -> list[Event]:
        """What happened since this was asked last, and forget what else a shell would be told."""
        self.machine.table.take_changed()
        self.machine.table.take_unneeded()
        self.machine.take_effects()
        return self.machine.table.take_events()


class Journaled:
    """The logic with a journal, which is written as the registry's shell does it.

    Args:
        folder: Where the journal is.
        logic: The machine.
        batch: Jobs that are accepted at once; their events make two segments.
        snapshots: Whether to make them when they are due, and to delete what they cover.
    """

    def __init__(self, folder: str, logic: Logic, *, batch: int, snapshots: bool = True) -> None:
        self.logic = logic
        self._objects = ObjectStore(folder)
        self._batch = batch
        self._snapshots = snapshots
        self._journal, _ = perform(lead(folder, leader_here("bench"), new_nonce), self._objects)

    def finish(self, count: int, *, payload_bytes: int = 0) -> None:
        """Run so many jobs to their end."""
        for first in range(0, count, self._batch):
            placed = self.logic.start(min(self._batch, count - first), payload_bytes=payload_bytes)
            self.write()
            self.logic.end(placed)
            self.logic.machine.tick(self.logic.now)
            self.write()

    def write(self) -> None:
        """Write what has happened."""
        table = self.logic.machine.table
        perform(self._journal.append(rows_of(self.logic.take())), self._objects)
        if self._snapshots and self._journal.is_snapshot_due(len(table.records)):
            self.snapshot(prune=True)

    def snapshot(self, *, prune: bool) -> None:
        """Make a snapshot up to the last segment, and delete what two cover if that is wanted."""
        rows = snapshot_rows(self.logic.machine.table)
        perform(self._journal.snapshot(self._journal.tail, rows), self._objects)
        if prune:
            perform(self._journal.prune(), self._objects)


class Remembered:
    """A registry's logic that remembers 100,000 finished jobs and has 1,000 live ones, with its journal.

    Attributes:
        folder: Where the journal is: 90,000 of the jobs are in a snapshot, the others in segments.
        logic: The machine.
    """

    finished = 100_000
    in_snapshot = 90_000
    live = 1_000

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory()  # which lasts as long as this object
        self.folder = self._folder.name
        self.logic = Logic()
        written = Journaled(self.folder, self.logic, batch=500, snapshots=False)
        written.finish(self.in_snapshot)
        written.snapshot(prune=False)
        written.finish(self.finished - self.in_snapshot)
        self.logic.start(self.live)
        written.write()


remembered = cache(Remembered)
"""The one of this run: making it takes a while."""


def spec(payload_bytes: int = 0) -> JobSpec:
    """A job such as a client proposes it, ids and payload no more regular than theirs."""
    number, job_id = next(_numbers), secrets.token_hex(16)
    return JobSpec(
        job_id=job_id,
        scope="scope",
        run_key=hashlib.sha256(str(number).encode()).hexdigest(),
        job_name="nothing",
        capability_id="nothing",
        resources=Resources(),
        order=Order(1e9 + number),
        payload=secrets.token_bytes(payload_bytes) if payload_bytes else _PAYLOAD,
        context="bench",
        policy=Policy(max_retries=3, max_attempts=10, scheduling_timeout_s=None, resubmit=True),
        basis=Basis(),
    )


def _completed(run_uid: str) -> Completed:
    return Completed(ref=CapabilityRunRef(run_uid=run_uid, capability_id="nothing"))
