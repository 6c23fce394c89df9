"""Compares a run with the last one that was recorded, so that a regression is seen."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from attrs import asdict
from figures import Figure

RECORD = Path(__file__).with_name("recorded.json")
CHART = "against-recorded.txt"
_NOISE = 0.2
"""Ratios of two runs differ by so much without a cause."""
_WIDTH = 30


def record(figures: Sequence[Figure], path: Path = RECORD) -> None:
    """Record a run: its figures replace those of the same name, and the others stay."""
    kept = {**_read(path), **{each.name: asdict(each) for each in figures}}
    path.write_text(json.dumps(list(kept.values()), indent=1, sort_keys=True) + "\n")


def chart(figures: Sequence[Figure], path: Path = RECORD) -> str:
    """A line for each figure that was recorded: how it was, how it is, and by how much it is better or worse."""
    before = _read(path)
    lines = [_line(each, float(before[each.name]["figure"])) for each in figures if each.name in before]
    new = [f"  {each.name}: not recorded before" for each in figures if each.name not in before]
    head = f"Against the recorded run; < worse, > better, and ! where it is worse by more than {_NOISE:.0%}"
    return "\n".join([head, *lines, *new]) + "\n"


def regressions(figures: Sequence[Figure], path: Path = RECORD) -> Iterator[str]:
    """Names of the figures that are worse than recorded by more than noise."""
    before = _read(path)
    for each in figures:
        if each.name in before and gain(each, float(before[each.name]["figure"])) < 1 - _NOISE:
            yield each.name


def gain(figure: Figure, before: float) -> float:
    """By how many times a figure is better than it was; below 1 it is worse."""
    now = figure.figure
    if now <= 0 or before <= 0:  # a difference that is nothing
        return 1.0
    return now / before if _is_more_better(figure) else before / now


def _is_more_better(figure: Figure) -> bool:
    return figure.reach.startswith("at least") or (not figure.reach and figure.unit == "1/s")


def _line(figure: Figure, before: float) -> str:
    better = gain(figure, before)
    length = min(_WIDTH, round(abs(better - 1) * _WIDTH))
    bar = (">" if better > 1 else "<") * length
    mark = "!" if better < 1 - _NOISE else " "
    return f"{mark} {before:8.2f} -> {figure.figure:8.2f}  {bar:<{_WIDTH}} {figure.name}"


def _read(path: Path) -> Mapping[str, Mapping[str, object]]:
    return {each["name"]: each for each in json.loads(path.read_text())} if path.exists() else {}
