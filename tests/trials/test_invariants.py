"""Each rule of the trials finds what it is about, and nothing where all is as it must be."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest
from attrs import evolve

from tools.trials.invariants import RULES, Observed, losses
from tools.trials.plan import Run

Notes = list[dict[str, Any]]


def said(what: str, at: float = 0.0, **more: Any) -> dict[str, Any]:
    return {"what": what, "at": at, **more}


def told(job: str, status: str, uid: str, **more: Any) -> dict[str, Any]:
    of = {"run_uid": uid, "report": f"attempt-of-{uid}", "revision": 1} if status == "COMPLETED" else {}
    return said("told", job=job, status=status, **of, **more)


def stored(uid: str, job: str) -> Notes:
    """The rows of a run, and its commit."""
    scores = [int(uid.partition("-")[2]) + number / 4 for number in range(3)]
    rows = [
        said("row", table="sample_scores", run_uid=uid, model_id=f"attempt-of-{uid}", score=each) for each in scores
    ]
    return [*rows, said("row", table="runs", run_uid=uid, job_id=job, entity_type="dataset", entity_id="1")]


def good() -> Observed:
    """One notebook with a job that completes, one that is to fail, and one that is cancelled."""
    runs = {uid: Run(uid, fails=uid == "run-2") for uid in ("run-1", "run-2", "run-3")}
    ends = [told("a", "COMPLETED", "run-1"), told("b", "FAILED", "run-2", kind="exception"), told("c", "CANCELLED", "")]
    notebook = []
    for at, (job, uid) in enumerate(zip("abc", runs, strict=True)):
        notebook += [said("submitting", at, uids=[uid]), said("accepted", at + 0.5, uid=uid, job=job)]
    notebook += [said("cancelling", job="c"), said("cancelled", job="c", said=True), *ends, said("finished")]
    audit = []
    for place, (end, uid) in enumerate(zip(reversed(ends), reversed(runs), strict=True)):
        audit += [
            said("listed", job=end["job"], uid=uid, status=end["status"], place=place),
            said("recorded", job_id=end["job"], job_name=uid, status=end["status"]),
            end,
        ]
    audit += [*stored("run-1", "a"), said("finished")]
    return Observed(runs, [notebook], audit, {"run-1": frozenset({"attempt-of-run-1", "lost"})})


def changed(notes: Sequence[Any], which: Callable[[Any], bool], **changes: Any) -> Notes:
    assert any(map(which, notes)), "there is such a note"
    return [{**note, **changes} if which(note) else note for note in notes]


def without(notes: Sequence[Any], which: Callable[[Any], bool]) -> Notes:
    assert any(map(which, notes)), "there is such a note"
    return [note for note in notes if not which(note)]


def of(what: str, **more: Any) -> Callable[[Any], bool]:
    return lambda note: note["what"] == what and all(note.get(name) == value for name, value in more.items())


def audit(seen: Observed, which: Callable[[Any], bool], **changes: Any) -> Observed:
    return evolve(seen, audit=changed(seen.audit, which, **changes) if changes else without(seen.audit, which))


def notebook(seen: Observed, which: Callable[[Any], bool], **changes: Any) -> Observed:
    notes = seen.notebooks[0]
    return evolve(seen, notebooks=[changed(notes, which, **changes) if changes else without(notes, which)])


def more(seen: Observed, *notes: Any) -> Observed:
    return evolve(seen, audit=[*notes, *seen.audit])


BROKEN: dict[str, tuple[str, Callable[[Observed], Observed]]] = {
    "a notebook that never ends": ("everybody comes", lambda seen: notebook(seen, of("finished"))),
    "an auditor that writes nothing": ("everybody comes", lambda seen: evolve(seen, audit=[])),
    "an accident": ("everybody comes", lambda seen: evolve(seen, accidents=["a notebook ended with 1"])),
    "a job that is not listed": ("acknowledged is known", lambda seen: audit(seen, of("listed", job="a"))),
    "a job that the journal lacks": ("acknowledged is known", lambda seen: audit(seen, of("recorded", job_id="b"))),
    "a job that runs for ever": (
        "acknowledged is final",
        lambda seen: audit(seen, of("listed", job="a"), status="RUNNING"),
    ),
    "an end that changes": ("final stays", lambda seen: notebook(seen, of("told", job="a"), status="FAILED")),
    "a report that changes": ("final stays", lambda seen: notebook(seen, of("told", job="a"), report="other")),
    "a list that differs": ("handles, lists", lambda seen: audit(seen, of("listed", job="c"), status="FAILED")),
    "a journal that differs": ("handles, lists", lambda seen: audit(seen, of("recorded", job_id="a"), status="FAILED")),
    "a job that was to complete": (
        "a job ends",
        lambda seen: audit(seen, of("told", job="a"), status="FAILED", kind="store-refused"),
    ),
    "a job that was to raise": ("a job ends", lambda seen: audit(seen, of("told", job="b"), kind="worker-lost")),
    "a cancelled job that nobody cancelled": ("a job ends", lambda seen: notebook(seen, of("cancelling"))),
    "a cancel that was kept": ("cancelled is", lambda seen: audit(seen, of("told", job="c"), status="COMPLETED")),
    "two jobs of one run": (
        "a run has one",
        lambda seen: more(seen, said("listed", job="d", uid="run-1", status="RUNNING", place=-1)),
    ),
    "two publishers": ("a run has one", lambda seen: more(seen, {**row(seen, "runs"), "job_id": "b"})),
    "an unknown publisher": ("a run has one", lambda seen: audit(seen, of("row", table="runs"), job_id="z")),
    "a run that is stored twice": ("a run has one", lambda seen: more(seen, row(seen, "runs"))),
    "a row too many": ("rows and report", lambda seen: more(seen, row(seen, "sample_scores"))),
    "no rows": ("rows and report", lambda seen: audit(seen, of("row", table="sample_scores"))),
    "no commit": ("rows and report", lambda seen: audit(seen, of("row", table="runs"))),
    "rows of two attempts": ("rows and report", lambda seen: audit(seen, of("row", score=1.0), model_id="lost")),
    "a wrong value": ("rows and report", lambda seen: audit(seen, of("row", score=1.0), score=7.0)),
    "rows of no attempt": ("rows and report", lambda seen: evolve(seen, starts={})),
    "another attempt's report": ("rows and report", lambda seen: audit(seen, of("told", job="a"), report="lost")),
    "rows of a job that failed": (
        "rows and report",
        lambda seen: more(seen, {**row(seen, "sample_scores"), "run_uid": "run-2"}),
    ),
    "a list out of order": ("lists are in", lambda seen: audit(seen, of("listed", job="a"), place=0.5)),
    "a process that works on": ("nothing is left", lambda seen: evolve(seen, left=["process 7: ray::execute"])),
}


def row(seen: Observed, table: str) -> Any:
    return next(note for note in seen.audit if of("row", table=table)(note))


def test_nothing_is_found_where_all_is_as_it_must_be() -> None:
    assert losses(good()) == []


@pytest.mark.parametrize("name", BROKEN)
def test_each_loss_is_found_by_its_rule(name: str) -> None:
    rule, break_it = BROKEN[name]
    found = losses(break_it(good()))
    assert any(each.rule.startswith(rule) for each in found), found


def test_what_an_auditor_did_not_come_to_is_no_loss() -> None:
    found = losses(audit(good(), lambda note: note["what"] in {"told", "finished"}))
    assert {each.rule for each in found} == {"everybody comes to an end"}


def test_each_rule_has_been_seen_to_find_something() -> None:
    assert {rule for rule in RULES if not any(rule.startswith(begin) for begin, _ in BROKEN.values())} == set()


def test_a_client_that_lost_its_cluster_was_told_nothing_of_the_job() -> None:
    seen = notebook(good(), of("told", job="a"), status="FAILED", kind="cannot-connect")
    assert losses(seen) == []


def test_a_run_that_failed_may_have_another_job() -> None:
    notes = [
        said("listed", job="d", uid="run-3", status="COMPLETED", place=-1),
        said("recorded", job_id="d", job_name="run-3", status="COMPLETED"),
        told("d", "COMPLETED", "run-3"),
        *stored("run-3", "d"),
    ]
    seen = good()
    starts = {**seen.starts, "run-3": frozenset({"attempt-of-run-3"})}
    assert losses(evolve(more(seen, *notes), starts=starts)) == []
