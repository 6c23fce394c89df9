"""Waiting for jobs, watching and cancelling them, and running them again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import click
from checkmaite.jobs import (
    BackendUnavailableError,
    Job,
    JobsError,
    JobStatus,
    JobTimeoutError,
    ReuseKind,
    as_completed,
)
from checkmaite.jobs_cli.commands.history import print_job
from checkmaite.jobs_cli.connecting import connected, find
from checkmaite.jobs_cli.exits import Exit, exit_after
from checkmaite.jobs_cli.filters import JobFilter
from checkmaite.jobs_cli.options import Asked, as_json, configured, examples, filtered, named_values
from checkmaite.jobs_cli.printing import emit, err, out, say, show
from checkmaite.jobs_cli.summaries import JobSummary
from checkmaite.jobs_cli.tables import counts_text, jobs_table
from checkmaite.jobs_cli.watching import changes
from rich.console import Group
from rich.live import Live
from rich.text import Text

_LIVE = frozenset({JobStatus.PENDING, JobStatus.SCHEDULING, JobStatus.RUNNING})
_FAILED = frozenset({JobStatus.FAILED, JobStatus.CANCELLED})
_ENDED = _FAILED | {JobStatus.COMPLETED}
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
        if dry_run or not (job_ids or yes):
            _ask_about("Cancel", jobs, dry_run=dry_run, as_json=as_json)
        if dry_run:
            return
        asked_to_stop = [job for job in jobs if job.cancel(grace)]
        if as_json:
            emit(JobSummary.of_job(job) for job in asked_to_stop)
        say(f"{_counted(len(asked_to_stop))} asked to stop.")
        for job in jobs:
            if job not in asked_to_stop:
                say(f"{job.job_name} ({job.job_id}) is {job.status} already.")


@click.command(
    epilog=examples(
        "jobs rerun job-01a20c53d7b2-c572dc9e4a --profile team --resource memory=34359738368",
        "jobs rerun --status failed --name 'sweep-*' --since 1d --profile team --wait",
    )
)
@_some
@click.option(
    "--resource",
    "resources",
    multiple=True,
    metavar="NAME=VALUE",
    callback=named_values,
    help="What it reserves instead, for example num_gpus=1 or memory=17179869184; what is not named stays.",
)
@click.option(
    "--option",
    "options",
    multiple=True,
    metavar="NAME=VALUE",
    callback=named_values,
    help="An option of the job instead, for example max_retries=5.",
)
@click.option("--dry-run", is_flag=True, help="Show which jobs these are, and leave them alone.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option("--wait", "waits", is_flag=True, help="Wait for the ends; the exit code says how they ended.")
@filtered
@as_json
@configured
def rerun(
    asked: Asked,
    job_ids: Sequence[str],
    resources: Sequence[tuple[str, Any]],
    options: Sequence[tuple[str, Any]],
    dry_run: bool,
    yes: bool,
    waits: bool,
    chosen: JobFilter,
    as_json: bool,
) -> Exit:
    """Run jobs again that are final, with what their registry has kept of them.

    Jobs that flags choose are those that failed or were cancelled, unless --status says otherwise; they are shown
    first, and you are asked. Those that completed are made again on purpose, as with reuse=never.
    Records: see `jobs history`; one for each new job, with --wait as it ends.
    """
    if not job_ids and not chosen:
        raise click.UsageError("Which jobs? Name them, or choose by --status, --name, --tag, --capability or --since.")
    with connected(asked):
        found = find(job_ids, chosen)
        wanted = _ENDED if chosen.statuses else _FAILED
        jobs = found if job_ids else [job for job in reversed(found) if job.status in wanted]  # in their order of then
        if not jobs:
            say("No such jobs.")
            return Exit.DONE
        if dry_run or not (job_ids or yes):
            _ask_about("Run again", jobs, dry_run=dry_run, as_json=as_json)
        if dry_run:
            return Exit.DONE
        new, refused = _run_again(jobs, dict(resources) or None, dict(options))
        if as_json and not waits:
            emit(JobSummary.of_job(job) for job in new)
        there = sum(job.reuse.kind is ReuseKind.REUSED for job in new)
        parts = [f"{_counted(len(new) - there)} submitted"]
        parts += [f"{count} {what}" for count, what in ((there, "there already"), (refused, "refused")) if count]
        say(f"{', '.join(parts)}.")
        if waits:
            for job in as_completed(new):
                print_job(JobSummary.of_job(job), as_json=as_json)
        elif not as_json and new:
            show(jobs_table([JobSummary.of_job(job) for job in new], width=out().width))
        if refused:
            return Exit.ERROR
        return exit_after(job.status for job in new) if waits else Exit.DONE


def _run_again(
    jobs: Sequence[Job], resources: Mapping[str, Any] | None, options: Mapping[str, Any]
) -> tuple[list[Job], int]:
    """The jobs that stand for these runs now, and how many runs have none; of a single one the error goes on."""
    new: dict[str, Job] = {}  # one may stand for several: of a run that has failed twice, say
    refused = 0
    for number, job in enumerate(jobs):
        try:
            made = job.rerun(resources=resources, **options)
        except JobsError as error:
            if len(jobs) == 1:
                raise
            refused += 1
            say(f"{job.job_name} ({job.job_id}): {error}")
            if isinstance(error, BackendUnavailableError):  # the next one would wait as long
                return list(new.values()), len(jobs) - number + refused - 1
        else:
            new.setdefault(made.job_id, made)
    return list(new.values()), refused


def _ask_about(verb: str, jobs: Sequence[Job], *, dry_run: bool, as_json: bool) -> None:
    """Show the jobs; unless nothing is to be done with them anyway, ask."""
    records = [JobSummary.of_job(job) for job in jobs]
    shown = jobs_table(records, width=err().width)
    if not dry_run:
        err().print(shown)
        click.confirm(f"{verb} {_counted(len(jobs))}?", abort=True, err=True)
    elif as_json:
        emit(records)
    else:
        show(shown)


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
