"""One Chromium for the tests of the page, and a page of it that lets no error of the console pass."""

from __future__ import annotations

import http.client
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from checkmaite.jobs import configure_job_backend, shutdown_job_backend
from checkmaite.jobs_ui import serve
from checkmaite.jobs_ui.board import JobSource
from checkmaite.jobs_ui.server import PageServer, Scope
from checkmaite.store_parquet import ParquetStore

from tools import chromium

SOON_MS = 90_000
"""What a busy machine may take for what happens at once."""
FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",  # which is small in a container
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


@pytest.fixture(scope="module")  # its loop runs in this thread, and other modules start loops of their own
def browser() -> Iterator[Any]:
    sync_api = pytest.importorskip("playwright.sync_api")
    program = chromium.find()
    if program is None:
        pytest.skip(f"There is no Chromium here. {chromium.HOW}")
    with sync_api.sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=program, args=list(FLAGS))
        yield launched
        launched.close()


@pytest.fixture
def open_page(browser: Any) -> Iterator[Callable[..., Any]]:
    """Opens an address; at the end no page may have said anything in its console, nor asked for another host."""
    faults: list[str] = []
    contexts = []

    def opened(url: str, *, width: int = 1280, height: int = 800, **options: Any) -> Any:
        context = browser.new_context(viewport={"width": width, "height": height}, **options)
        context.set_default_timeout(SOON_MS)
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda message: faults.append(f"{message.type}: {message.text}"))
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.on("dialog", lambda dialog: faults.append(f"a dialog: {dialog.message}") or dialog.dismiss())
        page.on("request", lambda request: faults.append(request.url) if not _is_near(request.url) else None)
        page.goto(url)
        return page

    opened.faults = faults  # type: ignore[attr-defined]
    yield opened
    for context in contexts:
        context.close()
    assert faults == []


def _is_near(url: str) -> bool:
    address = urlsplit(url)
    return address.scheme in ("file", "data") or address.hostname == "127.0.0.1"


@pytest.fixture
def serving() -> Iterator[Callable[..., PageServer]]:
    """Serves the jobs of a source, until the test ends."""
    with ExitStack() as stack:

        def serve(jobs: JobSource, store: Any = None, title: str = "team-a") -> PageServer:
            return stack.enter_context(PageServer(Scope(title, jobs, store)))

        yield serve


@pytest.fixture
def serving_active(inline: Any) -> Iterator[Callable[..., PageServer]]:
    """Serves the jobs of the active backend, until the test ends. (Its pages are closed before: it is made first.)"""
    with ExitStack() as stack:
        yield lambda **options: stack.enter_context(serve(**options))


@pytest.fixture
def inline(tmp_path: Path) -> Iterator[Any]:
    """A backend of this process: real jobs, and no Ray."""
    yield configure_job_backend("inline", analytics_store={"backend": "parquet", "uri": str(tmp_path / "store")})
    shutdown_job_backend(wait=False)


@pytest.fixture(scope="session")
def scores(tmp_path_factory: pytest.TempPathFactory) -> ParquetStore:
    """A store with the accuracy of two models under four severities."""
    from types import SimpleNamespace

    store = ParquetStore(str(tmp_path_factory.mktemp("scores")))
    for model, best in (("lenet", 0.97), ("vit", 0.93)):
        rows = [
            {"table_name": "robustness", "model_id": model, "severity": severity, "accuracy": best - severity / 10}
            for severity in (1, 2, 3, 4)
        ]
        named = {"dataset_metadata": [{"id": "digits"}], "model_metadata": [{"id": model}], "metric_metadata": []}
        store.write(
            SimpleNamespace(run_uid=f"{model}-run", capability_id="robustness", extract=lambda rows=rows: rows, **named)
        )
    return store


@contextmanager
def connection_to(url: str) -> Iterator[http.client.HTTPConnection]:
    address = urlsplit(url)
    connection = http.client.HTTPConnection(address.hostname or "", address.port, timeout=60)
    yield connection
    connection.close()
