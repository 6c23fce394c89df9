"""What a controller takes, tells, keeps and forgets."""

from __future__ import annotations

from typing import Any

import pytest
from attrs import evolve
from checkmaite.jobs import JobProgress
from checkmaite.jobs.spi import Cancelled, Failed, Printed
from checkmaite.jobs_ray.controller.machine import Cancel, ControllerMachine, StaleLeaseError
from checkmaite.jobs_ray.wire import EndReport, Launch, ProgressReport, StartReport, Stop

from tests.ray_registry.making import CONTEXT, CRASH, ERROR, POLICY, STARTED, check_controller, completed, spec
from tests.ray_registry.rig import new_controller

TOO_LATE = Failed(error_type="SchedulingTimeout", error_message="no worker", phase="schedule")


def launch(job_id: str, attempt: int = 1, **changed: Any) -> Launch:
    return Launch(spec(job_id, **changed), CONTEXT, attempt, 100.0, None, attempt - 1)


def attached(*jobs: str, **changed: Any) -> ControllerMachine:
    """A controller under lease 1 that has these jobs."""
    machine = new_controller("first", **changed)
    machine.attach(1, 0.0)
    machine.keep(1, [], 0.0)
    machine.launch(1, [launch(job_id) for job_id in jobs])
    return machine


def end(machine: ControllerMachine, job_id: str, outcome: Any = None, *, lost: bool = False, now: float = 5.0) -> None:
    machine.ended((job_id, 1), outcome or completed(job_id), worker_lost=lost, now=now)
    check_controller(machine)


def ended(job_id: str, outcome: Any = None, *, lost: bool = False, now: float = 5.0) -> EndReport:
    return EndReport(job_id, 1, outcome or completed(job_id), lost, now)


def test_reports_are_kept_until_they_are_acknowledged() -> None:
    machine = attached("one", "two")
    assert not machine.has_news
    machine.started(("one", 1), STARTED)
    machine.started(("one", 1), evolve(STARTED, pid=1))  # a post may come twice
    end(machine, "two")
    expected = [StartReport("one", 1, STARTED), ended("two")]
    assert machine.has_news
    assert machine.reports(1, 0) == (2, expected)
    assert machine.reports(1, 0) == (2, expected)
    assert machine.reports(1, 1) == (2, expected[1:])
    assert not machine.has_news, "it is on its way"
    assert machine.reports(1, 2) == (2, [])
    assert not machine.has_news
    end(machine, "one", ERROR)
    assert machine.reports(1, 1) == (
        3,
        [ended("one", ERROR)._replace(started=STARTED)],
    )  # an older acknowledgement comes late


def test_only_the_newest_progress_is_told() -> None:
    machine = attached("one", "two")
    for done in (1, 2, 3):
        machine.progressed(("one", 1), JobProgress(done=done, total=3))
        machine.progressed(("two", 1), JobProgress(done=done, total=3))
    end(machine, "two")
    last, reports = machine.reports(1, 0)
    assert reports == [ended("two"), ProgressReport("one", 1, JobProgress(done=3, total=3))]
    assert machine.reports(1, last) == (last, [])


def test_the_first_end_counts_and_nothing_after_it() -> None:
    machine = attached("one")
    assert machine._live(("one", 1)) is not None
    end(machine, "one", ERROR)
    end(machine, "one")
    machine.started(("one", 1), STARTED)
    machine.progressed(("one", 1), JobProgress(done=1, total=3))
    assert machine.reports(1, 0) == (1, [ended("one", ERROR)])
    assert machine._live(("one", 1)) is None


def test_news_of_another_start_are_not_taken() -> None:
    machine = attached("one")
    end(machine, "one", CRASH, lost=True)
    machine.launch(1, [launch("one", 2)])
    machine.reports(1, 1)
    machine.started(("one", 1), STARTED)
    machine.printed(("one", 1), Printed(start=0, text="old"))
    end(machine, "one")
    machine.ended(("unknown", 1), ERROR, worker_lost=False, now=1.0)
    assert not machine.has_news
    assert machine._live(("one", 2)) is not None
    assert machine.logs("one") == ""


def test_a_launch_that_comes_twice_starts_once() -> None:
    machine = attached()
    both = [launch("one"), launch("two")]
    assert machine.launch(1, both) == both
    assert machine.launch(1, both) == []
    end(machine, "one")
    machine.reports(1, 1)
    machine.sweep(1e9)
    assert machine.logs("one") is None
    assert machine.launch(1, both) == []
    assert machine.launch(1, [launch("three")]) == [launch("three")]


def test_stopping_is_told_to_ray_and_a_stopped_job_does_not_begin() -> None:
    machine = attached("one", "two")
    assert machine.begins(("one", 1), 1.0)
    cancels = machine.stop(1, [Stop("one", 1, 4.0, Cancelled()), Stop("two", 1, 4.0, TOO_LATE)], 10.0)
    assert cancels == [Cancel(("one", 1), 14.0), Cancel(("two", 1), 14.0)]
    assert not machine.has_news
    assert not machine.begins(("two", 1), 11.0)
    assert not machine.begins(("unknown", 1), 11.0)
    assert machine.reports(1, 0) == (1, [ended("two", Cancelled(), now=11.0)])
    end(machine, "one")
    assert machine.stop(1, [Stop("one", 1, 4.0, Cancelled())], 12.0) == []


def test_a_stop_that_overtakes_its_launch_keeps_the_job_from_starting() -> None:
    machine = attached()
    assert machine.stop(1, [Stop("one", 1, 4.0, Cancelled())], 10.0) == []
    stopped = ended("one", Cancelled(), now=10.0)
    assert machine.reports(1, 0) == (1, [stopped])
    assert machine.launch(1, [launch("one"), launch("two")]) == [launch("two")]
    assert machine.reports(1, 1) == (2, [stopped])
    machine.stop(1, [Stop("three", 1, 4.0, Cancelled())], 10.0)
    machine.sweep(1_000.0)
    assert machine.launch(1, [launch("three")]) == [launch("three")]


def test_an_older_lease_can_do_nothing_and_an_unknown_one_neither() -> None:
    machine = attached("one")
    found = machine.attach(5, 0.0)
    assert [held.launch for held in found.jobs] == [launch("one")]
    for token in (1, 4, 6):
        for call in (
            lambda token=token: machine.keep(token, [], 0.0),
            lambda token=token: machine.launch(token, [launch("two")]),
            lambda token=token: machine.stop(token, [Stop("one", 1, 0.0, Cancelled())], 0.0),
            lambda token=token: machine.reports(token, 500),
        ):
            with pytest.raises(StaleLeaseError, match="5"):
                call()
    for token in (1, 5):  # an attach that comes twice would forget reports
        with pytest.raises(StaleLeaseError, match="5"):
            machine.attach(token, 0.0)
    assert machine._live(("one", 1)) is not None
    assert machine.logs("two") is None
    assert not machine.has_news


def test_a_process_that_begins_again_takes_nothing_before_it_was_attached() -> None:
    machine = new_controller("second")
    with pytest.raises(StaleLeaseError):
        machine.launch(7, [launch("one")])
    with pytest.raises(StaleLeaseError):
        machine.reports(7, 12)


def test_an_inventory_says_all_and_keep_ends_the_rest() -> None:
    machine = attached("runs", "stops", "done", "given away", "done and given away")
    machine.started(("runs", 1), STARTED)
    machine.stop(1, [Stop("stops", 1, 4.0, TOO_LATE)], 1.0)
    end(machine, "done", ERROR)
    end(machine, "done and given away")
    machine.progressed(("runs", 1), JobProgress(done=1, total=2))
    found = machine.attach(2, 0.0)
    held = {each.launch.spec.job_id: (each.started, each.then, each.end) for each in found.jobs}
    assert held == {
        "runs": (STARTED, None, None),
        "stops": (None, TOO_LATE, None),
        "done": (None, None, ended("done", ERROR)),
        "given away": (None, None, None),
        "done and given away": (None, None, ended("done and given away")),
    }
    assert (found.incarnation, found.served) == ("first", (1,))
    end(machine, "runs")  # between the inventory and what to keep of it
    kept = [("runs", 1), ("stops", 1), ("done", 1)]
    assert machine.keep(2, kept, 9.0) == [Cancel(("given away", 1), 9.0)]
    assert [held.launch.spec.job_id for held in machine.attach(3, 0.0).jobs] == ["runs", "stops", "done"]
    assert machine.keep(3, kept, 9.0) == []


def test_an_inventory_says_which_leases_its_process_has_known() -> None:
    machine = new_controller("first")
    assert machine.attach(3, 0.0).served == ()
    for token in range(4, 200):
        found = machine.attach(token, 0.0)
    assert found.served == tuple(range(99, 199))


def test_keep_is_about_what_was_in_the_inventory() -> None:
    machine = attached("old")
    machine.attach(2, 0.0)
    machine.launch(2, [launch("new")])
    assert machine.keep(2, [], 9.0) == [Cancel(("old", 1), 9.0)]
    assert machine.keep(2, [], 9.0) == []
    assert machine._live(("new", 1)) is not None


def test_reports_after_an_inventory_are_numbered_on() -> None:
    machine = attached("one", "two")
    end(machine, "one")
    found = machine.attach(2, 0.0)
    end(machine, "two")
    machine.keep(2, [("one", 1), ("two", 1)], 0.0)
    assert machine.reports(2, found.last) == (found.last + 1, [ended("two")])


def test_a_finished_job_keeps_its_payload_only_for_another_start() -> None:
    machine = attached("done", "retried", "spent")
    machine.launch(1, [launch("once", policy=POLICY._replace(max_retries=0))])
    end(machine, "done")
    for job_id in ("retried", "once"):
        end(machine, job_id, CRASH, lost=True)
    payloads = {each.launch.spec.job_id: each.launch.spec.payload for each in machine.attach(2, 0.0).jobs}
    assert payloads == {"done": None, "retried": b"payload", "spent": b"payload", "once": None}


def test_output_is_kept_for_a_while() -> None:
    machine = attached("one", "two", max_log_characters=12)  # looked at anew with each character
    machine.printed(("one", 1), Printed(start=0, text="hello "))
    assert machine.logs("one") == "hello "
    end(machine, "one")
    machine.printed(("one", 1), Printed(start=6, text="world"))  # may come after the end
    check_controller(machine)
    assert machine.logs("one") == "hello world"
    assert machine.logs("two") == ""
    machine.reports(1, 1)
    machine.sweep(6.0)
    assert machine.logs("one") == "hello world", "nobody needs the room"
    machine.printed(("two", 1), Printed(start=0, text="other"))
    assert machine.logs("one") == "[... 11 earlier characters were dropped ...]\n"
    assert machine.logs("two") == "other"
    machine.printed(("two", 1), Printed(start=5, text="s" * 20))
    assert machine.logs("two") == "[... 13 earlier characters were dropped ...]\n" + "s" * 12, "halved"
    check_controller(machine)


def test_what_a_lost_start_had_printed_comes_before_the_output_of_the_next() -> None:
    machine = attached("one")
    machine.printed(("one", 1), Printed(start=0, text="first\n"))
    end(machine, "one", CRASH, lost=True)
    machine.launch(1, [launch("one", 2)])
    first = "[... start 1, which was lost, had printed: ...]\n{}\n"
    assert machine.logs("one") == first.format("first\n") + "[... the last start: ...]\n"
    machine.recovered(("one", 1), Printed(start=0, text="first\nand last\n"))  # its node has told it late
    machine.printed(("one", 2), Printed(start=0, text="second\n"))
    machine.ended(("one", 2), CRASH, worker_lost=True, now=6.0)
    machine.launch(1, [launch("one", 3)])
    machine.printed(("one", 3), Printed(start=0, text="third\n"))
    assert machine.logs("one") == (
        first.format("first\nand last\n")
        + "[... start 2, which was lost, had printed: ...]\nsecond\n\n[... the last start: ...]\nthird\n"
    )
    check_controller(machine)


def test_a_start_that_was_lost_and_printed_nothing_is_not_mentioned() -> None:
    machine = attached("one")
    end(machine, "one", CRASH, lost=True)
    machine.launch(1, [launch("one", 2)])
    machine.printed(("one", 2), Printed(start=0, text="second\n"))
    assert machine.logs("one") == "second\n"


def test_finished_jobs_are_forgotten_by_number_and_age_once_the_registry_has_heard() -> None:
    machine = attached("one", "two", "three", "lives", retention_s=100.0, max_retained=2)
    for number, job_id in enumerate(("one", "two", "three")):
        end(machine, job_id, now=float(number))

    def left() -> list[str]:
        check_controller(machine)
        return [job_id for job_id in ("one", "two", "three", "lives") if machine.logs(job_id) is not None]

    machine.sweep(10.0)
    assert left() == ["one", "two", "three", "lives"]
    machine.reports(1, 2)
    machine.sweep(10.0)
    assert left() == ["two", "three", "lives"]
    machine.sweep(1_000.0)
    assert left() == ["three", "lives"]
    machine.reports(1, 3)
    machine.sweep(1_000.0)
    assert left() == ["lives"]


def test_an_inventory_counts_as_heard_only_when_it_was_answered() -> None:
    machine = attached("one", max_retained=0)
    end(machine, "one")
    machine.attach(2, 0.0)
    machine.sweep(10.0)
    assert machine.logs("one") == ""
    machine.keep(2, [("one", 1)], 10.0)
    machine.sweep(10.0)
    assert machine.logs("one") is None


def test_a_job_whose_payload_did_not_come_is_taken_when_it_is_brought_again() -> None:
    machine = attached("one")
    both = [launch("one"), launch("two")]
    assert machine.lacking(1, both) == [launch("two")]
    assert machine.launch(1, both) == [launch("two")]
    assert machine.lacking(1, both) == []
    other = [launch("three"), launch("four")]
    assert machine.launch(1, other[:1]) == other[:1]
    machine.stop(1, [Stop("four", 1, 0.0, Cancelled())], 3.0)
    assert machine.lacking(1, other) == other[1:]
    assert machine.launch(1, other) == [], "one that was stopped before it was taken does not begin"
    assert machine.reports(1, 0)[1] == [ended("four", Cancelled(), now=3.0)] * 2
    machine.attach(2, 0.0)
    with pytest.raises(StaleLeaseError):
        machine.lacking(1, other)
