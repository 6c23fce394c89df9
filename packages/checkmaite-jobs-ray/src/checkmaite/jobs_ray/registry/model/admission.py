"""Which job stands for a run that somebody submits: one that there is, or a new one."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import NamedTuple

from checkmaite.jobs import BackpressureError, JobSubmissionError, Problem, Reuse, ReuseKind
from checkmaite.jobs.spi import RUN, Comparison, compared, usable_trace
from checkmaite.jobs_ray.registry.model.events import Noted, Submitted
from checkmaite.jobs_ray.registry.model.job_table import JobTable
from checkmaite.jobs_ray.registry.model.known_contexts import KnownContexts
from checkmaite.jobs_ray.registry.model.lifecycle import Lifecycle
from checkmaite.jobs_ray.registry.model.placement import Limits
from checkmaite.jobs_ray.registry.model.record import JobRecord
from checkmaite.jobs_ray.wire import Context, JobSpec

_RETRY_AFTER_S = 0.5
_FORMER_KEY = "the run key: that job has the one that earlier versions gave to this run"
_FORCED = "It was submitted again with force=True while it was live."


class Admission(NamedTuple):
    """The answer to one spec: the job that stands for it, whether it is a new one, and what was decided."""

    job_id: str
    is_new: bool
    reuse: Reuse = RUN


class Decision(NamedTuple):
    """What is to become of one spec.

    Attributes:
        holder: The job that stands for its run; None for a new one.
        reuse: What to tell of that: whose result is used again, or which one a new job replaces, and why.
    """

    holder: str | None
    reuse: Reuse = RUN


class AdmissionControl:
    """Lets jobs in.

    Args:
        table: The jobs.
        contexts: Their contexts.
        lifecycle: What becomes of them.
        limits: The bounds to keep to.
    """

    def __init__(self, table: JobTable, contexts: KnownContexts, lifecycle: Lifecycle, limits: Limits) -> None:
        self._table = table
        self._contexts = contexts
        self._lifecycle = lifecycle
        self._limits = limits

    def submit(self, specs: Sequence[JobSpec], contexts: Mapping[str, Context], now: float) -> list[Admission]:
        """See `RegistryMachine.submit`."""
        decided = self.decide(specs)
        self._refuse_overload(
            Counter(spec.scope for spec, each in zip(specs, decided, strict=True) if each.holder is None)
        )
        return [self._admit(spec, each, contexts, now) for spec, each in zip(specs, decided, strict=True)]

    def decide(self, specs: Sequence[JobSpec]) -> list[Decision]:
        """For each spec which job stands for its run, or why a new one has to."""
        found: list[Decision] = []
        new: defaultdict[tuple[str, str], list[JobSpec]] = defaultdict(list)
        for spec in specs:
            alike = new[spec.scope, spec.run_key]
            decision = self._among(spec, alike) if alike else self._decision(spec)
            found.append(decision)
            if decision.holder is None:
                alike.append(spec)
        return found

    def _among(self, spec: JobSpec, alike: Sequence[JobSpec]) -> Decision:
        """The decision for a spec after others of its run in the same batch, which are jobs by then."""
        for each in reversed(alike):
            if (comparison := _agreeing(each, spec)) is not None:
                return Decision(each.job_id, _reuse(ReuseKind.REUSED, each, comparison))
        decision = self._decision(spec)
        if decision.holder is not None or spec.basis.policy == "never":
            return decision
        return Decision(None, _reuse(ReuseKind.STALE, alike[-1], _compared(alike[-1], spec)))

    def _decision(self, spec: JobSpec) -> Decision:
        records, index = self._table.records, self._table.scopes.get(spec.scope)
        if spec.job_id in records:
            return Decision(spec.job_id, records[spec.job_id].spec.basis.decided)
        if index is None:
            return Decision(None)
        former = spec.basis.former_key
        keys = (spec.run_key,) if former is None else (spec.run_key, former)
        live = [records[job_id] for key in keys for job_id in index.live_of(key)]
        completed = next((records[job_id] for key in keys if (job_id := index.completed.get(key))), None)
        is_forced = spec.basis.policy == "never"
        for record in live if live or is_forced else filter(None, (completed,)):
            if (comparison := _agreeing(record.spec, spec)) is not None:
                if record.spec.run_key != spec.run_key:
                    comparison = comparison._replace(unknown=(*comparison.unknown, _FORMER_KEY))
                return Decision(record.spec.job_id, _reuse(ReuseKind.REUSED, record.spec, comparison, record))
        newest = live[0] if live and not is_forced else completed
        if newest is None:
            return Decision(None)
        comparison = Comparison() if is_forced else _compared(newest.spec, spec)
        kind = ReuseKind.RUN if is_forced else ReuseKind.STALE
        return Decision(None, _reuse(kind, newest.spec, comparison, newest))

    def _admit(self, spec: JobSpec, decision: Decision, contexts: Mapping[str, Context], now: float) -> Admission:
        holder, reuse = decision
        if holder is not None:
            is_forced = spec.basis.policy == "never" and holder != spec.job_id
            if is_forced and _FORCED not in self._table.records[holder].notes:
                self._table.apply(Noted(holder, _FORCED))
            return Admission(holder, is_new=False, reuse=reuse)
        self._contexts.introduce(spec.context, contexts[spec.context])
        # The former key has done what it is for: it is the longest text that a job would be kept with.
        basis = spec.basis._replace(decided=reuse, former_key=None)
        spec = spec._replace(basis=basis, trace=usable_trace(spec.trace))
        self._table.apply(Submitted(spec, self._table.unique_date(), reuse.job_id))
        self._lifecycle.expect_worker(spec, 0, now)
        return Admission(spec.job_id, is_new=True, reuse=reuse)

    def _refuse_overload(self, wanted: Counter[str]) -> None:
        most = self._limits.max_active_jobs_per_scope
        for scope, count in wanted.items():
            if count > most:
                raise JobSubmissionError(
                    "Nothing was submitted.", phase="launch", problems=[_never(scope, count, most)]
                )
            live = len(self._table.scopes[scope].live) if scope in self._table.scopes else 0
            if live + count > most:
                raise BackpressureError(
                    f"The scope {scope!r} would have {live + count} live jobs, {count} of them new, which is more than "
                    f"max_active_jobs_per_scope={most}. Nothing was accepted.",
                    retry_after_s=_RETRY_AFTER_S,
                )
        backlog = self._table.waiting.due(self._limits.window) + self._table.unconfirmed
        if backlog and wanted and backlog + wanted.total() > self._limits.max_backlog:
            raise BackpressureError(
                f"Accepted jobs that wait for a controller to take them: {backlog}; no more than "
                f"{self._limits.max_backlog} may. Nothing was accepted.",
                retry_after_s=_RETRY_AFTER_S,
            )


def _compared(there: JobSpec, spec: JobSpec) -> Comparison:
    return compared(there.basis.prints, spec.basis.prints)


def _agreeing(there: JobSpec, spec: JobSpec) -> Comparison | None:
    """The comparison that lets the result of one stand for the other; None when it may not."""
    if spec.basis.policy == "always":
        return Comparison()
    comparison = _compared(there, spec)
    return None if comparison.differences else comparison


def _reuse(kind: ReuseKind, there: JobSpec, comparison: Comparison, record: JobRecord | None = None) -> Reuse:
    """That a job's result is used again or replaced; without a record, of a job of the same batch."""
    return Reuse(
        kind=kind,
        job_id=there.job_id,
        at=None if record is None else datetime.fromtimestamp(record.created_at, UTC),
        by=there.submitted_by,
        differences=comparison.differences,
        unknown=comparison.unknown,
    )


def _never(scope: str, count: int, most: int) -> Problem:
    """That a batch is too large for its scope even when nothing else is live."""
    return Problem(
        "submissions",
        f"{count:,} new jobs in one batch are more than the scope {scope!r} may have live at once, "
        f"max_active_jobs_per_scope={most:,}.",
        "Submit them in several calls, or have the registry started with a larger max_active_jobs_per_scope.",
    )
