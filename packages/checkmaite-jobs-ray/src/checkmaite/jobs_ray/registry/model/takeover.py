"""What becomes of jobs that outlive a registry or a controller: those that controllers have, and unresolved ones."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping

from checkmaite.jobs.spi import Cancelled, Completed
from checkmaite.jobs_ray.registry.model.events import (
    Adopted,
    Launched,
    OwnerLost,
    Requeued,
    Resumed,
    StopAsked,
    WorkerStarted,
)
from checkmaite.jobs_ray.registry.model.job_table import JobTable
from checkmaite.jobs_ray.registry.model.known_contexts import KnownContexts
from checkmaite.jobs_ray.registry.model.lifecycle import AskStore, Lifecycle, superseded
from checkmaite.jobs_ray.registry.model.record import Final, JobRecord, Owner, Placed, Stopping, Unresolved
from checkmaite.jobs_ray.wire import ControllerJob, JobSpec, Stop


class Takeover:
    """Takes jobs over from controllers, and settles those whose controller is gone by asking the store.

    Args:
        table: The jobs.
        contexts: Their contexts.
        lifecycle: What becomes of them.
        retention_s: A job that ended longer ago, and that nobody knows any more, is not taken in again.
    """

    def __init__(self, table: JobTable, contexts: KnownContexts, lifecycle: Lifecycle, *, retention_s: float) -> None:
        self._table = table
        self._contexts = contexts
        self._lifecycle = lifecycle
        self._retention_s = retention_s
        self._asked: set[str] = set()
        self.ask()

    def adopt(self, owner: Owner, jobs: Iterable[ControllerJob], now: float) -> list[tuple[str, int]]:
        """Take over what a controller has; job id and attempt of what it shall keep. All else it must end."""
        keep = []
        for each in sorted(jobs, key=lambda one: one.launch.created_at):
            job_id, attempt = each.launch.spec.job_id, each.launch.attempt
            record = self._table.records.get(job_id)
            if record is None or (record.is_live and record.attempt < attempt):
                is_kept = self._learn(each, owner, now)
            elif record.owner is not None and (record.owner.controller, record.attempt) == (owner.controller, attempt):
                self._resume(record, each, owner, now)
                is_kept = True
            else:
                is_kept = is_end_of(record, owner.controller, each)
            if is_kept:
                keep.append((job_id, attempt))
        return keep

    def lose(self, controller: str, reason: str, now: float) -> None:
        """See `RegistryMachine.lose`."""
        for job_id in list(self._table.owned[controller]):
            self._leave_unresolved(self._table.records[job_id], reason, now)
        self.ask()

    def miss(self, owner: Owner, served: Collection[int], reason: str, now: float) -> None:
        """See `RegistryMachine.miss`."""
        for job_id in list(self._table.owned[owner.controller]):
            record = self._table.records[job_id]
            if record.owner == owner:
                continue
            if isinstance(record.state, Placed) and record.state.owner.token in served:
                self._table.apply(Requeued(job_id, None, attempted=False))
            else:
                self._leave_unresolved(record, reason, now)
        self.ask()

    def ask(self) -> None:
        """Have the store asked about the unresolved jobs, as far as their contexts are known."""
        asked: defaultdict[str, list[JobSpec]] = defaultdict(list)
        for job_id in self._table.unresolved:
            spec = self._table.records[job_id].spec
            if job_id not in self._asked and spec.context in self._contexts:
                asked[spec.context].append(spec)
                self._asked.add(job_id)
        self._lifecycle.effects += [AskStore(self._contexts[name], specs) for name, specs in asked.items()]

    def settle(self, asked: Iterable[str], stored: Mapping[str, Completed] | None, now: float) -> None:
        """See `RegistryMachine.settle`."""
        for job_id in asked:
            self._asked.discard(job_id)
            record = self._table.records.get(job_id)
            if stored is None or record is None or not isinstance(record.state, Unresolved):
                continue
            if job_id in stored:
                self._lifecycle.finish(record, stored[job_id], self._table.date)
            else:
                self._lifecycle.start_again_or_end(record, record.state.reason, now)

    def _leave_unresolved(self, record: JobRecord, reason: str, now: float) -> None:
        """A job's controller is gone: one that was being stopped has stopped, the others may have been stored."""
        if isinstance(record.state, Stopping):
            self._lifecycle.finish(record, record.state.then, self._table.date)
        else:
            self._table.apply(OwnerLost(record.spec.job_id, reason))

    def _learn(self, found: ControllerJob, owner: Owner, now: float) -> bool:
        """Learn a job, or a later attempt of one, from the controller that has it; whether it shall keep that."""
        (spec, context, attempt, created_at, supersedes, losses, past, _), started, told, end, age_s = found
        job_id, table, lifecycle = spec.job_id, self._table, self._lifecycle
        known = table.records.get(job_id)
        if known is None and end is not None and age_s >= self._retention_s:
            return False
        self._contexts.introduce(spec.context, context)
        table.apply(Adopted(spec, created_at, supersedes, attempt, losses, owner, tuple(past)))
        if started is not None:
            table.apply(WorkerStarted(job_id, started))
        then = Cancelled() if known is not None and known.is_cancelling else told
        if then is not None:
            table.apply(StopAsked(job_id, then))
        if end is not None:
            lifecycle.end(table.records[job_id], end, now)
        other = table.scopes[spec.scope].live.get(spec.identity)
        if table.records[job_id].is_live and other != job_id:
            lifecycle.finish(table.records[job_id], superseded(str(other)), table.date)
            return False
        if known is not None and known.owner is not None:
            lifecycle.tell(known.owner, Stop(job_id, known.attempt, 0.0, Cancelled()))
        if end is None and then is not None and told is None:
            lifecycle.tell(owner, Stop(job_id, attempt, 0.0, then))
        if end is None and started is None:
            lifecycle.expect_worker(spec, attempt - 1, now)
        return True

    def _resume(self, record: JobRecord, found: ControllerJob, owner: Owner, now: float) -> None:
        """Go on with an attempt that the journal knows and whose controller has it."""
        job_id, table = record.spec.job_id, self._table
        self._contexts.introduce(record.spec.context, found.launch.context)
        table.apply(Resumed(job_id, owner))
        if isinstance(record.state, Placed):
            table.apply(Launched(job_id, table.date))
        if found.started is not None and record.started is None:
            table.apply(WorkerStarted(job_id, found.started))
        if found.then is not None and not isinstance(record.state, Stopping):
            table.apply(StopAsked(job_id, found.then))
        if found.end is not None:
            self._lifecycle.end(table.records[job_id], found.end, now)
        elif found.then is None and isinstance(record.state, Stopping):
            self._lifecycle.tell(owner, Stop(job_id, record.attempt, 0.0, record.state.then))


def is_end_of(record: JobRecord, controller: str, found: ControllerJob) -> bool:
    """Whether a job ended as a controller remembers it, so that its output is to be found there."""
    state, end = record.state, found.end
    return (
        isinstance(state, Final)
        and end is not None
        and (record.controller, record.attempt, state.at) == (controller, end.attempt, end.at)
    )
