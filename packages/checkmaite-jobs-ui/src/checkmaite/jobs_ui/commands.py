"""``checkmaite-jobs ui`` and ``checkmaite-jobs report``."""

from __future__ import annotations

import webbrowser
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import click
from checkmaite.jobs import ConfigurationError
from checkmaite.jobs_cli.spi import Asked, configured, connected, examples, has_cluster, line, say
from checkmaite.jobs_ui.board import JobSource
from checkmaite.jobs_ui.report import write_site
from checkmaite.jobs_ui.server import PageServer, Scope
from checkmaite.jobs_ui.sources import KeptJobs, LiveJobs

_kept = click.option("--kept", is_flag=True, help="As the journal has it: no cluster is asked.")


@click.command(epilog=examples("ui --profile team", "ui --store ./analytics_store --scope team-a --kept"))
@click.option("--port", type=click.IntRange(0, 65_535), default=0, help="The port; any free one when left out.")
@click.option("--open", "opens", is_flag=True, help="Also open the page in a browser.")
@_kept
@configured
def ui(asked: Asked, port: int, opens: bool, kept: bool) -> None:
    """Show jobs, their queue and their results in a browser.

    Serves a page on this machine alone until Ctrl-C, and prints its address, which holds a token: who has the address
    sees the page. Nothing can be changed from there. Where no cluster can be asked, the page shows the journal.
    """
    with _scope(asked, kept=kept) as scope:
        try:
            server = PageServer(scope, port)
        except OSError as error:
            raise ConfigurationError(f"The port {port} is taken: {error.strerror}. Leave --port out.") from error
        with server:
            line(server.url)
            say("The page is served until Ctrl-C. Jobs are left alone.")
            if opens:
                webbrowser.open(server.url)
            server.wait()


@click.command(
    epilog=examples(
        "report --out site --profile team",
        'report --out site --query "select model_id, avg(accuracy) from scores group by all"',
    )
)
@click.option("--out", "folder", required=True, metavar="FOLDER", type=click.Path(path_type=Path), help="Where to.")
@click.option(
    "--query", "queries", multiple=True, metavar="SELECT", help="Also show its rows, with a chart; may be repeated."
)
@_kept
@configured
def report(asked: Asked, folder: Path, queries: Sequence[str], kept: bool) -> None:
    """Write jobs and results as a folder of files that needs no server.

    Open its index.html, give the folder to a colleague, or put it into a bucket. It loads nothing from elsewhere. What
    jobs have printed, errors and the first rows of each table are in it: look at them before you give it away.
    """
    with _scope(asked, kept=kept) as scope:
        line(str(write_site(scope, folder, queries)))


@contextmanager
def _scope(asked: Asked, *, kept: bool) -> Iterator[Scope]:
    arguments = asked.arguments()
    title = str(arguments.get("idempotency_scope") or "Jobs")
    if kept or not has_cluster(asked):
        jobs: JobSource = KeptJobs(arguments)
        jobs.summaries()  # it says now what is wrong, and not in the browser
        yield Scope(title, jobs, asked.store())
    else:
        with connected(asked) as backend:
            yield Scope(title, LiveJobs(backend, KeptJobs(arguments)), backend.analytics_store)
