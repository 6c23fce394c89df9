"""Jobs from a journal, and what they have printed: no cluster has to run, and none is asked."""

from __future__ import annotations

from collections.abc import Sequence

import click
from checkmaite.jobs import JobNotFoundError, read_job_history
from checkmaite.jobs_cli.filters import JobFilter
from checkmaite.jobs_cli.options import Asked, as_json, configured, examples, filtered, limited
from checkmaite.jobs_cli.printing import emit, line, out, say, show
from checkmaite.jobs_cli.summaries import JobSummary
from checkmaite.jobs_cli.tables import jobs_table


@click.command(
    epilog=examples(
        "jobs history --profile team --status FAILED --since 7d",
        "jobs history --scope team-a --store s3://team/store --name 'sweep-*' --json | jq .run_uid",
    )
)
@filtered
@limited(50)
@as_json
@configured
def history(asked: Asked, chosen: JobFilter, limit: int, as_json: bool) -> None:
    """Jobs as the journal has them, newest first.

    No cluster has to run, and none is asked. A job that was running when its cluster was lost is shown so.
    """
    found = chosen.of(read_records(asked))
    print_jobs(found, limit, as_json=as_json)


def print_jobs(found: Sequence[JobSummary], limit: int, *, as_json: bool, with_scope: bool = False) -> None:
    """The first of them, as records or as a table, and a note about the others."""
    shown = found[:limit]
    if as_json:
        emit(shown)
        return
    if not shown:
        say("No such jobs.")
        return
    show(jobs_table(shown, width=out().width, with_scope=with_scope))
    if len(found) > len(shown):
        say(f"There are more: --limit {2 * limit} shows up to {2 * limit:,}.")


def print_job(record: JobSummary, *, as_json: bool) -> None:
    """One job as it is now, in a line."""
    if as_json:
        emit([record])
        return
    far = f" {record.progress:.0%}" if record.progress is not None and not record.status.is_final else ""
    why = f"  {record.error_type}: {record.error_message}".partition("\n")[0] if record.error_type else ""
    line(f"{record.status}{far}  {record.job_name}  {record.job_id}{why}")


def read_records(asked: Asked) -> list[JobSummary]:
    """The jobs of the scope's journal, newest first."""
    arguments = asked.arguments()
    rows = read_job_history(**arguments).to_pylist()
    scope = arguments.get("idempotency_scope")
    return [JobSummary.of_row({**row, "scope": scope}) for row in reversed(rows)]


def read_record(asked: Asked, job_id: str) -> JobSummary:
    """One of them.

    Raises:
        JobNotFoundError: The journal does not know it.
    """
    for record in read_records(asked):
        if record.job_id == job_id:
            return record
    raise JobNotFoundError(job_id, where="the journal of this scope")
