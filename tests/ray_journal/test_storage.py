"""A journal on a disk and in a bucket: its life, its damages, its races."""

from __future__ import annotations

import multiprocessing
import os
import pickle
import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from checkmaite.jobs import StoreCorruptError, StoreError, StorePermissionError, StoreUnavailableError
from checkmaite.jobs.spi import ObjectStore
from checkmaite.jobs_ray.journal import storage
from checkmaite.jobs_ray.journal.format import Kind, encode
from checkmaite.jobs_ray.journal.leader import SupersededError
from checkmaite.jobs_ray.journal.reading import read_journal
from checkmaite.jobs_ray.journal.runner import leader_here, new_nonce, perform
from checkmaite.jobs_ray.journal.steps import Create, Names, Pause, ReadMany
from checkmaite.jobs_ray.journal.storage import Journal, lead

from tests.ray_journal.making import counter, found, header, leader, led, rows_of


def names(objects: ObjectStore, folder: str) -> list[int]:
    return [int(name) for name in objects.names(folder)]


def test_a_journal_is_empty_before_its_first_leader(objects: ObjectStore) -> None:
    empty = found(objects)
    assert (rows_of(empty), empty.tail, empty.leader, empty.snapshot_number) == ([], 0, None, 0)


def test_the_life_of_a_journal(objects: ObjectStore) -> None:
    first, _ = led(objects)
    rows = [["row", number] for number in range(6)]
    assert perform(first.append(rows[:2]), objects) == 2
    assert perform(first.append(rows[2:3]), objects) == 3
    perform(first.snapshot(2, rows[:2]), objects)
    assert (first.rows_since, first.segments_since, first.snapshot_number) == (1, 1, 2)
    assert perform(first.append([]), objects) == 4
    second, taken_over = led(objects, "two")
    assert rows_of(taken_over) == rows[:3]
    assert [each.rows() for each in taken_over.segments()] == [[rows[2]], []]
    assert (second.rows_since, second.segments_since, second.tail) == (1, 3, 5)
    with pytest.raises(SupersededError, match="process 7 on host") as caught:
        perform(first.append(rows[3:]), objects)
    assert second.leader.id == "two"
    assert second.leader.started_at > first.leader.started_at
    assert caught.value.by == second.leader
    assert pickle.loads(pickle.dumps(caught.value)).by == second.leader
    for steps in (first.append([]), first.snapshot(4, [])):
        with pytest.raises(SupersededError):
            perform(steps, objects)
    assert perform(second.append(rows[3:]), objects) == 6
    assert found(objects).leader == second.leader
    perform(second.snapshot(6, rows), objects)
    assert perform(second.prune(), objects) == 1, "segment 2; 1 is a fence"
    assert names(objects, "seg") == [1, 3, 4, 5, 6]
    perform(second.append([["late"]]), objects)
    perform(second.snapshot(7, [*rows, ["late"]]), objects)
    assert perform(second.prune(), objects) == 4
    assert (names(objects, "seg"), names(objects, "snap")) == ([1, 5, 7], [6, 7])
    read = found(objects)
    assert (rows_of(read), read.leader, read.tail) == ([*rows, ["late"]], second.leader, 7)


def test_a_leader_that_was_beaten_to_its_fence_leads_after_it(objects: ObjectStore) -> None:
    """It has listed the journal before the other's fence came, and must ask the store, not that listing."""
    led(objects)
    seen = found(objects)
    root, options, _ = objects.__getstate__()
    elsewhere = ObjectStore(root, options if objects.is_local else {**options, "skip_instance_cache": True})
    led(elsewhere, "two")

    def never(pause: Pause) -> None:
        raise AssertionError(f"it waits for what is there already: {pause}")

    journal, read = perform(lead(objects.root, leader("late"), counter("late"), seen), objects, never)
    assert (journal.tail, read.leader) == (3, journal.leader)


def test_pruning_goes_on_where_another_leader_died(tmp_path: Path) -> None:
    objects = ObjectStore(str(tmp_path))
    first, _ = led(objects)
    for _ in range(5):
        perform(first.append([[1]]), objects)
    perform(first.snapshot(4, [[1]] * 3), objects)
    second, _ = led(objects, "two")
    perform(second.snapshot(7, [[1]] * 5), objects)
    assert perform(second.prune(), objects) == 3
    assert names(objects, "seg") == [1, 5, 6, 7]


def test_a_stray_fence_in_place_of_what_was_pruned_misleads_no_reader(tmp_path: Path) -> None:
    """The reader is so slow, and the stray fence so late, that what is read fits together."""
    objects = ObjectStore(str(tmp_path))
    first, _ = led(objects)
    perform(first.append([["row"]]), objects)
    led(objects, "two")
    reader = read_journal(objects.root)
    assert reader.send(None) == Names("snap")
    assert reader.send([]) == Names("seg")
    request = reader.send(objects.names("seg"))
    assert request == ReadMany(["seg/000000000001", "seg/000000000002", "seg/000000000003"])
    third, _ = led(objects, "three")
    perform(third.append([]), objects)
    for number in (4, 5):
        perform(third.snapshot(number, [["row"]]), objects)
    assert perform(third.prune(), objects) == 1
    objects.create("seg/000000000002", encode(header(Kind.FENCE, 2, leader="late"), [leader("late").to_row()]))
    request = reader.send([objects.read(key) for key in request.keys])
    assert request == Names("snap")
    assert reader.send(objects.names("snap")) == Names("snap"), "it starts over"
    reader.close()
    assert rows_of(found(objects)) == [["row"]]


def test_when_a_snapshot_is_due(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    objects = ObjectStore(str(tmp_path))
    journal, _ = led(objects)
    perform(journal.append([[1]] * 1500), objects)
    assert journal.is_snapshot_due(0)
    assert journal.is_snapshot_due(375)
    assert not journal.is_snapshot_due(376), "a job has four rows, and is to be in one snapshot and not in four"
    monkeypatch.setattr(storage, "_CHEAP_ROWS", 1200)
    assert journal.is_snapshot_due(1500), "but so many rows take too long to read"
    assert not journal.is_snapshot_due(1501)
    perform(journal.snapshot(2, [[1]] * 1500), objects)
    assert not journal.is_snapshot_due(0)
    for number in (1, 2, 3):
        with pytest.raises(ValueError, match="not of this leader"):
            perform(journal.snapshot(number, []), objects)


def test_a_snapshot_is_due_for_bytes_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Few rows may be many bytes; after a snapshot as large as they are, as many again must come."""
    monkeypatch.setattr(storage, "_SNAPSHOT_BYTES", 100_000)
    objects = ObjectStore(str(tmp_path))
    journal, _ = led(objects)
    payload = [["payload", os.urandom(25_000).hex()]]  # halved by compression
    for _ in range(3):
        perform(journal.append(payload), objects)
        assert not journal.is_snapshot_due(0)
    assert perform(journal.append(payload), objects) == 5
    assert journal.is_snapshot_due(0)
    assert led(objects, "two")[0].bytes_since > 100_000, "a later leader counts what it reads"
    journal, _ = led(objects, "three")
    assert journal.is_snapshot_due(0)
    perform(journal.snapshot(journal.tail, payload * 8), objects)
    assert journal.bytes_since == 0
    for _ in range(4):
        perform(journal.append(payload), objects)
    assert journal.bytes_since > 100_000
    assert not journal.is_snapshot_due(0), "a snapshot would cost more than it saves"
    for _ in range(5):
        perform(journal.append(payload), objects)
    assert journal.is_snapshot_due(0)


def test_a_bad_row_is_refused_and_the_journal_goes_on(tmp_path: Path) -> None:
    objects = ObjectStore(str(tmp_path))
    journal, _ = led(objects)
    with pytest.raises(TypeError):
        perform(journal.append([[1], [object()]]), objects)
    assert perform(journal.append([[1]]), objects) == 2


def test_an_append_goes_on_until_its_outcome_is_known(tmp_path: Path) -> None:
    objects = ObjectStore(str(tmp_path))
    journal, _ = led(objects)
    steps = journal.append([[1]])
    first = next(steps)
    assert isinstance(first, Create)
    objects.create(*first)
    pauses = []
    for error in [StoreUnavailableError("no answer"), StorePermissionError("expired")] * 10:
        request = steps.throw(error)
        assert isinstance(request, Pause)
        assert request.cause is error
        pauses.append(request.seconds)
        assert steps.send(None) == first
    assert pauses == sorted(pauses)
    assert pauses[-1] == 5.0
    steps.send(False)
    with pytest.raises(StopIteration) as end:
        steps.send(objects.read("seg/000000000002"))
    assert end.value.value == 2
    given_up = journal.append([[2]])
    next(given_up)
    given_up.close()
    with pytest.raises(RuntimeError, match="outcome unknown"):
        perform(journal.append([[3]]), objects)


def test_what_ends_a_pause_ends_the_steps(tmp_path: Path) -> None:
    class Broken(ObjectStore):
        def create(self, key: str, content: bytes) -> bool:
            raise StoreUnavailableError("no answer")

    def stop(pause: Pause) -> None:
        raise InterruptedError(str(pause.cause))

    objects = Broken(str(tmp_path))
    with pytest.raises(InterruptedError, match="no answer"):
        perform(lead(objects.root, leader(), new_nonce), objects, stop)


# -- damages ----------------------------------------------------------------------------------------------------------


def _flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-1] ^= 4
    path.write_bytes(content)


DAMAGES: list[tuple[str, str, Callable[[Path], Any], str]] = [
    ("truncated", "seg/000000000006", lambda path: path.write_bytes(path.read_bytes()[:-3]), "cut short"),
    ("empty", "seg/000000000006", lambda path: path.write_bytes(b""), "cut short"),
    ("flipped", "seg/000000000006", _flip, "bytes have changed"),
    ("foreign", "seg/000000000006", lambda path: path.write_bytes(b"PAR1 and so on"), "not an object of a journal"),
    ("copied", "seg/000000000008", lambda path: shutil.copy(path.with_name("000000000006"), path), "segment 6, which"),
    ("missing", "seg/000000000006", Path.unlink, "missing"),
    ("missing first", "seg/000000000005", Path.unlink, "missing"),
    ("missing fence", "seg/000000000001", Path.unlink, "missing"),
    ("of another leader", "seg/000000000008", lambda path: path.write_bytes(
        encode(header(number=8, leader="three"), [])), "another journal"),
    ("foreign name", "seg/notes.txt", lambda path: path.write_text("x"), "Move it elsewhere"),
    ("snapshot truncated", "snap/000000000004", lambda path: path.write_bytes(path.read_bytes()[:90]), "cut short"),
    ("snapshot flipped", "snap/000000000004", _flip, "or delete it"),
    ("snapshot a segment", "snap/000000000004", lambda path: path.write_bytes(
        encode(header(Kind.SEGMENT, 4), [])), "does not belong"),
    ("snapshot renamed", "snap/000000000005", lambda path: path.with_name("000000000004").rename(path), "snapshot 4"),
]  # fmt: skip


@pytest.fixture
def aged(tmp_path: Path) -> ObjectStore:
    """A journal with a fence, segments up to 7, and snapshots of 2 and 4."""
    objects = ObjectStore(str(tmp_path / "journal"))
    journal, _ = led(objects)
    for number in range(2, 8):
        perform(journal.append([["row", number]]), objects)
    for number in (2, 4):
        perform(journal.snapshot(number, [["row", each] for each in range(2, number + 1)]), objects)
    return objects


@pytest.mark.parametrize(("key", "damage", "said"), [each[1:] for each in DAMAGES], ids=[each[0] for each in DAMAGES])
def test_a_damage_is_named(aged: ObjectStore, key: str, damage: Callable[[Path], Any], said: str) -> None:
    damage(Path(aged.uri_of(key)))
    with pytest.raises(StoreCorruptError, match=said) as caught:
        found(aged)
    assert caught.value.uri == aged.uri_of(key)
    with pytest.raises(StoreCorruptError, match=said):
        led(aged, "two")


def test_a_damaged_snapshot_may_be_deleted(aged: ObjectStore) -> None:
    rows = rows_of(found(aged))
    journal, _ = led(aged, "two")
    perform(journal.prune(), aged)
    aged.delete("snap/000000000004")
    assert rows_of(found(aged)) == rows


def test_a_foreign_object_where_the_leader_would_go_on_ends_its_leadership(aged: ObjectStore) -> None:
    journal, _ = led(aged, "two")
    aged.create("seg/000000000009", b"what is this")
    for _ in range(2):
        with pytest.raises(SupersededError, match="of whom nothing is known"):
            perform(journal.append([["row", 9]]), aged)


# -- races ------------------------------------------------------------------------------------------------------------


def _race(objects: ObjectStore, racer: int, lives: int, ready: Any, report: Any) -> None:
    """Lead, append while leading, and lead again."""
    acknowledged: list[tuple[int, list[int]]] = []
    ready.wait()
    for life in range(lives):
        journal, _ = perform(lead(objects.root, leader_here("race"), new_nonce), objects)
        try:
            for place in range(4):
                row = [racer, life, place]
                acknowledged.append((perform(journal.append([row]), objects), row))
            if racer % 2:
                _tidy(journal, objects)
        except SupersededError:
            pass
    report.put(acknowledged)


def _tidy(journal: Journal, objects: ObjectStore) -> None:
    """A snapshot of what is there, for its leader alone knows that nothing else is."""
    number = journal.tail
    read = found(objects)
    if read.tail == number and journal.leader == read.leader:
        perform(journal.snapshot(number, rows_of(read)), objects)
        perform(journal.prune(), objects)


def _check(objects: ObjectStore, acknowledged: list[tuple[int, list[int]]]) -> None:
    numbers = [number for number, _ in acknowledged]
    assert len(numbers) == len(set(numbers))
    known = [row for _, row in sorted(acknowledged)]
    read = rows_of(found(objects))
    assert len({tuple(row) for row in read}) == len(read)
    assert [row for row in read if row in known] == known
    assert known


def test_eight_processes_lead_and_append(tmp_path: Path) -> None:
    objects = ObjectStore(str(tmp_path / "journal"))
    context = multiprocessing.get_context("fork")
    ready, report = context.Barrier(8), context.Queue()
    racers = [context.Process(target=_race, args=(objects, racer, 5, ready, report)) for racer in range(8)]
    for racer in racers:
        racer.start()
    acknowledged = [each for _ in racers for each in report.get(timeout=240)]
    for racer in racers:
        racer.join()
        assert racer.exitcode == 0
    _check(objects, acknowledged)


def test_threads_lead_and_append(objects: ObjectStore) -> None:
    import queue
    import threading

    ready, report = threading.Barrier(4), queue.SimpleQueue[list[tuple[int, list[int]]]]()
    with ThreadPoolExecutor(4) as threads:
        for each in [threads.submit(_race, objects, racer, 2, ready, report) for racer in range(4)]:
            each.result()
    _check(objects, [each for _ in range(4) for each in report.get()])


def test_a_store_that_is_not_there(tmp_path: Path) -> None:
    options = {"key": "k", "secret": "s", "endpoint_url": "http://127.0.0.1:9"}
    options["config_kwargs"] = {"connect_timeout": 0.2, "retries": {"max_attempts": 0}}  # type: ignore[assignment]
    objects = ObjectStore("s3://bucket/journal", options)
    with pytest.raises(StoreError):
        perform(lead(objects.root, leader(), counter()), objects)
