"""The package's own report types: inline ones travel with the run ref, large ones and artifacts are published whole."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from checkmaite.jobs import Job, Report, configure_job_backend, shutdown_job_backend, submit_capability

from tests.standins import RECORD, ArtifactReport, InlineTextReport, capability

NAME = "checkmaite.core.image_classification.xaitk_explainable_capability.XaitkExplainable"
LARGE = "![map](data:image/png;base64," + "A" * 500_000 + ")"
PNG = b"\x89PNG\r\n" + bytes(range(256)) * 2_000
TYPED = {"media_type": "text/markdown", "filename": f"{NAME}.md"}


@pytest.fixture
def submit(tmp_path: Path) -> Iterator[Callable[..., Job]]:
    store = {"backend": "parquet", "uri": str(tmp_path / "store")}
    configure_job_backend("inline", analytics_store=store, artifact_store={"uri": str(tmp_path / "artifacts")})
    yield lambda report, **options: submit_capability(capability(NAME, report=lambda _: report), **options)
    shutdown_job_backend()


@pytest.mark.parametrize("size", [10, RECORD["most_inline_bytes"]])
def test_inline_text_up_to_what_the_package_allows_is_in_the_ref(submit: Callable[..., Job], size: int) -> None:
    job = submit(InlineTextReport(content="x" * size, **TYPED))
    report = job.result(30).report
    assert report == Report(kind="inline_text", text="x" * size, filename=f"{NAME}.md")
    assert "see explain()" not in repr(job)


def test_a_large_report_with_images_is_published_whole(submit: Callable[..., Job], tmp_path: Path) -> None:
    ref = submit(InlineTextReport(content=LARGE, **TYPED)).result(30)
    assert ref.report is not None
    assert (ref.report.kind, ref.report.media_type, ref.report.text) == ("artifact", "text/markdown", None)
    assert ref.report.filename == f"{NAME}.md"
    assert ref.open_report().read().decode() == LARGE
    assert ref.report.uri is not None
    assert Path(ref.report.uri).is_relative_to(tmp_path / "artifacts")


@pytest.mark.parametrize("named", [str, Path.as_uri], ids=["path", "url"])
def test_an_artifact_in_a_file_of_the_worker_is_published(
    submit: Callable[..., Job], tmp_path: Path, named: Callable[[Path], str]
) -> None:
    file = tmp_path / "saliency map.png"
    file.write_bytes(PNG)
    given: Any = {"uri": named(file), "media_type": "image/png", "filename": "map.png"}
    ref = submit(ArtifactReport(**given)).result(30)
    file.unlink()
    assert ref.report is not None
    assert (ref.report.kind, ref.report.media_type, ref.report.filename) == ("artifact", "image/png", "map.png")
    assert ref.open_report().read() == PNG


def test_an_artifact_that_is_published_already_stays_where_it_is(submit: Callable[..., Job]) -> None:
    ref = submit(ArtifactReport(uri="s3://elsewhere/map.png", media_type="image/png", filename="map.png")).result(30)
    assert ref.report is not None
    assert (ref.report.uri, ref.report.filename) == ("s3://elsewhere/map.png", "map.png")


@pytest.mark.parametrize("content", ["# small", LARGE], ids=["inline", "published"])
def test_a_reused_run_has_the_same_report(submit: Callable[..., Job], content: str) -> None:
    first = submit(InlineTextReport(content=content, **TYPED)).result(30)
    again = submit(InlineTextReport(content="another", **TYPED), reuse="always").result(30)
    assert again == first
    assert again.open_report().read().decode() == content
