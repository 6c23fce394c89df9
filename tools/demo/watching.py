"""What the demo shows in a terminal: jobs while they run, and tables of their results."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from checkmaite.jobs import Job, JobStatus, ReuseKind
from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

_LOOK_S = 0.2
_BAR = 6
Cells = Mapping[tuple[str, str], Sequence[tuple[str, Job]]]
"""Jobs by model and corruption, each with its severity."""


def watch(console: Console, cells: Cells) -> None:
    """A table of all jobs that lives until they are final; where there is no terminal, their ends."""
    jobs = [job for row in cells.values() for _, job in row]
    with Live(console=console, auto_refresh=False) as live:
        while True:
            is_over = all(job.status.is_final for job in jobs)
            live.update(_picture(cells, jobs), refresh=console.is_terminal or is_over)
            if is_over:
                break
            time.sleep(_LOOK_S)
    if not console.is_terminal:
        console.line()  # rich ends the last line on a terminal alone
    for job in jobs:
        job.result()


def accuracy_table(rows: Sequence[Mapping[str, Any]], title: str) -> Table:
    """Accuracy by model and corruption, with the severities in their units."""
    table = Table(title=title, title_justify="left", box=None, padding=(0, 2, 0, 0), header_style="bold")
    for name in ("model", "corruption", "severity in", "accuracy at each severity"):
        table.add_column(name, no_wrap=True)
    for model, corruption in dict.fromkeys((row["model_id"], row["corruption"]) for row in rows):
        found = [row for row in rows if (row["model_id"], row["corruption"]) == (model, corruption)]
        text = Text()
        for row in found:
            text.append(f"{row['severity']:>4g}: ", "dim").append(f"{row['accuracy']:.3f}  ")
        table.add_row(model, corruption, found[0]["unit"], text)
    return table


def reuse_told(jobs: Sequence[Job]) -> str:
    """What was decided about a round of jobs, with the reasons."""
    kinds = Counter(job.reuse.kind for job in jobs)
    said = []
    if kinds[ReuseKind.RUN]:
        said.append(f"{kinds[ReuseKind.RUN]} of {len(jobs)} results are new.")
    if reused := [job for job in jobs if job.reuse.kind is ReuseKind.REUSED]:
        said.append(
            f"{len(reused)} of {len(jobs)} results are used again: capability, config, model and data have the "
            "fingerprints of an earlier job, so nothing was computed.\n"
            f"  for example {reused[0].job_name}: {reused[0].reuse}"
        )
    if stale := [job for job in jobs if job.reuse.kind is ReuseKind.STALE]:
        why = ", ".join(sorted({each for job in stale for each in job.reuse.differences}))
        said.append(
            f"{len(stale)} of {len(jobs)} results were STALE, and are made anew: {why} differs. "
            "The earlier ones stay in the store.\n"
            f"  for example {stale[0].job_name}: {stale[0].reuse}"
        )
    return "\n".join(said)


def _picture(cells: Cells, jobs: Sequence[Job]) -> Group:
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold")
    for name in ("model", "corruption", "weak", "medium", "strong"):
        table.add_column(name, no_wrap=True)
    for (model, corruption), row in cells.items():
        table.add_row(model, corruption, *(_cell(severity, job) for severity, job in row))
    done = sum(job.status.is_final for job in jobs)
    counts = Counter(job.status for job in jobs)
    words = ", ".join(f"{counts[status]} {status.lower()}" for status in JobStatus if counts[status])
    whole = Table.grid(padding=(0, 2, 0, 0))
    whole.add_row(ProgressBar(len(jobs), done, width=48), f"{done}/{len(jobs)} jobs: {words}")
    return Group(table, Text(), whole)


def _cell(severity: str, job: Job) -> Text:
    text = Text(f"{severity:>5} ", "dim")
    match job.status:
        case JobStatus.COMPLETED if job.reuse.kind is ReuseKind.REUSED:
            return text.append("✓ used again", "cyan")
        case JobStatus.COMPLETED:
            ran = job.info.finished_at, job.info.started_at
            took = f" {(ran[0] - ran[1]).total_seconds():.1f} s" if ran[0] and ran[1] else ""
            return text.append(f"✓{took}", "green")
        case JobStatus.RUNNING:
            far = job.progress.fraction if job.progress is not None else None
            full = round(_BAR * (far or 0))
            return text.append("█" * full + "░" * (_BAR - full) + f" {far or 0:.0%}", "bold blue")
        case JobStatus.FAILED | JobStatus.CANCELLED:
            return text.append(f"✗ {job.status.lower()}", "bold red")
        case _:
            return text.append("waits", "dim")
