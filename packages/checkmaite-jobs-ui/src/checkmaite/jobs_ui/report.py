"""The static report: the page as a folder. What it shows is in scripts, since a page of a folder may fetch nothing."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from checkmaite.jobs import ArgumentError, JobStatus
from checkmaite.jobs_cli.spi import JobSummary
from checkmaite.jobs_ui import results
from checkmaite.jobs_ui.facts import detail_of, row_of
from checkmaite.jobs_ui.server import PAGE, Scope

_JOBS_IN_FILE = 100
_LOG_CHARACTERS = 64 * 1024
"""Of a job's output the end is kept."""
_MOST_LOGS = 500
"""Jobs whose output is looked for: of a journal each costs a request."""
_PREVIEW_ROWS = 100
_POLICY = (
    "default-src 'none'; script-src 'self' file:; style-src 'self' file:; img-src 'self' file:; base-uri 'none'; "
    "form-action 'none'"
)
_DATA = '<script src="data.js" defer></script>'
_HEAD = "<!-- Where a report has its data. -->"


def write_site(scope: Scope, folder: Path, queries: Sequence[str] = ()) -> Path:
    """Write the report, and say which file to open; see `write_report`."""
    _check(folder)
    summaries = sorted(scope.jobs.summaries(), key=_age)
    data = {
        "scope": {**scope.described(), "is_live": False},
        "made_at": datetime.now(UTC).isoformat(),
        "jobs": [row_of(each) for each in summaries],
        "jobs_in_file": _JOBS_IN_FILE,
        "occupancy": {"resources": scope.jobs.occupancy()},
        "store": _store(scope, queries),
    }
    if folder.exists():
        shutil.rmtree(folder)
    shutil.copytree(str(PAGE), folder)
    index = folder / "index.html"
    policy = f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">\n'
    index.write_text(index.read_text("utf-8").replace(_HEAD, f"{policy}{_DATA}"), "utf-8")
    _write(folder / "data.js", "checkmaiteReport", data)
    (folder / "details").mkdir()
    for number, details in enumerate(_details(scope, summaries)):
        _write(folder / "details" / f"{number}.js", f"checkmaiteDetails[{number}]", details)
    return index


def _age(job: JobSummary) -> tuple[float, str]:
    """Newest first."""
    return -(job.submitted_at.timestamp() if job.submitted_at else 0.0), job.job_id


def _details(scope: Scope, summaries: Sequence[JobSummary]) -> Iterator[dict[str, Any]]:
    """What the pages of jobs show, some jobs to a file: a browser reads one when it needs it."""
    looked_for = {each.job_id for each in sorted(summaries, key=_is_well)[:_MOST_LOGS]}
    for first in range(0, len(summaries), _JOBS_IN_FILE):
        part = summaries[first : first + _JOBS_IN_FILE]
        yield {each.job_id: _detail(scope, each, with_log=each.job_id in looked_for) for each in part}


def _is_well(job: JobSummary) -> bool:
    return job.status is JobStatus.COMPLETED


def _detail(scope: Scope, summary: JobSummary, *, with_log: bool) -> dict[str, Any]:
    detail = scope.jobs.detail(summary.job_id, with_log=with_log)
    log = detail.log or ""
    cut = max(0, len(log) - _LOG_CHARACTERS)
    text = f"[... {cut:,} earlier characters are not in this report ...]\n{log[cut:]}" if cut else log
    return {**detail_of(detail), "log": {"from": 0, "text": text}}


def _store(scope: Scope, queries: Sequence[str]) -> dict[str, Any]:
    """The tables with their first rows, and the results of queries."""
    store = scope.store
    if store is None:
        return {"tables": [], "answers": []}
    tables = results.tables_of(store)
    answers = [results.answer_of(store, sql) for sql in queries]
    previews = [results.preview_of(store, table["name"], _PREVIEW_ROWS) for table in tables]
    return {"tables": tables, "answers": answers, "previews": previews}


def _check(folder: Path) -> None:
    """Refuse a folder whose files are not a report's.

    Raises:
        ArgumentError: It is such a one.
    """
    if folder.exists() and not (folder / "data.js").is_file() and (not folder.is_dir() or any(folder.iterdir())):
        raise ArgumentError(
            f"{folder} holds something else than a report, and would be replaced. Name an empty or a new folder."
        )


def _write(file: Path, name: str, value: Any) -> None:
    file.write_text(f"{name} = {json.dumps(value, allow_nan=False)};\n", "utf-8")
