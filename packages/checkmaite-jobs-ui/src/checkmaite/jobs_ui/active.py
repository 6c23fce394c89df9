"""What a program calls: the page of the active backend's jobs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from checkmaite.jobs import get_job_backend
from checkmaite.jobs_ui.report import write_site
from checkmaite.jobs_ui.server import PageServer, Scope
from checkmaite.jobs_ui.sources import LiveJobs


def serve(port: int = 0, *, title: str = "Jobs") -> PageServer:
    """Serve the page of the active backend's jobs while its block lasts.

    For example::

        with serve() as page:
            print(page.url)
            wait_all(jobs)

    It listens on loopback alone, and answers to whoever has the address, which holds a token.

    Args:
        port: The port; any free one when 0.
        title: What the page is headed by.

    Raises:
        NotConfiguredError: No backend is active.
    """
    return PageServer(_scope(title), port)


def write_report(folder: Path | str, *, title: str = "Jobs", queries: Sequence[str] = ()) -> Path:
    """Write what the active backend's jobs are now as a folder that needs no server.

    Args:
        folder: The folder; it is made, and a report that is there is replaced.
        title: What the page is headed by.
        queries: SELECTs over the store whose results are shown, each with a chart.

    Returns:
        The file to open in a browser.

    Raises:
        NotConfiguredError: No backend is active.
        ArgumentError: The folder holds something else than a report.
        JobsError: A query has no answer.
    """
    return write_site(_scope(title), Path(folder), queries)


def _scope(title: str) -> Scope:
    backend = get_job_backend()
    return Scope(title, LiveJobs(backend), backend.analytics_store)
