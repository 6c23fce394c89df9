"""Jobs are shared out so that controllers become equally busy."""

from __future__ import annotations

import pytest
from checkmaite.jobs_ray.registry.model.placement import shares, useful_controllers
from hypothesis import given
from hypothesis import strategies as st

from tests.ray_registry.making import spec
from tests.ray_registry.rig import Rig


def test_a_small_batch_stays_together() -> None:
    assert shares(32, {"a": 5, "b": 4}, 100) == {"b": 32}
    assert shares(32, {"b": 4, "a": 4}, 10) == {"a": 10}


def test_a_large_batch_makes_loads_even() -> None:
    assert shares(100, {"a": 0, "b": 0}, 1_000) == {"a": 50, "b": 50}
    assert shares(100, {"a": 0, "b": 60}, 1_000) == {"a": 80, "b": 20}
    assert shares(100, {"a": 0, "b": 10, "c": 1_000}, 1_000) == {"a": 55, "b": 45}
    assert shares(100, {"a": 0, "b": 10, "c": 1_000}, 50) == {"a": 50, "b": 45}


@pytest.mark.parametrize(("cpus", "useful"), [(0, 1), (2, 1), (15.5, 1), (16, 2), (64, 8)])
def test_a_controller_is_useful_for_every_eight_cpus(cpus: float, useful: int) -> None:
    assert useful_controllers(cpus) == useful


def test_nothing_is_given_to_nobody() -> None:
    assert shares(0, {"a": 0}, 10) == {}
    assert shares(10, {}, 10) == {}


@given(st.integers(0, 500), st.dictionaries(st.sampled_from("abcde"), st.integers(0, 300)), st.integers(1, 500))
def test_shares_are_fair(count: int, loads: dict[str, int], limit: int) -> None:
    found = shares(count, loads, limit)
    assert all(0 < share <= limit for share in found.values())
    assert sum(found.values()) <= count
    unbounded = shares(count, loads, count)
    assert sum(unbounded.values()) == (count if loads else 0)
    if count > 32:
        after = {name: load + unbounded.get(name, 0) for name, load in loads.items()}
        for name in unbounded:
            assert after[name] <= min(after.values()) + 1


def test_the_oldest_go_first_and_only_to_the_ready() -> None:
    rig = Rig(3)
    rig.submit(*(spec(f"job {number}") for number in range(100)))
    assignments = rig.place("a", "c", "unknown", limit=40)
    given = [launch.spec.job_id for each in assignments for launch in each.launches]
    assert sorted(each.controller for each in assignments) == ["a", "c"]
    assert given == [f"job {number}" for number in range(80)]
    assert len(rig.registry.table.waiting) == 20
    assert rig.registry.table.unconfirmed == 80
