"""What goes wrong with whole processes, and with their calendars."""

from __future__ import annotations

from tests.ray_registry.sim_actions import Actions
from tests.ray_registry.sim_cluster import Cluster
from tests.ray_registry.sim_registry import SimRegistry


class Trouble(Actions):
    """Processes die, sleep and wake up; clusters die, or are cut off and go on; calendars are set."""

    def _set_calendar(self) -> None:
        """Somebody sets the calendar of a machine, by seconds, an hour or decades, or sets it right again."""
        dice = self.calendar_dice
        ahead_s = dice.choice((0.0, 0.0, 5.0, -5.0, 3600.0, -3600.0, 1e9))
        if dice.random() < 0.5:
            registry = dice.choice(self.registries)
            registry.ahead_s = ahead_s
            self.say("the calendar of {} is {} s ahead", registry.name, ahead_s)
        else:
            process = dice.choice(list(dice.choice(self.clusters).processes.values()))
            process.machine.set_calendar(ahead_s)
            self.say("the calendar of {} is {} s ahead", process.incarnation, ahead_s)

    def _trouble(self) -> None:
        cluster, registry = self.clusters[-1], self.registries[-1]
        process = self.dice.choice(list(cluster.processes.values()))
        luck = self.dice.random()
        if luck < 0.2:
            self._registry_dies(registry)
            self.begin_registry(cluster)
        elif luck < 0.4:
            self.say("{} falls asleep, and is taken for dead", registry.name)
            registry.is_paused = True
            self.begin_registry(cluster)
        elif luck < 0.55:
            for each in self.registries:
                if each.is_paused:
                    self.say("{} wakes up", each.name)
                    each.is_paused = False
        elif luck < 0.65:
            process.is_paused = not process.is_paused
            self.say("{} {}", process.incarnation, "falls asleep" if process.is_paused else "wakes up")
        elif luck < 0.7:
            self.say("{} dies", process.incarnation)
            cluster.begin(process.name)
        elif luck < 0.75:
            self.say("the node of {} is drained", process.incarnation)
            cluster.leaving.add(process.name)
        elif luck < 0.93:
            self._cluster_dies(cluster)
            self.begin_cluster()
        else:
            self.say("cluster {} is cut off and goes on; another one begins", cluster.number)
            self.begin_cluster()

    def _registry_dies(self, registry: SimRegistry) -> None:
        self.say("{} dies, {}", registry.name, " and ".join(each.what for each in registry.errands) or "doing nothing")
        for errand in registry.errands:
            self.disk.abandon(errand)
        registry.die()

    def _cluster_dies(self, cluster: Cluster) -> None:
        self.say("cluster {} dies", cluster.number)
        for registry in self.registries:
            if registry.cluster is cluster and not registry.is_dead:
                self._registry_dies(registry)
        self.clusters.remove(cluster)
        self.is_cluster_lost = not self.clusters
