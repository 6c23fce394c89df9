"""The bench says where a run is worse than the one that was recorded."""

from __future__ import annotations

import importlib
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture
def recorded(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(ROOT / "tools" / "bench"))
    return importlib.import_module("recorded")


@pytest.fixture
def figure(recorded: ModuleType) -> Any:
    kind: Any = importlib.import_module("figures").Figure

    def make(name: str, figure: float, reach: str, unit: str = "1/s") -> Any:
        return kind(name=name, baseline=1.0, measured=figure, unit=unit, figure=figure, reach=reach)

    return make


def test_what_is_worse_by_more_than_noise_is_marked(recorded: Any, figure: Any, tmp_path: Path) -> None:
    path = tmp_path / "recorded.json"
    rate, cost, known = "at least 0.50", "at most 1.20", ""
    recorded.record([figure("a rate", 1.0, rate), figure("a cost", 1.0, cost), figure("jobs", 10.0, known)], path)
    recorded.record([figure("another", 1.0, rate)], path)
    now = [figure("a rate", 0.7, rate), figure("a cost", 0.9, cost), figure("jobs", 9.0, known), figure("new", 1, rate)]
    assert list(recorded.regressions(now, path)) == ["a rate"]
    rate_line, cost_line, jobs_line, new_line = recorded.chart(now, path).splitlines()[1:]
    assert rate_line.startswith("!")
    assert rate_line.count("<") == 9
    assert cost_line.count(">") == 3 + 1, "the arrow, and a bar"
    assert jobs_line.startswith(" ")
    assert jobs_line.count("<") == 3
    assert "not recorded before" in new_line
    assert list(recorded.regressions([figure("a cost", 1.3, cost), figure("another", 0.9, rate)], path)) == ["a cost"]


def test_a_difference_that_is_nothing_is_no_regression(recorded: Any, figure: Any, tmp_path: Path) -> None:
    path = tmp_path / "recorded.json"
    recorded.record([figure("+%", -0.2, "below +1 %", "%")], path)
    assert list(recorded.regressions([figure("+%", 0.5, "below +1 %", "%")], path)) == []


def test_the_record_in_the_repository_can_be_read(recorded: Any) -> None:
    assert recorded.chart([])
