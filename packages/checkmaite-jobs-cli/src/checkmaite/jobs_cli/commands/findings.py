"""What a check has found, how it is shown, and a job that looks from a worker."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

import click
from attrs import frozen
from checkmaite.jobs import JobsError, JobTimeoutError, submit_capability
from checkmaite.jobs_cli.exits import Exit
from checkmaite.jobs_cli.options import flags_for
from checkmaite.jobs_cli.printing import emit, jobs_print_beside, show
from rich.table import Table
from rich.text import Text

_STYLES = {"ok": "green", "note": "yellow", "fault": "bold red"}

timeout_option = click.option(
    "--timeout", type=click.FloatRange(1), default=120.0, show_default=True, metavar="S", help="Seconds for the worker."
)
no_worker_option = click.option("--no-worker", is_flag=True, help="Run no job on a worker.")


@frozen(kw_only=True)
class Finding:
    """What one check has found.

    Attributes:
        check: What was looked at.
        state: ``ok``, ``note`` or ``fault``.
        found: What was found, and what to do about it.
    """

    check: str
    state: str
    found: str


def fault(check: str, error: JobsError) -> Finding:
    """What an error says, as a finding."""
    return Finding(check=check, state="fault", found=f"{error.args[0] if error.args else error}{flags_for(error)}")


def told(findings: Iterable[Finding], *, as_json: bool) -> Exit:
    """Show findings as they come; the exit code says whether there is a fault among them."""
    table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
    for column in ("state", "check", "found"):
        table.add_column(column, no_wrap=column != "found", overflow="fold")
    states = set()
    with jobs_print_beside():
        for finding in findings:
            states.add(finding.state)
            if as_json:
                emit([finding])
            else:
                table.add_row(Text(finding.state, style=_STYLES[finding.state]), finding.check, Text(finding.found))
        if not as_json:
            show(table)
    return Exit.ERROR if "fault" in states else Exit.DONE


def said_by_worker(capability: Any, config: dict[str, Any], timeout_s: float) -> dict[str, Any] | Finding:
    """What a job of this capability reports; a finding where no worker has run it."""
    job = submit_capability(capability, config=config, job_name="checkmaite-jobs doctor")
    try:
        report = job.result(timeout_s).report
    except JobTimeoutError:
        found = f"no worker has run the job within {timeout_s:g} s. {job.explain()}"
        job.cancel(grace=0)
        return Finding(check="worker", state="fault", found=found)
    except JobsError as error:
        return fault("worker", error)
    assert report is not None, "the job's run has one"
    said: dict[str, Any] = json.loads(report.text or "{}")
    return said
