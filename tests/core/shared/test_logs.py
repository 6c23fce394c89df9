"""The end of a job's output: whole, in order, and bounded in every process that it passes through."""

from __future__ import annotations

import asyncio
import gc
import io
import sys
import tracemalloc
from collections.abc import Sequence
from concurrent.futures import Future
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any, ClassVar, cast

import pytest
from checkmaite.jobs import configure_job_backend, shutdown_job_backend, submit_capability
from checkmaite.jobs._shared.logs import LogBudget, LogTail, LostOutput, joined_output
from checkmaite.jobs._shared.mailbox import NewsMailbox, PackTold
from checkmaite.jobs._shared.news import News, Printed, Reporter, Started
from checkmaite.jobs._submitters.handle import JobControls, JobHandle
from checkmaite.jobs.testing import SampleRun
from hypothesis import given
from hypothesis import strategies as st

LIMIT = 1_000_000


def expected(text: str, pieces: Sequence[tuple[int, int]], limit: int) -> str:
    """What a tail of these pieces of a text shows, computed character by character."""
    end = max((stop for _, stop in pieces), default=0)
    known = {at for begin, stop in pieces for at in range(begin, stop) if at >= end - limit}
    said, missing = "", 0
    for at in [*range(end), None]:
        if at is not None and at not in known:
            missing += 1
            continue
        if missing:
            first = at == missing or (at is None and missing == end)
            said += (
                f"[... {missing} earlier characters were dropped ...]\n"
                if first
                else f"\n[... {missing} characters are missing ...]\n"
            )
            missing = 0
        said += text[at] if at is not None else ""
    return said


@given(st.data())
def test_pieces_come_together_doubled_reordered_or_dropped(data: st.DataObject) -> None:
    text = data.draw(st.text(min_size=1, max_size=60))
    limit = data.draw(st.integers(1, 80))
    cuts = sorted({0, len(text), *data.draw(st.lists(st.integers(0, len(text))))})
    pieces = list(pairwise(cuts))
    overlapping = data.draw(st.lists(st.tuples(st.integers(0, len(text)), st.integers(0, len(text))).map(sorted)))
    dropped = data.draw(st.sets(st.sampled_from(pieces)))
    sent = [*pieces, *pieces[:2], *[(begin, stop) for begin, stop in overlapping if begin < stop]]
    came = [each for each in data.draw(st.permutations(sent)) if each not in dropped]
    tail = LogTail(limit)
    for begin, stop in came:
        tail.extend(begin, text[begin:stop])
    assert tail.text() == expected(text, came, limit)
    assert tail.size <= limit + 65_536


def test_what_never_comes_keeps_nothing_that_follows_waiting() -> None:
    tail = LogTail()
    for number in range(300):
        tail.extend(20_000 * number + 1, "x" * 19_999)  # the first character of each piece was lost
    assert tail.size <= LIMIT + 65_536
    text = tail.text()
    assert text.startswith("[... 5,0")
    assert text.count("[... 1 characters are missing ...]") == 49
    assert len(text) < LIMIT + 50 * 80


@pytest.mark.slow
def test_single_characters_take_no_more_memory_than_their_number() -> None:
    tail = LogTail()
    tracemalloc.start()
    before, _ = tracemalloc.get_traced_memory()
    for _ in range(300_000):
        tail.append("é")
    assert tail.text() == "é" * 300_000
    for number in range(100_000):
        tail.extend(400_000 + 2 * number, "x")  # no two of them belong together
    after, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert after - before < 2_000_000


def test_together_they_keep_to_a_budget_and_who_prints_most_pays() -> None:
    budget = LogBudget(1_000)
    over, quiet, loud = LogTail(), LogTail(), LogTail()
    budget.extend(over, 0, "o" * 400)
    budget.extend(quiet, 0, "q" * 100)
    over.ended = True
    for number in range(100):
        budget.extend(loud, 100 * number, "l" * 100)
        assert over.size + quiet.size + loud.size <= 1_000 + 1_000 // 16 + 100
    assert over.text() == "[... 400 earlier characters were dropped ...]\n"
    assert quiet.text() == "q" * 100
    assert loud.text().startswith("[... ")
    assert loud.text().endswith("l" * 200)
    del loud
    gc.collect()
    budget.extend(over, 400, "o" * 800)
    assert over.size == 800, "who is gone takes no room"


def test_while_news_is_under_way_a_reporter_sends_no_more_and_what_was_lost_is_said_again() -> None:
    sent: list[Sequence[News]] = []
    arrivals: list[Future[Any]] = []

    def post(_: str, news: Sequence[News]) -> Future[Any]:
        sent.append(list(news))
        arrivals.append(Future())
        return arrivals[-1]

    reporter = Reporter("job-1", post, announce_after_s=3_600, interval_s=0)
    due = reporter._due_at
    reporter.printed("one ")
    reporter.deliver(due)
    for _ in range(50):
        reporter.printed("x" * 100_000)
        reporter.deliver(due)
    assert len(sent) == 1
    arrivals[0].set_exception(ConnectionError("its receiver died"))
    reporter.deliver(due)
    started, printed = sent[1]
    assert isinstance(started, Started)
    assert isinstance(printed, Printed)
    assert (printed.start, printed.text) == (4_000_004, "x" * LIMIT)
    reporter.printed("end")
    last = reporter.close()
    assert last is not None
    assert (last.start, last.text) == (4_000_007, "x" * (LIMIT - 3) + "end"), "it may not have arrived"
    arrivals[1].set_result(None)
    reporter.printed("!")
    last = reporter.close()
    assert last is not None
    assert (last.start, last.text) == (5_000_004, "end!")


def test_a_mailbox_is_bounded_by_characters_and_loses_output_only() -> None:
    async def use() -> None:
        box = NewsMailbox(capacity=100, characters=1_000)
        tail = LogTail()
        for number in range(50):
            await box.post("job-1", [Started(), Printed(start=100 * number, text=f"{number:100}")])
        _, letters = await box.collect(0, 0)
        assert len(letters) == 50
        for _, news in letters:
            assert isinstance(news[0], Started)
            for each in news[1:]:
                assert isinstance(each, Printed)
                tail.extend(each.start, each.text)
        assert tail.text() == "[... 4,000 earlier characters were dropped ...]\n" + "".join(
            f"{number:100}" for number in range(40, 50)
        )
        for _ in range(200):
            await box.post("job-1", [Printed(start=0, text="x" * 900)])
        _, letters = await box.collect(0, 0)
        assert sum(len(news) for _, news in letters) == 1
        assert len(letters) == 100

    asyncio.run(use())


def test_a_runner_learns_from_the_mailbox_which_of_its_jobs_are_to_stop() -> None:
    async def use() -> None:
        box = NewsMailbox()
        assert await box.tell_of_pack("runner-1", b"one") == ()
        await box.stop("runner-1", ("job-1", 1))
        await box.stop("runner-1", ("job-2", 1))
        assert await box.tell_of_pack("runner-1", b"two") == [("job-1", 1), ("job-2", 1)]
        assert await box.tell_of_pack("runner-2", b"three") == ()
        _, letters = await box.collect(0, 0)
        assert letters == [
            ("runner-1", [PackTold(b"one")]),
            ("runner-1", [PackTold(b"two")]),
            ("runner-2", [PackTold(b"three")]),
        ]
        for number in range(2_000):
            await box.stop(f"another-{number}", ("job-3", 1))
        assert await box.tell_of_pack("runner-1", b"four") == (), "the last thousand runners are kept"
        assert await box.tell_of_pack("another-1999", b"five") == [("job-3", 1)]

    asyncio.run(use())


class Looks:
    """Says what it finds `sys.stdout` to be."""

    id = "looks"
    seen: ClassVar[dict[str, object]] = {}  # a job has a copy of the object

    def run(self, **_: Any) -> SampleRun:
        out = sys.stdout
        Looks.seen = {
            "encoding": out.encoding,
            "errors": out.errors,
            "writable": out.writable(),
            "closed": out.closed,
            "buffer": out.buffer,
            "is text": isinstance(out, io.TextIOWrapper),
            "line buffering": out.line_buffering,
        }
        out.write("a line\n")
        out.writelines(["two", " lines\n"])
        with sys.stderr as err:
            err.write("complaint\n")
        return SampleRun(run_uid="looks", capability_id=self.id)


def test_in_a_thread_of_this_process_the_streams_are_what_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    below, errors = io.TextIOWrapper(io.BytesIO(), encoding="latin-1", errors="replace"), io.StringIO()
    monkeypatch.setattr(sys, "stdout", below)
    monkeypatch.setattr(sys, "stderr", errors)
    configure_job_backend("inline", analytics_store={"backend": "null"})
    job = submit_capability(Looks(), config={"run_uid": "looks"})
    job.result(30)
    shutdown_job_backend()
    assert sys.stdout is below
    assert Looks.seen == {
        "encoding": "latin-1",
        "errors": "replace",
        "writable": True,
        "closed": False,
        "buffer": below.buffer,
        "is text": True,
        "line buffering": False,
    }
    assert job.logs() == "a line\ntwo lines\ncomplaint\n"
    assert errors.closed, "that is what `with` does to a stream"


def test_output_of_lost_starts_is_bounded_together_and_not_said_twice() -> None:
    lost = LostOutput()
    for number in (1, 2, 3):
        tail = LogTail()
        tail.append(str(number) * 600_000)
        lost.add(number, tail)
    assert lost.size == LIMIT
    text = lost.before("last\n")
    assert text.startswith("[... ")
    assert len(text) < LIMIT + 100
    assert text.endswith("3\n[... the last start: ...]\nlast\n")
    assert "1" * 100 not in text
    told = joined_output({1: "one\n", 2: "two\n"}, "three\n")
    assert joined_output({1: "one\n", 2: "two\n"}, told) == told
    assert joined_output({0: "nought\n", 1: "one\n"}, told).count("one") == 1


def test_a_handle_keeps_what_a_lost_start_had_told() -> None:
    at = datetime(2026, 1, 2, tzinfo=UTC)
    job = JobHandle(job_id="j", job_name="n", capability_id="c", created_at=at, controls=cast(JobControls, None))
    first = Started(at=at, node="n", pid=1)
    job.apply(first)
    job.apply(Printed(start=0, text="first\n"))
    job.apply(first)  # news may come twice
    assert job.logs() == "first\n"
    job.apply(Started(at=at, node="n", pid=2))
    job.apply(Printed(start=0, text="second\n"))
    assert job.logs() == joined_output({1: "first\n"}, "second\n")
