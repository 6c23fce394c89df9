"""What a notebook and a terminal show of jobs: facts in, text out."""

from __future__ import annotations

import io
import re
import sys
import threading
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any, cast
from xml.etree import ElementTree as ET

import pytest
from checkmaite.jobs import ArgumentError, FailureKind, JobInfo, JobProgress, JobStatus, Reuse, ReuseKind, wait_all
from checkmaite.jobs._submitters import job_list
from checkmaite.jobs._submitters.job_list import JobList
from checkmaite.jobs._submitters.progress_bar import Tally, bar_html, bar_text, remaining_s
from checkmaite.jobs._submitters.rendering import MOST_ROWS, jobs_html, jobs_text, span_text
from checkmaite.jobs.spi import Cancelled, Failed, JobControls, JobHandle, Progressed, Started

AT = datetime(2026, 1, 31, 12, tzinfo=UTC)
NOW = AT + timedelta(seconds=90)
EVIL = '<script>alert("x")</script>&'


def info(status: JobStatus = JobStatus.PENDING, **more: Any) -> JobInfo:
    about = {"job_id": "job-1", "job_name": "name", "capability_id": "c", "created_at": AT, **more}
    return JobInfo(status=status, **about)


def running(done: float = 1, total: float | None = 4, message: str = "epoch 1") -> JobInfo:
    progress = JobProgress(done=done, total=total, message=message)
    return info(JobStatus.RUNNING, started_at=AT + timedelta(seconds=30), node="node-1", progress=progress)


def failed(**more: Any) -> JobInfo:
    about: dict[str, Any] = {
        "failure_kind": FailureKind.EXCEPTION,
        "error_type": "builtins.ValueError",
        "error_message": "no\nmore",
    }
    about["traceback_text"] = "Traceback\n  of it"
    return info(JobStatus.FAILED, finished_at=NOW, **{**about, **more})


def handle(name: str = "name") -> JobHandle:
    return JobHandle(job_id=name, job_name=name, capability_id="c", created_at=AT, controls=cast(JobControls, None))


def rows_of(html: str) -> list[list[str]]:
    """The cells of the table's rows; it must be well formed."""
    tree = ET.fromstring(html)
    return [["".join(cell.itertext()).strip() for cell in row] for row in tree.iter("tr")]


def test_one_table_tells_what_matters() -> None:
    head, *rows = rows_of(jobs_html([info(), running(), failed()], NOW))
    assert head == ["name", "status", "progress", "age", "ran", "node", "result", "reason"]
    assert rows == [
        ["name", "PENDING", "", "90 s", "", "", "RUN", ""],
        ["name", "RUNNING", "25% epoch 1", "90 s", "60 s", "node-1", "RUN", ""],
        ["name", "FAILED", "", "90 s", "", "", "RUN", "ValueError: noTraceback\n  of it"],
    ]


def test_a_reason_is_folded_and_its_traceback_is_in_it() -> None:
    html = jobs_html([failed()], NOW)
    assert "<details><summary>ValueError: no</summary><pre>Traceback\n  of it</pre></details>" in html
    assert "<pre>builtins.ValueError: no\nmore</pre>" in jobs_html([failed(traceback_text="")], NOW)


def test_a_result_that_is_not_made_says_so() -> None:
    stale = Reuse(kind=ReuseKind.STALE, differences=("the config",))
    (row,) = rows_of(jobs_html([info(reuse=stale)], NOW))[1:]
    assert row[6] == "STALE"
    assert str(stale) in jobs_html([info(reuse=stale)], NOW)


def test_nothing_of_a_users_is_markup() -> None:
    job = failed(
        job_name=EVIL,
        job_id=EVIL,
        node=EVIL,
        error_type=EVIL,
        error_message=EVIL,
        traceback_text=EVIL,
        progress=JobProgress(done=1, message=EVIL),
        reuse=Reuse(kind=ReuseKind.STALE, differences=(EVIL,)),
    )
    html = jobs_html([job], NOW)
    assert "<script" not in html
    assert EVIL in rows_of(html)[1][0]


def test_a_table_of_very_many_is_cut_and_says_so() -> None:
    many = [info() for _ in range(10_000)]
    html = jobs_html(many, NOW)
    assert len(rows_of(html)) == MOST_ROWS + 1
    assert "and 9,900 more" in html
    assert "10,000 jobs: 10,000 pending" in html
    assert jobs_text(many, NOW).count("\n") == MOST_ROWS + 2


def test_a_terminal_gets_a_table_without_lines() -> None:
    assert jobs_text([running(), failed(job_name="x" * 99)], NOW).splitlines() == [
        "2 jobs: 1 running, 1 failed",
        "STATUS       NAME                                      AGE   RAN   NODE    RESULT  JOB",
        "RUNNING 25%  name                                      90 s  60 s  node-1  RUN     job-1",
        f"FAILED       {'x' * 39}…  90 s                RUN     job-1",
    ]
    assert jobs_text([], NOW) == "no jobs"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(None, ""), (0, "0.0 s"), (9.9, "9.9 s"), (9.96, "10 s"), (120, "2 min"), (7_200, "2 h"), (1e6, "12 d")],
)
def test_spans_are_short(seconds: float | None, text: str) -> None:
    assert span_text(seconds) == text


# -- the list ----------------------------------------------------------------------------------------------------------


def test_it_is_a_list() -> None:
    one, two, three = (handle(name) for name in ("one", "two", "three"))
    jobs, more = JobList([one, two]), [three]
    assert jobs == [one, two]
    assert isinstance(jobs, list)
    assert (jobs[0], jobs[-1:], jobs + more) == (one, [two], [one, two, three])
    assert type(jobs[:1]) is type(jobs + more) is JobList
    assert repr(jobs).startswith("2 jobs: 2 pending\n")
    assert set(jobs._repr_mimebundle_()) == {"text/html", "text/plain"}
    assert "two" in jobs._repr_html_()


def test_outside_a_notebook_ipython_is_told_to_ask_for_another_form() -> None:
    with pytest.raises(NotImplementedError):
        JobList([])._ipython_display_()


class Place:
    """Where a notebook shows something."""

    def __init__(self) -> None:
        self.bundles: list[Mapping[str, str]] = []
        self.changed = threading.Condition()

    def update(self, bundle: Mapping[str, str], *, raw: bool) -> None:
        with self.changed:
            self.bundles.append(bundle)
            self.changed.notify_all()

    def until(self, text: str) -> None:
        with self.changed:
            assert self.changed.wait_for(lambda: text in self.bundles[-1]["text/html"], 60), self.bundles[-1]


@pytest.fixture
def place(monkeypatch: pytest.MonkeyPatch) -> Place:
    place = Place()

    def display(bundle: Mapping[str, str], *, raw: bool, display_id: bool) -> Place:
        place.update(bundle, raw=raw)
        return place

    shell = SimpleNamespace(kernel=object())
    ipython: Any = SimpleNamespace(get_ipython=lambda: shell, display=SimpleNamespace(display=display))
    monkeypatch.setitem(sys.modules, "IPython", ipython)
    monkeypatch.setitem(sys.modules, "IPython.display", ipython.display)
    return place


def test_a_table_in_a_notebook_follows_its_jobs_to_their_end(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(job_list, "_REDRAW_S", 0.01)
    one, two = handle("one"), handle("two")
    JobList([one, two])._ipython_display_()
    place.until("2 pending")
    one.apply(Started(node="node-7", pid=1, at=AT))
    place.until("node-7")
    one.apply(Progressed(JobProgress(done=1, total=2)))
    place.until("50%")
    one.finish(Failed(error_type="ValueError", error_message="in the end"))
    place.until("in the end")
    two.finish(Cancelled())
    place.until("1 failed, 1 cancelled")
    (follower,) = [each for each in threading.enumerate() if each.name == "checkmaite-notebook"] or [None]
    if follower is not None:
        follower.join(60)
        assert not follower.is_alive()


def test_a_table_of_jobs_that_are_over_starts_no_thread(place: Place) -> None:
    job = handle()
    job.finish(Cancelled())
    before = threading.active_count()
    JobList([job])._ipython_display_()
    assert threading.active_count() == before
    assert len(place.bundles) == 1


# -- the bar -----------------------------------------------------------------------------------------------------------

STATES = [info(JobStatus.COMPLETED)] * 6 + [failed()] * 2 + [running()] * 3 + [info()] * 1


def test_a_bar_is_told_by_state() -> None:
    line = bar_text(Tally.of(STATES), 200.0)
    assert line == "[███████████████xxxxx▒▒▒▒▒▒▒···] 8/12 jobs, 3 running, 1 waiting, 2 failed, about 3 min left"
    assert len(re.findall('<span class="', bar_html(Tally.of(STATES), None))) == len(JobStatus)
    assert bar_text(Tally.of([]), None) == "[] 0/0 jobs"


def test_what_is_left_follows_from_what_was_done_while_somebody_looked() -> None:
    begun = Tally.of(STATES)
    assert begun.done == 8.75
    assert remaining_s(begun, begun, 0.0) is None
    assert remaining_s(begun, begun, 60.0) is None
    further = running(3)
    more = Tally.of([further if each.status is JobStatus.RUNNING else each for each in STATES])
    assert remaining_s(begun, more, 10.0) == pytest.approx(10.0 * (12 - 10.25) / 1.5)
    over = Tally.of([info(JobStatus.COMPLETED)] * 12)
    assert remaining_s(begun, over, 60.0) == 0.0


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_waiting_draws_one_line_on_a_terminal_and_nothing_in_a_file(monkeypatch: pytest.MonkeyPatch) -> None:
    jobs = [handle("one"), handle("two")]
    ends = [threading.Timer(0.05 * number, job.finish, [Cancelled()]) for number, job in enumerate(jobs, 1)]
    terminal, file = Terminal(), io.StringIO()
    monkeypatch.setattr(sys, "stderr", terminal)
    for end in ends:
        end.start()
    assert wait_all(jobs, 60) == [JobStatus.CANCELLED] * 2
    first, *_, last = terminal.getvalue().split("\r\x1b[K")[1:]
    assert first == "[······························] 0/2 jobs, 2 waiting"
    assert last == "[------------------------------] 2/2 jobs, 2 cancelled\n"
    quiet = Terminal()
    monkeypatch.setattr(sys, "stderr", quiet)
    wait_all(jobs, progress=False)
    monkeypatch.setattr(sys, "stderr", file)
    wait_all(jobs)
    assert (quiet.getvalue(), file.getvalue()) == ("", "")


def test_a_bar_does_not_make_a_timeout_longer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", Terminal())
    assert wait_all([handle()], 0.01) == [JobStatus.PENDING]
    assert wait_all([handle()], 0) == [JobStatus.PENDING]
    assert wait_all([]) == []


def test_a_bar_in_a_notebook_is_replaced_where_it_stands(place: Place) -> None:
    job = handle()
    threading.Timer(0.05, job.finish, [Cancelled()]).start()
    wait_all([job], 60)
    assert "0/1 jobs, 1 waiting" in place.bundles[0]["text/html"]
    assert "1/1 jobs, 1 cancelled" in place.bundles[-1]["text/html"]


def test_a_bar_in_marimo_is_the_output_of_the_cell_while_it_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    """As marimo 0.25 showed it: `output.replace` in the thread of the cell, and nothing in another."""
    shown: list[str] = []
    cell = threading.current_thread()
    marimo = SimpleNamespace(
        running_in_notebook=lambda: threading.current_thread() is cell,
        output=SimpleNamespace(replace=shown.append),
        Html=lambda text: text,
    )
    monkeypatch.setitem(sys.modules, "marimo", marimo)
    job = handle()
    threading.Timer(0.05, job.finish, [Cancelled()]).start()
    wait_all([job], 10)
    assert "0/1 jobs, 1 waiting" in shown[0]
    assert "1/1 jobs, 1 cancelled" in shown[-1]
    count = len(shown)
    elsewhere = threading.Thread(target=wait_all, args=([job],))
    elsewhere.start()
    elsewhere.join(60)
    assert len(shown) == count


def test_progress_is_a_switch() -> None:
    with pytest.raises(ArgumentError):
        wait_all([handle()], progress=cast(bool, "yes"))
