"""``jobs``: see, ask and act."""

from __future__ import annotations

import click
from checkmaite.jobs_cli.commands import acting, asking
from checkmaite.jobs_cli.commands.history import history


@click.group()
def jobs() -> None:
    """See jobs, ask why, and act on them."""


for command in (
    asking.list_,
    asking.show_job,
    asking.explain,
    asking.logs,
    acting.watch,
    acting.wait,
    acting.cancel,
    acting.rerun,
    history,
):
    jobs.add_command(command)
