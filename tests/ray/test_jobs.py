"""How jobs go, fail, wait, are explained and are stopped."""

from __future__ import annotations

import getpass
import os
import pickle
import re
import shutil
import socket
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from checkmaite.jobs import (
    BackpressureError,
    FailureKind,
    Job,
    JobBackend,
    JobFailedError,
    JobLostError,
    JobStatus,
    JobSubmissionError,
    PendingReason,
    configure_provenance,
    list_jobs,
    reset_provenance,
    submit_capabilities,
    submit_capability,
    wait_all,
)
from checkmaite.jobs.testing import SampleCapability

from tests import outages
from tests.conftest import Outage
from tests.ray import capabilities
from tests.ray.clusters import SOON_S, Client, Cluster, wait_until
from tests.ray.conftest import starts, submit

pytestmark = pytest.mark.usefixtures("attached")
CPUS = 4


def failure_of(job: Job) -> JobFailedError:
    error = job.exception(SOON_S)
    assert isinstance(error, JobFailedError), job.explain()
    assert job.status is JobStatus.FAILED
    return error


def place_in_queue(job: Job) -> int:
    (said,) = [each for each in re.split(r"[.;:]\s", job.explain()) if "queue" in each]
    (place,) = re.findall(r"\b\d+\b", said)
    return int(place)


# -- explanations -----------------------------------------------------------------------------------------------------


def test_a_request_for_gpus_that_are_not_there_is_explained(backend: JobBackend, tmp_path: Path) -> None:
    job = submit(capabilities.nothing, tmp_path, resources={"num_gpus": 5})
    wait_until(lambda: "5 GPUs" in job.explain(), "the explanation does not say '5 GPUs'")
    assert job.explain().endswith(PendingReason.NO_NODE.sentence)
    assert job.status in {JobStatus.PENDING, JobStatus.SCHEDULING}
    assert job.cancel()
    assert job.wait(SOON_S) is JobStatus.CANCELLED


def test_a_full_cluster_is_explained(backend: JobBackend, tmp_path: Path) -> None:
    waits = partial(capabilities.waits, str(tmp_path))
    holder = submit(waits, tmp_path, job_name="the-holder", resources={"num_cpus": CPUS})
    wait_until(lambda: holder.status is JobStatus.RUNNING, "the holder does not run")
    first, second = (submit(capabilities.nothing, job_name=name) for name in ("first", "second"))
    wait_until(lambda: "the-holder" in second.explain(), "the explanation does not say what runs")
    assert (place_in_queue(first), place_in_queue(second)) == (1, 2)
    assert second.explain().endswith(PendingReason.BUSY.sentence)
    (tmp_path / "go").touch()
    assert wait_all([holder, first, second], SOON_S) == [JobStatus.COMPLETED] * 3


# -- failures ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("act", "error_type", "message"),
    [
        (capabilities.raises, "ValueError", "told to fail"),
        (capabilities.raises_unpicklable, "UnpicklableError", "this and that"),
        (capabilities.out_of_memory, "MemoryError", "no more of it"),
    ],
)
def test_an_exception_is_reported_whole_and_never_retried(
    backend: JobBackend, tmp_path: Path, act: Any, error_type: str, message: str
) -> None:
    error = failure_of(submit(act, tmp_path, run_uid="once"))
    assert error.error_type.endswith(error_type)
    assert error.error_message == message
    assert f"in {act.__name__}" in error.traceback_text
    assert (error.phase, error.node) == ("run", socket.gethostname())
    assert error.pid not in {None, os.getpid()}
    assert error.exit_cause is None
    assert starts(tmp_path, "once") == 1


@pytest.mark.parametrize(
    ("act", "cause", "kind"),
    [
        (capabilities.exits, "it called os._exit(3)", FailureKind.WORKER_EXIT),
        (capabilities.crashes, "it crashed with SIGSEGV", FailureKind.WORKER_SIGNAL),
        (capabilities.killed, "it got a signal that leaves no trace, such as SIGKILL", FailureKind.WORKER_LOST),
        (capabilities.killed_later, "it got a signal that leaves no trace, such as SIGKILL", FailureKind.WORKER_LOST),
    ],
)
def test_a_worker_that_dies_is_reported_with_its_place_and_cause(
    backend: JobBackend, tmp_path: Path, act: Any, cause: str, kind: FailureKind
) -> None:
    error = failure_of(submit(act, tmp_path, run_uid="once", max_retries=0))
    assert error.error_type
    assert error.error_message
    assert (error.exit_cause or "").startswith(f"its worker process died: {cause}")
    assert error.kind is kind
    assert (error.exit_cause or "").endswith("; starts: 1")
    assert error.node, "nothing says where it was"
    assert error.pid not in {None, os.getpid()}, "nothing says which process it was"
    assert not isinstance(error, JobLostError), "the job itself ended its process"
    assert starts(tmp_path, "once") == 1


def test_a_module_that_the_worker_lacks_is_named(backend: JobBackend) -> None:
    module = "there_is_no_such_module"
    error = failure_of(submit_capability(capabilities.NeedsAModule(module)))
    assert error.error_type == "ModuleNotFoundError"
    assert module in error.error_message
    assert "working_dir" in str(error)
    assert (error.phase, error.kind) == ("load", FailureKind.CANNOT_LOAD)
    assert error.pid


def test_a_store_that_refuses_is_named(configure: Callable[..., JobBackend], tmp_path: Path) -> None:
    store = tmp_path / "refusing"
    configure(analytics_store={"backend": "parquet", "uri": str(store)})
    shutil.rmtree(store, ignore_errors=True)
    store.write_text("not a folder")
    error = failure_of(submit(capabilities.nothing))
    assert error.phase == "store", "before anything is computed"
    assert str(store) in str(error)


@pytest.mark.parametrize("losses", [1, 2])
def test_a_lost_worker_is_replaced_as_often_as_asked(backend: JobBackend, tmp_path: Path, losses: int) -> None:
    def act(folder: str, losses: int) -> None:
        if len(list(Path(folder).glob("start-*"))) <= losses:
            os._exit(3)

    job = submit(partial(act, str(tmp_path), losses), tmp_path, max_retries=1)
    expected = JobStatus.COMPLETED if losses == 1 else JobStatus.FAILED
    assert job.wait(SOON_S) is expected
    assert starts(tmp_path) == 2


# -- stopping ---------------------------------------------------------------------------------------------------------


def test_a_queued_job_is_cancelled_at_once(backend: JobBackend, tmp_path: Path) -> None:
    job = submit(capabilities.nothing, tmp_path, resources={"num_gpus": 5})
    assert job.cancel(grace=3600)
    assert job.wait(SOON_S) is JobStatus.CANCELLED, "it waits for what is not there"
    assert starts(tmp_path) == 0


@pytest.mark.parametrize("act", ["waits", "swallows"])
def test_a_running_job_is_stopped_and_publishes_nothing(backend: JobBackend, tmp_path: Path, act: str) -> None:
    job = submit(partial(getattr(capabilities, act), str(tmp_path)), tmp_path, run_uid="stopped", max_retries=3)
    begun = (tmp_path / "waiting").exists if act == "swallows" else lambda: starts(tmp_path)
    wait_until(begun, "the job did not start")
    assert job.cancel(grace=3600)
    if act == "swallows":
        wait_until((tmp_path / "interrupted").exists, "it is not interrupted before it is stopped by force")
        assert job.cancel(grace=1)
    assert job.wait(SOON_S) is JobStatus.CANCELLED, "it has to be stopped by force"
    assert (tmp_path / "interrupted").exists() == (act == "swallows")
    (tmp_path / "go").touch()
    assert submit(capabilities.nothing).wait(SOON_S) is JobStatus.COMPLETED
    assert starts(tmp_path) == 1, "it was started again"
    assert backend.analytics_store.get_run_uri("stopped") is None
    assert job.status is JobStatus.CANCELLED


def test_a_job_that_finds_no_worker_in_time_fails(configure: Callable[..., JobBackend], tmp_path: Path) -> None:
    configure(scheduling_timeout_s=2.0)
    error = failure_of(submit(capabilities.nothing, tmp_path, resources={"num_gpus": 5}))
    assert "2 s" in str(error)
    assert starts(tmp_path) == 0


def test_arguments_that_are_too_large_to_send_are_refused_with_the_remedy(
    configure: Callable[..., JobBackend], tmp_path: Path
) -> None:
    configure(max_payload_bytes=100_000)
    large = SimpleNamespace(metadata={"id": "large"}, weights=os.urandom(200_000))
    capability = capabilities.Acts(capabilities.nothing, str(tmp_path))
    submission = {"capability": capability, "models": [large], "config": {"run_uid": "u"}}
    with pytest.raises(JobSubmissionError, match="Nothing was submitted") as caught:
        submit_capabilities([{"capability": capability, "config": {"run_uid": "v"}}, submission])
    (problem,) = caught.value.problems
    assert (caught.value.phase, problem.path) == ("serialize", "submissions[1]")
    assert "at most 100,000" in problem.cause
    assert "max_payload_bytes" in problem.remedy
    assert list_jobs() == []


def test_jobs_whose_arguments_wait_beside_the_journal_start_with_their_own(
    configure: Callable[..., JobBackend], journals: Path, tmp_path: Path
) -> None:
    configure(analytics_store={"backend": "null"})
    go = {"act": "wait", "folder": str(tmp_path)}
    weights = [SimpleNamespace(metadata={"id": f"model-{number}"}, weights=os.urandom(31_000)) for number in range(560)]
    jobs = submit_capabilities(
        [
            {
                "capability": SampleCapability(**(go if each is weights[-1] else {})),
                "models": [each],
                "config": {"run_uid": f"of {each.metadata['id']}"},
            }
            for each in weights
        ]
    )
    ids = {job.job_id for job in jobs}
    together = [path for path in journals.rglob("payload/*") if path.name.rpartition("-")[0] in ids]
    assert 0 < len(together) < 10
    (tmp_path / "go").touch()  # until now one of them needs its own, however fast the others are
    wait_all(jobs, 2 * SOON_S)
    assert [(job.explain(), job.info) for job in jobs if job.status is not JobStatus.COMPLETED] == []
    assert [job.result().run_uid for job in jobs] == [f"of model-{number}" for number in range(len(jobs))]
    wait_until(lambda: not any(path.exists() for path in together), "what no job needs any more is there still")


def test_a_scope_has_a_bounded_number_of_live_jobs(
    configure: Callable[..., JobBackend], own_options: dict[str, Any], tmp_path: Path
) -> None:
    configure(**own_options, max_active_jobs_per_scope=3)
    waits = partial(capabilities.waits, str(tmp_path))
    jobs = [submit(waits, tmp_path, resources={"num_cpus": 0.5}) for _ in range(2)]
    batch = [{"capability": SampleCapability(), "config": {"run_uid": f"extra-{number}"}} for number in range(2)]
    with pytest.raises(BackpressureError) as caught:
        submit_capabilities(batch)
    assert caught.value.retryable
    assert caught.value.retry_after_s > 0
    with pytest.raises(JobSubmissionError, match="several calls") as never:
        submit_capabilities([{"capability": SampleCapability(), "config": {"run_uid": str(each)}} for each in range(4)])
    assert not never.value.retryable
    assert {job.job_id for job in list_jobs()} == {job.job_id for job in jobs}, "a part of the batch was accepted"
    (tmp_path / "go").touch()
    assert wait_all(jobs, SOON_S) == [JobStatus.COMPLETED] * 2
    assert wait_all(submit_capabilities(batch), SOON_S) == [JobStatus.COMPLETED] * 2


# -- what others see --------------------------------------------------------------------------------------------------


def test_progress_and_prints_reach_another_client_during_and_after(
    backend: JobBackend, tmp_path: Path, client: Callable[..., Client]
) -> None:
    config = {"run_uid": "seen"}
    job = submit_capability(SampleCapability(act="wait", folder=str(tmp_path)), config=config)
    other = client(
        """
configure()
job = get_job(os.environ["JOB"])
while job.progress is None or "the sample complains" not in job.logs():
    time.sleep(0.02)
say(job.status, job.progress.fraction, job.progress.message)
say(job.result(120).run_uid)
say(get_job(job.job_id).logs())
""",
        env={"JOB": job.job_id},
    )
    assert other.line() == "RUNNING 0.25 waiting"
    (tmp_path / "go").touch()
    assert [line for line in other.rest() if line] == ["seen", "the sample waits", "the sample complains"]
    assert "the sample waits" in job.logs()


ANOTHER_PROCESS = """
import pickle
configure()
jobs, named = pickle.loads(Path(sys.argv[0]).with_name("handles").read_bytes())
say(jobs[0].result(120).run_uid, jobs[1] == named["second"], named["second"].status.is_final)
say(named["second"].result(120).run_uid)
own = submit_capability(SampleCapability(), config={"run_uid": "of another process"})
Path(sys.argv[0]).with_name("own").write_bytes(pickle.dumps({"own": [own]}))
others = {
    "ray": {**json.loads(os.environ["OPTIONS"]), "idempotency_scope": "another-scope"},
    "ray-simple": {"address": os.environ["ADDRESS"]},
    "inline": {},
}
for kind, options in others.items():
    configure_job_backend(kind, **{**options, "analytics_store": {"backend": "null"}})
    try:
        pickle.loads(pickle.dumps(own))
    except JobNotFoundError as error:
        say(str(error))
"""


def test_a_pickled_handle_finds_its_job_from_another_process(
    backend: JobBackend, client: Callable[..., Client], cluster: Cluster, options: dict[str, Any], tmp_path: Path
) -> None:
    """Where the same scope is configured; elsewhere the error says which one that was."""
    done = submit_capability(SampleCapability(), config={"run_uid": "done"})
    waits = SampleCapability(act="wait", folder=str(tmp_path))
    live = submit_capability(waits, config={"run_uid": "live"})
    done.result(SOON_S)
    folder = tmp_path / "other"
    folder.mkdir()
    (folder / "handles").write_bytes(pickle.dumps(([done, live], {"second": live})))
    other = client(ANOTHER_PROCESS, env={"ADDRESS": cluster.driver}, folder=folder)
    assert other.line() == "done True False"
    (tmp_path / "go").touch()
    assert other.line() == "live"
    home = f"Its handle was pickled where the backend was 'ray' with idempotency_scope={options['idempotency_scope']!r}"
    for backend_there in ("the scope 'another-scope'", 'this process\'s "ray-simple" backend', "this process's inline"):
        said = other.line()
        assert f"in {backend_there}" in said
        assert home in said
    other.rest()
    own = pickle.loads((folder / "own").read_bytes())["own"][0]
    assert own.result(SOON_S).run_uid == "of another process"


def test_listings_filter_and_page(backend: JobBackend, tmp_path: Path) -> None:
    jobs = [submit(capabilities.nothing, job_name=f"job-{number}") for number in range(7)]
    failed = submit(capabilities.raises, job_name="bad")
    configure_provenance(user_id="ann")
    try:
        other = submit_capability(SampleCapability(id="other"), config={"run_uid": "other"})
    finally:
        reset_provenance()
    wait_all([*jobs, failed, other], SOON_S)

    def ids(*args: Any, **kwargs: Any) -> list[str]:
        return [job.job_id for job in list_jobs(*args, **kwargs)]

    newest_first = [job.job_id for job in reversed([*jobs, failed, other])]
    assert ids() == newest_first
    assert ids(status_filter="FAILED") == [failed.job_id]
    assert ids(status_filter=[JobStatus.COMPLETED, "FAILED"]) == newest_first
    assert ids(status_filter="RUNNING") == []
    assert ids(job_name="job-3") == [jobs[3].job_id]
    assert ids(capability_id="other") == [other.job_id]
    (hers,) = list_jobs(submitted_by="ann")
    assert (hers.job_id, getattr(hers, "submitted_by", "")) == (other.job_id, "ann")
    assert ids(submitted_by=f"{getpass.getuser()}@{socket.gethostname()}") == newest_first[1:]
    assert ids(submitted_after_ts=failed.created_at.timestamp()) == [other.job_id, failed.job_id]
    pages, before = [], None
    while page := list_jobs(limit=4, submitted_before_ts=before):
        pages.append([job.job_id for job in page])
        before = page[-1].created_at.timestamp()
    assert pages == [newest_first[:4], newest_first[4:8], newest_first[8:]]


def test_results_outlive_an_outage(
    configure: Callable[..., JobBackend], bucket: str, s3_options: dict[str, Any], outage: Outage, tmp_path: Path
) -> None:
    backend = configure(analytics_store={"uri": f"s3://{bucket}/store", "storage_options": s3_options})
    outages.check_that_results_outlive_an_outage(
        outage, tmp_path, lambda uid: backend.analytics_store.read_table("sample_scores", run_uids=[uid])
    )
