"""``store``: tables of results, SQL, and care. No cluster has to run."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

import attrs
import click
from checkmaite.jobs import AnalyticsStore, ConfigurationError, Tag
from checkmaite.jobs.spi import KeepsHistory
from checkmaite.jobs_cli.commands import care
from checkmaite.jobs_cli.options import Asked, as_json, configured, examples
from checkmaite.jobs_cli.printing import emit, say, show
from checkmaite.jobs_cli.tables import rows_table

_ROWS_FOR_PEOPLE = 100


@click.group()
def store() -> None:
    """Ask the analytics store, and take care of it."""


for command in (care.compact, care.vacuum, care.verify, care.repair, care.doctor):
    store.add_command(command)


as_of_option = click.option(
    "--as-of",
    metavar="TAG|INSTANT",
    help="What the store held then: a name of store tag make, or an instant such as 2026-11-30T18:00Z.",
)


@store.command(epilog=examples("store tables --store ./analytics_store"))
@as_of_option
@as_json
@configured
def tables(asked: Asked, as_of: str | None, as_json: bool) -> None:
    """The tables, with how many runs and rows are in each.

    Records: table, runs, rows.
    """
    opened: Any = asked.store()
    moment = _moment(opened, as_of)
    described = [opened.describe_table(name, **moment) for name in opened.list_tables(**moment)]
    records = [{"table": each.name, "runs": each.runs, "rows": each.rows} for each in described]
    if as_json:
        emit(records)
    elif records:
        show(rows_table(list(records[0]), records))
    else:
        say(f"There are no tables in {opened.uri}: nothing has been stored there yet.")


@store.command(epilog=examples("store describe accuracy --profile team"))
@click.argument("table")
@as_of_option
@as_json
@configured
def describe(asked: Asked, table: str, as_of: str | None, as_json: bool) -> None:
    """The columns of a table, and their types.

    Records: column, type.
    """
    opened: Any = asked.store()
    described = opened.describe_table(table, **_moment(opened, as_of))
    records = [{"column": column.name, "type": column.type} for column in described.columns]
    if as_json:
        emit(records)
        return
    show(rows_table(["column", "type"], records))
    say(f"{described.rows:,} rows of {described.runs:,} runs")


@store.command(
    epilog=examples(
        'store sql "select capability_id, count(distinct run_uid) as runs from runs group by all"',
        "store sql - --json < question.sql | jq .",
    )
)
@click.argument("text", metavar="SELECT")
@click.option("--revision", metavar="N|all", help="Of each run this result instead of the newest, or all of them.")
@as_of_option
@click.option(
    "-n", "--limit", type=click.IntRange(1), metavar="N", help="Print at most so many rows; 100 where it is no --json."
)
@as_json
@configured
def sql(asked: Asked, text: str, revision: str | None, as_of: str | None, limit: int | None, as_json: bool) -> None:
    """The rows of one SELECT over the tables. "-" reads it from standard input.

    Nothing but the tables can be read, and nothing can be written. Records: the row's columns.
    """
    query = sys.stdin.read() if text == "-" else text
    opened: Any = asked.store()
    options = {} if revision is None else {"revision": _revision(revision)}
    found = opened.query_sql(query, **options, **_moment(opened, as_of))
    most = limit if as_json else limit or _ROWS_FOR_PEOPLE
    rows = _rows(found if most is None else found.slice(0, most))
    if as_json:
        emit(rows)
        return
    show(rows_table(found.column_names, rows))
    if most is not None and found.num_rows > most:
        say(f"{found.num_rows - most:,} more rows: --limit {found.num_rows} shows them, --json all.")


@store.group()
def tag() -> None:
    """Names for what the store held at a moment, for --as-of."""


@tag.command(epilog=examples("store tag make report-2026-11 --profile team"))
@click.argument("name")
@as_json
@configured
def make(asked: Asked, name: str, as_json: bool) -> None:
    """Give what the store holds now a name. A name is given once.

    Records: name, created_at, results.
    """
    _report_tags([_keeper(asked.store(), "tag").tag(name)], as_json=as_json)


@tag.command("list", epilog=examples("store tag list"))
@as_json
@configured
def list_(asked: Asked, as_json: bool) -> None:
    """The names, oldest first.

    Records: name, created_at, results.
    """
    opened = asked.store()
    found = _keeper(opened, "tags").tags()
    _report_tags(found, as_json=as_json)
    if not found and not as_json:
        say(f"There are no tags in {opened.uri}: store tag make NAME makes one.")


@tag.command(epilog=examples("store tag remove report-2026-11"))
@click.argument("name")
@configured
def remove(asked: Asked, name: str) -> None:
    """Forget a name. No result goes with it."""
    _keeper(asked.store(), "delete_tag").delete_tag(name)
    say(f"The tag {name!r} is gone.")


def _report_tags(found: Sequence[Tag], *, as_json: bool) -> None:
    records = [attrs.asdict(each) for each in found]
    if as_json:
        emit(records)
    elif records:
        show(rows_table(["name", "created_at", "results"], records))


def _moment(opened: AnalyticsStore, text: str | None) -> dict[str, datetime | str]:
    """The argument of a store's reads for what a user gave; an instant without a time zone is UTC, as everywhere."""
    if text is None:
        return {}
    _keeper(opened, "as_of")
    try:
        instant = datetime.fromisoformat(text)
    except ValueError:
        return {"as_of": text}
    return {"as_of": instant if instant.tzinfo else instant.replace(tzinfo=UTC)}


def _keeper(opened: AnalyticsStore, what: str) -> KeepsHistory:
    if not isinstance(opened, KeepsHistory):
        raise ConfigurationError(f"The store {opened!r} has no {what}: it shows what it holds now alone.")
    return opened


def _revision(text: str) -> int | str:
    if text == "all":
        return text
    if text.isdecimal() and int(text) > 0:
        return int(text)
    raise click.BadParameter(f"{text!r} is neither a number from 1 on nor all.", param_hint="--revision")


def _rows(table: Any) -> Iterator[dict[str, Any]]:
    for batch in table.to_batches():
        yield from batch.to_pylist()
