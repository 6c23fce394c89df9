from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime

import pytest
from attrs import evolve
from checkmaite.jobs._shared import hook_lines
from checkmaite.jobs._shared.hook_lines import HookLines
from checkmaite.jobs._shared.hooks import HookReport, HookSpec, JobEvent, JobEventKind, JobHook

PATIENCE_S = 30.0


def event(number: int, kind: JobEventKind = JobEventKind.FINISHED) -> JobEvent:
    return JobEvent(kind=kind, event_id=str(number), at=datetime.now(UTC), backend="inline")


class Gated(JobHook):
    """Keeps what it is told, and is stuck in each event until its gate is open."""

    def __init__(self, *, is_open: bool = True) -> None:
        self.told: list[tuple[str, int]] = []
        self.gate = threading.Event()
        self.called = threading.Event()
        if is_open:
            self.gate.set()

    def on_finished(self, event: JobEvent) -> None:
        self.called.set()
        assert self.gate.wait(PATIENCE_S)
        self.told.append((event.event_id, event.missed))


Open = Callable[..., HookLines]


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> Iterator[Open]:
    """Makes the lines of these hooks, each of which is a hook or an error that its making raises."""
    lines: list[HookLines] = []

    def make(*hooks: JobHook | BaseException, waiting: int = 100) -> HookLines:
        def open_hook(spec: HookSpec) -> JobHook:
            hook = hooks[int(spec.name)]
            if isinstance(hook, BaseException):
                raise hook
            return hook

        monkeypatch.setattr(hook_lines, "open_hook", open_hook)
        lines.append(HookLines([HookSpec(str(number)) for number in range(len(hooks))], waiting=waiting))
        return lines[-1]

    yield make
    for each in lines:
        each.close(0)


def counts(report: HookReport) -> tuple[int, int, int, int]:
    return report.told, report.failed, report.dropped, report.waiting


def test_a_hook_is_told_in_order_and_only_of_what_it_has_a_method_for(opened: Open) -> None:
    hook = Gated()
    lines = opened(hook)
    for number, kind in enumerate((*JobEventKind, *JobEventKind)):
        lines.tell(event(number, kind))
    assert lines.settle(PATIENCE_S)
    assert hook.told == [("2", 0), ("6", 0)]
    assert counts(lines.reports()[0]) == (8, 0, 0, 0)


def test_what_a_hook_has_no_room_for_is_dropped_counted_and_told(
    opened: Open, caplog: pytest.LogCaptureFixture
) -> None:
    hook = Gated(is_open=False)
    lines = opened(hook, waiting=2)
    lines.tell(event(0))
    assert hook.called.wait(PATIENCE_S)
    with caplog.at_level(logging.WARNING, "checkmaite.jobs"):
        for number in range(1, 8):  # two wait, five are too many
            lines.tell(event(number))
    assert counts(lines.reports()[0]) == (0, 0, 5, 2)
    assert [record.getMessage() for record in caplog.records] == [
        f"the hook '0' is too slow, or cannot work: {count} events were not told" for count in (1, 2, 4)
    ]
    hook.gate.set()
    assert lines.settle(PATIENCE_S)
    lines.tell(event(8))
    assert lines.settle(PATIENCE_S)
    assert hook.told == [("0", 0), ("1", 0), ("2", 0), ("8", 5)]
    lines.tell(event(9))
    assert lines.settle(PATIENCE_S)
    assert hook.told[-1] == ("9", 0), "what is told once is not told again"


def test_what_whoever_tells_an_event_has_missed_counts_too(opened: Open) -> None:
    hook = Gated()
    lines = opened(hook)
    lines.tell(evolve(event(0), missed=3))
    assert lines.settle(PATIENCE_S)
    assert hook.told == [("0", 3)]
    assert counts(lines.reports()[0]) == (1, 0, 3, 0)


def test_a_hook_that_hangs_holds_up_no_other(opened: Open) -> None:
    stuck, other = Gated(is_open=False), Gated()
    lines = opened(stuck, other)
    lines.tell(event(0))
    assert stuck.called.wait(PATIENCE_S)
    lines.tell(event(1))
    assert lines._lines[1].settle(hook_lines.Deadline.after(PATIENCE_S))
    assert (stuck.told, other.told) == ([], [("0", 0), ("1", 0)])
    stuck.gate.set()


@pytest.mark.parametrize("error", [ValueError("no"), SystemExit(3), KeyboardInterrupt()], ids=repr)
def test_what_a_hook_raises_is_counted_and_it_goes_on(
    opened: Open, error: BaseException, caplog: pytest.LogCaptureFixture
) -> None:
    class Fails(Gated):
        def on_started(self, event: JobEvent) -> None:
            raise error

    hook = Fails()
    lines = opened(hook)
    for number, kind in enumerate((JobEventKind.STARTED, JobEventKind.FINISHED)):
        lines.tell(event(number, kind))
    assert lines.settle(PATIENCE_S)
    assert hook.told == [("1", 0)]
    (report,) = lines.reports()
    assert counts(report) == (1, 1, 0, 0)
    assert report.last_error.startswith(type(error).__name__)
    assert caplog.records[0].getMessage() == "the hook '0' failed, 1 times now"


def test_a_hook_that_cannot_be_made_is_told_nothing(opened: Open, caplog: pytest.LogCaptureFixture) -> None:
    lines = opened(ValueError("the environment variable HOOK is not set"))
    assert lines.settle(PATIENCE_S)
    lines.tell(event(0))
    lines.tell(event(1))
    (report,) = lines.reports()
    assert (report.told, report.dropped, report.waiting) == (0, 2, 0)
    assert report.last_error == "ValueError: the environment variable HOOK is not set"
    assert "the hook '0' cannot work here and is told nothing" in caplog.text


def test_the_end_lets_what_waits_be_told_and_waits_no_longer_than_it_may(opened: Open) -> None:
    hook, stuck = Gated(), Gated(is_open=False)
    lines = opened(hook)
    for number in range(50):
        lines.tell(event(number))
    lines.close(PATIENCE_S)
    assert len(hook.told) == 50
    lines.tell(event(50))
    assert counts(lines.reports()[0]) == (50, 0, 1, 0)
    lines = opened(stuck)
    lines.tell(event(0))
    lines.tell(event(1))
    assert stuck.called.wait(PATIENCE_S)
    lines.close(0.01)
    assert counts(lines.reports()[0]) == (0, 0, 1, 0), "one hangs, one is dropped"
    stuck.gate.set()


def test_a_subclass_needs_no_more_than_the_method_that_it_wants() -> None:
    for kind in JobEventKind:
        JobHook().on_event(event(0, kind))
    JobHook().give_up()
