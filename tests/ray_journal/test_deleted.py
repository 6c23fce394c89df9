"""Somebody deletes a journal, or part of it, or puts a copy in its place, while its leader lives."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from attrs import evolve
from checkmaite.jobs import JobStatus
from checkmaite.jobs.spi import ObjectStore
from checkmaite.jobs_ray.config import RegistrySettings
from checkmaite.jobs_ray.journal.format import JournalGapError
from checkmaite.jobs_ray.journal.leader import SupersededError
from checkmaite.jobs_ray.journal.reading import read_journal, read_rest
from checkmaite.jobs_ray.journal.replay import rest_of, table_of
from checkmaite.jobs_ray.journal.runner import perform
from checkmaite.jobs_ray.journal.schema import rows_of as rows_of_events
from checkmaite.jobs_ray.journal.steps import Names, Steps
from checkmaite.jobs_ray.journal.storage import Journal, lead
from checkmaite.jobs_ray.registry import journal_writer
from checkmaite.jobs_ray.registry.journal_writer import JournalWriter
from checkmaite.jobs_ray.registry.model.machine import RegistryMachine
from checkmaite.jobs_ray.registry.shell import Shell
from checkmaite.jobs_ray.registry.storage import Storage

from tests.ray_journal.making import counter, found, leader, led, rows_of
from tests.ray_registry.making import CONTEXTS, limits, spec
from tests.ray_registry.rig import new_controller
from tests.ray_registry.test_session import Wire, WireCluster

FOLDERS = ("seg", "snap")


def copy_of(objects: ObjectStore) -> dict[str, bytes]:
    return {f"{each}/{name}": objects.read(f"{each}/{name}") for each in FOLDERS for name in objects.names(each)}


def wipe(objects: ObjectStore) -> None:
    for key in copy_of(objects):
        objects.delete(key)


def replace(objects: ObjectStore, copy: dict[str, bytes]) -> None:
    wipe(objects)
    for key, content in copy.items():
        objects.create(key, content)


def fill(objects: ObjectStore) -> tuple[Journal, list[Any]]:
    """A journal with a snapshot of 3, and segments up to 5."""
    journal, _ = led(objects)
    rows = [["row", number] for number in range(4)]
    for row in rows:
        perform(journal.append([row]), objects)
    perform(journal.snapshot(3, rows[:2]), objects)
    return journal, rows


def is_whole(journal: Journal, objects: ObjectStore) -> bool:
    return perform(journal.is_whole(), objects)


def first_segment(objects: ObjectStore) -> None:
    objects.delete("seg/000000000004")


def snapshot(objects: ObjectStore) -> None:
    objects.delete("snap/000000000003")


def fence(objects: ObjectStore) -> None:
    objects.delete("seg/000000000001")


@pytest.mark.parametrize("delete", [wipe, first_segment, snapshot, fence])
def test_a_leader_sees_what_was_deleted_and_makes_the_journal_readable_again(
    objects: ObjectStore, delete: Callable[[ObjectStore], None]
) -> None:
    journal, rows = fill(objects)
    assert is_whole(journal, objects)
    delete(objects)
    assert not is_whole(journal, objects)
    perform(journal.renew(), objects)
    number = perform(journal.append([["late"]]), objects)
    perform(journal.snapshot(number, [*rows, ["late"]]), objects)
    assert is_whole(journal, objects)
    perform(journal.append([["later"]]), objects)
    assert rows_of(found(objects)) == [*rows, ["late"], ["later"]]
    again, _ = led(objects, "two")
    assert is_whole(again, objects)
    assert again.leader.started_at > journal.leader.started_at


def test_a_leader_begins_anew_in_place_of_an_older_copy(objects: ObjectStore) -> None:
    journal, rows = fill(objects)
    copy = copy_of(objects)
    perform(journal.append([["late"]]), objects)
    replace(objects, copy)
    assert not is_whole(journal, objects)
    perform(journal.renew(), objects)
    number = perform(journal.append([]), objects)
    perform(journal.snapshot(number, [*rows, ["late"]]), objects)
    assert rows_of(found(objects)) == [*rows, ["late"]]


@pytest.mark.parametrize("put", [{}, None])
def test_a_leader_yields_to_another_that_took_over_what_was_put_in_its_place(
    objects: ObjectStore, put: dict[str, bytes] | None
) -> None:
    journal, _ = fill(objects)
    copy = copy_of(objects) if put is None else put
    perform(journal.append([["late"]]), objects)
    replace(objects, copy)
    two = evolve(leader("two"), started_at=journal.leader.started_at + 9.0)
    taken, _ = perform(lead(objects.root, two, counter("two")), objects)
    perform(taken.append([["other"]]), objects)
    assert not is_whole(journal, objects)
    with pytest.raises(SupersededError) as caught:
        perform(journal.renew(), objects)
    assert caught.value.by == taken.leader
    with pytest.raises(SupersededError):
        perform(journal.append([]), objects)


def test_pruning_and_newer_snapshots_make_no_journal_look_deleted(objects: ObjectStore) -> None:
    journal, rows = fill(objects)
    looking = journal.is_whole()
    request = next(looking)
    for number in (4, 5):
        perform(journal.snapshot(number, rows[: number - 1]), objects)
    perform(journal.prune(), objects)
    answers = [objects.names(folder) for folder in FOLDERS]
    assert isinstance(request, Names)
    looking.send(answers[0])
    with pytest.raises(StopIteration) as over:
        looking.send(answers[1])
    assert over.value.value, "what a newer snapshot covers may go"
    assert is_whole(journal, objects)


def test_a_leader_whose_fence_a_snapshot_covers_begins_again_at_the_end(objects: ObjectStore) -> None:
    """It read an emptied folder just before the leader that lives began anew there."""
    journal, rows = fill(objects)
    wipe(objects)
    seen = found(objects)
    assert seen.tail == 0
    perform(journal.renew(), objects)
    perform(journal.snapshot(perform(journal.append([]), objects), rows), objects)
    other, read = perform(lead(objects.root, leader("two"), counter("two"), seen), objects)
    assert other.tail == journal.tail + 1
    assert rows_of(read) == rows
    with pytest.raises(SupersededError):
        perform(journal.append([]), objects)


# -- the registry -----------------------------------------------------------------------------------------------------


def test_a_registry_writes_all_that_it_knows_into_a_folder_that_was_emptied(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cluster = WireCluster(Wire(new_controller("first")))
    monkeypatch.setattr(journal_writer, "_WHOLE_LOCAL_S", 0.01)
    objects = ObjectStore(str(tmp_path / "journal"))

    async def story() -> None:
        writer = JournalWriter(Storage(objects), name="r", address="here")
        begun = asyncio.Event()
        begin_anew = writer._begin_anew
        loop = asyncio.get_running_loop()

        def noted(*arguments: Any) -> Steps[int]:
            number = yield from begin_anew(*arguments)
            loop.call_soon_threadsafe(begun.set)
            return number

        monkeypatch.setattr(writer, "_begin_anew", noted)
        table = await writer.open()
        settings = RegistrySettings(controller_pool_size=1)
        shell = Shell("r", cluster, settings, journal_writer=writer, table=table, tell=lambda _: None)
        await shell.pool.gathered
        shell.machine.submit([spec("a")], CONTEXTS, time.monotonic())
        shell.after()
        await shell.commits.durable()
        wipe(objects)
        await asyncio.wait_for(begun.wait(), 30)
        shell.machine.submit([spec("b")], CONTEXTS, time.monotonic())
        shell.after()
        await shell.commits.durable()

    asyncio.run(story())
    assert sorted(table_of(found(objects)).records) == ["a", "b"]


# -- what is left -----------------------------------------------------------------------------------------------------


def test_what_is_left_of_a_journal_without_its_beginning_is_told(objects: ObjectStore) -> None:
    journal, _ = led(objects)
    machine = RegistryMachine(limits())
    for act in (
        lambda: machine.submit([spec("a")], CONTEXTS, 1.0),
        lambda: machine.submit([spec("b")], CONTEXTS, 2.0),
        lambda: machine.cancel("scope", "a", 0.0, 3.0),
        lambda: machine.cancel("scope", "b", 0.0, 4.0),
    ):
        act()
        perform(journal.append(rows_of_events(machine.table.take_events())), objects)
    objects.delete("seg/000000000002")
    with pytest.raises(JournalGapError, match=r"000000000002: it is missing.*read_job_history\(\) shows what is left"):
        perform(read_journal(objects.root), objects)
    table, left_out = rest_of(perform(read_rest(objects.root), objects))
    assert (sorted(table.records), left_out) == (["b"], 1)
    assert table.records["b"].status is JobStatus.CANCELLED
