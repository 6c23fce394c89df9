"""Several leaders, readers and a store in one deterministic world, where anything may happen between two storage calls.

A leader dies before or after a call, is paused for any time, hears no reply, or hears "exists" of its own object; a
create whose reply was lost may arrive much later, or twice. Long listings are torn as those of a folder are.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable, Iterator
from typing import Any

from checkmaite.jobs import StoreUnavailableError
from checkmaite.jobs_ray.journal.format import SEGMENTS, segment_key
from checkmaite.jobs_ray.journal.leader import SupersededError
from checkmaite.jobs_ray.journal.reading import read_journal
from checkmaite.jobs_ray.journal.steps import Create, Delete, Names, Pause, Read, ReadMany, Steps
from checkmaite.jobs_ray.journal.storage import Journal, lead

from tests.ray_journal.making import counter, leader, rows_of

ROOT = "/journal"
_LIFE = 90
"""Storage calls of one story, before everybody is left to come to an end."""


class Task:
    """One thread of a process: steps, and the call that it is in."""

    def __init__(self, name: str, steps: Steps[None]) -> None:
        self.name = name
        self.steps = steps
        self.request: Any = next(steps, None)
        self.is_over = self.request is None
        self.begin()

    def begin(self) -> None:
        """What a call that takes time keeps."""
        self.todo = list(self.request.keys) if isinstance(self.request, ReadMany | Delete) else []
        self.got: dict[str, bytes | None] = {}
        self.listed: set[str] | None = None

    def answer(self, reply: object) -> None:
        self._go_on(lambda: self.steps.send(reply))

    def fail(self, error: Exception) -> None:
        self._go_on(lambda: self.steps.throw(error))

    def _go_on(self, go: Callable[[], Any]) -> None:
        try:
            self.request = go()
        except (StopIteration, StoreUnavailableError):
            self.is_over = True
        else:
            self.begin()


class World:
    """One story, told by a seed."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.objects: dict[str, bytes] = {}
        self.story: list[tuple[Any, ...]] = []
        self.tasks: list[Task] = []
        self.late: list[Create] = []
        self.acknowledged: dict[int, list[int]] = {}  # rows by the number of their segment
        self.reads: list[list[int]] = []
        self._names = itertools.count()
        self._rows = itertools.count()
        self.is_ending = False
        self.trouble = self.random.choice([0.0, 0.05, 0.2, 0.4])

    # -- what processes do --------------------------------------------------------------------------------------------

    def start(self, process: str) -> None:
        self._spawn(process, self._life(process))

    def _spawn(self, name: str, steps: Steps[None]) -> None:
        task = Task(name, steps)
        if not task.is_over:
            self.tasks.append(task)

    def _life(self, name: str) -> Steps[None]:
        before = max(self.acknowledged, default=0)
        read = (yield from read_journal(ROOT)) if self.random.random() < 0.3 else None
        journal, found = yield from lead(ROOT, leader(name), counter(f"{name}-"), read)
        self.tell(name, "leads from", journal.tail)
        state: list[int] = rows_of(found)
        assert journal.tail > before, f"{name} leads from {journal.tail}, when {before} had been acknowledged"
        self._check_read(state, {number: rows for number, rows in self.acknowledged.items() if number <= journal.tail})
        for _ in range(self.random.randrange(1, 40)):
            is_last = self.is_ending  # every zombie wakes up once more
            rows = [next(self._rows) for _ in range(self.random.choice([0, 1, 1, 2, 5]))]
            before = max(self.acknowledged, default=0)
            try:
                number = yield from journal.append(rows)
            except SupersededError as error:
                self.tell(name, "is superseded by", error.by and error.by.id)
                taken = self.objects[segment_key(journal.tail + 1)]
                assert f'"leader":"{name}"'.encode() not in taken, f"{name} superseded itself"
                yield from self._stays_superseded(journal)
                return
            assert number > before, f"{name} was superseded when it appended {rows}, and acknowledged {number}"
            self.tell(name, "acknowledges", number, rows)
            assert number not in self.acknowledged
            self.acknowledged[number] = rows
            state.extend(rows)
            if is_last:
                return
            if self.random.random() < 0.25:
                self._spawn(f"{name}'s snapshot", self._tidy(journal, number, tuple(state)))

    def _tidy(self, journal: Journal, number: int, state: tuple[int, ...]) -> Steps[None]:
        try:
            yield from journal.snapshot(number, iter(state))
        except (SupersededError, ValueError):
            return
        yield from journal.prune()

    def _stays_superseded(self, journal: Journal) -> Steps[None]:
        try:
            yield from journal.append([])
        except SupersededError:
            return
        raise AssertionError("a superseded leader acknowledged")

    def reader(self) -> None:
        self._spawn(f"reader {next(self._names)}", self._reading())

    def _reading(self) -> Steps[None]:
        expected = dict(self.acknowledged)
        found = yield from read_journal(ROOT)
        self._check_read(rows_of(found), expected)

    # -- what the store and fate do -----------------------------------------------------------------------------------

    def run(self) -> None:
        for which in range(self.random.randrange(1, 4)):
            self.start(f"leader {which}")
        self._names = itertools.count(9)
        for _ in range(_LIFE):
            self._something_happens()
        self.trouble, self.is_ending = 0.0, True
        while self.tasks:
            self._call(self.random.choice(self.tasks))
        self.objects |= {each.key: each.content for each in self.late if each.key not in self.objects}
        self.reader()
        while self.tasks:
            self._call(self.tasks[0])
        for earlier, later in itertools.pairwise(sorted(self.reads, key=len)):
            assert later[: len(earlier)] == earlier, f"two readers read {earlier} and {later}"

    def _something_happens(self) -> None:
        chance = self.random.random()
        if chance < 0.03 or not self.tasks:
            self.start(f"leader {next(self._names)}")
        elif chance < 0.05:
            self.reader()
        elif chance < 0.05 + self.trouble * 0.1:
            self._dies(self.random.choice(self.tasks).name.partition("'")[0])
        elif chance < 0.12 and self.late:
            late = self.late.pop(self.random.randrange(len(self.late)))
            self.tell("late:", late.key, "created" if self._create(late) else "exists")
        else:
            # The first ones more often: the others are paused, some of them for nearly ever.
            place = min(int(self.random.expovariate(0.7)), len(self.tasks) - 1)
            self._call(self.tasks[place])
            if self.random.random() < 0.05:
                self.random.shuffle(self.tasks)

    def _dies(self, process: str) -> None:
        self.tell(process, "dies")
        self.tasks = [task for task in self.tasks if task.name.partition("'")[0] != process]

    def _create(self, request: Create) -> bool:
        is_new = request.key not in self.objects
        self.objects.setdefault(request.key, request.content)
        return is_new

    def _call(self, task: Task) -> None:
        fate = self.random.choice(["refused", "lost"]) if self.random.random() < self.trouble else "fine"
        request = task.request
        if fate == "refused":
            if isinstance(request, Create) and self.random.random() < 0.5:
                self.late.append(request)
            self.tell(task.name, _short(request), "no answer")
            task.fail(StoreUnavailableError("no answer"))
        else:
            done, reply = self._carry_out(task, request)
            if done and fate == "lost":
                self.tell(task.name, _short(request), "reply lost")
                if isinstance(request, Create) and self.random.random() < 0.5:
                    task.answer(False)
                else:
                    task.fail(StoreUnavailableError("reply lost"))
            elif done:
                self.tell(task.name, _short(request), len(reply) if isinstance(reply, bytes) else _brief(reply))
                task.answer(reply)
        if task.is_over and task in self.tasks:
            self.tasks.remove(task)

    def _carry_out(self, task: Task, request: Any) -> tuple[bool, Any]:
        """Do the call, or a part of it: whether it is done, and its reply."""
        match request:
            case Create():
                return True, self._create(request)
            case Read(key):
                return True, self.objects.get(key)
            case Names(folder):
                return self._list(task, folder)
            case ReadMany(keys):
                for key in self._some(task):
                    task.got[key] = self.objects.get(key)
                return not task.todo, [task.got.get(key) for key in keys]
            case Delete():
                for key in self._some(task):
                    self.objects.pop(key, None)
                return not task.todo, None
            case Pause():
                return True, None
        raise AssertionError(request)

    def _some(self, task: Task) -> Iterator[str]:
        for _ in range(self.random.randrange(1, 12)):
            if task.todo:
                yield task.todo.pop(self.random.randrange(len(task.todo)))

    def _list(self, task: Task, folder: str) -> tuple[bool, list[str]]:
        """What was there all the while is listed; what came or went meanwhile may be."""
        now = {key.rpartition("/")[2] for key in self.objects if key.startswith(f"{folder}/")}
        if folder == SEGMENTS and task.listed is None and self.random.random() < 0.5:
            task.listed = now
            return False, []
        before = now if task.listed is None else task.listed
        unsure = sorted(now ^ before)
        return True, sorted((now & before) | {name for name in unsure if self.random.random() < 0.5})

    # -- what must be true --------------------------------------------------------------------------------------------

    def _check_read(self, rows: list[int], acknowledged: dict[int, list[int]]) -> None:
        expected = [row for number in sorted(acknowledged) for row in acknowledged[number]]
        known = set(expected)
        assert len(set(rows)) == len(rows), f"rows came twice: {rows}"
        assert [row for row in rows if row in known] == expected, f"read {rows}, acknowledged {acknowledged}"
        self.reads.append(list(rows))

    def tell(self, *what: Any) -> None:
        self.story.append(what)

    def told(self) -> str:
        return "\n".join("  " + " ".join(map(str, line)) for line in self.story)


def _short(request: Any) -> str:
    what = getattr(request, "key", None) or getattr(request, "folder", None) or getattr(request, "keys", ("",))
    return f"{type(request).__name__} {what if isinstance(what, str) else [key[-3:] for key in what]}"


def _brief(reply: object) -> object:
    if isinstance(reply, list):
        return [each[-3:] if isinstance(each, str) else each is not None for each in reply]
    return reply
