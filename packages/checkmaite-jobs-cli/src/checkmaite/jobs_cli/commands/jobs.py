"""``jobs``: see, ask and act."""

from __future__ import annotations

import click
from checkmaite.jobs import read_job_logs
from checkmaite.jobs_cli.commands.history import history, read_record
from checkmaite.jobs_cli.options import Asked, as_json, configured, examples
from checkmaite.jobs_cli.printing import emit, show
from checkmaite.jobs_cli.tables import job_table


@click.group()
def jobs() -> None:
    """See jobs, ask why, and act on them."""


jobs.add_command(history)


@jobs.command("show", epilog=examples("jobs show job-01a20c53d7b2-c572dc9e4a --profile team"))
@click.argument("job_id", metavar="JOB")
@as_json
@configured
def show_job(asked: Asked, job_id: str, as_json: bool) -> None:
    """All that is known of one job."""
    record = read_record(asked, job_id)
    if as_json:
        emit([record])
    else:
        show(job_table(record))


@jobs.command(epilog=examples("jobs logs job-01a20c53d7b2-c572dc9e4a --profile team | less"))
@click.argument("job_id", metavar="JOB")
@configured
def logs(asked: Asked, job_id: str) -> None:
    """What a job has printed, stdout and stderr together."""
    click.echo(read_job_logs(job_id, **asked.arguments()), nl=False)
