"""Counts what happens to a registry's jobs, by few labels: a monitoring system keeps each combination for ever."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

from checkmaite.jobs import JobStatus
from checkmaite.jobs.spi import HookReport, Metric, Started
from checkmaite.jobs_ray.registry.model.events import Ended, Event, Submitted, WorkerStarted
from checkmaite.jobs_ray.registry.model.job_table import JobTable
from checkmaite.jobs_ray.registry.model.record import Final, JobRecord

OTHER = "other"
"""What scopes and capabilities are called beyond the first ones."""
_SCOPES, _CAPABILITIES = 100, 50
_LIVE = JobStatus.PENDING, JobStatus.SCHEDULING, JobStatus.RUNNING
_WHOSE = "scope", "capability"
LIVE = "ray_checkmaite_jobs_live"
COUNTERS: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "ray_checkmaite_jobs_submitted_total": ("Jobs that were accepted", _WHOSE),
    "ray_checkmaite_jobs_started_total": ("Starts of jobs that a worker has begun", _WHOSE),
    "ray_checkmaite_jobs_wait_seconds_total": ("Seconds from the acceptance of jobs to their starts, in all", _WHOSE),
    "ray_checkmaite_jobs_finished_total": ("Jobs that have become final", (*_WHOSE, "status")),
    "ray_checkmaite_jobs_run_seconds_total": ("Seconds from the last start of jobs to their end, in all", _WHOSE),
}
"""Meaning and labels by name. Ray puts its own name before those of all metrics, and ``_total`` behind counters."""
_SUBMITTED, _STARTED, _WAITED, _FINISHED, _RAN = COUNTERS
HOOK_COUNTERS: Mapping[str, str] = {
    "ray_checkmaite_jobs_hook_told_total": "Events that a hook took without an error",
    "ray_checkmaite_jobs_hook_failed_total": "Events that a hook raised an exception for",
    "ray_checkmaite_jobs_hook_dropped_total": "Events that a hook was not told",
}
"""Meaning by name; the label of each is ``hook``. Hooks are a registry's, not a scope's."""
_TOLD, _FAILED, _DROPPED = HOOK_COUNTERS


class Tallies:
    """The counts since this registry's process has begun.

    Args:
        scopes: Scopes that have a label of their own.
        capabilities: Likewise of capabilities, in all scopes together.
    """

    def __init__(self, *, scopes: int = _SCOPES, capabilities: int = _CAPABILITIES) -> None:
        self._scopes, self._capabilities = _Labels(scopes), _Labels(capabilities)
        self._counts: dict[str, defaultdict[tuple[str, ...], float]] = {name: defaultdict(float) for name in COUNTERS}

    def note(self, events: Iterable[Event], table: JobTable) -> None:
        """Count what the table has just been changed by."""
        for event in events:
            if not isinstance(event, Submitted | WorkerStarted | Ended):
                continue
            record = table.records.get(event.job_id)
            if record is None:
                continue
            whose = self._scopes.of(record.spec.scope), self._capabilities.of(record.spec.capability_id)
            if isinstance(event, Submitted):
                self._counts[_SUBMITTED][whose] += 1
                continue
            if event.started is not None:  # the end of a short job says that it was begun
                self._begun(whose, record, event.started)
            if isinstance(event, Ended) and isinstance(record.state, Final):
                self._ended(whose, record, record.state)

    def metrics(self, table: JobTable, scope: str | None = None) -> list[Metric]:
        """All counts, and how many jobs are live.

        Args:
            table: As it is now.
            scope: The one to tell of; None for all.
        """
        live: defaultdict[tuple[str, ...], float] = defaultdict(float)
        for name, index in table.scopes.items():
            for status in _LIVE:
                live[self._scopes.of(name), str(status)] += index.count(status)
        kept = None if scope is None else self._scopes.of(scope)
        counters = [
            Metric(name, "counter", meaning, labels, _of_scope(self._counts[name], kept))
            for name, (meaning, labels) in COUNTERS.items()
        ]
        return [Metric(LIVE, "gauge", "Jobs that are not final", ("scope", "status"), _of_scope(live, kept)), *counters]

    def _begun(self, whose: tuple[str, ...], record: JobRecord, started: Started) -> None:
        self._counts[_STARTED][whose] += 1
        self._counts[_WAITED][whose] += max(0.0, started.at.timestamp() - record.created_at)

    def _ended(self, whose: tuple[str, ...], record: JobRecord, end: Final) -> None:
        self._counts[_FINISHED][*whose, str(record.status)] += 1
        if end.started is not None:
            self._counts[_RAN][whose] += max(0.0, end.at - end.started.at.timestamp())


def hook_metrics(reports: Sequence[HookReport]) -> list[Metric]:
    """How hooks are doing, in numbers: as many labels as the registry has hooks."""
    counts: dict[str, dict[tuple[str, ...], float]] = {
        _TOLD: {(each.name,): float(each.told) for each in reports},
        _FAILED: {(each.name,): float(each.failed) for each in reports},
        _DROPPED: {(each.name,): float(each.dropped) for each in reports},
    }
    return [Metric(name, "counter", meaning, ("hook",), counts[name]) for name, meaning in HOOK_COUNTERS.items()]


class _Labels:
    """The first names that come, and one for all others."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._known: set[str] = set()

    def of(self, name: str) -> str:
        if name not in self._known:
            if len(self._known) >= self._most:
                return OTHER
            self._known.add(name)
        return name


def _of_scope(counts: Mapping[tuple[str, ...], float], scope: str | None) -> Mapping[tuple[str, ...], float]:
    return {labels: number for labels, number in counts.items() if scope is None or labels[0] == scope}
