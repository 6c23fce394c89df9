"""Whatever happens between two storage calls: what was acknowledged is read, once and in order, by everybody."""

from __future__ import annotations

import pytest

from tests.ray_journal.world import World

SEEDS = 2000
PARTS = 8


@pytest.mark.parametrize("part", range(PARTS))
def test_stories(part: int) -> None:
    for seed in range(part, SEEDS, PARTS):
        world = World(seed)
        try:
            world.run()
        except Exception as error:
            raise AssertionError(f"seed {seed}: {error!r}\n{world.told()}") from error
