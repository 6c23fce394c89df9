"""A registry, its journal, controllers, workers and clients, with everything that can go wrong, from one seed.

What runs is what ships: the registry's actor with its shell, the journal, the machines of registry and controllers.
There are no threads and no clock: at each step the seed's dice choose what goes on. Storage calls fail, lose their
replies and take effect late; messages are delayed, repeated and lost; processes die or sleep anywhere, also within a
storage call; registries that sleep are superseded and wake up; whole clusters die, or are cut off and go on.

    python -m tests.ray_registry.simulation --seeds 0:10000

runs many seeds and says how many there were in a second. A seed that fails prints its story. `hatch run simulate` runs
a million of them on two cores.
"""

from __future__ import annotations

import argparse
import gc
import sys
import time
import traceback
from concurrent.futures import ProcessPoolExecutor

from checkmaite.jobs_ray.journal.reading import Found, read_journal
from checkmaite.jobs_ray.journal.replay import table_of
from checkmaite.jobs_ray.journal.snapshot import snapshot_rows
from checkmaite.jobs_ray.registry.model.job_table import JobTable

from tests.ray_registry.making import check_table
from tests.ray_registry.sim_clients import CONTEXTS, Ask
from tests.ray_registry.sim_cluster import Cluster
from tests.ray_registry.sim_disk import Errand
from tests.ray_registry.sim_registry import SimRegistry
from tests.ray_registry.sim_time import simulated
from tests.ray_registry.sim_trouble import Trouble
from tests.ray_registry.sim_truth import ViolationError, check_same

STEPS = 400
ROUNDS = 400
ROUND_S = 0.5
CALLBACKS = 10_000
_PART = 50


class Simulation(Trouble):
    """Everything that one seed makes happen."""

    def __init__(self, seed: int) -> None:
        super().__init__(seed)
        actions = [
            (24.0, self._storage),
            (40.0, self._registry_goes_on),
            (18.0, self._message),
            (9.0, self._controller_goes_on),
            (9.0, self._worker_goes_on),
            (6.0, self._runner_goes_on),
            (8.0, self._client_asks),
            (4.0, self._client_listens),
            (3.0, self._store_answers),
            (6.0, self._next_timer),
            (1.5, self._time_passes),
            (1.0, self._late),
            (self.misfortune, self._trouble),
        ]
        self._actions = [action for _, action in actions]
        self._weights = [sum(weight for weight, _ in actions[: n + 1]) for n in range(len(actions))]

    def run(self) -> None:
        """Let everything happen, then let it calm down, and check what must be true."""
        with simulated(self):
            try:
                self.begin_cluster()
                for action in self.dice.choices(self._actions, cum_weights=self._weights, k=STEPS):
                    self.now += 0.001
                    if self.calendar_dice.random() < 0.01:
                        self._set_calendar()
                    action()
                    self._raise_failures()
                self._calm_down()
                self._check_end()
            except Exception as error:
                error.add_note(self.story(getattr(error, "jobs", ())))
                raise
            finally:
                for registry in self.registries:
                    registry.loop.die()

    def _raise_failures(self) -> None:
        if self.failures:
            raise self.failures[0]

    # -- the end ------------------------------------------------------------------------------------------------------

    def _calm_down(self) -> None:
        """All wake up, nothing goes wrong any more, and every client offers what it has."""
        self.say("everything calms down")
        self.disk.trouble = self.misfortune = 0.0
        for registry in self.registries:
            registry.is_paused = False
        for number in range(ROUNDS):
            if number % 10 == 0:
                self._offer_all()
            self._round()
            self._raise_failures()
            leader = self._leading()
            if leader is None:
                if all(each.is_dead or each.is_over for each in self.registries):
                    self.begin_registry(self.clusters[-1])
            elif self._is_calm(leader):
                return
        live = [each for each in self.truth.table.records.values() if each.is_live]
        waiting = {each.name: sorted(each.live) for each in self.clients.all}
        raise ViolationError(f"never ended: {live}; clients wait for {waiting}", [each.spec.job_id for each in live])

    def _is_calm(self, leader: SimRegistry) -> bool:
        """Whether all that was asked has come to its end, and everybody knows."""
        is_over = leader.is_settled and not any(True for _ in leader.machine.table.live())
        return is_over and not any(each.live for each in self.clients.all)

    def _offer_all(self) -> None:
        for registry in self.registries:
            if not registry.is_dead:
                for scope in "st":
                    for name in CONTEXTS:
                        self._ask(registry, Ask("offer", self.clients.all[0], scope=scope, job_id=name))

    def _leading(self) -> SimRegistry | None:
        for registry in self.registries:
            if registry.is_open and registry.journal.leader.id == self.leader:
                return registry
        return None

    def _round(self) -> None:
        """Let everything go on a little."""
        times = [at for each in self.registries if not each.is_dead and (at := each.loop.next_at) is not None]
        self.now = max(self.now + 0.001, min([*times, self.now + ROUND_S]))
        while self.disk.late:
            self.disk.catch_up()
        for client in self.clients.all:
            leader = self._leading()
            if client.live and leader is not None and client.parked_at is not leader:
                self._listen(client, leader)
        for registry in self.registries:
            if not registry.is_dead:
                self._registry_round(registry)
        for cluster in self.clusters:
            self._cluster_round(cluster)

    def _registry_round(self, registry: SimRegistry) -> None:
        while registry.loop.has_work or registry.errands:
            registry.run(CALLBACKS)
            for errand in list(registry.errands):
                while errand.request is not None:
                    self._work_on(registry, errand)
            while registry.asking:
                self._ask_store(registry)

    def _cluster_round(self, cluster: Cluster) -> None:
        for process in cluster.processes.values():
            process.is_paused = False
        self._messages_arrive(cluster)
        for process in cluster.processes.values():
            cluster.controller_goes_on(process, self.now)
            while process.posts:
                self.now += 0.001
                cluster.hear(process, 0, self.now)
        cluster.finish_all(self.now)

    def _check_end(self) -> None:
        leader = self._leading()
        assert leader is not None
        check_same(snapshot_rows(self.truth.table), leader.machine.table, leader.name)
        table = self._replayed()
        check_same(snapshot_rows(self.truth.table), table, "a reader")
        check_table(table, is_torn=True)
        check_table(leader.machine.table, is_torn=True)
        for scope in "st":
            self._ask(leader, Ask("list", self.clients.all[0], scope=scope))
        self._registry_round(leader)
        self._raise_failures()
        self.clients.check_final()

    def _replayed(self) -> JobTable:
        found: list[Found] = []
        errand = Errand("a reader", "read", read_journal("journal"), found.append, _raise)
        errand.go_on()
        while errand.request is not None:
            self.disk.work_on(errand)
            if errand.is_done:
                errand.go_on()
        return table_of(found[0])


def _raise(error: Exception) -> None:
    raise error


# -- many seeds --------------------------------------------------------------------------------------------------------


def story_of(seed: int) -> str | None:
    """What went wrong with a seed, and its story; None when all is as it must be."""
    try:
        Simulation(seed).run()
    except Exception as error:  # noqa: BLE001 - whatever it is, its seed and story are what helps
        return "".join(traceback.format_exception(error))
    return None


def _failures(seeds: range) -> tuple[list[tuple[int, str]], float]:
    """The stories of those seeds that fail, and how much CPU all of them took."""
    begun = time.process_time()
    failures = [(seed, story) for seed in seeds if (story := story_of(seed)) is not None]
    gc.collect()  # a simulation is one large circle: without this it is rarely looked for, in a process that grows
    return failures, time.process_time() - begun


def main() -> None:
    parser = argparse.ArgumentParser(description="Run seeds of the simulation.")
    parser.add_argument("--seeds", default="0:2000", help="one, or FIRST:END")
    parser.add_argument("--processes", type=int, default=1)
    given = parser.parse_args()
    first, _, last = given.seeds.partition(":")
    begin, end = int(first), int(last) if last else int(first) + 1
    parts = [range(number, min(number + _PART, end)) for number in range(begin, end, _PART)]
    took, failed = 0.0, 0
    with ProcessPoolExecutor(given.processes) as pool:
        for failures, part_took in pool.map(_failures, parts):
            took += part_took
            for seed, story in failures:
                sys.stdout.write(story if not failed else f"seed {seed} failed too\n")
                failed += 1
    seeds = end - begin
    sys.stdout.write(f"{seeds} seeds in {took:.1f} s of CPU: {seeds / took:.0f} in a second; {failed} failed\n")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
