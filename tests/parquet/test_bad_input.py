"""Stores that cannot be meant like this are refused when they are configured."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from checkmaite.jobs import JobBackend, _objects, configure_job_backend, shutdown_job_backend

from tests.refusals import Said, assert_refused


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


def test_s3_without_its_extra(active: JobBackend, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_objects.fsspec, "registry", {})  # what other tests have imported is not there either
    monkeypatch.setattr(_objects, "find_spec", lambda name: None)
    said = Said("analytics_store.uri", 's3fs, which is not installed: pip install "checkmaite-jobs[s3]"', "a folder")
    assert_refused(active, "inline", {"analytics_store": {"backend": "parquet", "uri": "s3://bucket/x"}}, said)
