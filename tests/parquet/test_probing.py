"""A store that cannot be written to is found out before a job runs, and when a backend is configured."""

from __future__ import annotations

import multiprocessing
import os
import pickle
import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from checkmaite.jobs import (
    ConfigurationError,
    StoreCorruptError,
    StoreError,
    StoreNotFoundError,
    StorePermissionError,
    StoreUnavailableError,
    configure_job_backend,
)
from checkmaite.jobs._shared import files, probing
from checkmaite.jobs._shared.news import News, Post, Progressed
from checkmaite.jobs._shared.order import Terms
from checkmaite.jobs._shared.provenance import SHARED_FIELDS
from checkmaite.jobs._workers import outages
from checkmaite.jobs.spi import Completed, Failed, ObjectStore, StoreSpec, WorkOrder, execute
from checkmaite.jobs.testing import SampleCapability
from checkmaite.store_parquet import ParquetStore

SILENT_S = 1.0
"""How long these tests wait for what never answers."""
NO_CREDENTIALS = {
    "AWS_EC2_METADATA_DISABLED": "true",
    "AWS_CONFIG_FILE": os.devnull,
    "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
}


@pytest.fixture(autouse=True)
def forgotten() -> Iterator[None]:
    """What earlier tests have found out."""
    probing.ready_store.cache_clear()
    yield
    probing.ready_store.cache_clear()


@contextmanager
def listener(*, takes: bool) -> Iterator[str]:
    """The URL of a port where connections are taken and nothing is ever said, or where nobody listens."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        if takes:
            taken.listen(64)
        yield f"http://127.0.0.1:{taken.getsockname()[1]}"


class Broken(NamedTuple):
    """A store that cannot be used."""

    options: dict[str, Any]
    kind: type[StoreError]
    said: str


def in_worker(options: dict[str, Any], folder: Path, post: Post | None = None) -> Completed | Failed:
    """What a worker makes of a job with such a store; the job leaves ``ran-one`` in the folder."""
    order = WorkOrder(
        job_id="job-1",
        submitted_at=datetime(2026, 1, 2, tzinfo=UTC),
        run_uid=None,
        reuse="auto",
        prints=None,
        report_threshold=0.5,
        terms=Terms(store=StoreSpec("parquet", options), facts=dict.fromkeys(SHARED_FIELDS)),
    )
    payload = pickle.dumps((SampleCapability(folder=str(folder)), None, None, None, {"run_uid": "one"}))
    return execute(order.to_wire(), payload, post).outcome


PATHS = {"file": "file", "below-file": "file/store"}
BROKEN = (*PATHS, "misspelt", "no-bucket", "closed", "silent", "no-credentials", "may-not-write")


@pytest.fixture(params=BROKEN)
def broken(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Broken]:
    (tmp_path / "file").write_text("in the way")
    if request.param in PATHS:
        yield Broken({"uri": f"{tmp_path}/{PATHS[request.param]}"}, StoreError, "a file is where a folder must be")
    elif request.param in ("closed", "silent"):
        for name in ("WORKER_LIMIT_S", "CLIENT_LIMIT_S"):
            monkeypatch.setattr(probing, name, SILENT_S)
        monkeypatch.setattr(outages, "PATIENCE_S", SILENT_S)
        with listener(takes=request.param == "silent") as url:
            options = {"key": "k", "secret": "hunter2", "endpoint_url": url}
            yield Broken({"uri": "s3://bucket/x", "storage_options": options}, StoreUnavailableError, "did not answer")
    else:
        options = {"key": "k", "secret": "hunter2", "endpoint_url": request.getfixturevalue("s3_endpoint")}
        there = {"uri": f"s3://{request.getfixturevalue('bucket')}/x", "storage_options": options}
        match request.param:
            case "misspelt":
                options["acess_key"] = "hunter2"
                yield Broken(there, StoreError, "acess_key")
            case "no-bucket":
                yield Broken({**there, "uri": "s3://nowhere/x"}, StoreNotFoundError, "create the bucket")
            case "may-not-write":
                refuse_writing(monkeypatch)
                yield Broken(there, StorePermissionError, "AccessDenied")
            case "no-credentials":
                del options["key"], options["secret"]
                for name in [name for name in os.environ if name.startswith("AWS_")]:
                    monkeypatch.delenv(name)
                for name, value in NO_CREDENTIALS.items():
                    monkeypatch.setenv(name, value)
                yield Broken(there, StorePermissionError, "NoCredentials")


def refuse_writing(monkeypatch: pytest.MonkeyPatch) -> None:
    """The credentials may read, and may not write."""
    from moto.s3.exceptions import S3AccessDeniedError
    from moto.s3.responses import S3Response

    def refuse(_: S3Response) -> Any:
        raise S3AccessDeniedError

    monkeypatch.setattr(S3Response, "put_object", refuse)


def test_a_worker_says_so_before_it_runs_anything(broken: Broken, tmp_path: Path) -> None:
    options, kind, said = broken
    outcome = in_worker(options, tmp_path)
    assert isinstance(outcome, Failed)
    assert (outcome.phase, outcome.error_type) == ("store", f"checkmaite.jobs.{kind.__name__}")
    assert said in outcome.error_message
    assert options["uri"] in outcome.error_message
    assert "before it ran anything" in outcome.remedy
    assert not (tmp_path / "ran-one").exists()
    assert "hunter2" not in repr(outcome)


def test_a_store_that_is_away_for_a_moment_ends_no_job(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It answers again once the job has said that it waits."""
    probe, news = ParquetStore.probe, list[News]()

    def away(store: ParquetStore) -> None:
        if not any(isinstance(each, Progressed) for each in news):
            raise StoreUnavailableError("s3://away: the store did not answer (503).", uri="s3://away")
        probe(store)

    monkeypatch.setattr(ParquetStore, "probe", away)
    outcome = in_worker({"uri": str(tmp_path / "store")}, tmp_path, lambda _, said: news.extend(said))
    assert isinstance(outcome, Completed)
    (waited, *_) = [each.progress.message for each in news if isinstance(each, Progressed)]
    assert waited.startswith("nothing has run yet: s3://away: the store did not answer (503).")


def test_configuring_says_so(broken: Broken) -> None:
    options, kind, said = broken
    expected = kind if kind is StoreUnavailableError else ConfigurationError
    with pytest.raises(expected, match=said) as caught:
        configure_job_backend("inline", analytics_store={"backend": "parquet", **options})
    assert "hunter2" not in str(caught.value)
    if isinstance(caught.value, ConfigurationError):
        assert [problem.path for problem in caught.value.problems] == ["analytics_store"]


def test_from_elsewhere_only_what_is_wrong_everywhere_is_an_error(broken: Broken) -> None:
    """A client of a remote cluster may have neither its disks, nor its credentials, nor its network."""
    options, kind, said = broken
    spec = StoreSpec("parquet", options)
    if "://" not in options["uri"]:
        probing.probe_from_client(spec, remote=True)
    elif kind is StoreError:
        with pytest.raises(ConfigurationError, match=said):
            probing.probe_from_client(spec, remote=True)
    else:
        with pytest.warns(UserWarning, match=said):
            probing.probe_from_client(spec, remote=True)


def test_the_artifact_store_is_probed_too(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(ConfigurationError) as caught:
        configure_job_backend(
            "inline",
            analytics_store={"backend": "parquet", "uri": str(tmp_path / "file/store")},
            artifact_store={"uri": str(tmp_path / "file/kept")},
        )
    assert [problem.path for problem in caught.value.problems] == ["analytics_store", "artifact_store"]


def test_a_probe_of_a_disk_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = ParquetStore(tmp_path / "not/there/yet")
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda _: store.probe(), range(64)))
    assert list(tmp_path.iterdir()) == []
    monkeypatch.setattr(files.os, "link", refuse_links)
    with pytest.raises(StorePermissionError):
        store.probe()
    assert list(tmp_path.iterdir()) == []


def refuse_links(*_: object) -> None:
    raise PermissionError(1, "Operation not permitted")  # as file systems without hard links do


def test_a_probe_of_a_bucket_leaves_one_object_and_lists_nothing(
    bucket: str, s3_options: dict[str, Any], s3_requests: list[str]
) -> None:
    store = ParquetStore(f"s3://{bucket}/store", s3_options)
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda _: store.probe(), range(16)))
    assert set(s3_requests) == {"put_object", "head_object", "get_object"}
    assert len(s3_requests) <= 16 * 4  # whoever is told that it is there sees that it is
    assert ObjectStore(f"s3://{bucket}", s3_options).names("store") == ["_probe"]
    assert store.list_tables() == []


def test_what_answers_everything_is_no_store(bucket: str, s3_options: dict[str, Any]) -> None:
    ObjectStore(f"s3://{bucket}/store", s3_options).create("_probe", b"<html>Please log in</html>")
    with pytest.raises(StoreCorruptError, match="Check what answers at this address"):
        ParquetStore(f"s3://{bucket}/store", s3_options).probe()


def as_nobody(uri: str, there: Any) -> None:
    os.setgroups([])
    os.setgid(65534)
    os.setuid(65534)
    try:
        ParquetStore(uri).probe()
    except StoreError as error:
        there.send((type(error), str(error)))


@pytest.mark.skipif(os.name == "nt" or os.geteuid() != 0, reason="root alone can become nobody")
@pytest.mark.parametrize("name", ["there", "there/below", "locked/below"])
def test_a_folder_that_one_may_not_write(tmp_path_factory: pytest.TempPathFactory, name: str) -> None:
    folder = Path("/tmp") / f"checkmaite-{os.getpid()}-{tmp_path_factory.getbasetemp().name}"
    try:
        (folder / "there").mkdir(parents=True)
        (folder / "locked").mkdir(mode=0o700)
        folder.chmod(0o755)
        here, there = multiprocessing.Pipe()
        child = multiprocessing.get_context("fork").Process(target=as_nobody, args=(str(folder / name), there))
        child.start()
        assert here.poll(120)
        kind, text = here.recv()
        child.join()
        assert kind is StorePermissionError
        assert str(folder / name) in text
    finally:
        for each in ("there", "locked", ""):
            (folder / each).rmdir()


def test_a_probe_of_a_disk_is_soon_done(tmp_path: Path) -> None:
    store, took = ParquetStore(tmp_path), []
    for _ in range(20):
        begun = time.perf_counter()
        store.probe()
        took.append(time.perf_counter() - begun)
    assert min(took) < 0.02


def test_a_process_probes_a_store_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    monkeypatch.setattr(ParquetStore, "probe", lambda self: asked.append(self.uri))
    for name in ("a", "b", "a", "b"):
        assert isinstance(in_worker({"uri": str(tmp_path / name)}, tmp_path), Completed)
    assert asked == [str(tmp_path / "a"), str(tmp_path / "b")]
