"""``scopes``: who shares a cluster."""

from __future__ import annotations

from datetime import UTC, datetime

import click
from checkmaite.jobs import list_scopes
from checkmaite.jobs_cli.options import Asked, as_json, configured, examples
from checkmaite.jobs_cli.printing import emit, say, show
from checkmaite.jobs_cli.tables import scopes_table


@click.group()
def scopes() -> None:
    """See who shares a cluster, and what each does."""


@scopes.command("list", epilog=examples("scopes list --profile team", "scopes list --store s3://team/store --json"))
@as_json
@configured
def list_(asked: Asked, as_json: bool) -> None:
    """All scopes of a cluster, and those that only their journals know of.

    With an address the registries of the cluster are asked; without one journals alone are read. No --scope is needed,
    and nothing is begun. Of a scope that has a key the name is told alone.

    Records: scope, registry, is_alive, node, has_key, jobs (a number for each status), last_activity_at.
    """
    found = list_scopes(**asked.arguments())
    if as_json:
        emit(found)
    elif found:
        show(scopes_table(found, now=datetime.now(UTC)))
    else:
        say("There are no scopes here.")
