"""A registry, its journal, controllers, workers and clients, with everything that can go wrong, from one seed.

There are no threads and no clock: at each step the seed's dice choose what goes on. Storage calls fail, lose their
replies and take effect late; messages are delayed, repeated and lost; processes die or sleep anywhere, also within a
storage call; registries that sleep are superseded and wake up; whole clusters die, or are cut off and go on.

    python -m tests.ray_registry.simulation --seeds 0:10000

runs many seeds and says how many there were in a second. A seed that fails prints its story.
"""

from __future__ import annotations

import argparse
import sys
import time

from checkmaite.jobs_ray.journal.reading import Found, read_journal
from checkmaite.jobs_ray.journal.replay import table_of
from checkmaite.jobs_ray.journal.schema import snapshot_rows
from checkmaite.jobs_ray.registry.model.job_table import JobTable

from tests.ray_registry.making import check_table
from tests.ray_registry.sim_clients import CONTEXTS, Ask
from tests.ray_registry.sim_cluster import Cluster
from tests.ray_registry.sim_disk import Errand
from tests.ray_registry.sim_registry import SimRegistry
from tests.ray_registry.sim_trouble import Trouble
from tests.ray_registry.sim_truth import ViolationError, check_same

STEPS = 300
ROUNDS = 200


class Simulation(Trouble):
    """Everything that one seed makes happen."""

    def __init__(self, seed: int) -> None:
        super().__init__(seed)
        actions = [
            (30.0, self._storage),
            (28.0, self._registry_goes_on),
            (18.0, self._message),
            (9.0, self._controller_goes_on),
            (9.0, self._worker_goes_on),
            (10.0, self._client_asks),
            (2.0, self._time_passes),
            (1.0, self._late),
            (self.misfortune, self._trouble),
        ]
        self._actions = [action for _, action in actions]
        self._weights = [sum(weight for weight, _ in actions[: n + 1]) for n in range(len(actions))]

    def run(self) -> None:
        """Let everything happen, then let it calm down, and check what must be true."""
        try:
            self.begin_cluster()
            for action in self.dice.choices(self._actions, cum_weights=self._weights, k=STEPS):
                self.now += 0.001
                action()
            self._calm_down()
            self._check_end()
        except Exception as error:
            error.add_note(self.story(getattr(error, "jobs", ())))
            raise

    # -- the end ------------------------------------------------------------------------------------------------------

    def _calm_down(self) -> None:
        """All wake up, nothing goes wrong any more, and every client offers what it has."""
        self.say("everything calms down")
        self.disk.trouble = 0.0
        for registry in self.registries:
            registry.is_paused = False
        for number in range(ROUNDS):
            self.now += 0.1
            if number % 5 == 0:
                self._offer_all()
            self._round()
            leader = self._leading()
            if leader is None:
                if not any(each.state == "opening" for each in self.registries):
                    self.begin_registry(self.clusters[-1])
            elif leader.is_settled and not leader.errands and not any(True for _ in leader.machine.table.live()):
                return
        live = [each for each in self.truth.table.records.values() if each.is_live]
        raise ViolationError(f"never ended: {live}", [each.spec.job_id for each in live])

    def _offer_all(self) -> None:
        for registry in self.registries:
            if registry.state != "dead":
                registry.waits += [Ask("offer", scope=scope, job_id=name) for scope in "st" for name in CONTEXTS]

    def _leading(self) -> SimRegistry | None:
        for registry in self.registries:
            if registry.state == "open" and registry.journal.leader.id == self.leader:
                return registry
        return None

    def _round(self) -> None:
        """Let everything go on a little."""
        while self.disk.late:
            self.disk.catch_up()
        for registry in self.registries:
            for errand in list(registry.errands):
                for _ in range(20):
                    if errand.request is not None:
                        self._work_on(registry, errand)
            if registry.state in ("open", "over"):
                self._registry_round(registry)
        for cluster in self.clusters:
            self._cluster_round(cluster)

    def _registry_round(self, registry: SimRegistry) -> None:
        while registry.ready:
            registry.ready.popleft()()
        while registry.waits:
            self._look_at(registry, registry.waits.pop(0))
        while registry.answers:
            self._take_answer(registry, registry.answers.pop(0))
        while registry.asking:
            self._ask_store(registry)
        if registry.state == "open":
            for session in registry.sessions.values():
                if session.phase == "down":
                    session.attach()
            registry.place(100)
            registry.tick()
        if registry.wants_to_write:
            registry.write(1000)

    def _cluster_round(self, cluster: Cluster) -> None:
        for process in cluster.processes.values():
            process.is_paused = False
            calls, cluster.calls[process.name] = cluster.calls[process.name], []
            for call in calls:
                self._deliver(process, call)
                self._reply(call)
            cluster.controller_goes_on(process, self.now)
            while process.posts:
                self.now += 0.001
                process.hear(0, self.now)
        cluster.finish_all(self.now)

    def _check_end(self) -> None:
        leader = self._leading()
        assert leader is not None
        check_same(snapshot_rows(self.truth.table), leader.machine.table, leader.name)
        table = self._replayed()
        check_same(snapshot_rows(self.truth.table), table, "a reader")
        check_table(table, is_torn=True)
        check_table(leader.machine.table, is_torn=True)
        self._look_at(leader, Ask("list", scope="s"))
        self._look_at(leader, Ask("list", scope="t"))
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


def main() -> None:
    parser = argparse.ArgumentParser(description="Run seeds of the simulation.")
    parser.add_argument("--seeds", default="0:2000", help="one, or FIRST:END")
    first, _, end = parser.parse_args().seeds.partition(":")
    seeds = range(int(first), int(end) if end else int(first) + 1)
    begun = time.process_time()
    for seed in seeds:
        Simulation(seed).run()
    took = time.process_time() - begun
    sys.stdout.write(f"{len(seeds)} seeds in {took:.1f} s of CPU: {len(seeds) / took:.0f} in a second\n")


if __name__ == "__main__":
    main()
