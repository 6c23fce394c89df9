"""What goes on, a little at a time: each method does one thing that can be done, if there is any."""

from __future__ import annotations

from typing import Any

import ray.exceptions as rx
from checkmaite.jobs import BackpressureError, JobNotFoundError, JobsError
from checkmaite.jobs.spi import JobQuery
from checkmaite.jobs_ray.controller.machine import StaleLeaseError
from checkmaite.jobs_ray.wire import Launch

from tests.ray_registry.making import check_controller
from tests.ray_registry.sim_clients import CONTEXTS, PLAIN, Ask, Client, Refused
from tests.ray_registry.sim_cluster import Cluster, Lent
from tests.ray_registry.sim_disk import Errand
from tests.ray_registry.sim_registry import SimCall, SimRegistry, answer, refuse
from tests.ray_registry.sim_stage import Stage
from tests.ray_registry.world import STALE, Process

TURNS = (1, 1, 2, 4, 16)
SOON_S = 0.1
"""Timers that are due within so long are waited for now and then."""
PIECE_S = 4.0
"""A long time passes in such pieces: what is under way arrives in between."""
PIECE_TURNS = 8
PIECE_CALLBACKS = 200


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
        able = [each for each in self.registries if each.is_awake and each.loop.has_work]
        if able:
            self._mostly_last(able).run(self.dice.choice(TURNS))

    def _store_answers(self) -> None:
        asking = [each for each in self.registries if each.is_awake and each.asking]
        if asking:
            self._ask_store(self.dice.choice(asking), fails=self.dice.random() < 0.2)

    def _ask_store(self, registry: SimRegistry, *, fails: bool = False) -> None:
        question = registry.asking.pop(self.dice.randrange(len(registry.asking)))
        if fails:
            self.say("the analytics store does not answer {}", registry.name)
            refuse(question.future, rx.RayError("the store does not answer"))
            return
        records = registry.machine.table.records
        asked = [spec for spec in question.specs if spec.job_id in records]
        found = {spec.job_id: self.analytics.ask(spec, records[spec.job_id].attempt) for spec in asked}
        answer(question.future, {job_id: each for job_id, each in found.items() if each is not None})

    # -- messages -----------------------------------------------------------------------------------------------------

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
                again = self._carried_out(process, call)
                if call.method == "launch":  # a repeated call, whose first answer nobody hears
                    call.answer = again
            if 2 <= luck < 3:
                self._lose(call)
            else:
                self._reply(call)

    def _deliver(self, process: Process, call: SimCall) -> None:
        call.answer = self._carried_out(process, call)
        if call.method in ("keep", "attach", "launch"):
            check_controller(process.machine)

    def _carried_out(self, process: Process, call: SimCall) -> Any:
        if call.method == "logs":
            return process.machine.logs(call.about)
        return process.carry_out(call, self.now, self._is_away)

    def _is_away(self, launch: Launch) -> bool:
        return isinstance(launch.spec.payload, Lent) and self.dice.random() * 10 < self.misfortune

    def _lose(self, call: SimCall) -> None:
        """A call, or the answer to it, is lost: Ray says so, or nobody says anything."""
        registry = self.registries[call.registry - 1]
        process = registry.cluster.processes[call.controller]
        self.say("{} of registry {} to {}, or its answer, is lost", call.method, call.registry, call.controller)
        is_silent = self.dice.random() < 0.2
        if call.method == "incarnation" or (call.method == "next_reports" and (is_silent or not process.leases)):
            registry.excused.add(call.controller)
        if not is_silent:
            refuse(call.future, rx.ActorUnavailableError("lost", None))

    def _reply(self, call: SimCall) -> None:
        if call.answer == STALE:
            refuse(call.future, StaleLeaseError("the lease is over", 0))
        else:
            answer(call.future, call.answer)

    # -- controllers and workers --------------------------------------------------------------------------------------

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

    def _runner_goes_on(self) -> None:
        runners = [
            (cluster, process, runner)
            for cluster in self.clusters
            for process in cluster.processes.values()
            for runner in process.runners.values()
        ]
        if runners:
            cluster, process, runner = self.dice.choice(runners)
            cluster.runner_goes_on(process, runner)

    # -- clients ------------------------------------------------------------------------------------------------------

    def _client_asks(self) -> None:
        alive = [each for each in self.registries if not each.is_dead]
        registry = self.registries[-1] if self.dice.random() < 0.85 else self.dice.choice(alive)
        ask = self._some_ask()
        if ask is not None and not registry.is_dead:
            about = [spec.job_id for spec in ask.specs] or [ask.job_id]
            self.say("{} asks {} to {} {}", ask.client.name, registry.name, ask.kind, about, jobs=about)
            self._ask(registry, ask)
            if ask.kind == "submit" and self.dice.random() < 0.25:
                other = self.dice.choice((registry, self.dice.choice(alive)))
                self.say("and the same of {}", other.name, jobs=about)
                self._ask(other, Ask("submit", ask.client, specs=ask.specs))

    def _ask(self, registry: SimRegistry, ask: Ask) -> None:
        registry.loop.create_task(self._asking(registry, ask))

    async def _asking(self, registry: SimRegistry, ask: Ask) -> None:
        actor, name = registry.actor, ask.client.name
        ask.before = dict(self.clients.told)
        ask.was_led = actor._begun.done() and registry.journal.leader.id == self.leader
        # In a cluster one registry at a time is reached: who is told by another one has begun to follow anew since.
        ask.subscription = ask.client.cursor.subscription if ask.client.told_by is registry else ""
        given: Any
        try:
            match ask.kind:
                case "submit":
                    given = await actor.submit(name, ask.specs, ask.contexts)
                case "cancel":
                    given = await actor.cancel(ask.scope, ask.job_id, 5.0)
                case "get":
                    given = [await actor.get(name, ask.scope, ask.job_id)]
                case "list":
                    given = await actor.list_jobs(name, ask.scope, JobQuery(limit=100))
                case _:
                    return await actor.offer(ask.scope, ask.contexts[ask.job_id])
        except (JobNotFoundError, BackpressureError, JobsError) as error:
            given = Refused(error)
        if self.dice.random() * 40 < self.misfortune:
            self.say("the answer to {} is lost", ask.client.name)
        else:
            self.answered(registry, ask, given)
        return None

    def _some_ask(self) -> Ask | None:
        dice, luck = self.dice, self.dice.random()
        client = dice.choice(self.clients.all)
        if luck < 0.4:
            return Ask("submit", client, specs=self.clients.new_batch(dice))
        if luck < 0.55:
            return Ask("submit", client, specs=dice.choice(self.clients.batches[-4:])) if self.clients.batches else None
        if luck < 0.65:
            return Ask("offer", client, scope=dice.choice("st"), job_id=dice.choice(tuple(CONTEXTS)))
        if luck < 0.8:
            return Ask("list", client, scope=dice.choice("st"))
        specs = [spec for batch in self.clients.batches for spec in batch]
        if not specs:
            return None
        spec = dice.choice(specs)
        return Ask("cancel" if luck < 0.9 else "get", client, scope=spec.scope, job_id=spec.job_id)

    def _client_listens(self) -> None:
        alive = [each for each in self.registries if not each.is_dead]
        if alive:
            client = self.dice.choice(self.clients.all)
            is_parked = client.parked_at in alive
            if client.live and (not is_parked or self.dice.random() < 0.1):
                self._listen(client, alive[-1] if self.dice.random() < 0.9 else self.dice.choice(alive))

    def _listen(self, client: Client, registry: SimRegistry) -> None:
        """Park a client's call at a registry; one that it had parked before is not heard any more."""
        client.parked_at, client.turn = registry, client.turn + 1
        registry.loop.create_task(self._listening(registry, client, client.turn))

    async def _listening(self, registry: SimRegistry, client: Client, turn: int) -> None:
        """What `checkmaite.jobs_ray.client.subscription` does with one call."""
        actor = registry.actor
        try:
            if client.unsure:
                ids = sorted(client.unsure)
                subscription, unknown = await actor.follow(client.name, ids, "s", CONTEXTS[PLAIN])
                if turn == client.turn:
                    client.followed(ids, subscription, unknown)
            said = await actor.changes(client.name, client.cursor, 3.0, 5.0)
            if said is None:
                ids = sorted(client.live)
                subscription, unknown = await actor.follow(client.name, ids, "s", CONTEXTS[PLAIN])
                if turn == client.turn:
                    client.followed_all(registry, ids, subscription, unknown)
            elif turn == client.turn and self.dice.random() * 20 >= self.misfortune:
                with self._noting_failures():
                    self.clients.told_of(client, *said)
        except JobsError as error:
            self.say("{} refuses to tell {}: {!r}", registry.name, client.name, error)
        finally:
            if turn == client.turn:
                client.parked_at = None

    # -- time ---------------------------------------------------------------------------------------------------------

    def _next_timer(self) -> None:
        """What waits for a moment goes on; storage takes no such time."""
        times = [at for each in self.registries if each.is_awake and (at := each.loop.next_at) is not None]
        self.now = max(self.now, min([*times, self.now + SOON_S]))

    def _time_passes(self) -> None:
        """Some time passes, as it does: what was on its way arrives meanwhile, unless somebody sleeps."""
        left = self.dice.choice((1.0, 5.0, 20.0, 60.0))
        while left > 0:
            self.now += min(left, PIECE_S)
            left -= PIECE_S
            for registry in self.registries:
                if registry.is_awake:
                    self._busy(registry)
            for cluster in self.clusters:
                self._messages_arrive(cluster)
        for cluster in self.clusters:
            for process in cluster.processes.values():
                process.machine.sweep(self.now)

    def _busy(self, registry: SimRegistry) -> None:
        """It goes on for a while, and so do its storage calls."""
        for _ in range(PIECE_TURNS):
            registry.run(PIECE_CALLBACKS)
            if not registry.errands:
                return
            for errand in list(registry.errands):
                self._work_on(registry, errand)

    def _messages_arrive(self, cluster: Cluster) -> None:
        for process in list(cluster.processes.values()):
            if not process.is_paused:
                calls, cluster.calls[process.name] = cluster.calls[process.name], []
                for call in calls:
                    self._deliver(process, call)
                    self._reply(call)

    def _late(self) -> None:
        self.disk.catch_up()
        for cluster in self.clusters:
            cluster.orphan_writes()
