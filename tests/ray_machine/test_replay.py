"""A book that was written to a journal is read back as it was."""

from __future__ import annotations

import gc
import json
import random
from pathlib import Path
from typing import Any

import pytest
from checkmaite.jobs import CapabilityRunRef, Report, Resources, Reuse, ReuseKind
from checkmaite.jobs.spi import Cancelled, Completed, ObjectStore, Outcome
from checkmaite.jobs_ray._journal._errors import JournalCorruptError
from checkmaite.jobs_ray._journal._journal import Journal, lead
from checkmaite.jobs_ray._journal._perform import perform
from checkmaite.jobs_ray._journal._process import leader_here, new_nonce
from checkmaite.jobs_ray._journal._reading import read_journal
from checkmaite.jobs_ray._machine._book import JobBook
from checkmaite.jobs_ray._machine._contexts import shape_of
from checkmaite.jobs_ray._machine._ending import ending_of, outcome_of
from checkmaite.jobs_ray._machine._events import (
    Doubted,
    Ended,
    Forgotten,
    GivenBack,
    GivenTo,
    Introduced,
    Launched,
    Noted,
    Started,
    StopAsked,
    Submitted,
)
from checkmaite.jobs_ray._machine._record import Owner
from checkmaite.jobs_ray._messages import Basis
from checkmaite.jobs_ray._replay import book_of
from checkmaite.jobs_ray._row_parts import draft_from, draft_row, ending_from, ending_row
from checkmaite.jobs_ray._rows import events_of, rows_of, snapshot_rows

from tests.ray_machine.making import CONTEXT, CRASH, ERROR, POLICY, WHERE, check_book, completed, draft

OWNER = Owner("controller", 7)


@pytest.fixture
def objects(tmp_path: Path) -> ObjectStore:
    return ObjectStore(str(tmp_path))


def _written(objects: ObjectStore, book: JobBook) -> Journal:
    journal, _ = perform(lead(objects.root, leader_here("here"), new_nonce), objects)
    _append(objects, journal, book)
    return journal


def _append(objects: ObjectStore, journal: Journal, book: JobBook) -> None:
    perform(journal.append(rows_of(book.take_events())), objects)


def _story(book: JobBook, first: int) -> None:
    """Jobs in every state, from a number on."""
    book.apply(Introduced("context", shape_of(CONTEXT)))
    names = [f"job-{number}" for number in range(first, first + 9)]
    for number, name in enumerate(names):
        book.apply(Submitted(draft(name), first + number / 10, None))
    _, *given = names
    for name in given:
        book.apply(GivenTo(name, 1, OWNER))
    _, launched, *later = given
    for name in (launched, *later):
        book.apply(Launched(name, first + 1.0))
    started, stopped, *ended = later
    for name in later:
        book.apply(Started(name, WHERE))
    book.apply(StopAsked(stopped, Cancelled()))
    outcomes: list[Outcome] = [completed(), ERROR]
    for name, outcome in zip(reversed(ended), outcomes, strict=False):
        book.apply(Ended(name, ending_of(outcome), first + 2.0))
    book.apply(Noted(ended[-1], "told"))
    book.apply(GivenBack(ended[0], "once more", lost=True))
    book.apply(Doubted(ended[1], "its controller died"))
    assert started in book.records


def _assert_same(there: JobBook, here: JobBook) -> None:
    check_book(there)
    assert there.records == here.records
    assert there.last_token == here.last_token
    assert there.unique_time(0.0) == here.unique_time(0.0)
    assert there.shapes.items() == here.shapes.items()
    assert {name: list(index.finished) for name, index in there.scopes.items()} == {
        name: list(index.finished) for name, index in here.scopes.items()
    }


def test_a_book_is_what_its_events_make(objects: ObjectStore) -> None:
    book = JobBook()
    _story(book, 0)
    _written(objects, book)

    _assert_same(book_of(perform(read_journal(objects.root), objects)), book)


def test_a_book_is_its_snapshot_and_what_came_after(objects: ObjectStore) -> None:
    book = JobBook()
    _story(book, 0)
    journal = _written(objects, book)
    perform(journal.snapshot(journal.tail, snapshot_rows(book)), objects)
    _story(book, 100)
    book.apply(Ended("job-3", CRASH, 200.0))
    _append(objects, journal, book)

    _assert_same(book_of(perform(read_journal(objects.root), objects)), book)


def test_what_was_forgotten_leaves_only_its_time_and_its_token(objects: ObjectStore) -> None:
    book = JobBook()
    book.apply(Introduced("context", shape_of(CONTEXT)))
    for name in ("first", "last"):
        book.apply(Submitted(draft(name, run_key="key"), 3.0 if name == "first" else 2.0, None))
        book.apply(GivenTo(name, 1, OWNER))
        book.apply(Ended(name, ending_of(completed()), 4.0))
    book.apply(Forgotten("first"))
    _written(objects, book)

    read = book_of(perform(read_journal(objects.root), objects))
    _assert_same(read, book)
    assert (list(read.records), read.scopes["scope"].completed) == (["last"], {"key": "last"})
    assert (read.last_token, read.unique_time(0.0)) == (OWNER.token, book.unique_time(0.0))


def test_a_snapshot_keeps_each_finished_job_and_their_order(objects: ObjectStore) -> None:
    """Many more than share a row, of neighbours that have little in common."""
    random_ = random.Random(7)
    book = JobBook()
    book.apply(Introduced("context", shape_of(CONTEXT)))
    names = [f"job-{number}" for number in range(500)]
    outcomes = [completed(), _FULL, ERROR, CRASH, Cancelled(reason="why")]
    for number, name in enumerate(names):
        resources = Resources(num_cpus=random_.choice([1, 2]), custom={"a": 1} if number > 300 else {})
        job = draft(name, scope=f"scope {number // 90 % 2}", resources=resources, force=number % 100 == 7)
        book.apply(Submitted(job, number / 10, random_.choice([None, "before"])))
        book.apply(GivenTo(name, random_.choice([1, 2]), OWNER))
    random_.shuffle(names)
    for name in names[:-1]:
        book.apply(Started(name, WHERE))
        book.apply(Noted(name, f"of {name}"))
        book.apply(Ended(name, ending_of(random_.choice(outcomes)), 100.0))
    journal = _written(objects, book)
    perform(journal.snapshot(journal.tail, snapshot_rows(book)), objects)

    found = perform(read_journal(objects.root), objects)
    assert sum(row[0] == "finished" for row in found.snapshot_rows()) > 2
    _assert_same(book_of(found), book)


def test_columns_of_a_snapshot_that_differ_in_length_are_refused(objects: ObjectStore) -> None:
    book = JobBook()
    _story(book, 0)
    journal = _written(objects, book)
    rows = list(snapshot_rows(book))
    (finished,) = [row for row in rows if row[0] == "finished"]
    finished[2][3] = finished[2][3][1:]
    perform(journal.snapshot(journal.tail, rows), objects)
    with pytest.raises(JournalCorruptError, match="what it says cannot be"):
        book_of(perform(read_journal(objects.root), objects))


_REF = CapabilityRunRef(
    run_uid="u",
    revision=3,
    capability_id="c",
    store_uri="s",
    commit_uri="k",
    outputs_uri="o",
    report=Report(kind="artifact", media_type="text/html", uri="a", filename="r.html"),
)
_FULL = Completed(ref=_REF, reuse=Reuse(kind=ReuseKind.REUSED, job_id="a"), notes=("one", "two"))


@pytest.mark.parametrize("outcome", [completed(), _FULL, ERROR, CRASH, Cancelled(reason="why")], ids=repr)
def test_an_outcome_is_kept_whole(outcome: Outcome) -> None:
    assert outcome_of(ending_of(outcome)) == outcome
    assert ending_from(json.loads(json.dumps(ending_row(ending_of(outcome))))) == ending_of(outcome)


def test_fingerprints_that_jobs_have_in_common_are_written_once(objects: ObjectStore) -> None:
    book = JobBook()
    texts = [f"{name} {'0123456789abcdef' * 4}" for name in ("code", "state", "config", "another")]
    book.apply(Introduced("context", shape_of(CONTEXT)))
    for number in range(100):
        name, prints = f"job-{number}", (*texts[:2], texts[2 + number % 2])
        book.apply(Submitted(draft(name, basis=Basis(prints=prints if number % 7 else None)), 1.0 + number, None))
        if number:
            book.apply(GivenTo(name, 1, OWNER))
            book.apply(Launched(name, 200.0))
            book.apply(Started(name, WHERE))
            book.apply(Ended(name, ending_of(completed()), 300.0 + number))
    events = book.take_events()
    written = json.dumps(rows_of(events))
    assert [written.count(text) for text in texts] == [1, 1, 1, 1]
    assert list(events_of(json.loads(written))) == events

    journal, _ = perform(lead(objects.root, leader_here("here"), new_nonce), objects)
    perform(journal.append(rows_of(events)), objects)
    assert book_of(perform(read_journal(objects.root), objects)).records == book.records
    snapshot = json.dumps(list(snapshot_rows(book)))
    assert snapshot.count(texts[0]) == 2, "64 finished jobs share a row"
    perform(journal.snapshot(journal.tail, snapshot_rows(book)), objects)
    assert book_of(perform(read_journal(objects.root), objects)).records == book.records


_LIVE = rows_of([Submitted(draft("job"), 1.0, None)])
_FINAL = [*_LIVE, *rows_of([Ended("job", ending_of(completed()), 2.0)])]


@pytest.mark.parametrize(
    "rows",
    [
        [["nonsense"]],
        [["launched", "nobody", 1.0]],
        [*_LIVE, ["forgotten", "job"]],
        [*_LIVE, ["ended", "job", ["vanished"], 2.0, None]],
        [*_LIVE, ["ended", "job", ["completed", ["uid"], []], 2.0, None]],
        [*_LIVE, ["started", "job", ["node", 1, 2.0]]],
        [*_FINAL, ["started", "job", ["node", 1, 2.0]]],
        [*_FINAL, ["ended", "job", ["cancelled", "late"], 3.0, None]],
        [*_FINAL, ["forgotten", "job"], ["forgotten", "job"]],
    ],
    ids=repr,
)
def test_rows_that_cannot_be_are_refused_when_the_journal_is_read(objects: ObjectStore, rows: list[Any]) -> None:
    journal = _written(objects, JobBook())
    perform(journal.append(rows), objects)
    with pytest.raises(JournalCorruptError, match="what it says cannot be") as caught:
        book_of(perform(read_journal(objects.root), objects))
    assert caught.value.uri == objects.root


@pytest.mark.parametrize("is_corrupt", [False, True])
def test_garbage_is_looked_for_again_afterwards(objects: ObjectStore, is_corrupt: bool) -> None:
    book = JobBook()
    _story(book, 0)
    journal = _written(objects, book)
    if is_corrupt:
        perform(journal.append([["nonsense"]]), objects)
    found = perform(read_journal(objects.root), objects)

    assert gc.isenabled()
    if is_corrupt:
        with pytest.raises(JournalCorruptError):
            book_of(found)
    else:
        book_of(found)
    assert (gc.isenabled(), gc.get_freeze_count()) == (True, 0)


def test_what_an_application_has_frozen_stays_so(objects: ObjectStore) -> None:
    _written(objects, JobBook())
    found = perform(read_journal(objects.root), objects)
    gc.freeze()
    try:
        book_of(found)
        assert gc.get_freeze_count() > 0
    finally:
        gc.unfreeze()


def test_what_process_a_job_needs_is_kept() -> None:
    needy = draft("a", resources=Resources(share_gpus=True), policy=POLICY._replace(isolation="process"))
    assert draft_from(json.loads(json.dumps(draft_row(needy)))) == needy


def test_up_to_format_3_nobody_needed_one() -> None:
    plain = draft("a", resources=Resources(num_gpus=1))
    row = json.loads(json.dumps(draft_row(plain)))
    resources, policy = 5, 9
    assert (row[resources].pop(), row[policy].pop()) == (False, "reuse")
    assert draft_from(row) == plain
