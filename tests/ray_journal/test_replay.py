"""A table that was written to a journal is read back as it was."""

from __future__ import annotations

import gc
import json
import random
from base64 import b64encode
from pathlib import Path
from typing import Any

import pytest
from checkmaite.jobs import CapabilityRunRef, Report, Resources, Reuse, ReuseKind
from checkmaite.jobs.spi import Cancelled, Completed, ObjectStore, Outcome
from checkmaite.jobs_ray.journal.format import JournalCorruptError
from checkmaite.jobs_ray.journal.reading import read_journal
from checkmaite.jobs_ray.journal.replay import table_of
from checkmaite.jobs_ray.journal.runner import leader_here, new_nonce, perform
from checkmaite.jobs_ray.journal.schema import ENDING, SPEC, events_of, rows_of
from checkmaite.jobs_ray.journal.snapshot import snapshot_rows
from checkmaite.jobs_ray.journal.storage import Journal, lead
from checkmaite.jobs_ray.registry.model.contexts import redacted_context
from checkmaite.jobs_ray.registry.model.events import (
    Assigned,
    Ended,
    Forgotten,
    Introduced,
    Launched,
    Noted,
    OwnerLost,
    Requeued,
    StopAsked,
    Submitted,
    WorkerStarted,
)
from checkmaite.jobs_ray.registry.model.job_table import JobTable
from checkmaite.jobs_ray.registry.model.record import Owner, ending_of, outcome_of
from checkmaite.jobs_ray.wire import Basis

from tests.ray_registry.making import CONTEXT, CRASH, ERROR, POLICY, PRINTS, STARTED, check_table, completed, spec

OWNER = Owner("controller", 7)


@pytest.fixture
def objects(tmp_path: Path) -> ObjectStore:
    return ObjectStore(str(tmp_path))


def _written(objects: ObjectStore, table: JobTable) -> Journal:
    journal, _ = perform(lead(objects.root, leader_here("here"), new_nonce), objects)
    _append(objects, journal, table)
    return journal


def _append(objects: ObjectStore, journal: Journal, table: JobTable) -> None:
    perform(journal.append(rows_of(table.take_events())), objects)


def _story(table: JobTable, first: int) -> None:
    """Jobs in every state, from a number on."""
    table.apply(Introduced("context", redacted_context(CONTEXT)))
    names = [f"job-{number}" for number in range(first, first + 9)]
    for number, name in enumerate(names):
        table.apply(Submitted(spec(name), first + number / 10, None))
    _, *given = names
    for name in given:
        table.apply(Assigned(name, 1, OWNER))
    _, launched, *later = given
    for name in (launched, *later):
        table.apply(Launched(name, first + 1.0))
    started, stopped, *ended = later
    for name in later:
        table.apply(WorkerStarted(name, STARTED))
    table.apply(StopAsked(stopped, Cancelled()))
    outcomes: list[Outcome] = [completed(), ERROR]
    for name, outcome in zip(reversed(ended), outcomes, strict=False):
        table.apply(Ended(name, ending_of(outcome), first + 2.0))
    table.apply(Noted(ended[-1], "told"))
    table.apply(Requeued(ended[0], "once more", lost=True))
    table.apply(OwnerLost(ended[1], "its controller died"))
    assert started in table.records


def _assert_same(there: JobTable, here: JobTable) -> None:
    check_table(there)
    assert there.records == here.records
    assert there.last_token == here.last_token
    assert there.unique_date() == here.unique_date()
    assert there.redacted_contexts.items() == here.redacted_contexts.items()
    assert {name: list(index.finished) for name, index in there.scopes.items()} == {
        name: list(index.finished) for name, index in here.scopes.items()
    }


def test_a_book_is_what_its_events_make(objects: ObjectStore) -> None:
    table = JobTable()
    _story(table, 0)
    _written(objects, table)

    _assert_same(table_of(perform(read_journal(objects.root), objects)), table)


def test_a_book_is_its_snapshot_and_what_came_after(objects: ObjectStore) -> None:
    table = JobTable()
    _story(table, 0)
    journal = _written(objects, table)
    perform(journal.snapshot(journal.tail, snapshot_rows(table)), objects)
    _story(table, 100)
    table.apply(Ended("job-3", CRASH, 200.0))
    _append(objects, journal, table)

    _assert_same(table_of(perform(read_journal(objects.root), objects)), table)


def test_what_was_forgotten_leaves_only_its_time_and_its_token(objects: ObjectStore) -> None:
    table = JobTable()
    table.apply(Introduced("context", redacted_context(CONTEXT)))
    for name in ("first", "last"):
        table.apply(Submitted(spec(name, run_key="key"), 3.0 if name == "first" else 2.0, None))
        table.apply(Assigned(name, 1, OWNER))
        table.apply(Ended(name, ending_of(completed()), 4.0))
    table.apply(Forgotten("first"))
    _written(objects, table)

    read = table_of(perform(read_journal(objects.root), objects))
    _assert_same(read, table)
    assert (list(read.records), read.scopes["scope"].completed) == (["last"], {"key": "last"})
    assert (read.last_token, read.unique_date()) == (OWNER.token, table.unique_date())


def test_a_snapshot_keeps_each_finished_job_and_their_order(objects: ObjectStore) -> None:
    """Many more than share a row, of neighbours that have little in common."""
    random_ = random.Random(7)
    table = JobTable()
    table.apply(Introduced("context", redacted_context(CONTEXT)))
    names = [f"job-{number}" for number in range(500)]
    outcomes = [completed(), _FULL, ERROR, CRASH, Cancelled(reason="why")]
    for number, name in enumerate(names):
        resources = Resources(num_cpus=random_.choice([1, 2]), custom={"a": 1} if number > 300 else {})
        job = spec(name, scope=f"scope {number // 90 % 2}", resources=resources, force=number % 100 == 7)
        table.apply(Submitted(job, number / 10, random_.choice([None, "before"])))
        table.apply(Assigned(name, random_.choice([1, 2]), OWNER))
    random_.shuffle(names)
    for name in names[:-1]:
        table.apply(WorkerStarted(name, STARTED))
        table.apply(Noted(name, f"of {name}"))
        table.apply(Ended(name, ending_of(random_.choice(outcomes)), 100.0))
    journal = _written(objects, table)
    perform(journal.snapshot(journal.tail, snapshot_rows(table)), objects)

    found = perform(read_journal(objects.root), objects)
    assert sum(row[0] == "finished" for row in found.snapshot_rows()) > 2
    _assert_same(table_of(found), table)


def test_columns_of_a_snapshot_that_differ_in_length_are_refused(objects: ObjectStore) -> None:
    table = JobTable()
    _story(table, 0)
    journal = _written(objects, table)
    rows = list(snapshot_rows(table))
    (finished,) = [row for row in rows if row[0] == "finished"]
    finished[1]["columns"]["record.created_at"].pop()
    perform(journal.snapshot(journal.tail, rows), objects)
    with pytest.raises(JournalCorruptError, match="what it says cannot be"):
        table_of(perform(read_journal(objects.root), objects))


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
    assert ENDING.value(json.loads(json.dumps(ENDING.row(ending_of(outcome))))) == ending_of(outcome)


def test_fingerprints_that_jobs_have_in_common_are_written_once(objects: ObjectStore) -> None:
    table = JobTable()
    texts = [f"{name} {'0123456789abcdef' * 4}" for name in ("code", "state", "config", "another")]
    table.apply(Introduced("context", redacted_context(CONTEXT)))
    for number in range(100):
        name, prints = f"job-{number}", (*texts[:2], texts[2 + number % 2])
        table.apply(Submitted(spec(name, basis=Basis(prints=prints if number % 7 else None)), 1.0 + number, None))
        if number:
            table.apply(Assigned(name, 1, OWNER))
            table.apply(Launched(name, 200.0))
            table.apply(WorkerStarted(name, STARTED))
            table.apply(Ended(name, ending_of(completed()), 300.0 + number))
    events = table.take_events()
    written = json.dumps(rows_of(events))
    assert [written.count(text) for text in texts] == [1, 1, 1, 1]
    assert list(events_of(json.loads(written))) == events

    journal, _ = perform(lead(objects.root, leader_here("here"), new_nonce), objects)
    perform(journal.append(rows_of(events)), objects)
    assert table_of(perform(read_journal(objects.root), objects)).records == table.records
    snapshot = json.dumps(list(snapshot_rows(table)))
    assert snapshot.count(texts[0]) == 2, "64 finished jobs share a row"
    perform(journal.snapshot(journal.tail, snapshot_rows(table)), objects)
    assert table_of(perform(read_journal(objects.root), objects)).records == table.records


_LIVE = rows_of([Submitted(spec("job"), 1.0, None)])
_FINAL = [*_LIVE, *rows_of([Ended("job", ending_of(completed()), 2.0)])]
_ENDED = {"job_id": "job", "ending": ["cancelled", {}], "at": 2.0}
_STARTED = {"job_id": "job", "where": {"node": "node", "pid": 1, "at": 2.0}}


@pytest.mark.parametrize(
    "rows",
    [
        [["nonsense"]],
        [["nonsense", {}]],
        [["submitted", {"spec": None, "at": 1.0}]],
        [["launched", {"job_id": "nobody", "at": 1.0}]],
        *(
            [["submitted", {**_LIVE[0][1], "spec": {**_LIVE[0][1]["spec"], "payload": {"key": key, "size": 1}}}]]
            for key in (
                "seg/000000000001",
                "payload",
                "payload/",
                "payload/../seg/000000000001",
                "../payload/a",
                "/x",
                7,
            )
        ),
        [*_LIVE, ["launched", {"job_id": "job"}]],
        [*_LIVE, ["launched", ["job", 1.0]]],
        [*_LIVE, ["forgotten", {"job_id": "job"}]],
        [*_LIVE, ["ended", {"job_id": "job", "ending": ["vanished", {}], "at": 2.0}]],
        [*_LIVE, ["ended", {"job_id": "job", "ending": ["completed", {"run_uid": "uid"}], "at": 2.0}]],
        *([*_LIVE, ["ended", {**_ENDED, "counted_s": counted_s}]] for counted_s in (-1, 1e300, "7", [7])),
        [*_LIVE, ["started", _STARTED]],
        [*_FINAL, ["started", _STARTED]],
        [*_LIVE, ["started", {"job_id": "job", "where": {"node": "node", "pid": 1, "at": 1e300}}]],
        [*_FINAL, ["ended", {"job_id": "job", "ending": ["cancelled", {}], "at": 3.0}]],
        [*_FINAL, *2 * [["forgotten", {"job_id": "job"}]]],
    ],
    ids=repr,
)
def test_rows_that_cannot_be_are_refused_when_the_journal_is_read(objects: ObjectStore, rows: list[Any]) -> None:
    journal = _written(objects, JobTable())
    perform(journal.append(rows), objects)
    with pytest.raises(JournalCorruptError, match="what it says cannot be") as caught:
        table_of(perform(read_journal(objects.root), objects))
    assert caught.value.uri == objects.uri_of(f"seg/{objects.names('seg')[-1]}")


@pytest.mark.parametrize("is_corrupt", [False, True])
def test_garbage_is_looked_for_again_afterwards(objects: ObjectStore, is_corrupt: bool) -> None:
    table = JobTable()
    _story(table, 0)
    journal = _written(objects, table)
    if is_corrupt:
        perform(journal.append([["nonsense"]]), objects)
    found = perform(read_journal(objects.root), objects)

    assert gc.isenabled()
    if is_corrupt:
        with pytest.raises(JournalCorruptError):
            table_of(found)
    else:
        table_of(found)
    assert (gc.isenabled(), gc.get_freeze_count()) == (True, 0)


def test_what_an_application_has_frozen_stays_so(objects: ObjectStore) -> None:
    _written(objects, JobTable())
    found = perform(read_journal(objects.root), objects)
    gc.freeze()
    try:
        table_of(found)
        assert gc.get_freeze_count() > 0
    finally:
        gc.unfreeze()


def test_what_process_a_job_needs_is_kept() -> None:
    needy = spec(
        "a", submitted_by="ann", resources=Resources(share_gpus=True), policy=POLICY._replace(isolation="process")
    )
    assert SPEC.value(json.loads(json.dumps(SPEC.row(needy)))) == needy


def test_up_to_format_3_nobody_needed_one() -> None:
    plain = spec("a", resources=Resources(num_gpus=1))
    row = [
        *("a", plain.scope, plain.run_key, plain.job_name, plain.capability_id),
        [1, 1, None, {}],
        ["a", 1000.5, None, "auto", 0.5],
        b64encode(plain.payload).decode(),
        plain.context,
        list(POLICY)[:4],
        [list(PRINTS), "auto", None, None, None],
    ]
    (event,) = events_of([["submitted", row, 1.0, None]], 3)
    assert event == Submitted(plain, 1.0, None)
