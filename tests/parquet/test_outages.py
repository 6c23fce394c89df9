"""A result that took long to compute is not thrown away because its store does not answer for a while."""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NoReturn

import pytest
from checkmaite.jobs import (
    ConfigurationError,
    JobFailedError,
    JobStatus,
    StoreError,
    StorePermissionError,
    StoreUnavailableError,
    configure_job_backend,
    read_salvaged_run,
    shutdown_job_backend,
    submit_capability,
)
from checkmaite.jobs._workers import outages as waiting
from checkmaite.jobs._workers.interrupt import Interrupt
from checkmaite.jobs.spi import ObjectStore
from checkmaite.jobs.testing import SampleCapability
from checkmaite.store_parquet import ParquetStore

from tests import outages
from tests.conftest import Outage

Configure = Callable[..., ParquetStore]


@pytest.fixture
def configure(bucket: str, s3_options: dict[str, Any]) -> Iterator[Configure]:
    """Configures the inline backend with a store on S3, and gives that store."""
    options = {**s3_options, "config_kwargs": {"retries": {"max_attempts": 1}}}

    def configured(**changes: Any) -> ParquetStore:
        uri = f"s3://{bucket}/store"
        configure_job_backend("inline", analytics_store={"uri": uri, "storage_options": options}, **changes)
        return ParquetStore(uri, options)

    yield configured
    shutdown_job_backend(wait=False)


def test_results_outlive_an_outage(configure: Configure, outage: Outage, tmp_path: Path) -> None:
    store = configure()
    outages.check_that_results_outlive_an_outage(
        outage, tmp_path, lambda uid: store.read_table("sample_scores", run_uids=[uid])
    )


@pytest.mark.parametrize("reason", [errno.ENOSPC, errno.EDQUOT])
def test_results_wait_for_room_on_a_full_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reason: int) -> None:
    is_full = False
    fsync = os.fsync

    def write_unless_full(descriptor: int) -> None:
        if is_full:
            raise OSError(reason, os.strerror(reason))
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", write_unless_full)
    uri = str(tmp_path / "store")
    configure_job_backend("inline", analytics_store={"uri": uri})
    job = submit_capability(SampleCapability(act="wait", folder=str(tmp_path)), config={"run_uid": "large"})
    outages.wait_until((tmp_path / "started").exists, job)
    is_full = True
    (tmp_path / "go").touch()
    outages.wait_until(lambda: f"there is no room left ({os.strerror(reason)})" in job.explain(), job)
    assert job.status is JobStatus.RUNNING
    is_full = False
    assert job.wait(outages.SOON_S) is JobStatus.COMPLETED, job.explain()
    shutdown_job_backend()
    assert ParquetStore(uri).read_table("sample_scores", run_uids=["large"]).num_rows == 1


def test_waiting_for_a_store_can_be_cancelled(configure: Configure, outage: Outage, tmp_path: Path) -> None:
    configure(store_retry_s=None)
    outages.check_that_waiting_can_be_cancelled(outage, tmp_path)


def test_after_the_time_that_was_given_the_rows_are_kept(
    configure: Configure, outage: Outage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = configure(store_retry_s=0, artifact_store={"uri": str(tmp_path / "kept")})
    run = SampleCapability.run

    def run_until_outage(*args: Any, **kwargs: Any) -> Any:
        outage.is_on = True
        return run(*args, **kwargs)

    monkeypatch.setattr(SampleCapability, "run", run_until_outage)
    with pytest.raises(JobFailedError) as caught:
        submit_capability(SampleCapability(), config={"run_uid": "late"}).result(outages.SOON_S)
    assert caught.value.phase == "write"
    (kept,) = re.findall(r"rows are kept in '([^']+)'", str(caught.value))
    outage.is_on = False
    salvaged = read_salvaged_run(kept)
    store.write(salvaged, provenance=salvaged.provenance)
    assert store.read_table("sample_scores", run_uids=["late"]).num_rows == 1


@pytest.fixture
def credentials(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], None]]:
    """Writes an access key to the file where this process looks for one; `first` is there."""
    import s3fs

    file = tmp_path / "credentials"
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(file))

    def write(key: str) -> None:
        file.write_text(f"[default]\naws_access_key_id = {key}\naws_secret_access_key = secret\n")

    write("first")
    yield write
    s3fs.S3FileSystem.clear_instance_cache()  # whoever opens one with the same options would get these credentials


REQUESTS: dict[str, Callable[[ObjectStore], object]] = {
    "create": lambda objects: objects.create("new", b""),
    "exists": lambda objects: objects.exists("there"),
    "find": lambda objects: objects.find("there"),
    "names": lambda objects: objects.names(""),
}


@pytest.mark.parametrize("name", REQUESTS)
def test_expired_credentials_are_looked_for_again(
    bucket: str, s3_endpoint: str, expired_keys: set[str], credentials: Callable[[str], None], name: str
) -> None:
    objects, request = ObjectStore(f"s3://{bucket}/store", {"endpoint_url": s3_endpoint}), REQUESTS[name]
    objects.create("there", b"")
    expired_keys.add("first")
    for _ in range(2):
        with pytest.raises(StorePermissionError, match=r"have expired \(ExpiredToken\).*renew them there") as caught:
            request(objects)
        assert caught.value.retryable
    credentials("second")
    request(objects)


@pytest.mark.parametrize("name", REQUESTS)
def test_expired_credentials_of_the_options_are_told(
    bucket: str, s3_options: dict[str, Any], expired_keys: set[str], name: str
) -> None:
    objects = ObjectStore(f"s3://{bucket}/store", s3_options)
    objects.create("there", b"")
    expired_keys.add(s3_options["key"])
    with pytest.raises(StorePermissionError, match=r"have expired \(ExpiredToken\).*storage_options") as caught:
        REQUESTS[name](objects)
    assert not caught.value.retryable


def test_results_wait_for_new_credentials(
    bucket: str, s3_endpoint: str, expired_keys: set[str], credentials: Callable[[str], None], tmp_path: Path
) -> None:
    place = {"uri": f"s3://{bucket}/store", "storage_options": {"endpoint_url": s3_endpoint}}
    configure_job_backend("inline", analytics_store=place)
    job = submit_capability(SampleCapability(act="wait", folder=str(tmp_path)), config={"run_uid": "renewed"})
    outages.wait_until((tmp_path / "started").exists, job)
    expired_keys.add("first")
    (tmp_path / "go").touch()
    outages.wait_until(lambda: "the credentials have expired" in job.explain(), job)
    credentials("second")
    assert job.wait(outages.SOON_S) is JobStatus.COMPLETED, job.explain()
    shutdown_job_backend()


@pytest.mark.parametrize("wrong", [-1, float("nan"), float("inf"), "an hour", True])
def test_only_seconds_are_taken(configure: Configure, wrong: Any) -> None:
    with pytest.raises(ConfigurationError) as caught:
        configure(store_retry_s=wrong)
    assert [problem.path for problem in caught.value.problems] == ["store_retry_s"]


def test_a_misspelt_name_is_recognised(configure: Configure) -> None:
    with pytest.raises(ConfigurationError, match="store_retry_s"):
        configure(store_retries_s=5)


class Clock:
    """The time that passes while somebody sleeps."""

    def __init__(self) -> None:
        self.slept: list[float] = []

    def monotonic(self) -> float:
        return sum(self.slept)

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """The clock of asking again."""
    made = Clock()
    monkeypatch.setattr(waiting, "time", made)
    return made


def refuses(error: StoreError) -> Callable[[], NoReturn]:
    def ask() -> NoReturn:
        raise error

    return ask


def test_before_a_run_only_a_store_that_does_not_answer_is_asked_again(
    clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(waiting, "PATIENCE_S", 3.0)
    said: list[str] = []
    with pytest.raises(StorePermissionError):
        waiting.patiently(refuses(StorePermissionError("no")), said.append)
    assert (clock.slept, said) == ([], [])
    with pytest.raises(StoreUnavailableError):
        waiting.patiently(refuses(StoreUnavailableError("away.")), said.append)
    assert clock.slept == [0.5, 1.0]
    assert said == ["nothing has run yet: away. It is asked again, for 3 s in all."] * 2


def test_results_are_tried_for_the_time_that_was_given(clock: Clock) -> None:
    said: list[str] = []
    with pytest.raises(StoreUnavailableError):
        waiting.until_stored(
            refuses(StoreUnavailableError("away.")), said.append, limit_s=3600.0, interrupt=Interrupt()
        )
    assert 3570 < clock.monotonic() <= 3600
    assert 100 < len(said) < 140
    assert set(said) == {
        "the run is over, and its results wait to be stored: away. It is asked again, for 3600 s in all."
    }
    with pytest.raises(StorePermissionError):
        waiting.until_stored(refuses(StorePermissionError("no")), said.append, limit_s=None, interrupt=Interrupt())


def test_who_is_asked_to_stop_waits_no_longer(clock: Clock) -> None:
    interrupt = Interrupt()

    def say(_: str) -> None:
        interrupt.request()

    with pytest.raises(KeyboardInterrupt) as caught:
        waiting.until_stored(refuses(StoreUnavailableError("away.")), say, limit_s=None, interrupt=interrupt)
    assert isinstance(caught.value.__cause__, StoreUnavailableError)
    assert clock.slept == []


def test_who_is_asked_to_stop_meanwhile_tries_no_more(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    """One more try may take longer than whoever asked will wait."""
    interrupt, tries = Interrupt(), list[str]()

    def store() -> NoReturn:
        tries.append("tried")
        raise StoreUnavailableError("away.")

    monkeypatch.setattr(clock, "sleep", lambda _: interrupt.request())
    with pytest.raises(KeyboardInterrupt):
        waiting.until_stored(store, print, limit_s=None, interrupt=interrupt)
    assert tries == ["tried"]
