"""A leader that comes late may put its fence where a segment was that has been pruned; nobody is misled by it."""

from __future__ import annotations

from itertools import count
from random import Random
from typing import Any

from checkmaite.jobs_ray.journal.leader import Leader
from checkmaite.jobs_ray.journal.reading import Found, read_journal
from checkmaite.jobs_ray.journal.steps import Create, ReadMany, Steps
from checkmaite.jobs_ray.journal.storage import lead

from tests.ray_registry.sim_disk import Disk, Errand

EMPTY = Found("journal", None, (), None)


class Walk:
    """Logic that is stopped at a call and goes on later."""

    def __init__(self, disk: Disk, steps: Steps[Any]) -> None:
        self._disk = disk
        self._results: list[Any] = []
        self._errand = Errand("a process", "walk", steps, self._results.append, self._failed)
        self._errand.go_on()

    def until(self, kind: type) -> Walk:
        """Go on until such a call is asked for, which waits."""
        while not isinstance(self._errand.request, kind):
            self._step()
        return self

    def end(self) -> Any:
        """Go on to the end."""
        while self._errand.request is not None:
            self._step()
        return self._results[0]

    def _step(self) -> None:
        self._disk.work_on(self._errand)
        if self._errand.is_done:
            self._errand.go_on()

    def _failed(self, error: Exception) -> None:
        raise error


class Story:
    """A journal with one leader, and others that come late."""

    def __init__(self) -> None:
        self._numbers = count()
        self.disk = Disk(Random(0), lambda *_: None, lambda _: None, lambda *_: None, trouble=0.0)
        self.slow, self.slower = self.walk_in("slow"), self.walk_in("slower")
        self.journal, _ = self.walk(self._lead("first")).end()

    def walk(self, steps: Steps[Any]) -> Walk:
        return Walk(self.disk, steps)

    def walk_in(self, who: str) -> Walk:
        """Somebody has found the journal empty, and is about to put a fence there."""
        return self.walk(self._lead(who)).until(Create)

    def append(self) -> None:
        self.walk(self.journal.append([["row"]])).end()

    def prune(self) -> None:
        """Segment 2 is covered by two snapshots and goes."""
        for number in (2, 3):
            self.walk(self.journal.snapshot(number, [["rows up to", number]])).end()
        self.walk(self.journal.prune()).end()
        assert "seg/000000000002" not in self.disk.objects

    def _lead(self, who: str) -> Steps[Any]:
        leader = Leader(id=who, host="", boot_id="", pid=1, started_at=1.0, where="")
        return lead("journal", leader, lambda: f"nonce {next(self._numbers)}", EMPTY)


def test_one_that_comes_later_still_leads() -> None:
    story = Story()
    story.append()
    story.append()
    story.prune()

    first, _ = story.slow.end()
    second, found = story.slower.end()

    assert "seg/000000000002" in story.disk.objects, "the fence that came late"
    assert (first.tail, second.tail, found.leader.id) == (4, 5, "slower")
    assert list(found.snapshot_rows()) == [["rows up to", 3]]


def test_a_reader_misses_nothing() -> None:
    story = Story()
    story.append()
    reader = story.walk(read_journal("journal")).until(ReadMany)
    story.append()
    story.prune()
    story.slow.end()

    found = reader.end()

    assert list(found.snapshot_rows()) == [["rows up to", 3]]


def test_leaders_begin_one_after_the_other_whatever_their_clocks_say() -> None:
    story = Story()

    first, _ = story.slow.end()
    second, _ = story.slower.end()

    assert story.journal.leader.started_at < first.leader.started_at < second.leader.started_at
