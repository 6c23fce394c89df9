"""What the measured jobs do. Workers import this module, as they would import a user's package."""

from __future__ import annotations

import os
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from attrs import frozen
from checkmaite.jobs import report_progress
from checkmaite.jobs.testing import SampleRun


def nothing(number: int) -> int:
    """The raw task that no-op jobs are compared with."""
    return number


def write_two(folder: str, number: int, contents: tuple[bytes, bytes]) -> None:
    """The raw task that jobs with a store are compared with: the same two files, written and synced."""
    for name, content in zip(("rows", "commit"), contents, strict=True):
        with (Path(folder) / f"{name}-{number}").open("xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())


@frozen
class Looks:
    """A capability that looks at one weight of its model, and gives no rows."""

    id: str = "looks"

    def run(self, *, models: Any, config: Any, **_: Any) -> Any:
        (model,) = models
        assert 0 <= model.weights[-1] < 1
        named = {"dataset_metadata": (), "model_metadata": (), "metric_metadata": ()}
        return SimpleNamespace(run_uid=str(config), capability_id=self.id, extract=list, **named)


@frozen
class Nothing:
    """A capability that does nothing and gives no rows."""

    id: str = "nothing"

    def run(self, *, config: Any, **_: Any) -> Any:
        named = {"dataset_metadata": (), "model_metadata": (), "metric_metadata": ()}
        return SimpleNamespace(run_uid=str(config), capability_id=self.id, extract=list, **named)


@frozen
class Heavy:
    """A capability that does nothing, and whose pickle is large."""

    weight: bytes
    id: str = "heavy"

    def run(self, **arguments: Any) -> Any:
        return Nothing().run(**arguments)


@frozen
class OneRow:
    """A capability that gives one row at once."""

    id: str = "one-row"

    def run(self, *, config: Any, **_: Any) -> Any:
        return SampleRun(run_uid=str(config))


class _Told(SampleRun):
    """A run whose `outputs_uri` says when its results were stored: a run ref is made of it right after."""

    @property
    def outputs_uri(self) -> str:
        return repr(time.time())


@frozen
class TellsCommit:
    """A capability that works for a while, so that its client waits already when it has stored its results."""

    id: str = "tells-commit"
    work_s: float = 0.05

    def run(self, *, config: Any, **_: Any) -> Any:
        time.sleep(self.work_s)
        return _Told(run_uid=str(config))


@frozen
class Reports:
    """A capability that works in a tight loop, by turns with and without a report in each round of it.

    Its report gives the seconds of each pair of rounds.
    """

    rounds: int
    steps: int
    step_s: float
    id: str = "reports"

    def run(self, *, config: Any, **_: Any) -> Any:
        spins = self._spins()
        pairs = [(self._loop(spins, tell=False), self._loop(spins, tell=True)) for _ in range(self.rounds)]
        return _Pairs(run_uid=str(config), records=pairs)

    def _spins(self) -> int:
        """Rounds of the innermost loop that take `step_s` seconds here."""
        spins = 10_000
        return max(1, round(spins * self.step_s / min(_spin_s(spins) for _ in range(50))))

    def _loop(self, spins: int, *, tell: bool) -> float:
        began = time.perf_counter()
        for number in range(self.steps):
            _spin_s(spins)
            if tell:
                report_progress(number, self.steps)
        return time.perf_counter() - began


class _Pairs(SampleRun):
    """A run without rows whose report is what was measured."""

    def extract(self) -> Any:
        return []

    def collect_md_report(self, threshold: float) -> str:
        return repr(self.records)


def _spin_s(spins: int) -> float:
    began = time.perf_counter()
    for _ in range(spins):
        pass
    return time.perf_counter() - began
