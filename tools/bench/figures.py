"""What the benchmarks give: figures, each a ratio or a difference to a baseline of the same run."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence

from attrs import frozen

ROUNDS = 5


@frozen(kw_only=True)
class Figure:
    """One measured figure; values are medians of `ROUNDS` rounds or more.

    Attributes:
        name: What was measured.
        baseline: What it is compared with.
        measured: The value itself.
        unit: Of both.
        figure: The ratio, or the difference.
        reach: What it should be, in words; empty when the figure is only there to be known.
        met: Whether it is; None when there is nothing to reach.
    """

    name: str
    baseline: float
    measured: float
    unit: str
    figure: float
    reach: str = ""
    met: bool | None = None


@frozen(kw_only=True)
class Comparison:
    """Rounds of a baseline, and rounds of what is measured.

    Attributes:
        name: What was measured.
        unit: Of every value.
        baseline: The baseline's rounds.
        measured: Those of what is measured.
    """

    name: str
    unit: str
    baseline: Sequence[float]
    measured: Sequence[float]

    def at_least(self, reach: float) -> Figure:
        """The ratio of the medians, which should not be smaller."""
        return self._figure(f"at least {reach:.2f}", self.ratio >= reach)

    def at_most(self, reach: float) -> Figure:
        """The ratio of the medians, which should not be larger."""
        return self._figure(f"at most {reach:.2f}", self.ratio <= reach)

    def known(self) -> Figure:
        """The ratio of the medians, with nothing to reach."""
        return self._figure("", None)

    @property
    def ratio(self) -> float:
        """What the figure is."""
        return statistics.median(self.measured) / statistics.median(self.baseline)

    def _figure(self, reach: str, met: bool | None) -> Figure:
        return Figure(
            name=self.name,
            baseline=statistics.median(self.baseline),
            measured=statistics.median(self.measured),
            unit=self.unit,
            figure=self.ratio,
            reach=reach,
            met=met,
        )


def block(work: Callable[[], float], rounds: int = ROUNDS, *, warm: Callable[[], object] | None = None) -> list[float]:
    """What so many calls give that follow each other, after one that starts workers and imports modules.

    Args:
        work: What is measured.
        rounds: How often.
        warm: Called once before; `work` itself when None.
    """
    (warm or work)()
    return [work() for _ in range(rounds)]


def seconds(work: Callable[[], object]) -> float:
    """How long one call takes."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def p50_ms(work: Callable[[], object], times: int) -> float:
    """The median of several calls, in milliseconds."""
    return statistics.median(seconds(work) for _ in range(times)) * 1000
