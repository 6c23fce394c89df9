"""Asking about jobs, on their cluster where there is one."""

from __future__ import annotations

import click
from checkmaite.jobs import JobFailedError, get_job, read_job_logs
from checkmaite.jobs_cli.commands.history import print_jobs, read_record, read_records
from checkmaite.jobs_cli.connecting import connected, find, has_cluster
from checkmaite.jobs_cli.filters import JobFilter
from checkmaite.jobs_cli.options import Asked, as_json, configured, examples, filtered, limited
from checkmaite.jobs_cli.printing import emit, say, show
from checkmaite.jobs_cli.summaries import JobSummary
from checkmaite.jobs_cli.tables import job_table

_kept = click.option("--kept", is_flag=True, help="As the journal has it: no cluster is asked.")
_FROM_THE_JOURNAL = "From the journal: these jobs run on a Ray of the process that submitted them."


@click.command(
    "list",
    epilog=examples(
        "jobs list --profile team",
        "jobs list --status running --since 2h --json",
        "jobs list --profile team --all-scopes --status failed --since 1d",
    ),
)
@filtered
@limited(50)
@click.option(
    "--all-scopes",
    is_flag=True,
    help="For operators: also the jobs of the cluster's other scopes, but for those that have a key.",
)
@as_json
@configured
def list_(asked: Asked, chosen: JobFilter, limit: int, all_scopes: bool, as_json: bool) -> None:
    """The jobs of the scope, newest first, as its registry knows them now.

    Records: see `jobs history`; `scope` says whose each is.
    """
    if not has_cluster(asked):
        if all_scopes:
            raise click.UsageError(
                "--all-scopes asks the registries of a cluster, and there is none here. `scopes list` shows the scopes "
                "of journals, `jobs history --scope NAME` the jobs of one."
            )
        records = read_records(asked)
        say(_FROM_THE_JOURNAL)
        print_jobs(chosen.of(records), limit, as_json=as_json)
        return
    with connected(asked):
        jobs = find((), chosen, limit=limit + 1, all_scopes=all_scopes)
        found = [JobSummary.of_job(job) for job in jobs]
    print_jobs(found, limit, as_json=as_json, with_scope=all_scopes)


@click.command("show", epilog=examples("jobs show job-01a20c53d7b2-c572dc9e4a --profile team"))
@click.argument("job_id", metavar="JOB")
@_kept
@as_json
@configured
def show_job(asked: Asked, job_id: str, kept: bool, as_json: bool) -> None:
    """All that is known of one job, with the traceback where it failed.

    Records: see `jobs history`.
    """
    traceback_text = ""
    if not kept and has_cluster(asked):
        with connected(asked):
            job = get_job(job_id)
            record = JobSummary.of_job(job)
            error = job.exception(0) if job.status.is_final else None
            traceback_text = error.traceback_text if isinstance(error, JobFailedError) else ""
    else:
        record = read_record(asked, job_id)
    if as_json:
        emit([record])
        return
    show(job_table(record))
    if traceback_text:
        click.echo(f"\n{traceback_text.rstrip()}")


@click.command(epilog=examples("jobs explain job-01a20c53d7b2-c572dc9e4a --profile team"))
@click.argument("job_id", metavar="JOB")
@configured
def explain(asked: Asked, job_id: str) -> None:
    """Why a job is where it is: what it waits for, what went wrong, what to do."""
    with connected(asked):
        click.echo(get_job(job_id).explain())


@click.command(
    epilog=examples(
        "jobs logs job-01a20c53d7b2-c572dc9e4a --profile team --follow",
        "jobs logs job-01a20c53d7b2-c572dc9e4a --profile team --kept | less",
    )
)
@click.argument("job_id", metavar="JOB")
@click.option("-f", "--follow", is_flag=True, help="Go on until the job is final.")
@_kept
@configured
def logs(asked: Asked, job_id: str, follow: bool, kept: bool) -> None:
    """What a job has printed, stdout and stderr together."""
    if kept or not has_cluster(asked):
        click.echo(read_job_logs(job_id, **asked.arguments()), nl=False)
        return
    with connected(asked):
        job = get_job(job_id)
        if follow:
            for each in job.follow_logs():
                click.echo(each)
        else:
            click.echo(job.logs(), nl=False)
