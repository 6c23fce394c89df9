"""A registry and its controllers under random interleavings of everything that can happen to them.

Messages are delayed, repeated, lost and reordered, processes pause and die, and a registry that dies is followed by
one that knows nothing. After each step every index must agree with the records, and what must never happen must not
have happened; in the end every job must become final.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from checkmaite.jobs import BackpressureError, JobProgress, JobStatus, JobSubmissionError
from checkmaite.jobs.spi import Cancelled, Completed, Outcome, Printed
from checkmaite.jobs_ray.registry.model.events import Adopted, Ended, Event, Forgotten, StopAsked, Submitted
from checkmaite.jobs_ray.registry.model.lifecycle import AskStore
from checkmaite.jobs_ray.registry.model.machine import RegistryMachine
from checkmaite.jobs_ray.registry.model.record import Success, Unresolved, Waiting, outcome_of
from checkmaite.jobs_ray.registry.model.takeover import is_end_of
from checkmaite.jobs_ray.wire import ControllerJob, JobFacts, JobSpec, Policy
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule, run_state_machine_as_test

from tests.ray_registry.making import (
    CONTEXTS,
    CRASH,
    ERROR,
    STARTED,
    check_controller,
    check_table,
    completed,
    follows,
    job_of,
    limits,
    spec,
    story,
)
from tests.ray_registry.world import STALE, Call, ControllerSession, Process, Told, Work, World, inventory_of

NAMES = ("a", "b", "c")
POLICIES = (
    Policy(max_retries=1, max_attempts=3, scheduling_timeout_s=None, resubmit=True),
    Policy(max_retries=-1, max_attempts=2, scheduling_timeout_s=10.0, resubmit=True),
    Policy(max_retries=0, max_attempts=5, scheduling_timeout_s=20.0, resubmit=False),
)
CALM_S = 0.03
"""Between two troubles some thirty things happen at least."""
LIMITS = limits(
    lease_ttl_s=10.0,
    max_active_jobs_per_scope=8,
    max_backlog=10,
    terminal_job_retention_s=200.0,
    max_retained_terminal_jobs_per_scope=6,
)
some = st.integers(min_value=0, max_value=11)
"""Chooses among what there is; small numbers mean the first ones."""


class Interleavings(RuleBasedStateMachine):
    """The rules are what may happen; `_told` looks at the registry after each of them."""

    def __init__(self) -> None:
        super().__init__()
        self.world = World()
        self.now = 1000.0
        self.specs: list[JobSpec] = []
        self.given: dict[str, list[Outcome]] = {}
        self.registries = 0
        self.events: list[Event] = []
        self.last: dict[str, Event] = {}
        self.calm_until = 0.0

    @initialize(controllers=st.integers(min_value=1, max_value=3))
    def begin(self, controllers: int) -> None:
        for name in NAMES[:controllers]:
            self.world.begin(name)
        self.told: dict[str, Told] = {}
        self.owed: dict[str, str] = {}
        self._begin_registry()
        self._round()

    # -- clients ------------------------------------------------------------------------------------------------------

    @precondition(lambda self: self._is_recovered)
    @rule(
        wanted=st.lists(
            st.tuples(st.sampled_from(["s", "t"]), st.integers(0, 2), st.booleans(), st.sampled_from(POLICIES)),
            min_size=1,
            max_size=4,
        ),
        placed=st.booleans(),
    )
    def submit(self, wanted: list[tuple[str, int, bool, Policy]], placed: bool) -> None:
        batch = []
        for scope, key, force, policy in wanted:
            job_id = f"job-{len(self.specs)}"
            batch.append(spec(job_id, f"key {key}", scope=scope, force=force, policy=policy))
            self.specs.append(batch[-1])
        self._submit(batch)
        if placed:
            self._round()

    @precondition(lambda self: self._is_recovered and self.specs)
    @rule(which=some)
    def submit_again(self, which: int) -> None:
        self._submit([self.specs[which % len(self.specs)]])

    @precondition(lambda self: self.table.records)
    @rule(which=some)
    def cancel(self, which: int) -> None:
        record = _one(sorted(self.table.records.items()), which)[1]
        is_or_will_be = record.is_live or record.status is JobStatus.CANCELLED
        with self._watched():
            assert self.registry.cancel(record.spec.scope, record.spec.job_id, 3.0, self.now) == is_or_will_be

    # -- the registry's shell -----------------------------------------------------------------------------------------

    @precondition(lambda self: self._is_recovered and self._ready)
    @rule(limit=st.sampled_from([1, 100]))
    def place(self, limit: int) -> None:
        with self._watched():
            for assignment in self.registry.place(self._ready, limit, self.now):
                self.world.sessions[assignment.controller].busy = True
                self._call(assignment.controller, "launch", assignment.token, assignment)

    @precondition(lambda self: self._in_phase("down"))
    @rule(which=some)
    def link_up(self, which: int) -> None:
        name = _one(self._in_phase("down"), which)
        session = self.world.sessions[name]
        with self._watched(losing=True):
            self.registry.lose(name, "its controller was lost", self.now)
        session.phase, session.token = "attaching", self.registry.grant(name, self.now)
        self._call(name, "attach", session.token)

    @precondition(lambda self: self._in_phase("keeping", "up"))
    @rule(which=some)
    def lease_lost(self, which: int) -> None:
        self._lose(_one(self._in_phase("keeping", "up"), which))

    @rule(step_s=st.sampled_from([0.1, 0.5, 6.0, 40.0]))
    def time_passes(self, step_s: float) -> None:
        self.now += step_s
        with self._watched():
            self.registry.tick(self.now)

    @precondition(lambda self: not self._is_recovered)
    @rule()
    def recovery_is_given_up(self) -> None:
        self.gave_up = True

    @precondition(lambda self: self.asking)
    @rule(which=some, knows=st.sampled_from([True, True, False]))
    def store_answers(self, which: int, knows: bool) -> None:
        effect = self.asking.pop(which % len(self.asking))
        asked = [spec.job_id for spec in effect.specs]
        with self._watched():
            self.registry.settle(asked, self._stored(asked) if knows else None, self.now)
            self.registry.ask()

    # -- wires --------------------------------------------------------------------------------------------------------

    @precondition(lambda self: self._reachable)
    @rule(which=some, place=st.integers(0, 3), fate=st.sampled_from(["arrives", "arrives", "arrives twice", "is lost"]))
    def call(self, which: int, place: int, fate: str) -> None:
        process = _one(self._reachable, which)
        if fate == "is lost":
            self._lost(self.world.calls[process.name].pop(0))
        else:
            self._deliver(process, place, twice=fate == "arrives twice")

    @precondition(lambda self: self.world.answers)
    @rule(which=some, is_lost=st.sampled_from([False, False, True]))
    def answer(self, which: int, is_lost: bool) -> None:
        call = self.world.answers.pop(which % len(self.world.answers))
        if is_lost:
            self._lost(call)
        else:
            self._answer(call)

    @rule()
    def all_goes_well(self) -> None:
        self._round()

    # -- controllers and workers --------------------------------------------------------------------------------------

    @precondition(lambda self: any(each.taken or each.posts for each in self._awake))
    @rule(which=some, place=st.integers(0, 2))
    def controller_goes_on(self, which: int, place: int) -> None:
        process = _one([each for each in self._awake if each.taken or each.posts], which)
        self._pass_a_moment()
        process.hand_over(self.now)
        if process.posts:
            process.hear(place % len(process.posts), self.now)
        check_controller(process.machine)

    @precondition(lambda self: self._works)
    @rule(
        which=some, does=st.sampled_from(["start", "speak", "complete", "complete", "fail", "be lost", "be cancelled"])
    )
    def worker(self, which: int, does: str) -> None:
        process, work = _one(self._works, which)
        if not work.begun and does != "be cancelled":
            work.begun = True
            process.posts.append(("started", work.attempt_id, STARTED))
        if does == "speak":
            process.posts.append(("progressed", work.attempt_id, JobProgress(done=which, total=11)))
            process.posts.append(("printed", work.attempt_id, Printed(start=0, text="x" * 5 * which)))
        elif does != "start":
            self._end(process, work, does)

    @precondition(lambda self: self._awake)
    @rule(which=some)
    def sweep(self, which: int) -> None:
        process = _one(self._awake, which)
        process.machine.sweep(self.now)
        self.told = {
            job_id: told
            for job_id, told in self.told.items()
            if told.controller != process.name or job_id in process.machine._tasks
        }
        check_controller(process.machine)

    @precondition(lambda self: self.now > self.calm_until)
    @rule(which=some, what=st.sampled_from(["pauses", "dies", "the registry dies"]))
    def trouble(self, which: int, what: str) -> None:
        self.calm_until = self.now + CALM_S
        process = _one(list(self.world.processes.values()), which)
        if what == "pauses":
            process.is_paused = not process.is_paused
        elif what == "dies":
            self._controller_dies(process.name)
        else:
            self._registry_dies()

    def teardown(self) -> None:
        if not self.registries:
            return
        for process in self.world.processes.values():
            process.is_paused = False
        self.gave_up = False
        for _ in range(60):
            self._round()
            for process, work in self._works:
                work.begun = True
                self._end(process, work, "complete")
            if self._is_recovered and not any(each.is_live for each in self.table.records.values()):
                break
        for job_id, record in self.table.records.items():
            assert not record.is_live, f"{record} never ended\n{story(self.events, job_id)}"
        assert not self.owed, f"{sorted(self.owed)} were forgotten with the registry"

    # -- inside -------------------------------------------------------------------------------------------------------

    @property
    def table(self) -> Any:
        return self.registry.table

    @property
    def _awake(self) -> list[Process]:
        return [each for each in self.world.processes.values() if not each.is_paused]

    @property
    def _reachable(self) -> list[Process]:
        return [each for each in self._awake if self.world.calls[each.name]]

    @property
    def _works(self) -> list[tuple[Process, Work]]:
        return [(process, work) for process in self.world.processes.values() for work in process.works.values()]

    @property
    def _ready(self) -> list[str]:
        return [name for name in self._in_phase("up") if not self.world.sessions[name].busy]

    @property
    def _is_recovered(self) -> bool:
        """A registry that has just begun waits for its controllers, until it gives that up."""
        self.gave_up = self.gave_up or len(self._in_phase("up")) == len(self.world.sessions)
        return self.gave_up

    def _in_phase(self, *phases: str) -> list[str]:
        return [name for name, session in self.world.sessions.items() if session.phase in phases]

    def _begin_registry(self) -> None:
        self.registries += 1
        self.registry = RegistryMachine(LIMITS, epoch=self.registries * 1_000_000)
        self.world.sessions = {name: ControllerSession() for name in self.world.processes}
        self.world.answers = []
        self.seen: dict[str, JobFacts] = {}
        self.gave_up = False
        self.asking: list[AskStore] = []

    def _controller_dies(self, name: str) -> None:
        self.world.begin(name)
        self.told = {job_id: told for job_id, told in self.told.items() if told.controller != name}
        self.owed = {job_id: controller for job_id, controller in self.owed.items() if controller != name}

    def _registry_dies(self) -> None:
        for job_id, record in self.table.records.items():
            name, tasks = record.controller, [each.machine._tasks.get(job_id) for each in self.world.processes.values()]
            copies = [task for task in tasks if task is not None]
            if len(copies) != 1 or self._under_way(job_id):
                continue
            if record.owner is not None and self.world.processes[name].has((job_id, record.attempt)):
                self.owed[job_id] = name
            if is_end_of(record, name, ControllerJob(copies[0].launch, None, None, copies[0].end)):
                self.told[job_id] = Told(record.state.outcome, name)
        self._begin_registry()

    def _submit(self, batch: list[JobSpec]) -> None:
        before = {spec.run_key: self._holder(spec) for spec in batch}
        count = len(self.table.records)
        with self._watched():
            try:
                admissions = self.registry.submit(batch, CONTEXTS, self.now)
            except (BackpressureError, JobSubmissionError):
                assert len(self.table.records) == count
                assert not self.table.take_events()
                return
            for each, admission in zip(batch, admissions, strict=True):
                record = self.table.records[admission.job_id]
                assert (record.spec.scope, record.spec.run_key) == (each.scope, each.run_key)
            if len(batch) == 1 and batch[0].basis.policy != "never" and before[batch[0].run_key] is not None:
                assert admissions[0].job_id in (before[batch[0].run_key], batch[0].job_id)
                assert not admissions[0].is_new

    def _holder(self, spec: JobSpec) -> str | None:
        """The naive way to find who stands for a run."""
        records = [each for each in self.table.records.values() if each.spec.scope == spec.scope]
        same = [each for each in records if each.spec.run_key == spec.run_key]
        live = [each.spec.job_id for each in same if each.is_live]
        done = [each.spec.job_id for each in same if each.status is JobStatus.COMPLETED]
        return (live or [None])[0] or next((each for each in done if not live and len(done) == 1), None)

    def _call(self, name: str, method: str, token: int, about: Any = None) -> None:
        self.world.calls[name].append(Call(name, method, token, self.registries, about))

    def _deliver(self, process: Process, place: int, twice: bool) -> None:
        self._pass_a_moment()
        waiting = self.world.calls[process.name]
        call = waiting.pop(place % len(waiting))
        answer = process.carry_out(call, self.now)
        if twice:
            again = process.carry_out(call, self.now)
            assert call.method != "attach" or again == STALE
        check_controller(process.machine)
        if call.registry == self.registries:
            call.answer = answer
            self.world.answers.append(call)

    def _answer(self, call: Call) -> None:
        session = self.world.sessions[call.controller]
        if call.token != session.token or session.phase == "down":
            self._answer_too_late(call)
        elif call.answer == STALE:
            self._lose(call.controller)
        elif call.method == "attach":
            found = inventory_of(call.answer)
            session.incarnation, session.after, session.phase = found.incarnation, found.last, "keeping"
            for held in found.jobs:
                if held.end is not None and held.end.at + LIMITS.terminal_job_retention_s <= self.now:
                    self.owed.pop(held.launch.spec.job_id, None)  # too old to be listed
            with self._watched():
                keep = self.registry.adopt(call.controller, session.token, found.jobs, self.now)
            self._call(call.controller, "keep", session.token, keep)
        elif call.method == "keep":
            session.phase, session.busy = "up", False
            self._call(call.controller, "next_reports", session.token, session.after)
        elif call.method == "launch":
            session.busy = False
            with self._watched():
                self.registry.confirm(call.about, call.answer, self.now)
        elif call.method == "next_reports":
            session.after, reports = call.answer
            with self._watched():
                assert self.registry.report(call.controller, session.token, reports, self.now)
            self._call(call.controller, "next_reports", session.token, session.after)

    def _answer_too_late(self, call: Call) -> None:
        """The lease that the call was made under is over: its answer must not matter."""
        before = dict(self.table.records)
        if call.answer != STALE:
            if call.method == "next_reports":
                assert not self.registry.report(call.controller, call.token, call.answer[1], self.now)
            if call.method == "launch":
                self.registry.confirm(call.about, call.answer, self.now)
            if call.method == "attach":
                assert not self.registry.adopt(call.controller, call.token, call.answer.jobs, self.now)
        assert self.table.records == before, f"a stale {call.method} of {call.controller} was accepted"

    def _lost(self, call: Call) -> None:
        """A call or its answer is lost: while the lease is on, the shell repeats it, or attaches anew."""
        call.answer = None
        session = self.world.sessions[call.controller]
        if call.registry != self.registries or call.token != session.token or session.phase == "down":
            return
        if call.method in ("attach", "keep"):
            session.phase = "down"
        else:
            self.world.calls[call.controller].append(call)

    def _lose(self, name: str) -> None:
        self.world.sessions[name].phase = "down"
        with self._watched(losing=True):
            self.registry.lose(name, "its controller was lost", self.now)

    def _end(self, process: Process, work: Work, how: str) -> None:
        self._pass_a_moment()
        job_id, attempt = work.attempt_id
        outcome: Outcome = ERROR
        if how == "complete":
            outcome = completed(f"run {job_id} {attempt} of {process.incarnation}")
        elif how == "be lost":
            outcome = CRASH
        elif how == "be cancelled" and work.cancelled:
            outcome = Cancelled()
        del process.works[work.attempt_id]
        self.given.setdefault(job_id, []).append(outcome)
        process.posts.append(("ended", work.attempt_id, (outcome, outcome is CRASH)))

    def _stored(self, asked: list[str]) -> dict[str, Completed]:
        """Those of the jobs that a worker has completed, and how the first time."""
        outcomes = ((job_id, each) for job_id in asked for each in reversed(self.given.get(job_id, [])))
        return {job_id: outcome for job_id, outcome in outcomes if isinstance(outcome, Completed)}

    def _pass_a_moment(self) -> None:
        """No two things happen at once."""
        self.now += 0.001

    def _under_way(self, job_id: str) -> bool:
        calls = [call for waiting in self.world.calls.values() for call in waiting if call.method == "launch"]
        return any(launch.spec.job_id == job_id for call in calls for launch in call.about.launches)

    # -- what must hold -----------------------------------------------------------------------------------------------

    @contextmanager
    def _watched(self, *, losing: bool = False) -> Iterator[None]:
        """Tell the registry something, send what it wants sent, and check everything."""
        self._pass_a_moment()
        try:
            yield
            events = self.table.take_events()
            for effect in self.registry.take_effects():
                if isinstance(effect, AskStore):
                    self.asking.append(effect)
                elif effect.token == self.world.sessions[effect.controller].token:
                    self._call(effect.controller, "stop", effect.token, effect.stops)
            for event in events:
                self._check_event(event, losing)
                self.events.append(event)
                self.last[job_of(event)] = event
            for job_id in self.table.take_changed():
                self._check_change(job_id)
            check_table(self.table)
            for job_id, record in self.table.records.items():
                self._check_owned(job_id, record)
        except Exception as error:
            jobs = sorted({job_of(each) for each in self.events})
            error.add_note("\n".join(f"{job_id}:\n{story(self.events, job_id)}" for job_id in jobs))
            raise

    def _check_event(self, event: Event, losing: bool) -> None:
        match event:
            case Submitted():
                self.told.pop(event.spec.job_id, None)
                self.owed.pop(event.spec.job_id, None)
            case Adopted():
                self.owed.pop(event.job_id, None)
            case Forgotten():
                facts = self.seen.pop(event.job_id)
                assert facts.status.is_final
            case Ended(ending=Success()):
                assert outcome_of(event.ending) in self.given[event.job_id], f"no worker gave {event.ending}"
            case Ended(ending=Cancelled()) if not losing and isinstance(self.last[event.job_id], StopAsked):
                record = self.table.records[event.job_id]
                works = self.world.processes[record.controller].works
                assert (event.job_id, record.attempt) not in works, f"{event.job_id} is CANCELLED and works"
            case _:
                pass
        if isinstance(event, Ended) and event.job_id in self.told:
            assert outcome_of(event.ending) == self.told[event.job_id].outcome, "another registry told another end"

    def _check_change(self, job_id: str) -> None:
        record = self.table.records.get(job_id)
        if record is None:
            return
        facts, before = self.table.facts(record), self.seen.get(job_id)
        if before is not None:
            assert follows(before, facts), f"{before} -> {facts}"
            assert facts.attempt >= before.attempt
            assert facts.created_at == before.created_at
            assert not before.status.is_final or facts == before, f"{before} -> {facts}"
        self.seen[job_id] = facts

    def _check_owned(self, job_id: str, record: Any) -> None:
        """A live job waits or is unresolved, or its controller has it, or will get it, or is another process by now."""
        if not record.is_live or isinstance(record.state, Waiting | Unresolved):
            return
        start = job_id, record.attempt
        name, token = record.owner
        session, process = self.world.sessions[name], self.world.processes[name]
        assert token == session.token
        assert session.phase != "attaching"
        if session.phase == "up" and session.incarnation == process.incarnation:
            assert process.has(start) or self.world.will_get(start, name, token), f"nobody has {start}"

    def _round(self) -> None:
        """Let everything go on a little."""
        while self.asking:
            self.store_answers(0, knows=True)
        for _ in self._in_phase("down"):
            self.link_up(0)
        if self._is_recovered and self._ready:
            self.place(100)
        for process in self._awake:
            for _ in range(4):
                if self.world.calls[process.name]:
                    self._deliver(process, 0, twice=False)
                while self.world.answers:
                    self._answer(self.world.answers.pop(0))
            process.hand_over(self.now)
            while process.posts:
                self._pass_a_moment()
                process.hear(0, self.now)
            check_controller(process.machine)


def _one(choices: list[Any], which: int) -> Any:
    return choices[which % len(choices)]


EFFORT = settings(
    max_examples=int(os.environ.get("CHECKMAITE_STATEFUL_EXAMPLES", "600")),  # CI's number; a night has time for more
    stateful_step_count=80,
    derandomize=True,
    database=None,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)


@pytest.mark.timeout(900)  # when it fails, it takes minutes to find a short example
def test_random_interleavings() -> None:
    run_state_machine_as_test(Interleavings, settings=EFFORT)  # type: ignore[no-untyped-call]
