"""``submit``: runs of capabilities that a module defines."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from typing import Any

import click
from checkmaite.jobs import Submission, as_completed, plan_capabilities, submit_capabilities
from checkmaite.jobs_cli.commands.history import print_job
from checkmaite.jobs_cli.connecting import configured_backend, ends_with_process
from checkmaite.jobs_cli.exits import Exit, exit_after
from checkmaite.jobs_cli.loading import load_config, made
from checkmaite.jobs_cli.options import Asked, as_json, configured, examples, named_values, tags_given
from checkmaite.jobs_cli.printing import emit, jobs_print_beside, out, say, show
from checkmaite.jobs_cli.summaries import JobSummary
from checkmaite.jobs_cli.tables import jobs_table, rows_table

_object: dict[str, Any] = {"multiple": True, "metavar": "MODULE:OBJECT"}


@click.command(
    epilog=examples(
        "submit mycaps:Robustness --config robustness.json --model zoo:resnet50 --dataset data:validation --wait",
        "submit mycaps:sweep --plan --profile team",
    )
)
@click.argument("target", metavar="MODULE:OBJECT")
@click.option(
    "--config",
    "config_place",
    metavar="FILE",
    help='Its configuration, JSON or TOML; "-" reads JSON from standard input.',
)
@click.option("--model", "models", **_object, help="A model; several times for several.")
@click.option("--dataset", "datasets", **_object, help="A dataset; likewise.")
@click.option("--metric", "metrics", **_object, help="A metric; likewise.")
@click.option("--job-name", metavar="TEXT", help="A name for people.")
@click.option(
    "--tag",
    "tags",
    multiple=True,
    metavar="NAME=TEXT",
    callback=tags_given,
    help="A tag to find the job by; several times for several.",
)
@click.option("--num-cpus", type=click.FloatRange(0), metavar="N", help="CPUs that the job reserves.")
@click.option("--num-gpus", type=click.FloatRange(0), metavar="N", help="GPUs, likewise.")
@click.option(
    "--option",
    "options",
    multiple=True,
    metavar="NAME=VALUE",
    callback=named_values,
    help="An option of the job, for example reuse=never or max_retries=5.",
)
@click.option("--plan", is_flag=True, help="Say what would be run, and submit nothing.")
@click.option("--wait", is_flag=True, help="Wait for the ends; the exit code says how they ended.")
@as_json
@configured
def submit(
    asked: Asked, target: str, options: Sequence[tuple[str, Any]], plan: bool, wait: bool, as_json: bool, **flags: Any
) -> Exit:
    """Submit a capability, or what a function gives: submissions, one or many.

    MODULE:OBJECT is a capability, a class of one that is made without arguments, or a function that returns a
    capability, a submission or a list of them (mappings of submit_capability's arguments). Modules of the working
    folder are found. Jobs on a cluster go on when the command ends; with address "local", "ray-simple" and "inline" it
    waits for them.

    Records: see `jobs history`; with --plan: job_name, capability_id, reuse.
    """
    with ExitStack() as running:
        running.enter_context(jobs_print_beside())  # modules too may print when they are imported
        submissions = _submissions(made(target), flags, dict(options))
        running.enter_context(configured_backend(asked))
        if plan:
            _print_plan(submissions, as_json=as_json)
            return Exit.DONE
        jobs = submit_capabilities(submissions)
        records = [JobSummary.of_job(job) for job in jobs]
        if not (wait or ends_with_process(asked)):
            _print(records, as_json=as_json)
            return Exit.DONE
        if not as_json:
            _print(records, as_json=False)
            say(f"Waiting for {len(jobs):,} job{'s' * (len(jobs) != 1)}.")
        for job in as_completed(jobs):
            print_job(JobSummary.of_job(job), as_json=as_json)
        return exit_after(job.status for job in jobs)


def _submissions(
    found: Any, flags: Mapping[str, Any], options: Mapping[str, Any]
) -> list[Mapping[str, Any] | Submission]:
    given = {
        "models": [made(name) for name in flags["models"]] or None,
        "datasets": [made(name) for name in flags["datasets"]] or None,
        "metrics": [made(name) for name in flags["metrics"]] or None,
        "config": load_config(flags["config_place"]) if flags["config_place"] else None,
        "job_name": flags["job_name"],
        "tags": dict(flags["tags"]) or None,
        "resources": {name: flags[name] for name in ("num_cpus", "num_gpus") if flags[name] is not None} or None,
        **options,
    }
    given = {name: value for name, value in given.items() if value is not None}
    if hasattr(found, "run"):
        return [{"capability": found, **given}]
    several = [found] if isinstance(found, (Mapping, Submission)) else found
    if given:
        raise click.UsageError(
            f"MODULE:OBJECT gives submissions, which say themselves what they take: leave out {', '.join(given)}."
        )
    if isinstance(several, (str, bytes)) or not isinstance(several, Iterable):
        raise click.UsageError(f"MODULE:OBJECT gives neither a capability nor submissions, but {type(found).__name__}.")
    return list(several)


def _print(records: Sequence[JobSummary], *, as_json: bool) -> None:
    if as_json:
        emit(records)
    else:
        show(jobs_table(records, width=out().width))


def _print_plan(submissions: Sequence[Mapping[str, Any] | Submission], *, as_json: bool) -> None:
    planned = []
    for each, reuse in zip(submissions, plan_capabilities(submissions), strict=True):
        facts = {"job_name": each.job_name, "capability": each.capability} if isinstance(each, Submission) else each
        capability_id = str(facts["capability"].id)
        name = facts.get("job_name") or capability_id
        planned.append({"job_name": name, "capability_id": capability_id, "reuse": str(reuse)})
    if as_json:
        emit(planned)
    else:
        show(rows_table(["job_name", "capability_id", "reuse"], planned))
