"""Jobs as a table, for a notebook and for a terminal. Pure: facts in, text out; everything of a user's is escaped."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from html import escape

from checkmaite.jobs._shared.job_info import JobInfo
from checkmaite.jobs._shared.reuse import RUN
from checkmaite.jobs._shared.status import JobStatus
from checkmaite.jobs._shared.texts import shortened

MOST_ROWS = 100
"""Jobs that a table shows: a notebook with ten thousand rows is slow to open ever after."""

_TRACEBACK_BYTES = 8 * 2**10
_REASON_CHARACTERS = 100
_NAME_CHARACTERS = 40
_COLUMNS = ("name", "status", "progress", "age", "ran", "node", "result", "reason")

_STYLE = """<style>
.checkmaite-jobs table{border-collapse:collapse;font-size:90%;color:inherit}
.checkmaite-jobs caption{text-align:left;caption-side:top}
.checkmaite-jobs th,.checkmaite-jobs td{text-align:left;vertical-align:top;padding:.2em .8em .2em 0}
.checkmaite-jobs .number{text-align:right;white-space:nowrap}
.checkmaite-jobs progress{width:8em}
.checkmaite-jobs pre{max-height:20em;overflow:auto;white-space:pre-wrap;margin:.3em 0}
.checkmaite-jobs .bar{display:flex;width:30em;max-width:100%;height:1em;border:1px solid #8888;margin:.3em 0}
.checkmaite-jobs .bar span{height:100%}
.checkmaite-jobs .COMPLETED{background:#2e7d3280}.checkmaite-jobs .FAILED{background:#c6282880}
.checkmaite-jobs .RUNNING{background:#1565c080}.checkmaite-jobs .CANCELLED{background:#6a1b9a80}
.checkmaite-jobs td.status span{padding:0 .4em;border-radius:.3em}
</style>"""


def page(content: str) -> str:
    """HTML that a front end may put anywhere."""
    return f'<div class="checkmaite-jobs">{_STYLE}{content}</div>'


def jobs_html(jobs: Sequence[JobInfo], now: datetime) -> str:
    """Jobs as one table, the first `MOST_ROWS` of them, and below what is in which state."""
    head = "".join(f'<th scope="col">{name}</th>' for name in _COLUMNS)
    rows = "".join(_row_html(job, now) for job in jobs[:MOST_ROWS])
    more = f"<p>and {len(jobs) - MOST_ROWS:,} more</p>" if len(jobs) > MOST_ROWS else ""
    return page(
        f"<table><caption>{counts_text(jobs)}</caption><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>{more}"
    )


def jobs_text(jobs: Sequence[JobInfo], now: datetime) -> str:
    """The same for a terminal."""
    rows = [("STATUS", "NAME", "AGE", "RAN", "NODE", "RESULT", "JOB")]
    rows += [
        (
            _status_text(job),
            _cut(job.job_name, _NAME_CHARACTERS),
            span_text(_age_s(job, now)),
            span_text(job.ran_s(now)),
            job.node or "",
            job.reuse.kind,
            job.job_id,
        )
        for job in jobs[:MOST_ROWS]
    ]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    more = [f"and {len(jobs) - MOST_ROWS:,} more"] if len(jobs) > MOST_ROWS else []
    return "\n".join([counts_text(jobs), *(lines if jobs else []), *more])


def counts_text(jobs: Sequence[JobInfo]) -> str:
    """How many jobs are in each state: ``30 jobs: 3 running, 27 completed``."""
    if not jobs:
        return "no jobs"
    counts = counts_of(jobs)
    said = ", ".join(f"{counts[status]:,} {status.lower()}" for status in JobStatus if counts[status])
    return f"{len(jobs):,} job{'s' * (len(jobs) != 1)}: {said}"


def counts_of(jobs: Iterable[JobInfo]) -> Mapping[JobStatus, int]:
    """How many jobs are in each state."""
    return Counter(job.status for job in jobs)


def span_text(seconds: float | None) -> str:
    """A time span as a person says it, in at most seven letters."""
    if seconds is None:
        return ""
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    for limit, unit, size in ((119.5, "s", 1), (7_170, "min", 60), (172_000, "h", 3_600)):
        if seconds < limit:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds / 86_400:.0f} d"


def _row_html(job: JobInfo, now: datetime) -> str:
    return (
        f'<tr><td title="{escape(job.job_id)}">{escape(_cut(job.job_name, 3 * _NAME_CHARACTERS))}</td>'
        f'<td class="status"><span class="{job.status}">{job.status}</span></td>'
        f"<td>{_progress_html(job)}</td>"
        f'<td class="number">{span_text(_age_s(job, now))}</td>'
        f'<td class="number">{span_text(job.ran_s(now))}</td>'
        f"<td>{escape(job.node or '')}</td>"
        f'<td title="{escape("" if job.reuse == RUN else str(job.reuse))}">{escape(job.reuse.kind)}</td>'
        f"<td>{_reason_html(job)}</td></tr>"
    )


def _progress_html(job: JobInfo) -> str:
    if job.status is JobStatus.COMPLETED:
        return _bar_html(1.0, "")
    said = job.progress
    if said is None:
        return ""
    message = escape(_cut(said.message, _NAME_CHARACTERS))
    if said.fraction is None:
        return f"{said.done:g} {message}"
    return f"{_bar_html(said.fraction, f'{said.fraction:.0%}')} {message}"


def _bar_html(share: float, label: str) -> str:
    label = label or f"{share:.0%}"
    return f'<progress value="{share:.3f}" max="1" aria-label="{label}">{label}</progress>'


def _reason_html(job: JobInfo) -> str:
    """Why a job failed, in a line that unfolds."""
    if job.error_type is None:
        return ""
    message = job.error_message or ""
    line = _cut(f"{job.error_type.rpartition('.')[2]}: {message}".partition("\n")[0], _REASON_CHARACTERS)
    told = job.traceback_text or f"{job.error_type}: {message}"
    return f"<details><summary>{escape(line)}</summary><pre>{escape(shortened(told, _TRACEBACK_BYTES))}</pre></details>"


def _status_text(job: JobInfo) -> str:
    share = job.progress.fraction if job.progress is not None and not job.status.is_final else None
    return str(job.status) if share is None else f"{job.status} {share:.0%}"


def _age_s(job: JobInfo, now: datetime) -> float:
    return max(0.0, (now - job.created_at).total_seconds())


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[: most - 1]}…"
