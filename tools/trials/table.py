"""What trials have come to: a line for each, a table by kind, and JSON."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from attrs import asdict, field, frozen
from rich.table import Table

from tools.trials.invariants import Loss, Observed, losses
from tools.trials.plan import KINDS, Trial


@frozen
class Result:
    """What one trial has come to.

    Attributes:
        seed: Repeats the trial, together with `command`'s other options.
        kind: Likewise.
        store: Where store and journal were.
        seconds: How long it took.
        done: What went wrong on purpose, counted.
        acknowledged: Jobs that a notebook was told to be accepted.
        ended: How jobs have ended, counted.
        refused: Calls that were answered with an error, by its class.
        losses: What must never be.
        folder: Where everything is kept when there are losses.
    """

    seed: int
    kind: str
    store: str
    seconds: float
    done: Mapping[str, int]
    acknowledged: int
    ended: Mapping[str, int]
    refused: Mapping[str, int]
    losses: Sequence[Loss] = ()
    folder: str | None = field(default=None)

    @property
    def kills(self) -> int:
        return sum(count for what, count in self.done.items() if what.endswith(" killed"))

    @property
    def faults(self) -> int:
        """Those that were no kills."""
        return sum(self.done.values()) - self.kills


def result_of(trial: Trial, seen: Observed, done: Mapping[str, int], seconds: float, folder: str) -> Result:
    """What a trial has come to, from what was seen of it."""
    found = losses(seen)
    return Result(
        seed=trial.seed,
        kind=trial.kind,
        store=trial.store,
        seconds=round(seconds, 1),
        done=dict(done),
        acknowledged=len({note["job"] for note in seen.said("accepted")}),
        ended=dict(Counter(note["status"] for note in seen.handles.values())),
        refused=dict(Counter(note["error"] for note in seen.said("refused"))),
        losses=found,
        folder=folder if found else None,
    )


def line_of(result: Result) -> str:
    """One trial."""
    return (
        f"trial {result.seed} ({result.kind}, on {result.store}): {result.kills} kills, {result.faults} other faults, "
        f"{result.acknowledged} jobs, {len(result.losses) or 'no'} losses, {result.seconds:.0f} s"
    )


def table_of(results: Sequence[Result]) -> Table:
    """All trials by kind."""
    table = Table("trials", "number", "kills", "other faults", "jobs", *_ENDS, "refused calls", "minutes", "losses")
    for column in table.columns[1:]:
        column.justify = "right"
    for kind in KINDS:
        if its := [each for each in results if each.kind == kind]:
            table.add_row(kind, *_cells(its))
    table.add_section()
    table.add_row("all", *_cells(results))
    return table


def faults_of(results: Sequence[Result]) -> str:
    """Everything that went wrong on purpose, counted."""
    done = sum((Counter(each.done) for each in results), Counter[str]())
    return ", ".join(f"{what} {count}" for what, count in sorted(done.items())) or "nothing"


def record_of(results: Sequence[Result], **more: Any) -> dict[str, Any]:
    """All of it, for JSON."""
    totals = {"trials": len(results), "kills": sum(each.kills for each in results)}
    totals |= {"jobs": sum(each.acknowledged for each in results), "losses": sum(len(each.losses) for each in results)}
    return {**more, "totals": totals, "trials": [asdict(each) for each in results]}


_ENDS = ("completed", "failed", "cancelled")


def _cells(results: Sequence[Result]) -> list[str]:
    ended = sum((Counter(each.ended) for each in results), Counter[str]())
    return [
        f"{len(results):,}",
        f"{sum(each.kills for each in results):,}",
        f"{sum(each.faults for each in results):,}",
        f"{sum(each.acknowledged for each in results):,}",
        *(f"{ended[end.upper()]:,}" for end in _ENDS),
        f"{sum(sum(each.refused.values()) for each in results):,}",
        f"{sum(each.seconds for each in results) / 60:.1f}",
        f"{sum(len(each.losses) for each in results):,}",
    ]
