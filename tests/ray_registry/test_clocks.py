"""Calendars are set, ahead and back, in any process: nothing ends, is forgotten or takes longer for it."""

from __future__ import annotations

import asyncio
import logging

import pytest
from checkmaite.jobs import JobStatus
from checkmaite.jobs.spi import JobQuery
from checkmaite.jobs_ray import clock
from checkmaite.jobs_ray.clock import tell_time
from checkmaite.jobs_ray.registry.model.machine import RegistryMachine
from checkmaite.jobs_ray.registry.model.retention import FinishTimes, finish_counts

from tests.ray_registry.making import POLICY, completed, limits, spec
from tests.ray_registry.rig import Rig
from tests.ray_registry.test_session import Rig as SessionRig

HOUR = 3600.0
DECADES = 1e9
STEPS = pytest.mark.parametrize("step", [HOUR, -HOUR])


def listed(rig: Rig) -> list[str]:
    return [each.job_id for each in rig.registry.list_jobs("scope", JobQuery(limit=None))]


def run(rig: Rig, job_id: str) -> None:
    rig.submit(spec(job_id))
    rig.go()
    rig.end(job_id, completed())


@STEPS
def test_a_job_that_waits_has_its_whole_time(step: float) -> None:
    rig = Rig(controllers=0)
    rig.submit(spec("waits", policy=POLICY._replace(scheduling_timeout_s=1200.0)))
    rig.registry.set_calendar(step)
    rig.pass_time(1100.0)
    assert rig.status("waits") is JobStatus.PENDING
    rig.pass_time(101.0)
    assert rig.status("waits") is JobStatus.FAILED


@STEPS
def test_finished_jobs_are_listed_for_their_whole_time_and_no_longer(step: float) -> None:
    rig = Rig(within=limits(terminal_job_retention_s=100.0))
    run(rig, "done")
    rig.registry.set_calendar(step)
    rig.pass_time(98.0)
    assert listed(rig) == ["done"]
    rig.pass_time(3.0)
    assert listed(rig) == []


@STEPS
def test_a_controller_whose_calendar_is_wrong_has_no_job_forgotten_early(step: float) -> None:
    rig = Rig(within=limits(terminal_job_retention_s=100.0))
    rig.controllers["a"].set_calendar(step)
    run(rig, "done")
    assert rig.registry.facts("scope", "done").finished_at == pytest.approx(rig.now + step)
    rig.pass_time(98.0)
    assert listed(rig) == ["done"]
    rig.pass_time(3.0)
    assert listed(rig) == []


@STEPS
def test_lists_keep_the_order_of_acceptance(step: float) -> None:
    rig = Rig()
    rig.submit(spec("one"))
    rig.registry.set_calendar(step)
    rig.submit(spec("two"))
    rig.registry.set_calendar(0.0)
    rig.submit(spec("three"))
    assert listed(rig) == ["three", "two", "one"]
    dates = [rig.registry.facts("scope", each).created_at for each in ("one", "two", "three")]
    assert dates == sorted(dates)
    assert dates[1] == pytest.approx(rig.now - 0.25 + max(step, 0.0), abs=1.0)


@STEPS
def test_a_registry_with_another_calendar_forgets_nothing_early(step: float) -> None:
    """No registry has run in between: how long is not known, so it does not count."""
    rig = Rig(within=limits(terminal_job_retention_s=100.0, lease_ttl_s=1e6))
    run(rig, "old")
    rig.pass_time(60.0)
    run(rig, "new")
    rows = rig.rows()
    rig.now += step
    rig.take_over(10**12, rows)
    rig.pass_time(38.0)
    assert listed(rig) == ["new", "old"]
    rig.pass_time(4.0)
    assert listed(rig) == ["new"], "of the old one 60 seconds had passed before"
    rig.pass_time(60.0)
    assert listed(rig) == []


@pytest.mark.parametrize("step", [HOUR, -HOUR, DECADES, -1000.0 * HOUR])
def test_a_wrong_date_in_a_journal_has_nothing_forgotten_early_or_late(step: float) -> None:
    """By whatever calendar a job's end was written down, and however often registries begin anew."""
    rig = Rig(within=limits(terminal_job_retention_s=100.0, lease_ttl_s=1e6))
    run(rig, "old")
    rig.controllers["a"].set_calendar(step)
    run(rig, "wrong")
    rig.controllers["a"].set_calendar(0.0)
    for restart in range(1, 4):
        rig.pass_time(30.0)
        run(rig, f"restart-{restart}")
        rows = rig.rows()
        rig.now += DECADES * (restart == 2)  # nobody leads the journal meanwhile
        rig.take_over(10 ** (12 + restart), rows)
    assert listed(rig)[-2:] == ["wrong", "old"]
    rig.pass_time(12.0)
    assert listed(rig) == ["restart-3", "restart-2", "restart-1"]
    rig.pass_time(30.0)
    assert listed(rig) == ["restart-3", "restart-2"]


def test_a_journal_of_before_goes_on_with_the_count() -> None:
    """Its jobs have dates alone; then a registry ends others, and another one begins."""
    rig = Rig(within=limits(terminal_job_retention_s=100.0, lease_ttl_s=1e6))
    run(rig, "old")
    rig.pass_time(50.0)
    run(rig, "new")
    rows = rig.rows()
    for row in rows:
        if row[0] == "introduced":  # the context of both
            continue
        assert row[0] == "finished"
        row[1]["columns"].pop("state.counted_s")
    rig.take_over(10**12, rows)
    rig.pass_time(30.0)
    run(rig, "counted")
    rig.take_over(10**13, rig.rows())
    assert listed(rig) == ["counted", "new", "old"]
    rig.pass_time(18.0)
    assert listed(rig) == ["counted", "new", "old"]
    rig.pass_time(3.0)
    assert listed(rig) == ["counted", "new"]
    rig.pass_time(50.0)
    assert listed(rig) == ["counted"]


@STEPS
def test_a_controller_remembers_its_finished_jobs_for_their_whole_time(step: float) -> None:
    rig = Rig()
    run(rig, "done")
    (controller,) = rig.controllers.values()
    rig.hear()  # acknowledges its end
    controller.set_calendar(step)
    controller.sweep(rig.now + 99.0)
    assert controller.attach(10**12, rig.now).jobs
    controller.sweep(rig.now + 101.0)
    assert not controller.attach(10**13, rig.now).jobs


@STEPS
def test_what_a_controller_remembers_is_as_old_as_it_says(step: float) -> None:
    rig = Rig(within=limits(terminal_job_retention_s=50.0))
    rig.controllers["a"].set_calendar(step)
    run(rig, "done")
    rig.now += 45.0
    rig.begin_registry(epoch=10**12)
    assert listed(rig) == ["done"]
    rig.now += 10.0
    rig.begin_registry(epoch=10**13)
    assert listed(rig) == []


def test_no_job_was_final_for_longer_than_one_before_it() -> None:
    times = FinishTimes()
    times.recall(finish_counts([(at, None) for at in (100.0, 40.0, 160.0, 150.0)], 170.0), 0.0, now=1000.0)
    found = []
    for _ in range(4):
        found.append(times.oldest)
        times.forget()
    assert found == [930.0, 930.0, 990.0, 990.0], "40 came after 100"


def test_the_time_of_a_process_is_not_the_calendar(monkeypatch: pytest.MonkeyPatch) -> None:
    registry = RegistryMachine(limits())
    before = tell_time(registry)
    monkeypatch.setattr(clock.time, "time", lambda: 5.0)
    now = tell_time(registry)
    registry.tick(now)
    assert before <= now < before + 60
    assert registry.table.date == pytest.approx(5.0)


def test_a_registry_whose_calendar_is_behind_grants_leases_that_controllers_accept(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Without a journal only the calendar says which tokens are new."""

    async def story() -> None:
        rig = SessionRig()
        rig.wire.machine.attach(10**18, 0.0)
        running = asyncio.create_task(rig.session.run())
        await asyncio.wait_for(rig.session.attached.wait(), 30)
        running.cancel()

    with caplog.at_level(logging.ERROR):
        asyncio.run(story())
    assert caplog.records == []
