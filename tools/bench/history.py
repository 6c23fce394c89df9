"""What a registry costs that remembers 100,000 finished jobs.

By default the registry's logic is measured alone, in this process: it takes seconds to give it as many records.
`--long` has a real registry run 100,000 jobs first.
"""

from __future__ import annotations

import itertools
import statistics
import time
from collections.abc import Callable, Iterator

import work
from checkmaite.jobs import CapabilityRunRef, Resources, list_jobs, submit_capabilities, submit_capability, wait_all
from checkmaite.jobs.spi import Completed, JobQuery, StoreSpec, Terms
from checkmaite.jobs_ray._machine._limits import Limits
from checkmaite.jobs_ray._machine._registry import RegistryMachine
from checkmaite.jobs_ray._messages import Context, Draft, EndReport, Policy
from cluster import Cluster
from figures import ROUNDS, Comparison, Figure, p50_ms

_FINISHED = 100_000
_FEW = 100
_BATCH = 5_000
_TIMES = 200
_REAL_TIMES = 40
_CONTEXTS = {"bench": Context(Terms(store=StoreSpec("null"), facts={}), None)}
_numbers = itertools.count()


def history(cluster: Cluster) -> list[Figure]:
    return [*_logic_alone(), *(_real(cluster) if cluster.long else [])]


def _logic_alone() -> list[Figure]:
    few, many = _Logic(_FEW), _Logic(_FINISHED)
    return _compared("the registry's logic alone", few, many, ("submit", "list_jobs", "tick"))


class _Logic:
    """The registry's logic with so many finished jobs of one scope."""

    def __init__(self, finished: int) -> None:
        self._now = 1e9
        self._machine = RegistryMachine(
            Limits(
                lease_ttl_s=1e9,
                max_active_jobs_per_scope=1_000_000,
                max_backlog=1_000_000,
                terminal_job_retention_s=1e9,
                max_retained_terminal_jobs_per_scope=1_000_000,
            )
        )
        self._token = self._machine.grant("controller", self._now)
        for first in range(0, finished, _BATCH):
            self._finish(min(_BATCH, finished - first))

    def submit(self) -> float:
        return p50_ms(lambda: self._told(lambda: self._machine.submit([_draft()], _CONTEXTS, self._now)), _TIMES)

    def list_jobs(self) -> float:
        return p50_ms(lambda: self._machine.list_jobs("scope", JobQuery(limit=_FEW)), _TIMES)

    def tick(self) -> float:
        return p50_ms(lambda: self._machine.tick(self._now), _TIMES)

    def _finish(self, count: int) -> None:
        machine = self._machine
        machine.submit([_draft() for _ in range(count)], _CONTEXTS, self._now)
        for each in machine.place(["controller"], count, self._now):
            jobs = [launch.draft.job_id for launch in each.launches]
            machine.confirm(each, jobs, self._now)
            done = Completed(ref=CapabilityRunRef(run_uid="run", capability_id="nothing"))
            machine.report(
                "controller", self._token, [EndReport(job, 1, done, False, self._now) for job in jobs], self._now
            )
        self._told(lambda: None)

    def _told(self, act: Callable[[], object]) -> None:
        """Do something, and take what came of it as the registry's shell does."""
        act()
        self._machine.book.take_events()
        self._machine.book.take_changed()
        self._machine.take_effects()


def _draft() -> Draft:
    number = next(_numbers)
    return Draft(
        job_id=f"job-{number}",
        scope="scope",
        run_key=f"key-{number}",
        job_name="nothing",
        capability_id="nothing",
        resources=Resources(),
        order=(f"job-{number}", 0.0, None, False, 0.5),
        payload=b"",
        context="bench",
        policy=Policy(max_retries=3, max_attempts=10, scheduling_timeout_s=None, resubmit=True),
        force=False,
    )


def _real(cluster: Cluster) -> list[Figure]:
    with cluster.registry():
        few = _Measured(_FEW)
    with cluster.registry():
        many = _Measured(_FINISHED)
    return _compared("a real registry", few, many, ("submit", "list_jobs"))


class _Measured:
    """The rounds of a real registry, taken when so many jobs have run on it."""

    def __init__(self, finished: int) -> None:
        for first in range(0, finished, _BATCH):
            wait_all(submit_capabilities([_job() for _ in range(min(_BATCH, finished - first))]))
        time.sleep(1)  # until the last batch is settled everywhere
        self._submits = iter([self._submit_ms() for _ in range(ROUNDS + 1)])
        self._lists = iter([p50_ms(lambda: list_jobs(limit=_FEW), _REAL_TIMES) for _ in range(ROUNDS + 1)])

    def submit(self) -> float:
        return next(self._submits)

    def list_jobs(self) -> float:
        return next(self._lists)

    def _submit_ms(self) -> float:
        took = []
        for _ in range(_REAL_TIMES):
            began = time.perf_counter()
            job = submit_capability(**_job())
            took.append(time.perf_counter() - began)
            job.result()
        return statistics.median(took) * 1000


def _job() -> dict[str, object]:
    return {"capability": work.Nothing(), "config": next(_numbers)}


def _compared(where: str, few: _Logic | _Measured, many: _Logic | _Measured, names: tuple[str, ...]) -> list[Figure]:
    return [
        Comparison(
            name=f"{where} with {_FINISHED:,} finished jobs against {_FEW}: {name}, p50",
            unit="ms",
            rounds=list(_rounds(getattr(few, name), getattr(many, name))),
        ).at_most(1.5)
        for name in names
    ]


def _rounds(one: Callable[[], float], other: Callable[[], float]) -> Iterator[tuple[float, float]]:
    one(), other()
    for _ in range(ROUNDS):
        yield one(), other()
