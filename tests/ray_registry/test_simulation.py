"""Some seeds of the simulation; one that fails prints its number and its story.

Set ``CHECKMAITE_SIMULATION_SEEDS`` to ``FIRST:END`` for others or more of them; `hatch run simulate` runs a million.
"""

from __future__ import annotations

import os

import pytest

from tests.ray_registry.simulation import Simulation

SEEDS = os.environ.get("CHECKMAITE_SIMULATION_SEEDS", "0:300")
FIRST, END = (int(each) for each in SEEDS.split(":"))
PART = 75


@pytest.mark.parametrize("first", range(FIRST, END, PART))
def test_seeds(first: int) -> None:
    for seed in range(first, min(first + PART, END)):
        Simulation(seed).run()
