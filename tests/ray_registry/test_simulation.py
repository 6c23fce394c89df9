"""Some seeds of the simulation; one that fails prints its number and its story.

Set ``CHECKMAITE_SIMULATION_SEEDS`` to ``FIRST:END`` for others or more of them; `hatch run simulate` runs a million.
"""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path
from typing import get_args

import pytest
from checkmaite.jobs_ray.registry.model.events import JobEvent
from checkmaite.jobs_ray.registry.model.record import State

from tests.ray_registry.simulation import Simulation

SEEDS = os.environ.get("CHECKMAITE_SIMULATION_SEEDS", "0:300")
FIRST, END = (int(each) for each in SEEDS.split(":"))
PART = 75
PAGE = Path(__file__).parents[2] / "docs" / "design" / "states.md"


@cache
def documented() -> set[tuple[str, str, str]]:
    """The steps that the page on states has."""
    rows = [[cell.strip() for cell in line.split("|")] for line in PAGE.read_text().splitlines()]
    states = {"-", *(each.__name__ for each in get_args(State))}
    return {(row[1], row[2], row[3]) for row in rows if len(row) == 6 and row[1] in states}


def test_the_page_on_states_names_all_states_and_events() -> None:
    named = {name for step in documented() for name in step}
    assert {each.__name__ for each in get_args(State)} <= named
    assert {each.__name__ for each in get_args(JobEvent)} - {"Noted", "Extended"} <= named


@pytest.mark.parametrize("first", range(FIRST, END, PART))
def test_seeds(first: int) -> None:
    for seed in range(first, min(first + PART, END)):
        simulation = Simulation(seed)
        simulation.run()
        taken = {step for step in simulation.truth.steps if step[1] != "Noted"}
        assert taken <= documented(), f"seed {seed} takes steps that docs/design/states.md does not have"
