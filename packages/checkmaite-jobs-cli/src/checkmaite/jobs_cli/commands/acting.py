"""Waiting for jobs, watching and cancelling them."""

from __future__ import annotations

from collections.abc import Sequence

import click
from checkmaite.jobs import Job, JobStatus, JobTimeoutError, as_completed
from checkmaite.jobs_cli.commands.history import print_job
from checkmaite.jobs_cli.connecting import connected, find
from checkmaite.jobs_cli.exits import Exit, exit_after
from checkmaite.jobs_cli.filters import JobFilter
from checkmaite.jobs_cli.options import Asked, as_json, configured, examples, filtered
from checkmaite.jobs_cli.printing import emit, err, out, say, show
from checkmaite.jobs_cli.summaries import JobSummary
from checkmaite.jobs_cli.tables import counts_text, jobs_table
from checkmaite.jobs_cli.watching import changes
from rich.console import Group
from rich.live import Live
from rich.text import Text

_LIVE = frozenset({JobStatus.PENDING, JobStatus.SCHEDULING, JobStatus.RUNNING})
_some = click.argument("job_ids", metavar="[JOB]...", nargs=-1)


@click.command(
    epilog=examples("jobs wait job-01a20c53d7b2-c572dc9e4a && echo done", "jobs wait --name 'sweep-*' --timeout 3600")
)
@_some
@click.option("--timeout", type=click.FloatRange(0), metavar="S", help="Wait at most so many seconds.")
@filtered
@as_json
@configured
def wait(asked: Asked, job_ids: Sequence[str], timeout: float | None, chosen: JobFilter, as_json: bool) -> Exit:
    """Wait until jobs are final; the exit code says how they ended.

    Without JOB, for those that are not final now and that the flags choose. Each end is printed as it comes.
    Records: see `jobs history`; one for each job that became final.
    """
    with connected(asked):
        jobs = _chosen(job_ids, chosen)
        try:
            for job in as_completed(jobs, timeout):
                print_job(JobSummary.of_job(job), as_json=as_json)
        except JobTimeoutError as error:
            say(str(error))
        return exit_after(job.status for job in jobs)


@click.command(epilog=examples("jobs watch --profile team", "jobs watch --name 'sweep-*' --json"))
@_some
@filtered
@as_json
@configured
def watch(asked: Asked, job_ids: Sequence[str], chosen: JobFilter, as_json: bool) -> Exit:
    """Follow jobs until all are final: a table that lives on a terminal, else a line for each change.

    Without JOB, those that are not final now and that the flags choose. The exit code says how they ended; Ctrl-C ends
    the watching, and no job. Records: see `jobs history`; one for each change.
    """
    with connected(asked):
        jobs = _chosen(job_ids, chosen)
        console = out()
        if as_json or not console.is_terminal:
            for changed in changes(jobs):
                for record in changed:
                    print_job(record, as_json=as_json)
        else:
            with Live(console=console, auto_refresh=False) as live:
                for _ in changes(jobs, every_look=True):
                    records = [JobSummary.of_job(job) for job in jobs]
                    live.update(_picture(records, console.width, console.height), refresh=True)
        return exit_after(job.status for job in jobs)


@click.command(
    epilog=examples(
        "jobs cancel job-01a20c53d7b2-c572dc9e4a --profile team",
        "jobs cancel --status pending --name 'sweep-*' --profile team",
    )
)
@_some
@click.option(
    "--grace",
    type=click.FloatRange(0),
    metavar="S",
    default=10.0,
    show_default=True,
    help="Seconds that a job has to stop by itself.",
)
@click.option("--dry-run", is_flag=True, help="Show which jobs these are, and leave them alone.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@filtered
@as_json
@configured
def cancel(
    asked: Asked, job_ids: Sequence[str], grace: float, dry_run: bool, yes: bool, chosen: JobFilter, as_json: bool
) -> None:
    """Ask jobs to stop, by force after some seconds.

    Jobs that flags choose are shown first, and you are asked. Returns at once; `jobs wait` waits for their ends.
    Records: see `jobs history`; one for each job that was asked to stop.
    """
    if not job_ids and not chosen:
        raise click.UsageError("Which jobs? Name them, or choose by --status, --name, --tag, --capability or --since.")
    with connected(asked):
        jobs = _chosen(job_ids, chosen)
        if not jobs:
            return
        records = [JobSummary.of_job(job) for job in jobs]
        if dry_run or not (job_ids or yes):
            shown = jobs_table(records, width=err().width)
            if not dry_run:
                err().print(shown)
                click.confirm(f"Cancel {_counted(len(jobs))}?", abort=True, err=True)
            elif as_json:
                emit(records)
            else:
                show(shown)
        if dry_run:
            return
        asked_to_stop = [job for job in jobs if job.cancel(grace)]
        if as_json:
            emit(JobSummary.of_job(job) for job in asked_to_stop)
        say(f"{_counted(len(asked_to_stop))} asked to stop.")
        for job in jobs:
            if job not in asked_to_stop:
                say(f"{job.job_name} ({job.job_id}) is {job.status} already.")


def _chosen(job_ids: Sequence[str], chosen: JobFilter) -> list[Job]:
    """The jobs with these ids, or those that are chosen and not final."""
    found = find(job_ids, chosen)
    jobs = found if job_ids else [job for job in found if job.status in _LIVE]
    if not jobs:
        say("No such jobs.")
    return jobs


def _picture(records: Sequence[JobSummary], width: int, height: int) -> Group:
    """As many jobs as fit, first those that are not over, then those that failed; and how many are in each state."""
    most = max(1, height - 4)
    ordered = sorted(records, key=lambda each: (each.status.is_final, each.status is not JobStatus.FAILED))
    more = [Text(f"and {len(ordered) - most:,} more", style="dim")] if len(ordered) > most else []
    return Group(jobs_table(ordered[:most], width=width), *more, Text(), counts_text(records))


def _counted(number: int) -> str:
    return f"{number:,} job{'s' * (number != 1)}"
