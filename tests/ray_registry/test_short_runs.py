"""A capability whose last runs were all short is packed without being asked for it."""

from __future__ import annotations

from itertools import count
from typing import Any

import pytest
from checkmaite.jobs import Reuse, ReuseKind
from checkmaite.jobs.spi import Cancelled, Completed, Outcome
from checkmaite.jobs_ray.registry.model.short_runs import ShortRuns

from tests.ray_registry.making import ERROR, POLICY, STARTED, completed, limits, spec
from tests.ray_registry.rig import Rig

RUNS = 3
SHORT, LONG = 0.019, 0.021
REUSED = Completed(ref=completed().ref, reuse=Reuse(kind=ReuseKind.REUSED))


@pytest.fixture
def rig() -> Rig:
    return Rig(within=limits(short_runs=RUNS))


_numbers = count()


def runs(rig: Rig, *took: float | None, outcome: Outcome | None = None, capability: str = "capability") -> None:
    """Jobs of a capability have ended, one after the other."""
    for took_s in took:
        job_id = f"job {next(_numbers)}"
        rig.submit(spec(job_id, capability_id=capability))
        rig.go()
        rig.end(job_id, outcome, took_s=took_s)


def is_packed(rig: Rig, capability: str = "capability", **changed: Any) -> bool:
    """Whether the next job of a capability is packed."""
    job_id = f"job {next(_numbers)}"
    rig.submit(spec(job_id, capability_id=capability, **changed))
    ((launch,),) = (each.launches for each in rig.place())
    return launch.is_short


def test_a_capability_is_packed_once_enough_of_its_runs_were_short(rig: Rig) -> None:
    runs(rig, *[SHORT] * (RUNS - 1))
    assert not is_packed(rig)
    runs(rig, SHORT)
    assert is_packed(rig)
    assert not is_packed(rig, "another"), "of which nothing is known"
    assert not is_packed(rig, scope="another"), "where the same name may be something else"


@pytest.mark.parametrize("outcome", [None, ERROR, Cancelled()])
def test_one_that_was_long_says_that_the_next_may_be(rig: Rig, outcome: Outcome | None) -> None:
    runs(rig, *[SHORT] * RUNS)
    runs(rig, LONG, outcome=outcome)
    runs(rig, *[SHORT] * (RUNS - 1))
    assert not is_packed(rig)
    runs(rig, SHORT)
    assert is_packed(rig)


@pytest.mark.parametrize(("outcome", "took_s"), [(ERROR, SHORT), (Cancelled(), SHORT), (REUSED, SHORT), (None, None)])
def test_what_did_not_run_to_its_end_says_nothing(rig: Rig, outcome: Outcome | None, took_s: float | None) -> None:
    runs(rig, *[SHORT] * (RUNS - 1))
    runs(rig, took_s, outcome=outcome)
    assert not is_packed(rig)
    runs(rig, SHORT)
    assert is_packed(rig)


def test_a_job_that_is_started_again_has_a_task_of_its_own(rig: Rig) -> None:
    runs(rig, *[SHORT] * RUNS)
    rig.submit(spec("lost"))
    rig.go()
    rig.end("lost", ERROR, worker_lost=True)
    ((launch,),) = (each.launches for each in rig.place())
    assert (launch.attempt, launch.is_short) == (2, False)


@pytest.mark.parametrize("changed", [{"max_retries": 0}, {"max_attempts": 1}, {"resubmit": False}])
def test_a_job_that_may_be_started_once_only_has_a_task_of_its_own(rig: Rig, changed: Any) -> None:
    runs(rig, *[SHORT] * RUNS)
    assert not is_packed(rig, policy=POLICY._replace(**changed))
    assert is_packed(rig)


def test_the_next_registry_knows_it_from_the_journal(rig: Rig) -> None:
    runs(rig, *[SHORT] * RUNS)
    runs(rig, LONG, capability="long")
    rig.take_over(epoch=100)
    assert is_packed(rig)
    assert not is_packed(rig, "long")


def test_a_capability_is_remembered_among_a_thousand(rig: Rig) -> None:
    runs(rig, SHORT)
    (ended,) = rig.registry.table.records.values()
    found = ShortRuns()
    for number in range(1_500):
        found.note(ended._replace(spec=spec("other", capability_id=f"other {number}")))
        if number % 500 == 0:
            found.note(ended)
    assert found.in_a_row("capability") == 3
    assert (found.in_a_row("other 1499"), found.in_a_row("other 499")) == (1, 0)


def test_the_end_is_when_the_worker_was_done_and_never_later_than_it_was_heard(rig: Rig) -> None:
    runs(rig, SHORT, None, 10_000.0)
    short, unknown, ahead = [each.state for each in rig.registry.table.records.values()]
    assert short.at == STARTED.at.timestamp() + SHORT  # type: ignore[union-attr]
    assert unknown.at > 1_000  # type: ignore[union-attr]  # by the controller's clock, when it has heard of it
    assert ahead.at == rig.now  # type: ignore[union-attr]
