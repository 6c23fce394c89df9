"""What a registry costs that remembers 100,000 finished jobs.

By default the registry's logic is measured alone, in this process: it takes seconds to give it as many records.
``--long`` has a real registry run 100,000 jobs first.
"""

from __future__ import annotations

import itertools
import statistics
import time

import work
from checkmaite.jobs import list_jobs, submit_capabilities, submit_capability, wait_all
from checkmaite.jobs.spi import JobQuery
from cluster import Cluster
from figures import ROUNDS, Comparison, Figure, p50_ms
from logic import CONTEXTS, Logic, Remembered, remembered, spec

_FINISHED = Remembered.finished
_FEW = 100
_BATCH = 5_000
_TIMES = 200
_REAL_TIMES = 40
_numbers = itertools.count()


def history(cluster: Cluster) -> list[Figure]:
    return [*_logic_alone(), *(_real(cluster) if cluster.long else [])]


def _logic_alone() -> list[Figure]:
    little = Logic()
    little.end(little.start(_FEW))
    little.take()
    few, many = _Logic(little), _Logic(remembered().logic)
    return _compared("the registry's logic alone", few, many, ("submit", "list_jobs", "tick"))


class _Logic:
    """The rounds of a registry's logic."""

    def __init__(self, logic: Logic) -> None:
        self._logic = logic

    def submit(self) -> float:
        def told() -> None:
            self._logic.machine.submit([spec()], CONTEXTS, self._logic.now)
            self._logic.take()

        return p50_ms(told, _TIMES)

    def list_jobs(self) -> float:
        return p50_ms(lambda: self._logic.machine.list_jobs("scope", JobQuery(limit=_FEW)), _TIMES)

    def tick(self) -> float:
        return p50_ms(lambda: self._logic.machine.tick(self._logic.now), _TIMES)


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
        _turns(f"{where} with {_FINISHED:,} finished jobs against {_FEW}: {name}", name, few, many) for name in names
    ]


def _turns(title: str, name: str, few: _Logic | _Measured, many: _Logic | _Measured) -> Figure:
    """The two by turns, so that a noisy machine disturbs both."""
    one, other = getattr(few, name), getattr(many, name)
    one(), other()
    rounds = [(one(), other()) for _ in range(ROUNDS)]
    return Comparison(
        name=f"{title}, p50",
        unit="ms",
        baseline=[fewer for fewer, _ in rounds],
        measured=[more for _, more in rounds],
    ).at_most(1.5)
