"""What goes on, a little at a time: each method does one thing that can be done, if there is any."""

from __future__ import annotations

from checkmaite.jobs_ray.wire import Launch

from tests.ray_registry.making import check_controller
from tests.ray_registry.sim_clients import CONTEXTS, Ask
from tests.ray_registry.sim_cluster import Lent
from tests.ray_registry.sim_disk import Errand
from tests.ray_registry.sim_registry import SimRegistry
from tests.ray_registry.sim_stage import Stage
from tests.ray_registry.world import Call, Process

LOST = "lost"
"""Stands for the answer to a call that was lost, or whose answer was."""


class Actions(Stage):
    """The processes go on, messages travel, workers work, clients ask, time passes."""

    def _storage(self) -> None:
        working = [each for each in self.registries if each.errands]
        if working:
            registry = self._mostly_last(working)
            errand = self.dice.choice(registry.errands)
            if registry.is_awake:
                self._work_on(registry, errand)
            elif not errand.is_done and self.dice.random() < 0.1:
                self.disk.work_on(errand)

    def _mostly_last(self, registries: list[SimRegistry]) -> SimRegistry:
        return registries[-1] if self.dice.random() < 0.7 else self.dice.choice(registries)

    def _work_on(self, registry: SimRegistry, errand: Errand) -> None:
        if not errand.is_done:
            self.disk.work_on(errand)
            if not errand.is_done or self.dice.random() < 0.4:
                return
        registry.go_on(errand)

    def _registry_goes_on(self) -> None:
        open_ones = [each for each in self.registries if each.is_awake and each.state in ("open", "over")]
        if not open_ones:
            return
        registry = self._mostly_last(open_ones)
        if registry.ready:
            registry.ready.popleft()()
            return
        luck = self.dice.random()
        if registry.answers and luck < 0.5:
            self._take_answer(registry, registry.answers.pop(self.dice.randrange(len(registry.answers))))
        elif registry.waits and luck < 0.6:
            self._look_at(registry, registry.waits.pop(0))
        elif registry.asking and luck < 0.7:
            self._ask_store(registry)
        elif registry.wants_to_write and luck < 0.9:
            registry.write(self.dice.choice((1, 3, 100, 100)))
        elif registry.state == "open":
            down = [session for session in registry.sessions.values() if session.phase == "down"]
            if down:
                self.dice.choice(down).attach()
            else:
                registry.place(self.dice.choice((1, 100)))

    def _look_at(self, registry: SimRegistry, ask: Ask) -> None:
        ask.before = dict(self.clients.told)
        ask.was_led = registry.journal.leader.id == self.leader
        registry.desk.look_at(ask)

    def _ask_store(self, registry: SimRegistry) -> None:
        effect = registry.asking.pop(self.dice.randrange(len(registry.asking)))
        if self.dice.random() < 0.2:
            self.say("the analytics store does not answer {}", registry.name)
            registry.asked(effect, None)
            return
        records = registry.machine.table.records
        asked = [spec for spec in effect.specs if spec.job_id in records]
        found = {spec.job_id: self.analytics.ask(spec, records[spec.job_id].attempt) for spec in asked}
        registry.asked(effect, {job_id: each for job_id, each in found.items() if each is not None})

    def _message(self) -> None:
        ways = [
            (cluster, process)
            for cluster in self.clusters
            for process in cluster.processes.values()
            if cluster.calls[process.name] and not process.is_paused
        ]
        if not ways:
            return
        cluster, process = self.dice.choice(ways)
        calls = cluster.calls[process.name]
        call = calls.pop(self.dice.randrange(len(calls)))
        luck = self.dice.random() * 40 / self.misfortune
        if luck < 1:
            self._lose(call)
        else:
            self._deliver(process, call)
            if luck < 2:
                self.say("{} arrives twice at {}", call.method, call.controller)
                again = process.carry_out(call, self.now, self._is_away)
                if call.method == "launch":  # a repeated call, whose first answer nobody hears
                    call.answer = again
            if 2 <= luck < 3:
                self._lose(call)
            else:
                self._reply(call)

    def _deliver(self, process: Process, call: Call) -> None:
        call.answer = process.carry_out(call, self.now, self._is_away)
        if call.method in ("keep", "attach", "launch"):
            check_controller(process.machine)

    def _is_away(self, launch: Launch) -> bool:
        return isinstance(launch.spec.payload, Lent) and self.dice.random() * 10 < self.misfortune

    def _lose(self, call: Call) -> None:
        if call.method == "incarnation" and self.dice.random() < 0.7:
            return self._reply_later(call)
        self.say("{} of registry {} to {}, or its answer, is lost", call.method, call.registry, call.controller)
        call.answer = LOST
        self._reply(call)
        return None

    def _reply_later(self, call: Call) -> None:
        registry = self.registries[call.registry - 1]
        registry.cluster.calls[call.controller].append(call)

    def _reply(self, call: Call) -> None:
        registry = self.registries[call.registry - 1]
        if registry.state != "dead":
            registry.answers.append(call)

    def _take_answer(self, registry: SimRegistry, call: Call) -> None:
        session = registry.sessions[call.controller]
        if call.answer == LOST:
            call.answer = None
            session.lost(call, registry.cluster.processes[call.controller].incarnation)
        else:
            session.answer(call)

    def _controller_goes_on(self) -> None:
        ready = [
            (cluster, process)
            for cluster in self.clusters
            for process in cluster.processes.values()
            if not process.is_paused and (process.taken or process.posts)
        ]
        if ready:
            cluster, process = self.dice.choice(ready)
            cluster.controller_goes_on(process, self.now)

    def _worker_goes_on(self) -> None:
        works = [(cluster, process, work) for cluster in self.clusters for process, work in cluster.works]
        if works:
            cluster, process, work = self.dice.choice(works)
            cluster.worker_goes_on(process, work, self.now)

    def _client_asks(self) -> None:
        alive = [each for each in self.registries if each.state != "dead"]
        registry = self.registries[-1] if self.dice.random() < 0.85 else self.dice.choice(alive)
        ask = self._some_ask()
        if ask is not None and registry.state != "dead":
            about = [spec.job_id for spec in ask.specs] or [ask.job_id]
            self.say("a client asks {} to {} {}", registry.name, ask.kind, about, jobs=about)
            registry.waits.append(ask)
            if ask.kind == "submit" and self.dice.random() < 0.25:
                other = self.dice.choice((registry, self.dice.choice(alive)))
                self.say("and the same of {}", other.name, jobs=about)
                other.waits.append(Ask("submit", specs=ask.specs))

    def _some_ask(self) -> Ask | None:
        dice, luck = self.dice, self.dice.random()
        if luck < 0.35:
            return Ask("submit", specs=self.clients.new_batch(dice))
        if luck < 0.5:
            return Ask("submit", specs=dice.choice(self.clients.batches[-4:])) if self.clients.batches else None
        if luck < 0.6:
            return Ask("offer", scope=dice.choice("st"), job_id=dice.choice(tuple(CONTEXTS)))
        if luck < 0.75:
            return Ask("changes")
        if luck < 0.85:
            return Ask("list", scope=dice.choice("st"))
        specs = [spec for batch in self.clients.batches for spec in batch]
        if not specs:
            return None
        spec = dice.choice(specs)
        return Ask("cancel" if luck < 0.91 else "get", scope=spec.scope, job_id=spec.job_id)

    def _time_passes(self) -> None:
        self.now += self.dice.choice((0.1, 1.0, 10.0, 60.0))
        for registry in self.registries:
            if registry.may_act:
                registry.tick()
        for cluster in self.clusters:
            for process in cluster.processes.values():
                process.machine.sweep(self.now)

    def _late(self) -> None:
        self.disk.catch_up()
        for cluster in self.clusters:
            cluster.orphan_writes()
