"""Credentials that a process finds around it are never part of a job: new ones are seen by stores that are open."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from checkmaite.jobs import (
    JobStatus,
    StoreError,
    StorePermissionError,
    configure_job_backend,
    shutdown_job_backend,
    submit_capability,
)
from checkmaite.jobs.spi import ObjectStore
from checkmaite.jobs.testing import SampleCapability
from checkmaite.store_parquet import ParquetStore

from tests import outages
from tests.conftest import FoundCredentials

REQUESTS: dict[str, Callable[[ObjectStore], object]] = {
    "create": lambda objects: objects.create("new", b""),
    "delete": lambda objects: objects.delete("other"),
    "exists": lambda objects: objects.exists("there"),
    "find": lambda objects: objects.find("there"),
    "names": lambda objects: objects.names(""),
    "read": lambda objects: objects.read("there"),
}


def test_whoever_has_renewed_credentials_sees_no_error(
    bucket: str, s3_endpoint: str, expired_keys: set[str], found_credentials: FoundCredentials
) -> None:
    found_credentials.in_file("key-0")
    objects = ObjectStore(f"s3://{bucket}/store", {"endpoint_url": s3_endpoint})
    objects.create("there", b"")
    objects.create("other", b"")
    for number, request in enumerate(REQUESTS.values()):
        found_credentials.in_file(f"key-{number + 1}")
        expired_keys.add(f"key-{number}")
        request(objects)


def test_a_key_that_was_replaced_and_deleted_is_looked_for_again(
    bucket: str, s3_endpoint: str, deleted_keys: set[str], found_credentials: FoundCredentials
) -> None:
    found_credentials.in_file("first")
    objects = ObjectStore(f"s3://{bucket}/store", {"endpoint_url": s3_endpoint})
    objects.create("there", b"")
    deleted_keys.add("first")
    with pytest.raises(StorePermissionError, match="InvalidAccessKeyId") as caught:
        objects.create("new", b"")
    assert not caught.value.retryable, "it may have been wrong from the beginning"
    found_credentials.in_file("second")
    assert objects.create("new", b"")


@pytest.mark.parametrize("way", ["in_file", "by_process"])
def test_a_token_ends_in_the_middle_of_a_run(
    bucket: str, s3_endpoint: str, expired_keys: set[str], found_credentials: FoundCredentials, way: str, tmp_path: Path
) -> None:
    """The stores of the worker and of a reader are open since before; the job holds no credentials."""
    give: Callable[[str], None] = getattr(found_credentials, way)
    place: dict[str, Any] = {"uri": f"s3://{bucket}/store", "storage_options": {"endpoint_url": s3_endpoint}}
    give("first")
    reader = ParquetStore(**place)
    configure_job_backend("inline", analytics_store=place)
    submit_capability(SampleCapability(), config={"run_uid": "before"}).result(outages.SOON_S)
    assert reader.read_table("sample_scores").num_rows == 1
    job = submit_capability(SampleCapability(act="wait", folder=str(tmp_path)), config={"run_uid": "during"})
    outages.wait_until((tmp_path / "started").exists, job)
    give("second")
    expired_keys.add("first")
    (tmp_path / "go").touch()
    assert job.wait(outages.SOON_S) is JobStatus.COMPLETED, job.explain()
    shutdown_job_backend()
    assert reader.query_sql("select count(*) n from sample_scores").to_pylist() == [{"n": 2}]


def test_what_was_found_travels_with_nobody(bucket: str, s3_endpoint: str, found_credentials: FoundCredentials) -> None:
    found_credentials.in_environment("found-key")
    store = ParquetStore(f"s3://{bucket}/store", {"endpoint_url": s3_endpoint})
    store.write(SampleCapability().run(config={"run_uid": "run"}, use_cache=False))
    assert b"found-key" not in pickle.dumps(store)


def test_those_of_a_profile(bucket: str, s3_endpoint: str, found_credentials: FoundCredentials) -> None:
    """A profile's name is no secret: it may be part of a job, and each worker finds what it means there."""
    found_credentials.in_file("of-the-profile", profile="evaluations")
    store = ParquetStore(f"s3://{bucket}/store", {"endpoint_url": s3_endpoint, "profile": "evaluations"})
    store.write(SampleCapability().run(config={"run_uid": "run"}, use_cache=False))
    assert store.find_run("run") is not None


@pytest.mark.parametrize("name", ["seccret", "endpont_url"])
def test_a_misspelt_storage_option_is_named(bucket: str, s3_options: dict[str, Any], name: str) -> None:
    near = {"seccret": "secret", "endpont_url": "endpoint_url"}[name]
    with pytest.raises(StoreError, match=rf"'{name}', which is no option of s3fs. Did you mean '{near}'\?"):
        ParquetStore(f"s3://{bucket}/store", {**s3_options, name: "hunter2"}).probe()
