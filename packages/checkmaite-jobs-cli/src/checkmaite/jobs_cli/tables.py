"""Tables for people. Colours are the terminal's own, to be read on dark and on light, and say nothing alone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from checkmaite.jobs import JobStatus, ScopeSummary
from checkmaite.jobs.spi import span_text
from checkmaite.jobs_cli.summaries import JobSummary
from rich.table import Table
from rich.text import Text

_STYLES: Mapping[JobStatus, str] = {
    JobStatus.PENDING: "dim",
    JobStatus.SCHEDULING: "dim",
    JobStatus.RUNNING: "cyan",
    JobStatus.COMPLETED: "green",
    JobStatus.FAILED: "bold red",
    JobStatus.CANCELLED: "magenta",
}
_ROOMY = 100
"""Columns from which on a table tells more."""


def jobs_table(
    jobs: Iterable[JobSummary], *, width: int, now: datetime | None = None, with_scope: bool = False
) -> Table:
    """Jobs, one a row; below the name of a failed one what it failed with."""
    now = now or datetime.now(UTC)
    is_roomy = width >= _ROOMY
    table = _table()
    table.add_column("STATUS", no_wrap=True)
    if with_scope:
        table.add_column("SCOPE", overflow="fold")
    table.add_column("NAME", overflow="fold")
    table.add_column("AGE", justify="right", no_wrap=True)
    table.add_column("RAN", justify="right", no_wrap=True)
    if is_roomy:
        table.add_column("NODE", overflow="ellipsis", no_wrap=True, max_width=24)
        table.add_column("RESULT", no_wrap=True)
    table.add_column("JOB", no_wrap=True)
    for job in jobs:
        cells: list[Text | str] = [_status(job), *([Text(job.scope or "")] if with_scope else [])]
        cells += [_name(job), span_text(_age_s(job, now)), span_text(job.took_s(now))]
        if is_roomy:
            cells += [job.node or "", _kind(job)]
        table.add_row(*cells, job.job_id)
    return table


def scopes_table(scopes: Iterable[ScopeSummary], *, now: datetime) -> Table:
    """Scopes, one a row."""
    table = _table()
    table.add_column("SCOPE", overflow="fold")
    table.add_column("LAST", justify="right", no_wrap=True)
    table.add_column("NODE", no_wrap=True)
    table.add_column("REGISTRY", overflow="fold")
    table.add_column("JOBS", overflow="fold")
    for scope in scopes:
        last = scope.last_activity_at
        jobs = ", ".join(f"{count:,} {str(status).lower()}" for status, count in scope.jobs.items())
        table.add_row(
            Text(scope.scope),
            span_text(None if last is None else (now - last).total_seconds()),
            scope.node or "not running",
            scope.registry,
            "has a key" if scope.has_key else jobs,
        )
    return table


def job_table(job: JobSummary, more: Mapping[str, str] | None = None) -> Table:
    """One job, a fact a line; what is unknown is left out."""
    facts: dict[str, Any] = {
        "job": job.job_id,
        "name": job.job_name,
        "capability": job.capability_id,
        "status": _status(job),
        "submitted": instant_text(job.submitted_at),
        "by": job.submitted_by,
        "started": instant_text(job.started_at),
        "finished": instant_text(job.finished_at),
        "ran": span_text(job.took_s(datetime.now(UTC))),
        "node": job.node,
        "starts": None if job.attempts is None else str(job.attempts),
        "tags": ", ".join(f"{name}={value}" for name, value in job.tags.items()),
        "memory": _size_text(job.peak_memory_bytes),
        "GPU memory": _size_text(job.peak_gpu_memory_bytes),
        "progress": None if job.progress is None else f"{job.progress:.0%}",
        "result": job.reuse,
        "run": job.run_uid,
        "revision": None if job.revision is None else str(job.revision),
        "rows": job.store_uri,
        "kind": job.failure_kind,
        "error": job.error_type,
        "message": job.error_message,
        **(more or {}),
    }
    return facts_table({name: fact for name, fact in facts.items() if fact})


def counts_text(jobs: Iterable[JobSummary]) -> Text:
    """How many jobs are in each state: ``3 running, 2 completed``."""
    counts = Counter(job.status for job in jobs)
    parts = [
        Text(f"{counts[status]:,} {status.lower()}", style=style) for status, style in _STYLES.items() if counts[status]
    ]
    return Text(", ").join(parts)


def facts_table(facts: Mapping[str, Text | str]) -> Table:
    """Names and what is known, one a line."""
    table = _table(show_header=False)
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for name, fact in facts.items():
        table.add_row(name, fact if isinstance(fact, Text) else Text(fact))
    return table


def rows_table(names: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> Table:
    """Rows of a query, numbers to the right."""
    rows = list(rows)
    numbers = {name for name in names if rows and all(_is_number(row[name]) for row in rows)}
    table = _table()
    for name in names:
        table.add_column(Text(name), justify="right" if name in numbers else "left", overflow="fold")
    for row in rows:
        table.add_row(*(_cell(row[name]) for name in names))
    return table


def instant_text(instant: datetime | None) -> str:
    """An instant, in UTC."""
    return "" if instant is None else f"{instant.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"


def _size_text(size: int | None) -> str:
    """A number of bytes as a person says it."""
    return "" if size is None else f"{size / 2**30:.2f} GiB" if size >= 2**30 else f"{size / 2**20:.0f} MiB"


def _table(*, show_header: bool = True) -> Table:
    """A table without lines."""
    return Table(box=None, header_style="bold", show_header=show_header, pad_edge=False, padding=(0, 2, 0, 0))


def _age_s(job: JobSummary, now: datetime) -> float | None:
    return None if job.submitted_at is None else max(0.0, (now - job.submitted_at).total_seconds())


def _status(job: JobSummary) -> Text:
    far = f" {job.progress:.0%}" if job.progress is not None and not job.status.is_final else ""
    return Text(f"{job.status}{far}", style=_STYLES[job.status])


def _name(job: JobSummary) -> Text:
    name = Text(job.job_name)
    if job.error_type:
        name.append(f"\n{job.error_type.rpartition('.')[2]}", style="red")
    return name


def _kind(job: JobSummary) -> str:
    return (job.reuse or "").partition(":")[0]


def _is_number(value: object) -> bool:
    return value is None or (isinstance(value, (int, float, Decimal)) and not isinstance(value, bool))


def _cell(value: object) -> Text:
    if value is None:
        return Text("null", style="dim")
    if isinstance(value, datetime):
        return Text(value.isoformat(sep=" ", timespec="seconds"))
    return Text(f"{value:.6g}" if isinstance(value, float) else str(value))
