"""A registry, its journal, controllers, workers and clients, with everything that can go wrong, from one seed.

There are no threads and no clock: at each step the seed's dice choose what goes on. Storage calls fail, lose their
replies and take effect late; messages are delayed, repeated and lost; processes die or sleep anywhere, also within a
storage call; registries that sleep are superseded and wake up; whole clusters die, or are cut off and go on.

    python -m tests.ray_machine.simulation --seeds 0:10000

runs many seeds and says how many there were in a second. A seed that fails prints its story.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterator, Sequence
from random import Random
from typing import Any

from checkmaite.jobs_ray._journal._journal import Journal
from checkmaite.jobs_ray._journal._reading import Found, read_journal
from checkmaite.jobs_ray._machine._book import JobBook
from checkmaite.jobs_ray._machine._events import Doubted, Event
from checkmaite.jobs_ray._replay import book_of
from checkmaite.jobs_ray._rows import snapshot_rows

from tests.ray_machine.making import check_book, check_controller, job_of, limits
from tests.ray_machine.sim_clients import CONTEXTS, Ask, Clients, Refused
from tests.ray_machine.sim_cluster import Analytics, Cluster
from tests.ray_machine.sim_disk import Disk, Errand
from tests.ray_machine.sim_registry import SimRegistry
from tests.ray_machine.sim_truth import Truth, Violation, check_same
from tests.ray_machine.world import Call, Process

STEPS = 400
ROUNDS = 200
LIMITS = limits(
    lease_ttl_s=1e6,
    max_active_jobs_per_scope=8,
    max_backlog=10,
    terminal_job_retention_s=200.0,
    max_retained_terminal_jobs_per_scope=6,
)
LOST = "lost"


class Simulation:
    """Everything that one seed makes happen."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.dice = Random(seed)
        self.now = 1000.0
        self.lines: list[tuple[float, str, tuple[Any, ...], Sequence[str]]] = []
        self.limits = LIMITS
        self.disk = Disk(
            self.dice, self._created, self._deleted, self.say, trouble=self.dice.choice((0.0, 0.02, 0.1, 0.3))
        )
        self.analytics = Analytics()
        self.truth = Truth(self.analytics)
        self.clients = Clients(self.truth)
        self.clusters: list[Cluster] = []
        self.registries: list[SimRegistry] = []
        self.leader = ""
        self.at_fence: dict[int, Iterator[Any]] = {}
        self.is_cluster_lost = False
        self.misfortune = self.dice.choice((0.3, 0.7, 1.0, 2.0))
        self.tail = 0
        self._nonces = 0
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
            self._begin_cluster()
            for action in self.dice.choices(self._actions, cum_weights=self._weights, k=STEPS):
                self.now += 0.001
                action()
            self._calm_down()
            self._check_end()
        except Exception as error:
            error.add_note(self.story(getattr(error, "jobs", ())))
            raise

    # -- what the parts tell ------------------------------------------------------------------------------------------

    def say(self, text: str, *about: Any, jobs: Sequence[str] = ()) -> None:
        """Remember it for the story."""
        self.lines.append((self.now, text, about, jobs))

    def story(self, jobs: Sequence[str]) -> str:
        """What went wrong, and what happened to these jobs, or to all."""
        wanted = frozenset(jobs)
        lines = [f"seed {self.seed}, about {', '.join(sorted(wanted)) or 'everything'}:"]
        for at, text, about, concerned in self.lines:
            if not wanted or not concerned or wanted.intersection(concerned):
                lines.append(f"  {at:9.3f} {text.format(*about) if about else text}")
        return "\n".join(lines)

    def new_nonce(self) -> str:
        self._nonces += 1
        return f"{self._nonces:016x}"

    def opened(self, registry: SimRegistry, journal: Journal, book: JobBook) -> None:
        """A registry has read the journal, up to its own fence."""
        self.say("{} leads the journal from {} on", registry.name, journal.tail)
        check_same(self.at_fence.pop(journal.tail), book, registry.name)
        check_book(book, is_torn=True)

    def happened(self, registry: SimRegistry, events: Sequence[Event]) -> None:
        """A registry has decided something, which is not durable yet."""
        for event in events:
            job_id = job_of(event)
            self.say("{}: {}", registry.name, event, jobs=(job_id,))
            if isinstance(event, Doubted):
                self._check_doubt(registry, job_id)

    def answered(self, registry: SimRegistry, ask: Ask, answer: Any) -> None:
        """A client hears from a registry."""
        about = [draft.job_id for draft in ask.drafts] or [ask.job_id]
        if isinstance(answer, Refused):
            self.say("{} refuses {} of {}: {!r}", registry.name, ask.kind, about, answer.error, jobs=about)
            return
        said = [f"{each.job_id} {each.status}" for each in answer] if isinstance(answer, list) else answer
        jobs = about + [each.job_id for each in answer] if isinstance(answer, list) else about
        self.say("{} answers {} of {}: {}", registry.name, ask.kind, about, said, jobs=jobs)
        self.clients.answered(ask, answer)

    def _created(self, key: str, content: bytes, events: Sequence[Event]) -> None:
        """An object of the journal has come into being: what is in it has happened for ever."""
        if not key.startswith("seg/"):
            return
        number = int(key.removeprefix("seg/"))
        if number <= self.tail:  # it was there, and pruned; a late create has brought it back
            assert f"snap/{number:012}" <= max(name for name in self.disk.objects if name.startswith("snap/")), key
            return
        assert number == self.tail + 1, f"{key} comes after {self.tail}"
        self.tail = number
        if events:
            self.truth.apply(events)
            return
        fields = json.loads(content[: content.index(b"\n")])
        if fields["kind"] == "fence":
            self.leader = fields["leader"]
            self.at_fence[number] = snapshot_rows(self.truth.book)
            if self.is_cluster_lost:
                self.is_cluster_lost = False
                self.truth.all_is_lost()

    def _deleted(self, key: str) -> None:
        if key.startswith("payload/"):
            self.truth.check_unneeded(key)

    def _check_doubt(self, registry: SimRegistry, job_id: str) -> None:
        """A job is given up only when its controller's process is gone, or could not be reached."""
        record = self.truth.book.records.get(job_id)
        if record is None or record.owner is None:
            return
        link = registry.links.get(record.owner.controller)
        if link is None:  # it is not of this pool
            return
        process = registry.cluster.processes[record.owner.controller]
        task = process.machine._task((job_id, record.attempt))
        if task is not None and task.end is None and not link.excused:
            raise Violation(f"{job_id} is given up, and {process.incarnation} has it", [job_id])

    # -- what goes on -------------------------------------------------------------------------------------------------

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
            down = [link for link in registry.links.values() if link.phase == "down"]
            if down:
                self.dice.choice(down).attach()
            else:
                registry.place(self.dice.choice((1, 100)))

    def _look_at(self, registry: SimRegistry, ask: Ask) -> None:
        ask.before = dict(self.clients.told)
        ask.was_led = registry.journal.leader.id == self.leader
        registry.look_at(ask)

    def _ask_store(self, registry: SimRegistry) -> None:
        effect = registry.asking.pop(self.dice.randrange(len(registry.asking)))
        if self.dice.random() < 0.2:
            self.say("the analytics store does not answer {}", registry.name)
            registry.asked(effect, None)
            return
        found = {draft.job_id: self.analytics.holds(draft) for draft in effect.drafts}
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
                process.carry_out(call, self.now)
            if 2 <= luck < 3:
                self._lose(call)
            else:
                self._reply(call)

    def _deliver(self, process: Process, call: Call) -> None:
        call.answer = process.carry_out(call, self.now)
        if call.method in ("keep", "attach", "launch"):
            check_controller(process.machine)

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
        link = registry.links[call.controller]
        if call.answer == LOST:
            call.answer = None
            link.lost(call, registry.cluster.processes[call.controller].incarnation)
        else:
            link.answer(call)

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
            about = [draft.job_id for draft in ask.drafts] or [ask.job_id]
            self.say("a client asks {} to {} {}", registry.name, ask.kind, about, jobs=about)
            registry.waits.append(ask)
            if ask.kind == "submit" and self.dice.random() < 0.25:
                other = self.dice.choice((registry, self.dice.choice(alive)))
                self.say("and the same of {}", other.name, jobs=about)
                other.waits.append(Ask("submit", drafts=ask.drafts))

    def _some_ask(self) -> Ask | None:
        dice, luck = self.dice, self.dice.random()
        if luck < 0.35:
            return Ask("submit", drafts=self.clients.new_batch(dice))
        if luck < 0.5:
            return Ask("submit", drafts=dice.choice(self.clients.batches[-4:])) if self.clients.batches else None
        if luck < 0.6:
            return Ask("offer", job_id=dice.choice(tuple(CONTEXTS)))
        if luck < 0.75:
            return Ask("changes")
        if luck < 0.85:
            return Ask("list", scope=dice.choice("st"))
        drafts = [draft for batch in self.clients.batches for draft in batch]
        if not drafts:
            return None
        draft = dice.choice(drafts)
        return Ask("cancel" if luck < 0.91 else "get", scope=draft.scope, job_id=draft.job_id)

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

    # -- what goes wrong ----------------------------------------------------------------------------------------------

    def _trouble(self) -> None:
        cluster, registry = self.clusters[-1], self.registries[-1]
        process = self.dice.choice(list(cluster.processes.values()))
        luck = self.dice.random()
        if luck < 0.2:
            self._registry_dies(registry)
            self._begin_registry(cluster)
        elif luck < 0.4:
            self.say("{} falls asleep, and is taken for dead", registry.name)
            registry.is_paused = True
            self._begin_registry(cluster)
        elif luck < 0.55:
            for each in self.registries:
                if each.is_paused:
                    self.say("{} wakes up", each.name)
                    each.is_paused = False
        elif luck < 0.65:
            process.is_paused = not process.is_paused
            self.say("{} {}", process.incarnation, "falls asleep" if process.is_paused else "wakes up")
        elif luck < 0.75:
            self.say("{} dies", process.incarnation)
            cluster.begin(process.name)
        elif luck < 0.8:
            self._falls_silent(registry, cluster, process)
        elif luck < 0.93:
            self._cluster_dies(cluster)
            self._begin_cluster()
        else:
            self.say("cluster {} is cut off and goes on; another one begins", cluster.number)
            self._begin_cluster()

    def _falls_silent(self, registry: SimRegistry, cluster: Cluster, process: Process) -> None:
        """A registry hears nothing of a controller for so long that it has it ended."""
        calls = cluster.calls[process.name]
        feeds = [each for each in calls if (each.method, each.registry) == ("feed", registry.number)]
        if registry.may_act and feeds:
            self.say("{} is silent for too long and is ended", process.incarnation)
            cluster.begin(process.name)
            calls.remove(feeds[0])
            registry.links[process.name].silent()

    def _registry_dies(self, registry: SimRegistry) -> None:
        self.say("{} dies, {}", registry.name, " and ".join(each.what for each in registry.errands) or "doing nothing")
        registry.state = "dead"
        for errand in registry.errands:
            self.disk.abandon(errand)
        registry.errands.clear()

    def _cluster_dies(self, cluster: Cluster) -> None:
        self.say("cluster {} dies", cluster.number)
        for registry in self.registries:
            if registry.cluster is cluster and registry.state != "dead":
                self._registry_dies(registry)
        self.clusters.remove(cluster)
        self.is_cluster_lost = True

    def _begin_cluster(self) -> None:
        number = self.clusters[-1].number + 1 if self.clusters else len(self.registries) + 1
        cluster = Cluster(number, self.dice, self.analytics, self.say)
        for name in "ab"[: self.dice.choice((1, 2))]:
            cluster.begin(name)
        self.clusters.append(cluster)
        self._begin_registry(cluster)

    def _begin_registry(self, cluster: Cluster) -> None:
        registry = SimRegistry(self, cluster, len(self.registries) + 1)
        self.registries.append(registry)
        self.say("{} begins on cluster {}", registry.name, cluster.number)

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
                    self._begin_registry(self.clusters[-1])
            elif leader.is_settled and not leader.errands and not any(True for _ in leader.machine.book.live()):
                return
        live = [each for each in self.truth.book.records.values() if each.is_live]
        raise Violation(f"never ended: {live}", [each.draft.job_id for each in live])

    def _offer_all(self) -> None:
        for registry in self.registries:
            if registry.state != "dead":
                registry.waits += [Ask("offer", job_id=name) for name in CONTEXTS]

    def _leading(self) -> SimRegistry | None:
        for registry in self.registries:
            if registry.state == "open" and registry.journal.leader.id == self.leader:
                return registry
        return None

    def _round(self) -> None:
        while self.disk.late:
            self.disk.catch_up()
        for registry in self.registries:
            for errand in list(registry.errands):
                for _ in range(20):
                    if errand.request is not None and registry.state != "dead":
                        self._work_on(registry, errand)
            if registry.state not in ("open", "over"):
                continue
            while registry.ready:
                registry.ready.popleft()()
            while registry.waits:
                self._look_at(registry, registry.waits.pop(0))
            while registry.answers:
                self._take_answer(registry, registry.answers.pop(0))
            while registry.asking:
                self._ask_store(registry)
            if registry.state == "open":
                for link in registry.links.values():
                    if link.phase == "down":
                        link.attach()
                registry.place(100)
                registry.tick()
            if registry.wants_to_write:
                registry.write(1000)
        for cluster in self.clusters:
            self._cluster_round(cluster)

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
        check_same(snapshot_rows(self.truth.book), leader.machine.book, leader.name)
        book = self._replayed()
        check_same(snapshot_rows(self.truth.book), book, "a reader")
        check_book(book, is_torn=True)
        check_book(leader.machine.book, is_torn=True)
        self._look_at(leader, Ask("list", scope="s"))
        self._look_at(leader, Ask("list", scope="t"))
        self.clients.check_final()

    def _replayed(self) -> JobBook:
        found: list[Found] = []
        errand = Errand("a reader", "read", read_journal("journal"), found.append, _raise)
        errand.go_on()
        while errand.request is not None:
            self.disk.work_on(errand)
            if errand.is_done:
                errand.go_on()
        return book_of(found[0])


def _raise(error: Exception) -> None:
    raise error


def main() -> None:
    parser = argparse.ArgumentParser(description="Run seeds of the simulation.")
    parser.add_argument("--seeds", default="0:2000", help="one, or FIRST:END")
    first, _, end = parser.parse_args().seeds.partition(":")
    seeds = range(int(first), int(end) if end else int(first) + 1)
    begun = time.perf_counter()
    for seed in seeds:
        Simulation(seed).run()
    took = time.perf_counter() - begun
    print(f"{len(seeds)} seeds in {took:.1f} s: {len(seeds) / took:.0f} in a second")


if __name__ == "__main__":
    main()
