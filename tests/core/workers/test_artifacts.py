"""Documents such as large reports go where the user says, whatever the analytics store keeps."""

from __future__ import annotations

import pickle
import re
import stat
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from attrs import frozen
from checkmaite.jobs import (
    JobFailedError,
    Report,
    configure_job_backend,
    read_salvaged_run,
    shutdown_job_backend,
    submit_capability,
)
from checkmaite.jobs._shared.order import Terms
from checkmaite.jobs._shared.provenance import SHARED_FIELDS
from checkmaite.jobs.spi import ArtifactFolder, StoreSpec, WorkOrder, execute
from checkmaite.jobs.testing import SampleRun

LARGE = "# large\n" + "x" * 300_000
Run = Callable[..., Any]


@frozen
class Reported(SampleRun):
    text: str = LARGE

    def collect_md_report(self, threshold: float) -> str:
        return self.text


class Reports:
    """Returns a run with a report."""

    id = "reports"

    def run(self, *, config: Any, **_: Any) -> Reported:
        return Reported(run_uid=config["run_uid"], text=config.get("text", LARGE))


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Run]:
    """Runs `Reports` with documents below ``kept`` in the current folder, which the worker has left."""
    monkeypatch.chdir(tmp_path)
    configure_job_backend("inline", analytics_store={"backend": "null"}, artifact_store={"uri": "kept"})
    monkeypatch.chdir("/")
    yield lambda **config: submit_capability(Reports(), config={"run_uid": "one", **config})
    shutdown_job_backend()


def test_a_large_report_is_a_document(run: Run, tmp_path: Path) -> None:
    ref = run().result(30)
    (kept,) = (tmp_path / "kept/one").glob("*/report.md")
    assert ref.report == Report(kind="artifact", media_type="text/markdown", uri=str(kept), filename="report.md")
    assert kept.read_text() == LARGE
    assert ref.open_report().read().decode() == LARGE


def test_a_small_report_travels_in_the_run_ref(run: Run, tmp_path: Path) -> None:
    ref = run(text="# small").result(30)
    assert ref.report == Report(kind="inline_text", text="# small")
    assert ref.open_report().read() == b"# small"
    assert not (tmp_path / "kept").exists()


def test_documents_may_be_for_their_owner_alone(tmp_path: Path) -> None:
    place = {"uri": str(tmp_path / "kept"), "private_files": True}
    configure_job_backend("inline", analytics_store={"backend": "null"}, artifact_store=place)
    kept = Path(submit_capability(Reports(), config={"run_uid": "one"}).result(30).report.uri)
    shutdown_job_backend()
    assert [stat.S_IMODE(each.stat().st_mode) for each in (tmp_path / "kept", kept.parent, kept)] == [
        0o700,
        0o700,
        0o600,
    ]


def test_each_result_of_a_run_keeps_its_own_report(run: Run) -> None:
    first, second = run().result(30), run(text=LARGE + "more").result(30)
    assert first.open_report().read().decode() == LARGE
    assert second.open_report().read().decode() == LARGE + "more"


def test_no_run_uid_leads_out_of_the_folder(run: Run, tmp_path: Path) -> None:
    report = run(run_uid="../../up").result(30).report
    assert Path(str(report)).resolve().is_relative_to(tmp_path / "kept")
    assert Path(str(report)).read_text() == LARGE


@pytest.mark.parametrize("uid", ["", " ", "one\n", "\ud800", "x" * 2000])
def test_a_run_that_nobody_could_name_has_its_rows_kept_and_no_report(run: Run, tmp_path: Path, uid: str) -> None:
    with pytest.raises(JobFailedError, match=r"run\.run_uid") as caught:
        run(run_uid=uid).result(30)
    (kept,) = (path for path in (tmp_path / "kept").rglob("*") if path.is_file())
    assert kept.parent == tmp_path / "kept/unnamed"
    assert str(kept) in str(caught.value)
    assert read_salvaged_run(str(kept)).run_uid == uid


def test_a_folder_that_cannot_be_written_is_a_note_and_the_job_completes(run: Run, tmp_path: Path) -> None:
    (tmp_path / "kept").write_text("in the way")
    job = run()
    assert job.result(30).report is None
    assert "the report could not be stored" in job.explain()
    assert re.search(rf"{tmp_path}/kept/one/[\w-]+/report.md: a file is where a folder must be", job.explain())


def test_a_store_without_documents_says_how_to_keep_them() -> None:
    configure_job_backend("inline", analytics_store={"backend": "null"})
    job = submit_capability(Reports(), config={"run_uid": "one"})
    assert job.result(30).report is None
    assert "artifact_store=" in job.explain()
    shutdown_job_backend()


def test_the_folder_travels_to_a_worker_with_the_order(tmp_path: Path) -> None:
    """As bytes, as every Ray backend sends it; and its secrets are in no repr."""
    artifacts = ArtifactFolder(uri=str(tmp_path / "kept"), storage_options={"secret": "hunter2"})
    spec = StoreSpec("null", artifacts=artifacts)
    facts = dict.fromkeys(SHARED_FIELDS)
    order = WorkOrder(
        job_id="job-1",
        submitted_at=datetime(2026, 1, 2, tzinfo=UTC),
        run_uid=None,
        reuse="auto",
        prints=None,
        report_threshold=0.5,
        terms=Terms(store=spec, facts=facts),
    )
    payload = pickle.dumps((Reports(), None, None, None, {"run_uid": "one"}))
    finished = execute(order.to_wire(), payload)
    assert Path(finished.outcome.ref.report.uri).parent.parent == tmp_path / "kept/one"
    assert "hunter2" not in repr(order)
