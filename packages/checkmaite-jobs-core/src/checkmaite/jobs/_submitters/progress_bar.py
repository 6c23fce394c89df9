"""How far several jobs are together: one bar by state, with a guess when it will be full."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping, Sequence
from typing import Protocol, Self

from attrs import frozen
from checkmaite.jobs._shared.job_info import JobInfo
from checkmaite.jobs._shared.status import JobStatus
from checkmaite.jobs._submitters.front_end import Shown, bundle_of, in_marimo, in_notebook, on_terminal, show
from checkmaite.jobs._submitters.rendering import counts_of, page, span_text

_BLOCKS: Mapping[JobStatus, str] = {
    JobStatus.COMPLETED: "█",
    JobStatus.FAILED: "x",
    JobStatus.CANCELLED: "-",
    JobStatus.RUNNING: "▒",
    JobStatus.SCHEDULING: "·",
    JobStatus.PENDING: "·",
}
"""From the left to the right of a bar; no state is told by its colour alone."""
_WIDTH = 30
_LINE = 119


@frozen
class Tally:
    """Several jobs at one instant.

    Attributes:
        counts: How many are in each state.
        done: Work done, in jobs: final ones count 1, running ones the share that they have reported.
    """

    counts: Mapping[JobStatus, int]
    done: float

    @classmethod
    def of(cls, jobs: Sequence[JobInfo]) -> Tally:
        """Of the facts of jobs."""
        return cls(counts_of(jobs), sum(_share(job) for job in jobs))

    @property
    def total(self) -> int:
        """All of them."""
        return sum(self.counts.values())

    @property
    def final(self) -> int:
        """Those that are over."""
        return sum(count for status, count in self.counts.items() if status.is_final)


def remaining_s(begun: Tally, now: Tally, elapsed_s: float) -> float | None:
    """Seconds until all are final if the work goes on as it has since `begun`; None where nothing is known."""
    gained, left = now.done - begun.done, now.total - now.done
    if now.final == now.total:
        return 0.0
    return elapsed_s * left / gained if gained > 0 and elapsed_s > 0 else None


def bar_text(tally: Tally, left_s: float | None) -> str:
    """One line for a terminal."""
    widths = _widths(tally, _WIDTH)
    blocks = "".join(_BLOCKS[status] * width for status, width in widths.items())
    return f"[{blocks}] {_words(tally, left_s)}"[:_LINE]


def bar_html(tally: Tally, left_s: float | None) -> str:
    """The same for a notebook."""
    widths = _widths(tally, 1000)
    parts = "".join(f'<span class="{status}" style="width:{width / 10:g}%"></span>' for status, width in widths.items())
    words = _words(tally, left_s)
    return page(f'<div class="bar" role="img" aria-label="{words}">{parts}</div>{words}')


def _share(job: JobInfo) -> float:
    if job.status.is_final:
        return 1.0
    return (job.progress.fraction or 0.0) if job.progress is not None else 0.0


def _widths(tally: Tally, width: int) -> dict[JobStatus, int]:
    """How wide each state is in a bar, so that the sum is exactly the bar's width."""
    total, seen, widths = max(1, tally.total), 0, {}
    for status in _BLOCKS:
        before, seen = seen, seen + tally.counts.get(status, 0)
        widths[status] = seen * width // total - before * width // total
    return widths


def _words(tally: Tally, left_s: float | None) -> str:
    counts = tally.counts
    waiting = counts.get(JobStatus.PENDING, 0) + counts.get(JobStatus.SCHEDULING, 0)
    said = [f"{tally.final:,}/{tally.total:,} jobs"]
    said += [
        f"{count:,} {word}"
        for word, count in (
            ("running", counts.get(JobStatus.RUNNING, 0)),
            ("waiting", waiting),
            ("failed", counts.get(JobStatus.FAILED, 0)),
            ("cancelled", counts.get(JobStatus.CANCELLED, 0)),
        )
        if count
    ]
    if left_s:
        said.append(f"about {span_text(left_s)} left")
    return ", ".join(said)


# -- where it is drawn -------------------------------------------------------------------------------------------------


class Bar(Protocol):
    """A place where a bar is drawn, again and again; leaving the block leaves it as it was drawn last."""

    def __enter__(self) -> Self: ...
    def __exit__(self, *error: object) -> None: ...
    def draw(self, jobs: Sequence[JobInfo]) -> None:
        """Draw how far these jobs are."""
        ...


class _Drawn:
    """What both kinds share: since when the work is watched."""

    def __init__(self) -> None:
        self._begun: tuple[Tally, float] | None = None

    def _now(self, jobs: Sequence[JobInfo]) -> tuple[Tally, float | None]:
        tally, now = Tally.of(jobs), time.monotonic()
        begun, since = self._begun = self._begun or (tally, now)
        return tally, remaining_s(begun, tally, now - since)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        """Leave it as it is."""


class _TerminalBar(_Drawn):
    def draw(self, jobs: Sequence[JobInfo]) -> None:
        sys.stderr.write(f"\r\x1b[K{bar_text(*self._now(jobs))}")
        sys.stderr.flush()

    def __exit__(self, *error: object) -> None:
        sys.stderr.write("\n")
        sys.stderr.flush()


class _NotebookBar(_Drawn):
    def __init__(self) -> None:
        super().__init__()
        self._shown: Shown | None = None

    def draw(self, jobs: Sequence[JobInfo]) -> None:
        tally, left_s = self._now(jobs)
        bundle = bundle_of(bar_html(tally, left_s), bar_text(tally, left_s))
        if self._shown is None:
            self._shown = show(bundle)
        else:
            self._shown.update(bundle, raw=True)


def bar_here() -> Bar | None:
    """The bar for whoever looks at this process; None where nobody does."""
    if in_notebook() or in_marimo():
        return _NotebookBar()
    return _TerminalBar() if on_terminal() else None
