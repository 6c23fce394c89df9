"""A registry and controllers that hear each other at once, for tests that go one step at a time."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from checkmaite.jobs import JobStatus
from checkmaite.jobs.spi import Completed, Outcome
from checkmaite.jobs_ray.controller.machine import ControllerMachine
from checkmaite.jobs_ray.journal.snapshot import restore, snapshot_rows
from checkmaite.jobs_ray.registry.model.admission import Admission
from checkmaite.jobs_ray.registry.model.job_table import JobTable, ReplayState
from checkmaite.jobs_ray.registry.model.lifecycle import AskStore, StopJobs
from checkmaite.jobs_ray.registry.model.machine import Assignment, RegistryMachine
from checkmaite.jobs_ray.registry.model.placement import Limits
from checkmaite.jobs_ray.registry.model.record import JobRecord
from checkmaite.jobs_ray.wire import Inventory, JobSpec, Stop

from tests.ray_registry.making import CONTEXT, CONTEXTS, CRASH, STARTED, check_table, completed, limits

NOTHING: Mapping[str, Completed] = {}
"""What a store holds that no run was stored in."""


class Rig:
    """What a shell does, without waiting for anything.

    Args:
        controllers: Their number; they are called a, b, c.
        within: The registry's limits.
    """

    def __init__(self, controllers: int = 1, within: Limits | None = None) -> None:
        self.now = 1000.0
        self.limits = within or limits()
        self.controllers = {name: new_controller(name) for name in "abc"[:controllers]}
        self.begin_registry(epoch=0)

    def begin_registry(self, epoch: int) -> None:
        """Another registry, which knows nothing but what the controllers tell it."""
        self.registry = RegistryMachine(self.limits, epoch=epoch)
        self._stops: list[StopJobs] = []
        self._asked: list[AskStore] = []
        self.tokens: dict[str, int] = {}
        self.cursors: dict[str, int] = {}
        for name in self.controllers:
            self.session(name)

    def take_over(self, epoch: int, rows: Sequence[Any] | None = None) -> None:
        """Another registry, which knows what its journal holds, and what the controllers have."""
        replayed = ReplayState()
        restore(replayed, self.rows() if rows is None else rows)
        self.registry = RegistryMachine(self.limits, epoch=epoch, table=JobTable.of(replayed), now=self.now)
        self._stops, self._asked = [], []
        self.registry.offer("scope", CONTEXT)
        for name in self.controllers:
            found = self._attach(name)
            self.registry.miss(name, self.tokens[name], "it was lost", self.now, served=found.served)
        self.check()

    def rows(self) -> Any:
        """What the journal holds."""
        return json.loads(json.dumps(list(snapshot_rows(self.registry.table))))

    def session(self, name: str, reason: str = "it was lost") -> None:
        """Attach to a controller, anew if that was done before."""
        self.lose(name, reason)
        self._attach(name)
        self.check()

    def lose(self, name: str, reason: str = "it died", stored: Mapping[str, Completed] | None = NOTHING) -> None:
        """A controller is gone, and the store answers."""
        self.registry.lose(name, reason, self.now)
        self.check()
        self.answer(stored)

    def asked(self) -> list[str]:
        """The jobs that the store is asked about and has not answered."""
        self._take_effects()
        return [spec.job_id for effect in self._asked for spec in effect.specs]

    def answer(self, stored: Mapping[str, Completed] | None = NOTHING) -> None:
        """The store says which of the runs that it was asked for it holds; None when it cannot."""
        asked = self.asked()
        self._asked.clear()
        self.registry.settle(asked, stored, self.now)
        self.check()

    def submit(self, *specs: JobSpec) -> list[Admission]:
        self.pass_time(0.25)
        admissions = self.registry.submit(specs, CONTEXTS, self.now)
        self.check()
        return admissions

    def place(self, *ready: str, limit: int = 100) -> list[Assignment]:
        """Give what waits to controllers, which do not hear of it yet."""
        assignments = self.registry.place(ready or tuple(self.controllers), limit, self.now)
        self.check()
        return assignments

    def go(self, *ready: str) -> None:
        """Give what waits to controllers, and let them confirm it."""
        for assignment in self.place(*ready):
            self.controllers[assignment.controller].launch(assignment.token, assignment.launches)
            taken = [launch.spec.job_id for launch in assignment.launches]
            self.registry.confirm(assignment, taken, self.now)
        self.check()

    def start(self, job_id: str) -> None:
        """A worker begins a job."""
        record = self.record(job_id)
        assert record.controller is not None
        self.controllers[record.controller].started((job_id, record.attempt), STARTED)
        self.hear()

    def end(
        self,
        job_id: str,
        outcome: Outcome | None = None,
        *,
        worker_lost: bool = False,
        counts: bool = True,
        in_doubt: bool = False,
        took_s: float | None = None,
    ) -> None:
        """A job's worker is done with it, and has told only now that it had begun, where it says what it took."""
        record = self.record(job_id)
        assert record.controller is not None
        self.pass_time(0.25)
        self.controllers[record.controller].ended(
            (job_id, record.attempt),
            outcome or completed(job_id),
            worker_lost=worker_lost,
            now=self.now,
            counts=counts,
            in_doubt=in_doubt,
            started=None if took_s is None else STARTED,
            took_s=took_s,
        )
        self.hear()

    def lose_worker(self, job_id: str, *, counts: bool = True, in_doubt: bool = False) -> None:
        self.end(job_id, CRASH, worker_lost=True, counts=counts, in_doubt=in_doubt)

    def run(self, spec: JobSpec, outcome: Outcome | None = None) -> None:
        """A job's whole life."""
        self.submit(spec)
        self.go()
        self.start(spec.job_id)
        self.end(spec.job_id, outcome)

    def hear(self) -> None:
        """Bring all reports to the registry."""
        for name, controller in self.controllers.items():
            last, reports = controller.reports(self.tokens[name], self.cursors[name])
            assert self.registry.report(name, self.tokens[name], reports, self.now)
            self.cursors[name] = last
        self.check()

    def cancel(self, job_id: str) -> bool:
        accepted = self.registry.cancel("scope", job_id, 5.0, self.now)
        self.check()
        return accepted

    def stops(self) -> list[tuple[str, Stop]]:
        """What controllers are to be told to end."""
        self._take_effects()
        told, self._stops = self._stops, []
        return [(effect.controller, stop) for effect in told for stop in effect.stops]

    def pass_time(self, seconds: float) -> None:
        self.now += seconds
        self.registry.tick(self.now)
        self.check()

    def record(self, job_id: str) -> JobRecord:
        return self.registry.table.records[job_id]

    def status(self, job_id: str) -> JobStatus:
        return self.record(job_id).status

    def outcome(self, job_id: str) -> Any:
        return self.registry.facts("scope", job_id).outcome

    def notes(self, job_id: str) -> str:
        return self.registry.explain("scope", job_id)[0]

    def check(self) -> None:
        check_table(self.registry.table)

    def _attach(self, name: str) -> Inventory:
        controller = self.controllers[name]
        token = self.tokens[name] = self.registry.grant(name, self.now)
        found = controller.attach(token, self.now)
        controller.keep(token, self.registry.adopt(name, token, found.jobs, self.now), self.now)
        self.cursors[name] = found.last
        return found

    def _take_effects(self) -> None:
        for effect in self.registry.take_effects():
            if isinstance(effect, AskStore):
                self._asked.append(effect)
            else:
                self._stops.append(effect)


def new_controller(incarnation: str, **changed: Any) -> ControllerMachine:
    kept: dict[str, Any] = {"retention_s": 100.0, "max_retained": 100, "max_log_characters": 1_000}
    return ControllerMachine(incarnation, **{**kept, **changed})
