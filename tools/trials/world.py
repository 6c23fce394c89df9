"""What befalls the processes of a trial, and what is seen of them afterwards."""

from __future__ import annotations

import os
import signal
import time
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from attrs import define, field

from tests.ray.clusters import CONTROLLER, REGISTRY
from tools.trials.invariants import Note
from tools.trials.machines import Machines
from tools.trials.notebooks import Notebook, client, read_notes, wrote
from tools.trials.places import SmallDisk
from tools.trials.plan import ClockStep, Fault, FullDisk, Kill, S3Fault, Trial, kind_of
from tools.trials.proxy import FaultProxy

_FIND_S = 5.0
"""So long a victim is looked for: the last one's successor may not be there yet."""
_CALM_S = 120.0
OPTIONS = {
    "idempotency_scope": "trial",
    "max_retries": -1,
    "max_attempts": 10_000,
    "scheduling_timeout_s": 1_200.0,
    "registry_update_timeout_s": 10.0,
    "heartbeat_interval_s": 0.5,
    "lease_ttl_s": 3.0,
    "store_maintenance_jobs": 20,
}


@define
class World:
    """One trial's processes.

    Attributes:
        done: What was done to them, counted.
        accidents: What happened that the trial has not done.
        left: Processes that work on when everything has ended.
    """

    trial: Trial
    folder: Path
    machines: Machines
    store: Mapping[str, Any]
    proxy: FaultProxy | None = None
    disk: SmallDisk | None = None
    done: Counter[str] = field(factory=Counter)
    accidents: list[str] = field(factory=list)
    left: list[str] = field(factory=list)
    notebooks: list[Notebook] = field(factory=list)
    _began: float = 0.0

    def run(self) -> None:
        """Let notebooks work while everything goes wrong, then let it calm down until they have finished."""
        (self.folder / "marks").mkdir()
        self.machines.clocks.reset()
        self.machines.start()
        self.notebooks = [Notebook(*each, self.folder) for each in enumerate(self.trial.notebooks)]
        self._began = time.monotonic()
        try:
            self._start_notebooks()
            self._wait_until(self._has_begun, "the first accepted job", 2 * _CALM_S)
            self._began = time.monotonic()
            self._suffer()
            self._calm_down()
        finally:
            for each in self.notebooks:
                each.kill()

    def audit(self) -> list[Note]:
        """What another client is told once everything has ended, and which processes work on afterwards."""
        log = self.folder / "audit.jsonl"
        auditor = client({"do": "audit"}, self.folder / "audit", self.options, log, self.machines.clocks.env("head"))
        try:
            self._wait_until(lambda: auditor.code is not None or wrote(log, "finished"), "the audit", 3 * _CALM_S)
            self._check_idle()
            if auditor.code is None:
                auditor.say("end everything")
                self._wait_until(lambda: auditor.code is not None, "the end of registry and controllers", _CALM_S)
        finally:
            auditor.kill()
        return read_notes(log)

    @property
    def options(self) -> dict[str, Any]:
        return {
            **OPTIONS,
            "address": self.machines.cluster.driver,
            "registry_namespace": f"trial-{self.folder.name}",
            "analytics_store": self.store,
            "controller_pool_size": self.trial.controllers,
        }

    # -- what goes wrong ----------------------------------------------------------------------------------------------

    def _suffer(self) -> None:
        ends: list[tuple[float, Fault]] = []
        for fault in self.trial.faults:
            self._pass_time(fault.at_s, ends)
            if self._befall(fault):
                self.done[kind_of(fault)] += 1
            if isinstance(fault, (S3Fault, FullDisk)):
                ends.append((self._now() + fault.seconds, fault))
        self._pass_time(max((at for at, _ in ends), default=0.0), ends)

    def _pass_time(self, until_s: float, ends: list[tuple[float, Fault]]) -> None:
        while True:
            for end in [each for each in ends if each[0] <= self._now()]:
                ends.remove(end)
                self._end(end[1])
            if self._now() >= until_s:
                return
            self._start_notebooks()
            time.sleep(0.02)

    def _befall(self, fault: Fault) -> bool:
        match fault:
            case Kill(what="client", number=number):
                return self.notebooks[number % len(self.notebooks)].kill()
            case Kill(what="node"):
                self.machines.kill_work_node()
                self.machines.start()
            case Kill(what="cluster"):
                for each in self.notebooks:
                    each.kill()
                self.machines.kill_all()
                self.machines.start()
            case Kill(what=what, number=number):
                return self._kill_one(what, number)
            case S3Fault(what=what, share=share):
                assert self.proxy is not None, "store and journal are on S3"
                self.proxy.trouble(what, share)
            case ClockStep(machine=machine, seconds=seconds):
                self.machines.clocks.set(machine, seconds)
            case FullDisk():
                assert self.disk is not None, "store and journal are on a small disk"
                self.disk.fill()
        return True

    def _end(self, fault: Fault) -> None:
        if isinstance(fault, S3Fault) and self.proxy is not None:
            self.proxy.trouble(None)
        if isinstance(fault, FullDisk) and self.disk is not None:
            self.disk.free()

    def _kill_one(self, what: str, number: int) -> bool:
        """Kill one of the processes of a kind, whether there was one."""
        deadline = time.monotonic() + _FIND_S
        while not (pids := self._victims(what)):
            if time.monotonic() > deadline:
                return False
            time.sleep(0.02)
        with suppress(ProcessLookupError):
            os.kill(pids[number % len(pids)], signal.SIGKILL)
            return True
        return False

    def _victims(self, what: str) -> list[int]:
        if what == "worker":
            return self.machines.working()
        return sorted(self.machines.cluster.pids({"controller": CONTROLLER, "registry": REGISTRY}[what]))

    # -- notebooks ----------------------------------------------------------------------------------------------------

    def _start_notebooks(self) -> None:
        for each in self.notebooks:
            if each.process is None:
                env = self.machines.clocks.env(f"notebook-{each.number}")
                each.start(self.options, env, time.monotonic() - self._began)
            elif code := each.process.code:
                self.accidents.append(f"notebook {each.number} ended with {code}: {each.process.errors()[-2000:]}")
                each.process = None

    def _has_begun(self) -> bool:
        return any(wrote(each.log, "accepted") for each in self.notebooks)

    def _calm_down(self) -> None:
        self._start_notebooks()
        self._wait_until(lambda: all(each.has_finished for each in self.notebooks), "the last notebook", 3 * _CALM_S)

    def _wait_until(self, condition: Callable[[], bool], what: str, timeout_s: float) -> None:
        deadline = time.monotonic() + timeout_s
        while not condition():
            if time.monotonic() > deadline:
                self.accidents.append(f"{what} did not come within {timeout_s:g} s")
                return
            time.sleep(0.05)

    def _check_idle(self) -> None:
        deadline = time.monotonic() + _CALM_S
        while (working := self.machines.working()) and time.monotonic() < deadline:
            time.sleep(0.1)
        self.left = [f"process {pid}: {self.machines.cluster.title(pid).strip()}" for pid in working]

    def _now(self) -> float:
        return time.monotonic() - self._began
