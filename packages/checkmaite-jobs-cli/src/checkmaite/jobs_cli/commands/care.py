"""What takes care of a store: ``store compact``, ``vacuum``, ``verify``, ``repair`` and ``doctor``."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import attrs
import click
from checkmaite.jobs import AnalyticsStore, ConfigurationError, JobsError
from checkmaite.jobs_cli.commands.findings import (
    Finding,
    fault,
    no_worker_option,
    said_by_worker,
    timeout_option,
    told,
)
from checkmaite.jobs_cli.connecting import configured_backend
from checkmaite.jobs_cli.exits import Exit
from checkmaite.jobs_cli.options import Asked, as_json, configured, examples
from checkmaite.jobs_cli.printing import emit, say, show
from checkmaite.jobs_cli.tables import facts_table, rows_table
from checkmaite.jobs_cli.worker_check import store_check


@click.command(epilog=examples("store compact --profile team"))
@as_json
@configured
def compact(asked: Asked, as_json: bool) -> None:
    """Copy the rows of many small files into few large ones, which readers then take.

    Nothing that is there is changed. Records: what the store says that it has done.
    """
    _report(_call(asked.store(), "compact"), as_json=as_json)


@click.command(epilog=examples("store vacuum --profile team --yes"))
@click.option("--originals", is_flag=True, help="Also the small files of results that are in copies.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@as_json
@configured
def vacuum(asked: Asked, originals: bool, yes: bool, as_json: bool) -> None:
    """Delete what no reader needs: replaced copies, and what killed writers have left.

    Runs and their results are never deleted. With --originals they are in copies alone afterwards, which other programs
    do not look for. Records: what the store says that it has deleted.
    """
    opened = asked.store()
    _method(opened, "vacuum")
    if not yes:
        also = ", and the small files of results that are in copies," if originals else ""
        click.confirm(f"Delete replaced copies and left-over files{also} of {opened.uri}?", abort=True, err=True)
    arguments = {"originals": True} if originals else {}
    _report(_call(opened, "vacuum", **arguments), as_json=as_json)


@click.command(epilog=examples("store verify", "store verify RUN_UID --revision 1 --json"))
@click.argument("run_uid", required=False)
@click.option("--revision", type=click.IntRange(1), metavar="N", help="Only this result of each run.")
@as_json
@configured
def verify(asked: Asked, run_uid: str | None, revision: int | None, as_json: bool) -> Exit:
    """Whether rows, reports and commits are what was stored, of one run or of all.

    Exit code 1: something was changed. Records: state (changed or unknown), run_uid, revision, what, uri, reason.
    """
    done = _method(asked.store(), "verify")(run_uid, revision=revision)
    records = [
        {"state": state, **attrs.asdict(finding)}
        for state, findings in (("changed", done.changed), ("unknown", done.unknown))
        for finding in findings
    ]
    if as_json:
        emit(records)
    elif records:
        show(rows_table(list(records[0]), records))
    changed = f"{len(done.changed):,} things are not as they were stored" if done.changed else "nothing was changed"
    say(f"{done.results:,} results: {changed}; of {len(done.unknown):,} things nothing can be said.")
    return Exit.ERROR if done.changed else Exit.DONE


@click.command(epilog=examples("store repair --dry-run", "store repair --yes --json"))
@click.option("--dry-run", is_flag=True, help="Only say what would be done.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@as_json
@configured
def repair(asked: Asked, dry_run: bool, yes: bool, as_json: bool) -> None:
    """Make commits anew that are not there, from what the files of rows say of their runs.

    They may have been deleted, or their writers have died: then results appear of jobs that failed. Files of the last
    day are left to their writers. Records: state (rebuilt or left), run_uid, revision, uri, reason.
    """
    opened = asked.store()
    method = _method(opened, "repair")
    if not dry_run and not yes:
        planned = method(dry_run=True)
        _report_repair(planned, as_json=False)
        if not planned.rebuilt:
            return
        click.confirm(f"Make {len(planned.rebuilt):,} commits in {opened.uri}?", abort=True, err=True)
    _report_repair(method(dry_run=dry_run), as_json=as_json)


@click.command(epilog=examples("store doctor --store s3://bucket/folder --no-worker", "store doctor --profile team"))
@no_worker_option
@timeout_option
@as_json
@configured
def doctor(asked: Asked, no_worker: bool, timeout: float, as_json: bool) -> Exit:
    """Try all that a store needs of its place, from here and from a worker, and say what to do about what fails.

    Objects are written, read, created by several at once, listed and deleted, and clocks compared; nothing of it stays.
    The worker's is a small job, which is listed like any other and stores nothing.

    Exit code 1: there is a fault. Records: check, state (ok, note or fault), found.
    """
    return told(_examined(asked, None if no_worker else timeout), as_json=as_json)


def _examined(asked: Asked, timeout_s: float | None) -> Iterator[Finding]:
    try:
        checks: Sequence[Any] = _method(asked.store(), "doctor")()
    except JobsError as error:
        yield fault("here", error)
        return
    for each in checks:
        yield Finding(check=f"here: {each.check}", state=each.state, found=each.found)
    if timeout_s is None:
        return
    try:
        with configured_backend(asked):
            config = {"run_uid": f"doctor-{uuid.uuid4().hex}"}
            said = said_by_worker(store_check(), config, timeout_s)
            if isinstance(said, Finding):
                yield said
                return
            for each in said["checks"]:
                yield Finding(check=f"{said['host']}: {each['check']}", state=each["state"], found=each["found"])
    except JobsError as error:
        yield fault("backend", error)


def _report_repair(done: Any, *, as_json: bool) -> None:
    records = [{"state": "rebuilt", **attrs.asdict(each), "reason": ""} for each in done.rebuilt]
    records += [
        {"state": "left", "run_uid": None, "revision": None, "uri": uri, "reason": reason}
        for uri, reason in done.left.items()
    ]
    if as_json:
        emit(records)
    elif records:
        show(rows_table(list(records[0]), records))
    else:
        say("There is nothing to repair.")


def _method(opened: AnalyticsStore, name: str) -> Any:
    method = getattr(opened, name, None)
    if method is None:
        raise ConfigurationError(f"The store {opened!r} has no {name}: it takes care of itself, or needs no care.")
    return method


def _call(opened: AnalyticsStore, name: str, **arguments: Any) -> Mapping[str, Any]:
    """What the store's method says that it has done, by name; what does not apply is left out."""
    said = attrs.asdict(_method(opened, name)(**arguments))
    return {each: value for each, value in said.items() if value is not None}


def _report(done: Mapping[str, Any], *, as_json: bool) -> None:
    if as_json:
        emit([done])
        return
    facts = {}
    for name, value in done.items():
        title = name.replace("_", " ")
        if isinstance(value, Mapping):
            facts.update({f"{title}: {own}": str(reason) for own, reason in value.items()})
        else:
            facts[title] = f"{value:,}" if isinstance(value, int) else str(value)
    show(facts_table(facts))
