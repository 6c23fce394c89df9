"""What must be true after a trial, decided from what was written down alone."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any

from attrs import field, frozen

from tools.trials.plan import ROWS, Run

Note = Mapping[str, Any]
"""A line that a notebook or the auditor wrote; `notebook.py` says which there are."""
FINAL = frozenset({"COMPLETED", "FAILED", "CANCELLED"})
_FIRST = "everybody comes to an end"
_UNREACHED = "cannot-connect"
"""What a client is told that has lost its cluster: nothing of the job."""


@frozen
class Loss:
    """Something that must never be.

    Attributes:
        rule: Which of `RULES` found it.
        what: In words, with the job's and run's names.
    """

    rule: str
    what: str


@frozen
class Observed:
    """All that was seen of one trial.

    Attributes:
        runs: What was to be run, by uid.
        notebooks: What each notebook wrote, in all its lives.
        audit: What the auditor wrote when everything had calmed down.
        starts: The attempts that began to run, by uid.
        left: Processes that still worked afterwards.
        accidents: What ended otherwise than the trial made it: a notebook with an error, say.
    """

    runs: Mapping[str, Run]
    notebooks: Sequence[Sequence[Note]]
    audit: Sequence[Note]
    starts: Mapping[str, frozenset[str]] = field(factory=dict)
    left: Sequence[str] = ()
    accidents: Sequence[str] = ()

    def said(self, what: str) -> Iterator[Note]:
        """What notebooks wrote of one kind."""
        return (note for notes in self.notebooks for note in notes if note["what"] == what)

    def audited(self, what: str) -> list[Note]:
        """What the auditor wrote of one kind."""
        return [note for note in self.audit if note["what"] == what]

    @cached_property
    def listed(self) -> dict[str, Note]:
        """Jobs by id, as they are listed."""
        return {note["job"]: note for note in self.audited("listed")}

    @cached_property
    def handles(self) -> dict[str, Note]:
        """Jobs by id, as their handles say."""
        return {note["job"]: note for note in self.audited("told")}

    @cached_property
    def history(self) -> dict[str, Note]:
        """Jobs by id, as the journal says."""
        return {note["job_id"]: note for note in self.audited("recorded")}

    @cached_property
    def rows(self) -> dict[str, dict[str, list[Note]]]:
        """Rows by table and run."""
        found: dict[str, dict[str, list[Note]]] = {"sample_scores": defaultdict(list), "runs": defaultdict(list)}
        for note in self.audited("row"):
            found[note["table"]][note["run_uid"]].append(note)
        return found

    @cached_property
    def uids(self) -> dict[str, str]:
        """The run of each job that was accepted or is listed."""
        return {note["job"]: note["uid"] for note in (*self.said("accepted"), *self.audited("listed"))}


def losses(observed: Observed) -> list[Loss]:
    """Everything that is not as it must be. Where the auditor did not come to its end, nothing else is known."""
    rules = {_FIRST: RULES[_FIRST]} if not observed.audited("finished") else RULES
    return [Loss(rule, what) for rule, check in rules.items() for what in check(observed)]


def _finished(seen: Observed) -> Iterator[str]:
    yield from seen.accidents
    for name, notes in (
        *((f"notebook {n}", each) for n, each in enumerate(seen.notebooks)),
        ("the auditor", seen.audit),
    ):
        if not notes or notes[-1]["what"] != "finished":
            yield f"{name} did not come to its end: {notes[-1] if notes else 'it wrote nothing'}"


def _known(seen: Observed) -> Iterator[str]:
    for job in {note["job"]: None for note in seen.said("accepted")}:
        where = [name for name, jobs in _accounts(seen) if job not in jobs]
        if where:
            yield f"{job} ({seen.uids[job]}) was acknowledged, and is not in {' and '.join(where)}"


def _final(seen: Observed) -> Iterator[str]:
    waits = {note["job"]: note["why"] for note in seen.audited("waits")}
    for job, note in seen.listed.items():
        if note["status"] not in FINAL:
            yield f"{job} ({note['uid']}) is {note['status']} for good: {waits.get(job, 'nobody says why')}"


def _told(seen: Observed) -> Iterator[str]:
    for note in seen.said("told"):
        now = seen.handles.get(note["job"])
        if now is None or note.get("kind") == _UNREACHED:
            continue
        changed = {
            name: (note.get(name), now.get(name))
            for name in ("status", "run_uid", "report", "revision", "kind")
            if note.get(name) != now.get(name)
        }
        if changed:
            yield f"{note['job']} was told to have ended otherwise than it has: {changed}"


def _agree(seen: Observed) -> Iterator[str]:
    for job in {**seen.listed, **seen.handles, **seen.history}:
        said = {name: jobs[job]["status"] if job in jobs else "unknown" for name, jobs in _accounts(seen)}
        if len(set(said.values())) > 1:
            yield f"{job} is {said}"


def _expected(seen: Observed) -> Iterator[str]:
    cancelled = {note["job"] for note in seen.said("cancelling")}
    for job, note in seen.handles.items():
        run, kind = seen.runs[seen.uids[job]], note.get("kind")
        allowed = {"FAILED" if run.fails else "COMPLETED"} | ({"CANCELLED"} if job in cancelled else set())
        if note["status"] in FINAL and note["status"] not in allowed:
            yield f"{job} ({run.uid}) ended {note['status']}: {kind}: {note.get('error')}"
        elif note["status"] == "FAILED" and kind != "exception":
            yield f"{job} ({run.uid}) was to raise, and failed otherwise: {kind}: {note.get('error')}"


def _cancelled(seen: Observed) -> Iterator[str]:
    for note in seen.said("cancelled"):
        status = seen.handles.get(note["job"], {}).get("status")
        if note["said"] and status != "CANCELLED":
            yield f"{note['job']} was said to be cancelled, and is {status}"


def _once(seen: Observed) -> Iterator[str]:
    jobs = defaultdict[str, list[str]](list)
    for job, note in seen.listed.items():
        if note["status"] not in {"FAILED", "CANCELLED"}:
            jobs[note["uid"]].append(job)
    for uid, several in jobs.items():
        if len(several) > 1:
            yield f"{uid} has several jobs that stand for it: {several}"
    for uid, rows in seen.rows["runs"].items():
        publishers = {row["job_id"] for row in rows}
        if len(publishers) > 1:
            yield f"{uid} was published by {sorted(publishers)}"
        elif not {job for job, its in seen.uids.items() if its == uid} & publishers:
            yield f"{uid} was published by {publishers}, of whom nobody knows"
        entities = [(row["entity_type"], row["entity_id"]) for row in rows]
        if len(entities) != len(set(entities)):
            yield f"{uid} is in runs more than once: {entities}"


def _results(seen: Observed) -> Iterator[str]:
    completed = {seen.uids[job]: note for job, note in seen.handles.items() if note["status"] == "COMPLETED"}
    for uid in {**completed, **seen.rows["sample_scores"]}:
        rows = seen.rows["sample_scores"].get(uid, [])
        attempts = {row["model_id"] for row in rows}
        scores = sorted(row["score"] for row in rows)
        wanted = [int(uid.partition("-")[2]) + number / 4 for number in range(ROWS)]
        if scores != wanted or len(attempts) != 1 or uid not in seen.rows["runs"]:
            yield f"{uid} has rows of {len(attempts)} attempts with the values {scores}, not {wanted}"
        elif not attempts <= seen.starts.get(uid, frozenset()):
            yield f"{uid} has rows of {attempts}, which never began"
        elif uid in completed and completed[uid]["report"] not in attempts:
            yield f"{uid} has the report of {completed[uid]['report']} and rows of {attempts}"


def _ordered(seen: Observed) -> Iterator[str]:
    """A job that was acknowledged before another was asked for is the older one, whatever the clocks say."""
    asked: dict[str, float] = {}
    for note in seen.said("submitting"):
        for uid in note["uids"]:
            asked[uid] = min(note["at"], asked.get(uid, note["at"]))
    accepted: dict[str, float] = {}
    for note in seen.said("accepted"):
        accepted[note["job"]] = min(note["at"], accepted.get(note["job"], note["at"]))
    oldest_first = sorted(
        (job for job in _with_one_job(seen) if job in accepted), key=lambda job: -seen.listed[job]["place"]
    )
    latest_asked, whose = float("-inf"), ""
    for job in oldest_first:
        if accepted[job] < latest_asked:
            yield f"{job} was accepted before {whose} was asked for, and is listed as the younger one"
        if (at := asked[seen.uids[job]]) > latest_asked:
            latest_asked, whose = at, job


def _with_one_job(seen: Observed) -> list[str]:
    """Jobs whose run has no other job."""
    jobs = defaultdict[str, list[str]](list)
    for job in seen.listed:
        jobs[seen.uids[job]].append(job)
    return [job for several in jobs.values() if len(several) == 1 for job in several]


def _left(seen: Observed) -> Iterable[str]:
    return seen.left


def _accounts(seen: Observed) -> list[tuple[str, Mapping[str, Note]]]:
    return [("lists", seen.listed), ("handles", seen.handles), ("the history", seen.history)]


RULES: Mapping[str, Callable[[Observed], Iterable[str]]] = {
    _FIRST: _finished,
    "acknowledged is known": _known,
    "acknowledged is final": _final,
    "final stays final": _told,
    "handles, lists and history agree": _agree,
    "a job ends as its run did": _expected,
    "cancelled is cancelled": _cancelled,
    "a run has one job and is published once": _once,
    "rows and report are one attempt's, with the right values": _results,
    "lists are in the order of acceptance": _ordered,
    "nothing is left running": _left,
}
