"""Reports of every kind, whole or broken: what a run ref says of them, and that they never cost a run."""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from attrs import asdict, frozen
from checkmaite.jobs import (
    CapabilityRunRef,
    Job,
    JobStatus,
    Report,
    configure_job_backend,
    shutdown_job_backend,
    submit_capability,
)
from checkmaite.jobs._shared.places import remember_place
from checkmaite.jobs.testing import SampleRun

LARGE = "x" * 300_000


@frozen
class Reported(SampleRun):
    give: Callable[[], object]

    def collect_md_report(self, threshold: float) -> Any:
        return self.give()


class Reports:
    id = "reports"

    def __init__(self, give: Callable[[], object]) -> None:
        self.give = give

    def run(self, **_: Any) -> Reported:
        return Reported(run_uid="one", give=self.give)


@pytest.fixture
def job_of(tmp_path: Path) -> Iterator[Callable[[Callable[[], object]], Job]]:
    configure_job_backend("inline", analytics_store={"backend": "null"}, artifact_store={"uri": str(tmp_path / "kept")})
    yield lambda give: submit_capability(Reports(give))
    shutdown_job_backend()


@dataclasses.dataclass
class Typed:
    """Has the attributes of the CheckMAITE package's reports."""

    kind: str
    media_type: str
    filename: str
    content: Any = None
    uri: str | None = None


GIVEN: dict[str, tuple[object, dict[str, Any], bytes | None]] = {
    "text": ("# small", {"kind": "inline_text", "text": "# small"}, b"# small"),
    "inline": (
        Typed("inline_text", "text/html", "page.html", "<p>"),
        {"kind": "inline_text", "media_type": "text/html", "text": "<p>", "filename": "page.html"},
        b"<p>",
    ),
    "mapping": (
        {"kind": "inline_text", "media_type": "text/markdown", "content": "# m", "filename": "m.md"},
        {"kind": "inline_text", "text": "# m", "filename": "m.md"},
        b"# m",
    ),
    "large inline": (
        Typed("inline_text", "text/html", "page.html", LARGE),
        {"kind": "artifact", "media_type": "text/html", "filename": "page.html"},
        LARGE.encode(),
    ),
    "bytes": (
        Typed("artifact", "image/png", "plot.png", b"\x89PNG\xff"),
        {"kind": "artifact", "media_type": "image/png", "filename": "plot.png"},
        b"\x89PNG\xff",
    ),
    "published": (
        Typed("artifact", "image/png", "plot.png", uri="s3://elsewhere/plot.png"),
        {"kind": "artifact", "media_type": "image/png", "uri": "s3://elsewhere/plot.png", "filename": "plot.png"},
        None,
    ),
    "path for a name": (
        Typed("artifact", "text/plain", "../../up.txt", b"up"),
        {"kind": "artifact", "media_type": "text/plain", "filename": "up.txt"},
        b"up",
    ),
}


@pytest.mark.parametrize("name", GIVEN)
def test_a_report_of_any_kind_arrives(job_of: Callable[..., Job], tmp_path: Path, name: str) -> None:
    given, said, content = GIVEN[name]
    job = job_of(lambda: given)
    ref = job.result(30)
    assert ref.report is not None
    if said["kind"] == "artifact" and "uri" not in said:
        (path,) = (path for path in (tmp_path / "kept/one").rglob("*") if path.is_file())
        said = {**said, "uri": str(path)}
    assert ref.report == Report(**said)
    assert "Note" not in job.explain()
    assert CapabilityRunRef.from_json(ref.to_json()) == ref
    if content is not None:
        assert ref.open_report().read() == content


class Unprintable(BaseException):
    def __str__(self) -> str:
        raise SystemExit("no words")


def raising(error: BaseException) -> Callable[[], object]:
    def give() -> object:
        raise error

    return give


@pytest.mark.parametrize(
    ("give", "said"),
    [
        (raising(ValueError("no")), "the report failed: ValueError: no"),
        (raising(SystemExit(3)), "the report failed: SystemExit: 3"),
        (raising(KeyboardInterrupt("its own")), "the report failed: KeyboardInterrupt: its own"),
        (raising(GeneratorExit()), "the report failed: GeneratorExit"),
        (raising(Unprintable()), r"the report failed: Unprintable \(its message cannot be shown: SystemExit\)"),
        (raising(ValueError("n" * 5_000_000)), "the report failed: ValueError: nnn"),
        (raising(ValueError("\udcff")), r"the report failed: ValueError: \\udcff"),
        (lambda: 3, "returned an int, neither text nor a report"),
        (lambda: SimpleNamespace(content=3, uri=None), "returned a SimpleNamespace, neither text nor a report"),
        (lambda: SimpleNamespace(uri=""), "returned a SimpleNamespace, neither"),
        (lambda: {"content": None}, "returned a dict, neither"),
    ],
    ids=["error", "exit", "interrupt", "generator", "unprintable", "huge", "surrogate", "int", "odd", "empty", "dict"],
)
def test_a_report_that_fails_is_a_note_on_the_handle(
    job_of: Callable[..., Job], give: Callable[[], object], said: str
) -> None:
    job = job_of(give)
    assert job.wait(30) is JobStatus.COMPLETED
    assert job.result(0).report is None
    assert len(job.explain().encode()) < 4_000
    for shown in (job.explain(), job._repr_html_().replace("&#x27;", "'")):  # type: ignore[attr-defined]
        assert re.search(said, shown)
    assert "the report" in repr(job) or "collect_md_report()" in repr(job)
    with pytest.raises(LookupError, match="has no report"):
        job.result(0).open_report()


def test_lone_surrogates_are_replaced_and_said(job_of: Callable[..., Job]) -> None:
    job = job_of(lambda: "caf\udce9 \ud83d\ude00")
    report = job.result(30).report
    assert str(report) == "caf\ufffd \U0001f600"
    assert "lone surrogates" in job.explain()
    json.dumps(asdict(job.result(0))).encode()


def test_a_run_without_report_is_no_fault(job_of: Callable[..., Job]) -> None:
    job = job_of(raising(NotImplementedError()))
    assert job.result(30).report is None
    assert "Note" not in job.explain()
    assert "see explain()" not in repr(job)


# -- refs of earlier versions -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("said", "kind"),
    [
        ("# a report", "inline_text"),
        ("s3://bucket/store/_artifacts/run/report.md", "artifact"),
        ("/shared/kept/run/report.md", "artifact"),
        ("see\n/shared/kept/run/report.md", "inline_text"),
        ("report.md", "inline_text"),
    ],
)
def test_a_ref_of_an_earlier_version_is_read(said: str, kind: str) -> None:
    old = {"run_uid": "u", "capability_id": "c", "store_uri": "/s/runs/u.parquet", "outputs_uri": None, "report": said}
    ref = CapabilityRunRef.from_json(json.dumps(old))
    assert (ref.store_uri, ref.commit_uri, ref.revision) == ("/s/runs/u.parquet", "/s/runs/u.parquet", 1)
    assert ref.report is not None
    assert (ref.report.kind, str(ref.report)) == (kind, said)
    assert CapabilityRunRef.from_json(ref.to_json()) == ref


def test_a_notebook_shows_a_report_of_markdown() -> None:
    assert Report(kind="inline_text", text="# t")._repr_markdown_() == "# t"
    assert Report(kind="inline_text", media_type="text/html", text="<p>")._repr_markdown_() is None


def test_the_options_of_the_innermost_place_open_a_report(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from checkmaite.jobs._shared import objects, places

    monkeypatch.setattr(places, "_known", {})
    opened: list[tuple[str, dict[str, Any]]] = []

    class Objects:
        def __init__(self, uri: str, options: Any) -> None:
            opened.append((uri, dict(options)))

        def read(self, name: str) -> bytes:
            return name.encode()

    monkeypatch.setattr(objects, "ObjectStore", Objects)
    remember_place("s3://bucket/store", {"key": "outer"})
    remember_place("s3://bucket/store/kept/", {"key": "inner"})
    for uri, options in (
        ("s3://bucket/store/_artifacts/r.md", {"key": "outer"}),
        ("s3://bucket/store/kept/r.md", {"key": "inner"}),
        ("s3://bucket/store-2/r.md", {}),
    ):
        assert Report(kind="artifact", uri=uri).open().read() == b"r.md"
        assert opened.pop() == (uri.rpartition("/")[0], options)
    Report(kind="artifact", uri="s3://bucket/store/r.md").open({"key": "mine"})
    assert opened.pop() == ("s3://bucket/store", {"key": "mine"})
