"""Pieces of Python on the pages are run, in a place where what they speak of is there.

A piece is ``py``; a whole script is ``python``, and has a test of its own. Clusters and buckets of a piece are replaced
by a backend in this process and a folder; its options are checked by the backend that it names.
"""

from __future__ import annotations

import ast
import asyncio
import inspect
import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import attrs
import pytest
from checkmaite import jobs
from checkmaite.jobs._submitters.configuring import read_configuration
from checkmaite.jobs._submitters.settings import read_settings
from checkmaite.jobs_ray.config import RayRunOptions
from checkmaite.store_delta import DeltaStore
from checkmaite.store_parquet import ParquetStore

from tests.pages.blocks import ROOT, Block, blocks

_ARGUMENTS = set(inspect.signature(jobs.submit_capability).parameters)
_LOGS = inspect.signature(jobs.read_job_logs)
PAGES = {
    "docs/explanation/identity-and-reuse.md",
    *(
        f"docs/how-to/{name}.md"
        for name in (
            *("analytics-store", "browser", "command-line", "delta-store"),
            *("hooks", "isolation", "job-backends", "journal", "kubernetes", "notebooks"),
            *("ray", "security", "submitting"),
        )
    ),
}
"""Pages whose pieces find here what they speak of. Another page comes with what it needs, in `Place.names`."""
READMES = {f"packages/{each.name}/README.md" for each in (ROOT / "packages").iterdir()}
"""Those of the packages speak of a capability of the reader's."""
PIECES = [
    each
    for each in (*blocks("py"), *blocks("python"))
    if each.page in (PAGES if each.language == "py" else READMES) and not each.excuse
]
DELTA = {"docs/how-to/delta-store.md", "packages/checkmaite-store-delta/README.md"}
"""Pages that speak of a Delta store."""


def test_every_piece_is_run() -> None:
    assert {each.page for each in blocks("py") if not each.excuse} == PAGES


class Accuracy:
    """A capability with a row in each of its tables."""

    id = "accuracy"

    def __init__(self, *tables: str) -> None:
        self.tables = tables or ("accuracy",)

    def run(self, *, config: Any = None, **_given: Any) -> SimpleNamespace:
        about: dict[str, Any] = {"dataset_metadata": [{"id": "d"}], "model_metadata": [], "metric_metadata": []}
        rows = [{"table_name": name, "value": 0.5} for name in self.tables]
        return SimpleNamespace(run_uid=str(config or "my-run"), capability_id=self.id, extract=lambda: rows, **about)


class Place:
    """Where the pieces run: a store with results, one finished job, and calls that check what they are given."""

    def __init__(self, folder: Path, page: str) -> None:
        kind, store_type = ("delta", DeltaStore) if page in DELTA else ("parquet", ParquetStore)
        self.store = store_type(str(folder / "analytics_store"))
        (folder / "store").symlink_to(folder / "analytics_store")
        self._options = {"analytics_store": {"backend": kind, "uri": str(folder / "analytics_store")}}
        self.backend = jobs.configure_job_backend("inline", **self._options)
        accuracy = Accuracy("accuracy", "part_a") if page in DELTA else Accuracy()
        self.jobs = [jobs.submit_capability(accuracy, config=name) for name in (None, "two", "three")]
        jobs.wait_all(self.jobs, 60)
        self.job = self.jobs[0]
        (folder / "checkmaite-jobs.toml").write_text('[profiles.team]\nkind = "inline"\nanalytics_store = "results"\n')

    def names(self) -> dict[str, Any]:
        """What a piece may speak of without saying where it comes from."""
        calls = {name: getattr(self, name) for name in ("configure_job_backend", "submit_capability", "get_job")}
        return {
            **{name: getattr(jobs, name) for name in jobs.__all__},
            **calls,
            "read_job_logs": self.read_job_logs,
            "store": self.store,
            "backend": self.backend,
            "job": self.job,
            "jobs": self.jobs,
            "configs": ["four", "five"],
            "CountTo": Accuracy,
            "Gauss": object,
            **dict.fromkeys(("capability", "my_capability"), Accuracy()),
            **dict.fromkeys(("my_model", "my_dataset")),
            "datetime": datetime,
            "UTC": UTC,
            "json": json,
        }

    def configure_job_backend(
        self, kind: str | None = None, *rest: Any, profile: str | None = None, **options: Any
    ) -> Any:
        """Checks the options as the backend of that kind does; then there is this backend."""
        assert set(rest) <= {...}, "one kind"
        if profile is None:
            store = options.pop("analytics_store", ...)
            missing = {"idempotency_scope": "here"} if kind == "ray" and rest else {}
            artifacts = options.pop("artifact_store", None)
            given = self._options["analytics_store"] if store is ... or ... in store else store
            read_configuration(kind, given, artifacts, {**missing, **options})
        else:
            read_settings(profile, given=options)
        return self.backend

    def submit_capability(self, capability: Any, **given: Any) -> Any:
        """Knows the arguments of the real one, and the options of one job."""
        known = {
            *_ARGUMENTS,
            *(each.name for each in attrs.fields(RayRunOptions)),
        }
        assert set(given) <= known
        return self.job

    def get_job(self, job_id: str) -> Any:
        """The one job."""
        assert re.fullmatch(r"job-[0-9a-f]+-[0-9a-f]+", job_id)
        return self.job

    def read_job_logs(self, *args: Any, **options: Any) -> str:
        """Takes what the real one takes."""
        _LOGS.bind(*args, **options)
        return ""


@pytest.fixture
def place(piece: Block, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Place]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TEAM_A_KEY", "a key of sixteen or more")
    yield Place(tmp_path, piece.page)
    jobs.shutdown_job_backend()


@pytest.mark.parametrize("piece", PIECES, ids=str)
def test_a_piece_runs(piece: Block, place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    names = place.names()
    for name in ("configure_job_backend", "submit_capability", "get_job", "read_job_logs"):
        monkeypatch.setattr(jobs, name, names[name])
    flags = ast.PyCF_ALLOW_TOP_LEVEL_AWAIT  # as a notebook does
    cell = compile(piece.text, str(ROOT / piece.page), "exec", flags)
    told = eval(cell, {"__name__": "__main__", **names})
    if inspect.iscoroutine(told):
        asyncio.run(told)
