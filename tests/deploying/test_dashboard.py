"""Grafana's dashboard asks for what the registry emits."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from checkmaite.jobs_ray.registry.model.tallies import COUNTERS, HOOK_COUNTERS, LIVE

from tests.deploying.dockerfiles import DEPLOY

BOARD: dict[str, Any] = json.loads((DEPLOY / "grafana/checkmaite-jobs.json").read_text("utf-8"))
LABELS = {
    LIVE: ("scope", "status"),
    **{name: labels for name, (_, labels) in COUNTERS.items()},
    **dict.fromkeys(HOOK_COUNTERS, ("hook",)),
}
QUERIES = [each["expr"] for panel in BOARD["panels"] for each in panel["targets"]]


@pytest.mark.parametrize("query", [*QUERIES, *(each["query"] for each in BOARD["templating"]["list"][1:])])
def test_a_query_names_a_metric_that_is_emitted_and_labels_that_it_has(query: str) -> None:
    names = re.findall(r"ray_checkmaite_jobs_\w+", query)
    assert names
    assert set(names) <= LABELS.keys()
    has = set.intersection(*(set(LABELS[name]) for name in names))
    asked = re.findall(r"by \((\w+)\)", query) + re.findall(r"label_values\(\w+, (\w+)\)", query)
    asked += re.findall(r"[{,] ?(\w+)=", query)
    assert asked
    assert set(asked) <= has


def test_every_metric_is_on_the_board() -> None:
    assert {name for query in QUERIES for name in re.findall(r"ray_checkmaite_jobs_\w+", query)} == LABELS.keys()
