"""What only Ray can do to a job: killed workers, resources, queues, code that is not there."""

from __future__ import annotations

import os
import re
import signal
import sys
import threading
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from attrs import evolve
from checkmaite.jobs import (
    FailureKind,
    Job,
    JobBackend,
    JobFailedError,
    JobLostError,
    JobStatus,
    JobSubmissionError,
    PendingReason,
    Resources,
    configure_job_backend,
    read_salvaged_run,
    shutdown_job_backend,
    submit_capabilities,
    submit_capability,
)
from checkmaite.jobs._shared.provenance import SHARED_FIELDS
from checkmaite.jobs.spi import Failed, StoreSpec, Terms, WorkOrder
from checkmaite.jobs.testing import SampleCapability, SampleRun
from checkmaite.jobs.testing._samples import mark, wait_for_mark, wait_until
from checkmaite.jobs_ray_simple.cluster import make_job_function, packed_order
from checkmaite.jobs_ray_simple.cluster.ray_errors import finished_from
from checkmaite.jobs_ray_simple.cluster.resources import RemoteWork

from tests import outages
from tests.conftest import Outage
from tests.ray_simple import capabilities
from tests.ray_simple.conftest import older_core
from tests.stopping import stop_backend

SOON_S = 120.0


@pytest.fixture
def backend(local_ray: Any) -> Iterator[JobBackend]:
    local_ray.cloudpickle.register_pickle_by_value(capabilities)
    yield configure_job_backend("ray-simple", analytics_store={"backend": "null"})
    stop_backend()
    local_ray.cloudpickle.unregister_pickle_by_value(capabilities)
    assert local_ray.is_initialized(), "a Ray that the user started is the user's to stop"


def submit(capability: Any, **arguments: Any) -> Job:
    return submit_capability(capability, config={"run_uid": uuid.uuid4().hex}, **arguments)


@pytest.mark.parametrize(
    ("act", "cause", "kind"),
    [
        (capabilities.exits, "it called os._exit(3)", FailureKind.WORKER_EXIT),
        (capabilities.crashes, "it crashed with SIGSEGV", FailureKind.WORKER_SIGNAL),
        (capabilities.aborts, "it crashed with SIGABRT", FailureKind.WORKER_SIGNAL),
        (capabilities.killed, "it got a signal that leaves no trace, such as SIGKILL", FailureKind.WORKER_LOST),
        (capabilities.killed_after_a_child_crashed, "it got a signal that leaves no trace", FailureKind.WORKER_LOST),
    ],
)
def test_a_worker_that_dies_fails_its_job_and_says_what_ended_it(
    backend: JobBackend, act: Any, cause: str, kind: FailureKind
) -> None:
    job = submit(capabilities.Acts(act), max_retries=0)
    with pytest.raises(JobFailedError, match="worker process died") as caught:
        job.result(SOON_S)
    assert not isinstance(caught.value, JobLostError)
    assert caught.value.error_type == "WorkerCrashedError"
    assert (caught.value.exit_cause or "").startswith(f"its worker process died: {cause}")
    assert caught.value.kind is kind
    assert caught.value.pid not in {None, os.getpid()}
    logs = job.logs()
    assert logs.startswith("last words\n")
    assert ("Fatal Python error" in logs) == ("crash" in act.__name__ or "abort" in act.__name__)


def test_a_worker_asks_the_store_before_it_runs_anything(local_ray: Any, tmp_path: Path) -> None:
    """It was good when the backend was configured."""
    configure_job_backend("ray-simple", analytics_store={"backend": "parquet", "uri": str(tmp_path / "store")})
    (tmp_path / "store").write_text("in the way")
    with pytest.raises(JobFailedError, match="a file is where a folder must be") as caught:
        submit(SampleCapability(folder=str(tmp_path))).result(SOON_S)
    assert caught.value.phase == "store"
    assert list(tmp_path.iterdir()) == [tmp_path / "store"], "it left no mark that it ran"
    shutdown_job_backend()


def test_rows_that_a_worker_could_not_store_are_kept_and_fill_the_store(local_ray: Any, tmp_path: Path) -> None:
    class Nests:
        id = "nests"

        def run(self, **_: Any) -> SampleRun:
            return SampleRun(run_uid="one", records=[{"table_name": "t", "x": 1}, {"table_name": "t", "x": [0.5]}])

    backend = configure_job_backend(
        "ray-simple", analytics_store={"backend": "parquet", "uri": str(tmp_path / "store")}
    )
    job = submit_capability(Nests())
    with pytest.raises(JobFailedError, match=r"records\[1\]\.x: a list") as caught:
        job.result(SOON_S)
    (kept,) = re.findall(r"rows are kept in '(.+?)'", str(caught.value))
    run = read_salvaged_run(kept)
    run.records[1]["x"] = 0.5
    backend.analytics_store.write(run, provenance=run.provenance)
    assert backend.analytics_store.read_table("t").column("x").to_pylist() == [1.0, 0.5]
    assert set(backend.analytics_store.read_table("runs").column("job_id").to_pylist()) == {job.job_id}
    shutdown_job_backend()


def test_jobs_on_a_ray_that_stays_up_go_on_after_a_shutdown_that_does_not_wait(
    backend: JobBackend, tmp_path: Path
) -> None:
    job = submit(SampleCapability(act="wait", folder=str(tmp_path)))
    wait_for_mark(str(tmp_path), "started")
    shutdown_job_backend(wait=False)
    with pytest.raises(JobSubmissionError, match="was shut down"):
        backend.submit([])
    mark(str(tmp_path), "go")
    assert job.wait(SOON_S) is JobStatus.COMPLETED


def test_a_worker_that_dies_is_replaced(backend: JobBackend, tmp_path: Path) -> None:
    job = submit(capabilities.Acts(partial(capabilities.exits_the_first_time, str(tmp_path))), max_retries=1)
    assert job.wait(SOON_S) is JobStatus.COMPLETED


def test_sigterm_loses_the_worker_and_not_the_job(backend: JobBackend, tmp_path: Path) -> None:
    for retries, status in ((1, JobStatus.COMPLETED), (0, JobStatus.FAILED)):
        folder = tmp_path / str(retries)
        folder.mkdir()
        act = partial(capabilities.never_yields_the_first_time, str(folder))
        job = submit(capabilities.Acts(act), max_retries=retries)
        wait_until(lambda job=job: "pid " in job.explain() and "begins" in job.logs(), "the job is not seen to run")
        pid = int(job.explain().partition("(pid ")[2].partition(")")[0])
        os.kill(pid, signal.SIGTERM)
        assert job.wait(SOON_S) is status
        first = "[... start 1, which was lost, had printed: ...]\nbegins\n\n[... the last start: ...]\n"
        said = f"{first * retries}begins\n"
        wait_until(lambda job=job, said=said: job.logs() == said, "its output is not whole")
    error = job.exception(0)
    assert isinstance(error, JobFailedError)
    assert error.exit_cause == "its worker process died: it got SIGTERM; starts: 1"
    assert error.pid == pid


def test_that_a_worker_died_is_told_before_there_is_room_to_start_it_again(backend: JobBackend, tmp_path: Path) -> None:
    folders = {name: tmp_path / name for name in ("dies", "stays", "waits")}
    for folder in folders.values():
        folder.mkdir()
    dies, stays = (
        submit(SampleCapability(act="wait", folder=str(folders[name])), max_retries=0) for name in ("dies", "stays")
    )
    for job in (dies, stays):
        wait_until(lambda job=job: "pid " in job.explain(), "the job is not seen to run")
    waits = submit(SampleCapability(act="wait", folder=str(folders["waits"])))  # it gets the place that becomes free
    os.kill(int(dies.explain().partition("(pid ")[2].partition(")")[0]), signal.SIGKILL)
    assert dies.wait(SOON_S) is JobStatus.FAILED
    for name in ("stays", "waits"):
        mark(str(folders[name]), "go")
    assert [job.wait(SOON_S) for job in (stays, waits)] == [JobStatus.COMPLETED] * 2


def test_a_job_whose_worker_was_killed_waits_and_is_not_said_to_run(backend: JobBackend, tmp_path: Path) -> None:
    folders = {name: tmp_path / name for name in ("dies", "waits")}
    for folder in folders.values():
        folder.mkdir()
    whole = {"num_cpus": 2}
    dies = submit(SampleCapability(act="wait", folder=str(folders["dies"])), max_retries=1, resources=whole)
    wait_until(lambda: dies.info.pid is not None, "the job is not seen to run")
    waits = submit(SampleCapability(act="wait", folder=str(folders["waits"])), resources=whole)
    pid = dies.info.pid
    os.kill(pid, signal.SIGKILL)
    wait_until(lambda: waits.status is JobStatus.RUNNING, "the other job did not take its place")
    wait_until(lambda: dies.status is JobStatus.SCHEDULING, "it is said to run")
    assert (dies.info.pid, [(each.pid, each.end) for each in dies.info.attempts]) == (None, [(pid, "lost")])
    for folder in folders.values():
        mark(str(folder), "go")
    assert [job.wait(SOON_S) for job in (dies, waits)] == [JobStatus.COMPLETED] * 2
    assert [each.end for each in dies.info.attempts] == ["lost", "COMPLETED"]


def test_a_job_that_never_yields_is_ended_by_force_and_not_retried(backend: JobBackend, tmp_path: Path) -> None:
    attempts = tmp_path / "attempts"
    alone = {"custom": {"bench": 1}}  # there is one of it: a second attempt has to pass through the same queue
    job = submit(capabilities.Acts(partial(capabilities.never_yields, str(tmp_path))), max_retries=3, resources=alone)
    wait_until(lambda: attempts.exists() and attempts.read_text().endswith("\n"), "the job did not start")
    behind = submit(SampleCapability(), resources=alone)
    assert job.cancel(grace=0.2)
    assert job.wait(SOON_S) is JobStatus.CANCELLED
    (pid,) = attempts.read_text().split()
    wait_until(lambda: not _is_running(int(pid)), "the worker goes on")
    assert behind.wait(SOON_S) is JobStatus.COMPLETED
    assert submit(SampleCapability(), resources=alone).wait(SOON_S) is JobStatus.COMPLETED
    assert attempts.read_text().split() == [pid], "the job was started again"


def test_a_queued_job_is_cancelled_at_once_and_says_why_it_waits(backend: JobBackend, tmp_path: Path) -> None:
    job = submit(SampleCapability(act="wait", folder=str(tmp_path)), resources={"num_gpus": 5})
    assert job.status is JobStatus.SCHEDULING
    assert "asks for 5 GPUs, the cluster has 2" in job.explain()
    assert job.explain().endswith(PendingReason.NO_NODE.sentence)
    assert job.cancel(grace=3600)
    assert job.wait(SOON_S) is JobStatus.CANCELLED
    assert not (tmp_path / "started").exists()


def test_custom_resources_are_reserved(backend: JobBackend, tmp_path: Path) -> None:
    first, second = (tmp_path / name for name in ("first", "second"))
    for folder in (first, second):
        folder.mkdir()
    holds = submit(SampleCapability(act="wait", folder=str(first)), resources={"custom": {"bench": 1}})
    wait_for_mark(str(first), "started")
    waits = submit(SampleCapability(act="wait", folder=str(second)), resources={"custom": {"bench": 1}})
    wait_until(lambda: "waits for 1 of 'bench'" in waits.explain(), "the explanation does not name the resource")
    assert waits.explain().endswith(PendingReason.BUSY.sentence)
    mark(str(first), "go")
    assert holds.wait(SOON_S) is JobStatus.COMPLETED
    wait_for_mark(str(second), "started")
    mark(str(second), "go")
    assert waits.wait(SOON_S) is JobStatus.COMPLETED


def test_other_versions_on_the_worker_are_one_clear_error(backend: JobBackend, monkeypatch: pytest.MonkeyPatch) -> None:
    to_wire = WorkOrder.to_wire

    def older(order: WorkOrder) -> Any:
        terms = order.terms
        return to_wire(evolve(order, terms=evolve(terms, versions=evolve(terms.versions, protocol=0))))

    monkeypatch.setattr(WorkOrder, "to_wire", older)
    error = submit(SampleCapability()).exception(SOON_S)
    assert isinstance(error, JobFailedError)
    assert error.error_type.endswith("IncompatibleVersionError")
    assert "Upgrade checkmaite-jobs-core on the submitter" in error.error_message


def test_an_older_core_on_the_worker_is_the_same_error(local_ray: Any, tmp_path: Path) -> None:
    """Although it lacks the very functions that the submitter's task calls."""
    shape = Terms(store=StoreSpec("null"), facts=dict.fromkeys(SHARED_FIELDS))
    at = datetime(2026, 1, 2, tzinfo=UTC)
    order = WorkOrder(
        job_id="j", submitted_at=at, run_uid=None, reuse="auto", report_threshold=0.5, prints=None, terms=shape
    )
    work = RemoteWork(partial(make_job_function, None, None), claim=lambda code: code)
    ref = work.start(
        *(packed_order(order.to_wire(), "j", 0), b"which is never unpickled"),
        job_name="for an older worker",
        resources=Resources(),
        isolation="reuse",
        code="code",
        runtime_env=older_core(tmp_path / "site"),
    )
    with pytest.raises(local_ray.exceptions.RayTaskError) as raised:
        local_ray.get(ref, timeout=SOON_S)
    outcome = finished_from(raised.value).outcome
    assert isinstance(outcome, Failed)
    assert (outcome.error_type, outcome.phase) == ("checkmaite.jobs.IncompatibleVersionError", "start")
    assert "Upgrade checkmaite-jobs-core on the worker" in outcome.error_message


def test_code_that_the_worker_lacks_is_named(
    backend: JobBackend, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = f"only_here_{uuid.uuid4().hex}"
    source = Path(capabilities.__file__).read_text()
    (tmp_path / f"{name}.py").write_text(source)
    monkeypatch.syspath_prepend(str(tmp_path))
    module = __import__(name)
    error = submit(module.Acts(module.exits)).exception(SOON_S)
    del sys.modules[name]
    assert isinstance(error, JobFailedError)
    assert error.phase == "load"
    assert name in str(error)
    assert "working_dir" in str(error)


def test_an_argument_that_cannot_be_pickled_is_named_before_anything_runs(backend: JobBackend, tmp_path: Path) -> None:
    fine = {"capability": SampleCapability(folder=str(tmp_path)), "config": {"run_uid": "1"}}
    with pytest.raises(JobSubmissionError, match=r"submissions\[1\]\.datasets") as caught:
        submit_capabilities([fine, {**fine, "config": {"run_uid": "2"}, "datasets": [_Locked()]}])
    assert caught.value.phase == "serialize"
    assert submit(SampleCapability()).wait(SOON_S) is JobStatus.COMPLETED
    assert not (tmp_path / "ran-1").exists()


def test_a_store_that_cannot_be_written_fails_the_job(local_ray: Any, tmp_path: Path) -> None:
    store = tmp_path / "store"
    configure_job_backend("ray-simple", analytics_store={"backend": "parquet", "uri": str(store)})
    store.write_text("not a folder")
    error = submit(SampleCapability()).exception(SOON_S)
    shutdown_job_backend()
    assert isinstance(error, JobFailedError)
    assert error.phase == "store", "before anything is computed"
    assert str(store) in str(error)


def test_a_large_payload_arrives_whole(backend: JobBackend) -> None:
    job = submit(SampleCapability(), datasets=[_Large(os.urandom(1_000_000))])
    assert job.wait(SOON_S) is JobStatus.COMPLETED


def test_no_process_has_more_than_two_copies_of_a_large_payload(backend: JobBackend, tmp_path: Path) -> None:
    def heap_of_a_worker(size: int) -> int:
        given = {"models": [_Model(size)], "isolation": "process"}
        submit(_Heap(str(tmp_path / f"{size}")), **given).result(SOON_S)
        return int((tmp_path / f"{size}").read_text())

    empty = heap_of_a_worker(0)
    Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew
    before = _kilobytes("VmRSS")
    loaded = heap_of_a_worker(_SIZE)
    of_client = _kilobytes("VmHWM") - before - _SIZE  # what the model itself has is the user's
    assert round(of_client / _SIZE) <= 2, "it is pickled, and then in Ray's shared memory"
    assert round((loaded - empty) / _SIZE) == 1, "it is unpickled out of Ray's shared memory"


_SIZE = 40_000  # kB: what the allocator gives back at once


class _Model:
    def __init__(self, kilobytes: int) -> None:
        self.metadata = {"id": f"model-{kilobytes}"}
        self.weights = b"w" * 1024 * kilobytes


class _Heap:
    """Tells how much memory its process has to itself while it runs."""

    id = "heap"

    def __init__(self, told: str) -> None:
        self.told = told

    def run(self, *, config: dict[str, str], **_: Any) -> SampleRun:
        Path(self.told).write_text(str(_kilobytes("RssAnon")))
        return SampleRun(run_uid=config["run_uid"])


def _kilobytes(name: str) -> int:
    (line,) = (each for each in Path("/proc/self/status").read_text().splitlines() if each.startswith(f"{name}:"))
    return int(line.split()[1])


def _is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


class _Locked:
    def __init__(self) -> None:
        self.metadata = {"id": "locked"}
        self.lock = threading.Lock()


class _Large:
    def __init__(self, content: bytes) -> None:
        self.metadata = {"id": "large"}
        self.content = content

    def __reduce__(self) -> Any:
        return bytes, (self.content,)


@pytest.mark.usefixtures("backend")
def test_a_forced_run_is_the_next_revision_with_its_own_report(tmp_path: Path) -> None:
    store = {"backend": "parquet", "uri": str(tmp_path / "store")}
    backend = configure_job_backend("ray-simple", analytics_store=store)
    first, second = (
        submit_capability(SampleCapability(), config={"run_uid": "forced"}, force=True, report_threshold=share).result(
            SOON_S
        )
        for share in (0.25, 0.75)
    )
    assert [(ref.revision, str(ref.report)) for ref in (first, second)] == [
        (1, "# sample at 0.25"),
        (2, "# sample at 0.75"),
    ]
    runs = backend.analytics_store.read_table("runs", revision="all", columns=["revision"])  # type: ignore[call-arg]
    assert sorted(set(runs.column("revision").to_pylist())) == [1, 2]


def test_waiting_for_a_store_can_be_cancelled(
    local_ray: Any, bucket: str, s3_options: dict[str, Any], outage: Outage, tmp_path: Path
) -> None:
    configure_job_backend("ray-simple", analytics_store={"uri": f"s3://{bucket}/store", "storage_options": s3_options})
    outages.check_that_waiting_can_be_cancelled(outage, tmp_path)
    stop_backend()
