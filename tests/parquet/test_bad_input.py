"""Stores that cannot be meant like this are refused when they are configured."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from checkmaite.jobs import (
    ArgumentError,
    ConfigurationError,
    JobBackend,
    QueryError,
    configure_job_backend,
    shutdown_job_backend,
)
from checkmaite.jobs._shared import drivers
from checkmaite.jobs.testing import SampleCapability, SampleRun
from checkmaite.store_parquet import ParquetStore

from tests.refusals import Said, assert_refused, assert_said


@pytest.fixture
def active() -> Iterator[JobBackend]:
    yield configure_job_backend("inline", analytics_store={"backend": "null"})
    shutdown_job_backend(wait=False)


BAD_STORES: list[tuple[str, dict[str, Any], Said]] = [
    ("no uri", {}, Said("uri", "is required", "a folder, or an fsspec URL")),
    ("uri misspelt", {"url": "x"}, Said("url", "unknown option", "'uri'")),
    ("uri no text", {"uri": 3}, Said("uri", "expected text, got 3", "a folder, or an fsspec URL")),
    ("uri empty", {"uri": ""}, Said("uri", "is empty", "Pass a folder")),
    ("uri unknown", {"uri": "s4://bucket"}, Said("uri", "no filesystem is known for s4://", "a folder")),
    ("uri one slash", {"uri": "s3:/bucket/x"}, Said("uri", "is no URL", "Write s3://")),
    ("uri without bucket", {"uri": "s3://"}, Said("uri", "names no bucket", "s3://bucket/folder")),
    ("uri of Windows", {"uri": "C:\\data"}, Said("uri", "another operating system", "a URL")),
    ("uri with a zero byte", {"uri": "/tmp/x\0y"}, Said("uri", "cannot be printed", "Take them out")),
    ("uri with a query", {"uri": "s3://bucket/x?pwd=hunter2"}, Said("uri", "after ? or #", "in storage_options")),
    ("uri with a fragment", {"uri": "s3://bucket/x#hunter2"}, Said("uri", "after ? or #", "in storage_options")),
    ("password", {"uri": "s3://ada:hunter2@bucket/x"}, Said("uri", "holds credentials", "in storage_options")),
    ("key", {"uri": "s3://hunter2@bucket/x"}, Said("uri", "holds credentials", "in storage_options")),
    ("token", {"uri": "s3://bucket/x?token=hunter2"}, Said("uri", "holds credentials", "in storage_options")),
    (
        "signature",
        {"uri": "s3://bucket/x?X-Amz-Signature=hunter2"},
        Said("uri", "holds credentials", "storage_options"),
    ),
    ("options", {"uri": "x", "storage_options": "hunter2"}, Said("storage_options", "expected a mapping", "fsspec")),
    ("option names", {"uri": "x", "storage_options": {1: 2}}, Said("storage_options", "expected text keys", "fsspec")),
]


@pytest.mark.parametrize(("store", "said"), [case[1:] for case in BAD_STORES], ids=[case[0] for case in BAD_STORES])
def test_a_bad_store(active: JobBackend, store: dict[str, Any], said: Said) -> None:
    said = said._replace(path=f"analytics_store.{said.path}")
    assert_refused(active, "inline", {"analytics_store": {"backend": "parquet", **store}}, said)


@pytest.mark.parametrize("backend", ["parquet", "delta"])
@pytest.mark.parametrize(
    ("scheme", "package", "extra"),
    [("s3", "s3fs", "s3"), ("gs", "gcsfs", "gcs"), ("az", "adlfs", "azure"), ("abfss", "adlfs", "azure")],
)
def test_a_service_without_its_extra(
    active: JobBackend, monkeypatch: pytest.MonkeyPatch, backend: str, scheme: str, package: str, extra: str
) -> None:
    monkeypatch.setattr(drivers.fsspec, "registry", {})  # what other tests have imported is not there either
    monkeypatch.setattr(drivers, "find_spec", lambda name: None)
    cause = f'{package}, which is not installed: pip install "checkmaite-jobs[{extra}]"'
    said = Said("analytics_store.uri", cause, "a folder")
    assert_refused(active, "inline", {"analytics_store": {"backend": backend, "uri": f"{scheme}://bucket/x"}}, said)


@pytest.mark.parametrize(
    ("uri", "options", "said"),
    [
        (3, None, Said("uri", "expected text, got 3", "Pass a folder")),
        (None, None, Said("uri", "expected text, got None", "Pass a folder")),
        (b"store", None, Said("uri", "expected text, got bytes", "Pass a folder")),
        ("s3://", None, Said("uri", "names no bucket", "s3://bucket/folder")),
        ("x", "hunter2", Said("storage_options", "expected a mapping, got str", "endpoint_url")),
        ("x", {1: "hunter2"}, Said("storage_options", "expected text keys, got 1", "endpoint_url")),
    ],
)
def test_a_store_that_cannot_be_opened(uri: Any, options: Any, said: Said) -> None:
    with pytest.raises(ConfigurationError) as caught:
        ParquetStore(uri, options)
    assert_said(caught.value.problems, said)
    assert "hunter2" not in str(caught.value)


RUN, TABLE = SampleRun(run_uid="u"), "sample_scores"
BAD_ARGUMENTS: list[tuple[str, Callable[[ParquetStore], Any], Said]] = [
    ("nothing", lambda store: store.write(None), Said("runs", "one run or several, got None", "run() returned")),
    ("a text", lambda store: store.write("u"), Said("runs", "one run or several, got the text 'u'", "run() returned")),
    ("a mapping", lambda store: store.write({"u": RUN}), Said("runs", "or several, got dict", "run() returned")),
    ("a capability", lambda store: store.write(SampleCapability()), Said("runs", "got SampleCap", "run() returned")),
    (
        "a provenance of no class",
        lambda store: store.write(RUN, provenance=7),
        Said("provenance", "expected a Provenance or a mapping, got 7", 'Provenance(user_id="ada")'),
    ),
    (
        "no switch",
        lambda store: store.write(RUN, supersede=1),
        Said("supersede", "True or False, got 1", "of them"),
    ),
    ("a uid", lambda store: store.get_run_uri(None), Said("run_uid", "expected text, got None", "Pass a text")),
    ("a uid to find", lambda store: store.find_run(b"u"), Said("run_uid", "expected text, got bytes", "Pass a text")),
    ("a table", lambda store: store.describe_table(3), Said("name", "expected text, got 3", "Pass a text")),
    ("a document", lambda store: store.put_artifact(3, b""), Said("name", "expected text, got 3", "Pass a text")),
    ("a nameless", lambda store: store.put_artifact("", b""), Said("name", "the text '' has an empty", "Pass a name")),
    ("an empty part", lambda store: store.put_artifact("a//b", b""), Said("name", "has an empty", "Pass a name")),
    ("nothing", lambda store: store.delete_artifact(""), Said("name", "the text '' has an empty part", "Pass a name")),
]


@pytest.mark.parametrize(
    ("call", "said"), [case[1:] for case in BAD_ARGUMENTS], ids=[case[0] for case in BAD_ARGUMENTS]
)
def test_a_bad_argument(tmp_path: Path, call: Callable[[ParquetStore], Any], said: Said) -> None:
    with pytest.raises(ArgumentError) as caught:
        call(ParquetStore(tmp_path))
    assert_said(caught.value.problems, said)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda store: store.read_table(3), "name is 3, not a text"),
        (lambda store: store.query_sql(None), "sql is None, not a text"),
        (lambda store: store.read_table(TABLE, columns=3), r"columns is 3, not a list of texts. Pass columns=\[...\]"),
        (lambda store: store.read_table(TABLE, columns=iter(["score"])), "columns is list_iterator, not a list"),
        (lambda store: store.read_table(TABLE, columns=["score", 3]), r"columns\[1\] is 3, not a text"),
        (lambda store: store.read_table(TABLE, run_uids=[None]), r"run_uids\[0\] is None, not a text"),
        (lambda store: store.read_table(TABLE, limit="5"), "limit is the text '5'"),
        (lambda store: store.read_table(TABLE, limit=1.5), "limit is 1.5"),
        (lambda store: store.read_table(TABLE, limit=True), "limit is True"),
        (lambda store: store.find_run("u", revision=-1), "revision is -1. Pass a whole number from 1 on"),
        (lambda store: store.find_run("u", revision="all"), "revision is the text 'all'"),
    ],
)
def test_a_bad_question(tmp_path: Path, call: Callable[[ParquetStore], Any], said: str) -> None:
    store = ParquetStore(tmp_path)
    store.write(RUN)
    with pytest.raises(QueryError, match=said):
        call(store)
