"""Processes are killed and paused: no accepted job is forgotten, none hangs, and no result is published twice."""

from __future__ import annotations

import os
import re
import signal
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from checkmaite.jobs import (
    FailureKind,
    Job,
    JobBackend,
    JobFailedError,
    JobLostError,
    JobStatus,
    PendingReason,
    configure_job_backend,
    get_job,
    list_jobs,
    read_job_logs,
    stage,
    submit_capabilities,
    submit_capability,
    wait_all,
)
from checkmaite.jobs_ray.client.cluster import ParkedCalls

from tests.ray import capabilities
from tests.ray.clusters import CONTROLLER, REGISTRY, SOON_S, Client, Cluster, Node, wait_until
from tests.ray.conftest import PATIENCE, Control, attached_to, starts, stop_jobs, submit

LEASE = {"heartbeat_interval_s": 0.5}
"""Controllers keep the default lease: on a busy machine one may be silent for seconds, and would lose its jobs."""
SHORT_LEASE_S = 3.0
NODE_S = 300.0
"""Ray takes its time with a node that dies: with one that was drained up to two minutes on a busy machine."""


@pytest.fixture
def fragile(
    configure: Callable[..., JobBackend], own_options: dict[str, Any], control: Control
) -> Callable[..., JobBackend]:
    """Configures ``"ray"`` with a registry of the test's own, which it may break."""
    return lambda **changes: configure(**{**own_options, **LEASE, **changes})


def submit_waiting(folder: Path, count: int = 3, **arguments: Any) -> list[Job]:
    """Jobs that run until there is the mark ``go``; all of them have started."""
    waits = partial(capabilities.tells_its_start_and_waits, str(folder))
    resources = arguments.pop("resources", {"num_cpus": 1})
    jobs = [submit(waits, folder, run_uid=f"run-{number}", resources=resources, **arguments) for number in range(count)]
    wait_until(lambda: all(starts(folder, f"run-{number}") for number in range(count)), "not all jobs have started")
    wait_until(lambda: all(job.status is JobStatus.RUNNING for job in jobs), "not all jobs are seen to run")
    return jobs


def assert_each_ended_well(backend: JobBackend, jobs: list[Job], *, may_be_lost: bool = False) -> None:
    """Every job is final, known to everybody, and published exactly once, or lost with a reason."""
    for job in jobs:
        status = job.wait(SOON_S)
        assert status.is_final, job.explain()
        assert status is JobStatus.COMPLETED or may_be_lost, job.explain()
        if status is JobStatus.FAILED:
            error = job.exception(0)
            assert isinstance(error, JobLostError)
            assert error.error_message
            assert error.exit_cause
    completed = [job for job in jobs if job.status is JobStatus.COMPLETED]
    assert {job.job_id: job.status for job in list_jobs(1000)} == {job.job_id: job.status for job in jobs}
    assert [get_job(job.job_id).wait(0) for job in jobs] == [job.status for job in jobs]
    if completed:
        published = backend.analytics_store.query_sql("select run_uid, count(*) as n from sample_scores group by all")
        uids = sorted(job.result(0).run_uid for job in completed)
        assert sorted(published["run_uid"].to_pylist()) == uids
        assert published["n"].to_pylist() == [1] * len(uids)
        runs = backend.analytics_store.query_sql("select distinct run_uid, run_event_id from runs")
        assert sorted(runs["run_uid"].to_pylist()) == uids, "a run was committed twice"


def works(backend: JobBackend) -> None:
    """Jobs go through as before."""
    assert submit(capabilities.nothing).wait(SOON_S) is JobStatus.COMPLETED


# -- one process is killed --------------------------------------------------------------------------------------------


def test_a_worker_is_killed(backend: JobBackend, tmp_path: Path, cluster: Cluster) -> None:
    def act(folder: str) -> None:
        os.write(1, f"began in {os.getpid()}\n".encode())
        if not (Path(folder) / "pid").exists():
            (Path(folder) / "writing").write_text(str(os.getpid()))
            (Path(folder) / "writing").rename(Path(folder) / "pid")
            capabilities.waits(folder, "never")

    job = submit(partial(act, str(tmp_path)), tmp_path, max_retries=1)
    wait_until((tmp_path / "pid").exists, "the job did not start")
    wait_until(lambda: job.status is JobStatus.RUNNING, "the job is not seen to run")
    pid = int((tmp_path / "pid").read_text())
    assert pid in cluster.pids("ray::")
    os.kill(pid, signal.SIGKILL)
    assert_each_ended_well(backend, [job])
    assert starts(tmp_path) == 2
    first = f"[... start 1, which was lost, had printed: ...]\nbegan in {pid}\n\n[... the last start: ...]\nbegan in "
    wait_until(lambda: job.logs().startswith(first), f"the first start's output is not there: {job.logs()}")


def test_a_job_whose_worker_was_killed_on_a_full_cluster_waits_and_is_not_said_to_run(
    backend: JobBackend, tmp_path: Path
) -> None:
    whole = {"num_cpus": 4}
    (job,) = submit_waiting(tmp_path, 1, resources=whole, max_retries=1)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    waits = partial(capabilities.tells_its_start_and_waits, str(elsewhere))
    other = submit(waits, elsewhere, resources=whole)
    wait_until(lambda: other.status is JobStatus.SCHEDULING, "Ray does not have the other job")
    pid = job.info.pid
    os.kill(pid, signal.SIGKILL)
    wait_until(lambda: other.status is JobStatus.RUNNING, "the other job did not take its place")
    wait_until(lambda: job.status is JobStatus.SCHEDULING, "its next start is not given out")
    info = job.info
    assert (info.node, info.pid, info.started_at, info.pending_reason) == (None, None, None, PendingReason.BUSY)
    assert [(each.number, each.pid) for each in info.attempts] == [(1, pid), (2, None)]
    assert f"pid {pid}" not in job.explain()
    assert f"Start 1 was lost: {info.attempts[0].end.partition(': ')[2]}" in job.explain()
    assert list_jobs(status_filter=["RUNNING"]) == [other]
    assert list_jobs(status_filter=["PENDING", "SCHEDULING"]) == [job]
    for folder in (elsewhere, tmp_path):
        (folder / "go").touch()
    assert_each_ended_well(backend, [job, other])


def test_a_worker_is_killed_in_the_middle_of_its_write(backend: JobBackend, tmp_path: Path) -> None:
    act = partial(capabilities.first_time, str(tmp_path), capabilities.dies_at_commit)
    job = submit(act, tmp_path, run_uid="torn", max_retries=1)
    assert_each_ended_well(backend, [job])
    assert starts(tmp_path) == 2
    assert job.result(0).commit_uri == f"{tmp_path}/store/runs/torn.parquet"


def test_sigterm_loses_the_worker_and_not_the_job(backend: JobBackend, tmp_path: Path, cluster: Cluster) -> None:
    """A drained node, a deleted pod: whatever the job is doing, its process ends, and another one begins anew."""
    acts = {
        "swallows": capabilities.goes_on_whatever_comes,
        "in-c": capabilities.computes_in_c,
        "at-commit": capabilities.stuck_at_commit,
    }
    jobs = []
    for uid, act in acts.items():
        (tmp_path / uid).mkdir()
        first = partial(capabilities.first_time, str(tmp_path / uid), act)
        jobs.append(submit(first, tmp_path, run_uid=uid, max_retries=1))
    jobs.append(submit(capabilities.goes_on_whatever_comes, tmp_path, run_uid="once", max_retries=0))
    wait_until(
        lambda: all((tmp_path / uid / "tried").exists() for uid in acts), "not all jobs are where they are wanted"
    )
    for job in jobs:
        wait_until(lambda job=job: "pid " in job.explain(), "the job is not seen to run")
        pid = int(job.explain().partition("(pid ")[2].partition(")")[0])
        os.kill(pid, signal.SIGTERM)
        wait_until(lambda pid=pid: pid not in cluster.pids("ray::"), "the process did not end")
    error = jobs[-1].exception(SOON_S)
    assert isinstance(error, JobFailedError)
    assert error.exit_cause == "its worker process died: it got SIGTERM; starts: 1"
    assert error.kind is FailureKind.WORKER_SIGNAL
    assert wait_all(jobs[:-1], SOON_S) == [JobStatus.COMPLETED] * len(acts)
    assert [starts(tmp_path, uid) for uid in acts] == [2] * len(acts)
    for job in jobs[:-1]:
        assert "Start 1 was lost: its worker process died: it got SIGTERM." in job.explain()


@pytest.mark.parametrize("force", [False, True])
def test_a_worker_is_killed_right_after_its_commit(backend: JobBackend, tmp_path: Path, force: bool) -> None:
    """The next attempt draws another number; rows and report stay those of the one that was stored."""
    config = {"run_uid": f"drawn-{force}"}
    before = (
        submit_capability(capabilities.Draws(capabilities.nothing, str(tmp_path)), config=config) if force else None
    )
    if before is not None:
        assert before.result(SOON_S).revision == 1
    act = partial(capabilities.first_time, str(tmp_path), capabilities.dies_after_commit)
    draws = capabilities.Draws(act, str(tmp_path))
    ref = submit_capability(draws, config=config, max_retries=1, force=force).result(SOON_S)
    assert starts(tmp_path) == 2 + force
    found = backend.analytics_store.read_table("sample_scores", run_uids=[ref.run_uid]).column("score").to_pylist()
    assert found == [float(str(ref.report))]
    assert ref.revision == 1 + force
    assert repr(found[0]) in {path.read_text() for path in tmp_path.glob("start-*")}
    if before is not None:
        assert str(before.result(0).report) != str(ref.report)
        assert len(backend.analytics_store.read_table("sample_scores", revision="all")) == 2  # type: ignore[call-arg]


def first_told(job: Job) -> str:
    """The process of a job's first start that was lost, as it has printed it; empty when that is not known yet."""
    found = re.match(r"(?:\[\.\.\. start 1, which was lost, had printed: \.\.\.\]\n)?started in (\d+)", job.logs())
    lost = job.status is JobStatus.FAILED or "which was lost" in job.logs()
    return found[1] if found and lost else ""


@pytest.mark.parametrize("recovery", ["resubmit", "fail"])
@pytest.mark.usefixtures("attached")
def test_every_controller_is_killed(
    fragile: Any, tmp_path: Path, control: Control, recovery: str, own_options: dict[str, Any]
) -> None:
    backend = fragile(recovery=recovery)
    jobs = submit_waiting(tmp_path)
    for pid in control.controllers():
        os.kill(pid, signal.SIGKILL)
    if recovery == "resubmit":
        wait_until(lambda: starts(tmp_path) >= 2 * len(jobs), "the jobs were not started again")
        (tmp_path / "go").touch()
    assert_each_ended_well(backend, jobs, may_be_lost=recovery == "fail")
    assert {job.status for job in jobs} == {JobStatus.COMPLETED if recovery == "resubmit" else JobStatus.FAILED}
    pids = [pid for job in jobs if (pid := wait_until(partial(first_told, job), f"no output: {job.logs()!r}"))]
    assert len(set(pids)) == len(jobs), "each job has the output of its own first start, which was lost"
    place = {name: own_options[name] for name in ("idempotency_scope", "registry_namespace", "journal_uri")}
    store = own_options["analytics_store"]
    assert f"started in {pids[0]}" in read_job_logs(jobs[0].job_id, "ray", analytics_store=store, **place)
    if recovery == "resubmit":
        assert "[... the last start: ...]\nstarted in " in jobs[0].logs()
    (tmp_path / "go").touch()
    works(backend)


def test_one_controller_is_killed_and_the_others_jobs_go_on(fragile: Any, tmp_path: Path, control: Control) -> None:
    backend = fragile(controller_pool_size=2)
    jobs = submit_waiting(tmp_path, count=2)
    os.kill(control.controllers()[0], signal.SIGKILL)
    queued = [submit(capabilities.nothing, tmp_path, run_uid=f"queued-{number}") for number in range(10)]
    assert wait_all(queued, SOON_S) == [JobStatus.COMPLETED] * 10
    (tmp_path / "go").touch()
    assert_each_ended_well(backend, [*jobs, *queued])


def test_the_registry_is_killed(
    fragile: Any, tmp_path: Path, control: Control, client: Callable[..., Client], own_options: dict[str, Any]
) -> None:
    backend = fragile()
    jobs = submit_waiting(tmp_path)
    other = client("configure()\njobs = list_jobs()\nsay(len(jobs))\nsay(*wait_all(jobs, 120))", **own_options, **LEASE)
    assert other.line() == "3"
    os.kill(control.registry(), signal.SIGKILL)
    (tmp_path / "go").touch()
    assert other.rest() == ["COMPLETED COMPLETED COMPLETED"], "a client that waited hangs or was told otherwise"
    assert_each_ended_well(backend, jobs)
    assert starts(tmp_path) == len(jobs), "jobs that were not concerned were started again"
    again = submit(partial(capabilities.tells_its_start_and_waits, str(tmp_path)), tmp_path, run_uid="run-0")
    assert again.job_id == jobs[0].job_id, "the new registry does not know what holds the run key"
    works(backend)


def test_a_client_that_submits_to_a_new_registry_first_hears_of_its_earlier_jobs(
    fragile: Any, tmp_path: Path, control: Control, monkeypatch: pytest.MonkeyPatch
) -> None:
    backend = fragile()
    jobs = submit_waiting(tmp_path)
    submitted = threading.Event()
    monkeypatch.setattr(ParkedCalls, "_pause", lambda _: submitted.wait(SOON_S))  # before a parked call is made again
    os.kill(control.registry(), signal.SIGKILL)
    jobs.append(submit(capabilities.nothing, tmp_path, run_uid="new"))
    submitted.set()
    (tmp_path / "go").touch()
    assert wait_all(jobs, SOON_S) == [JobStatus.COMPLETED] * len(jobs)
    assert_each_ended_well(backend, jobs)


def test_a_registry_that_dies_while_jobs_are_queued_forgets_none(
    fragile: Any, tmp_path: Path, control: Control
) -> None:
    backend = fragile()
    jobs = submit_waiting(tmp_path, count=4)
    jobs += [submit(capabilities.nothing, tmp_path, run_uid=f"queued-{number}") for number in range(20)]
    wait_until(lambda: all(job.status is not JobStatus.PENDING for job in jobs), "no controller has them")
    os.kill(control.registry(), signal.SIGKILL)
    wait_until(lambda: len(list_jobs()) == len(jobs), "the new registry does not know all jobs")
    (tmp_path / "go").touch()
    assert_each_ended_well(backend, jobs)
    assert starts(tmp_path) == len(jobs)


def test_a_client_is_killed_while_it_submits(
    fragile: Any, tmp_path: Path, client: Callable[..., Client], own_options: dict[str, Any]
) -> None:
    backend = fragile()
    folder = tmp_path / "ran"
    folder.mkdir()
    submitter = client(
        """
configure()
for number in range(100_000):
    job = submit_capability(SampleCapability(folder=os.environ["FOLDER"]), config={"run_uid": f"run-{number}"})
    say(job.job_id)
""",
        env={"FOLDER": str(folder)},
        **own_options,
        **LEASE,
    )
    told = [submitter.line() for _ in range(20)]
    submitter.kill()
    works(backend)  # by now the registry has heard the call that was under way, too
    jobs = list_jobs(1000)
    assert set(told) <= {job.job_id for job in jobs}, "accepted jobs are not listed"
    assert_each_ended_well(backend, jobs)


# -- a process is paused ----------------------------------------------------------------------------------------------


def controller_of(job: Job, ray: Any) -> Any:
    """Handle of the controller that has a job: with several, one that starts late may have none."""
    for each in ray.util.list_named_actors(all_namespaces=True):
        if "-controller-" in each["name"]:
            controller = ray.get_actor(**each)
            if ray.get(controller.logs.remote(job.job_id)) is not None:
                return controller
    raise AssertionError("no controller knows the job")


def test_a_paused_controller_is_fenced(fragile: Any, tmp_path: Path, attached: Any) -> None:
    """The first start of each job fails once its controller goes on; by then others have completed the jobs."""
    backend = fragile(controller_pool_size=2, lease_ttl_s=SHORT_LEASE_S)
    jobs, folders = [], []
    for number in range(4):
        folder = tmp_path / f"job-{number}"
        folder.mkdir()
        act = partial(capabilities.first_time, str(folder), partial(capabilities.waits_then_raises, str(folder)))
        jobs.append(submit(act, folder, run_uid=f"run-{number}", resources={"num_cpus": 0.25}))
        folders.append(folder)

    def run() -> list[Job]:
        """Those that run, once all do that have not been given to another controller already, by a lease so short."""
        running = [job for job in jobs if job.status is JobStatus.RUNNING]
        return running if all(job in running or job.status.is_final for job in jobs) else []

    running = wait_until(run, "not all jobs are seen to run")
    paused: int = attached.get(controller_of(running[0], attached).__ray_call__.remote(lambda _: os.getpid()))
    os.kill(paused, signal.SIGSTOP)
    try:
        moved = wait_until(lambda: [job for job in running if job.status.is_final], "no job was given to another")
        assert {job.status for job in moved} == {JobStatus.COMPLETED}
    finally:
        with suppress(ProcessLookupError):  # whoever took its lease may have ended it
            os.kill(paused, signal.SIGCONT)
    for job, folder in zip(jobs, folders, strict=True):
        if job in moved:
            (folder / "go").touch()
    time.sleep(SHORT_LEASE_S)  # what it has to say, it would have said by now
    assert {job.status for job in moved} == {JobStatus.COMPLETED}
    assert {get_job(job.job_id).status for job in moved} == {JobStatus.COMPLETED}
    for folder in folders:
        (folder / "go").touch()
    assert wait_all(jobs, SOON_S) == [
        JobStatus.COMPLETED if starts(folder) > 1 else JobStatus.FAILED for folder in folders
    ]
    works(backend)
    published = backend.analytics_store.query_sql("select count(*) as n from sample_scores group by run_uid")
    assert set(published["n"].to_pylist()) == {1}


# -- a node is lost ---------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def nodes_cluster() -> Iterator[Cluster]:
    with Cluster(num_cpus=2) as running:
        yield running


@pytest.fixture
def on_nodes(
    cluster: Cluster, attached: Any, nodes_cluster: Cluster, tmp_path: Path
) -> Iterator[Callable[..., JobBackend]]:
    """Configures ``"ray"`` on a cluster that may lose nodes; registry and controllers are on the head."""
    attached.shutdown()
    with attached_to(nodes_cluster):
        options = {
            "address": nodes_cluster.driver,
            "idempotency_scope": uuid.uuid4().hex,
            "registry_namespace": uuid.uuid4().hex,
            "analytics_store": {"backend": "parquet", "uri": str(tmp_path / "store")},
            **LEASE,
            **PATIENCE,
        }
        yield lambda **changes: configure_job_backend("ray", **options, **changes)
        stop_jobs(tmp_path)
    attached.init(cluster.driver, log_to_driver=False)


def test_labels_say_on_which_nodes_jobs_run(
    on_nodes: Callable[..., JobBackend], nodes_cluster: Cluster, tmp_path: Path
) -> None:
    spot, steady = (nodes_cluster.add_node(1, {}, RAY_NODE_MARKET_TYPE=each) for each in ("spot", "on-demand"))
    on_nodes()
    market = "ray.io/market-type"
    at_steady: dict[str, Any] = {"labels": {market: "on-demand"}}
    falls_back = {**at_steady, "fallback": [{market: "in(spot,preemptible)"}]}
    first = submit(partial(capabilities.waits, str(tmp_path)), tmp_path, resources=at_steady)
    wait_until(lambda: first.status is JobStatus.RUNNING, "the job is not seen to run")
    assert first.info.pid in steady.pids()
    waits = submit(capabilities.nothing, tmp_path, resources={**falls_back, "wait_for_first": True})
    second = submit(capabilities.nothing, tmp_path, resources=falls_back)
    assert second.wait(SOON_S) is JobStatus.COMPLETED
    assert second.info.pid in spot.pids()
    misspelt = submit(capabilities.nothing, tmp_path, resources={"labels": {market: "on_demand"}})
    said = f"Did you mean {market}=on-demand? There are: {market}: on-demand, spot."
    wait_until(lambda: said in misspelt.explain(), "what labels there are is not told")
    assert misspelt.explain().endswith(PendingReason.NO_NODE.sentence)
    misspelt.cancel()
    assert not waits.status.is_final, "it was to wait for the first choice"
    (tmp_path / "go").touch()
    assert waits.wait(SOON_S) is JobStatus.COMPLETED
    assert waits.info.pid in steady.pids()
    for node in (spot, steady):
        node.end()


def test_a_node_that_runs_jobs_is_lost(
    on_nodes: Callable[..., JobBackend], nodes_cluster: Cluster, tmp_path: Path
) -> None:
    first = nodes_cluster.add_node(2, {"work": 2})
    backend = on_nodes(max_retries=1)
    small, large = ({"num_cpus": size, "custom": {"work": size}} for size in (0.5, 1))
    jobs = submit_waiting(tmp_path, count=2, resources=small)
    once = submit(partial(capabilities.waits, str(tmp_path)), tmp_path, resources=small, max_retries=0)
    wait_until(lambda: once.status is JobStatus.RUNNING, "the job is not seen to run")
    queued = submit(capabilities.nothing, tmp_path, run_uid="queued", resources=large, max_retries=0)
    first.kill()
    error = once.exception(SOON_S)
    assert isinstance(error, JobLostError), "that it is lost is told before there is room to start it again"
    assert error.exit_cause == "its node died; starts: 1"
    assert error.kind is FailureKind.NODE_LOST
    second = nodes_cluster.add_node(2, {"work": 2})
    begun = partial(starts, tmp_path)
    wait_until(lambda: begun("run-0") + begun("run-1") == 4, "the jobs were not started again", NODE_S)
    (tmp_path / "go").touch()
    assert wait_all([*jobs, queued], SOON_S) == [JobStatus.COMPLETED] * 3
    assert_each_ended_well(backend, [*jobs, queued, once], may_be_lost=True)
    second.end()


def test_a_node_that_runs_jobs_is_preempted(
    on_nodes: Callable[..., JobBackend], nodes_cluster: Cluster, attached: Any, tmp_path: Path
) -> None:
    """That costs no job a retry, and what the node has is free for nobody from the notice on."""
    first = nodes_cluster.add_node(2, {"work": 2})
    backend = on_nodes()
    wanted: dict[str, Any] = {"num_cpus": 1, "custom": {"work": 1}}
    job = submit(partial(capabilities.waits, str(tmp_path)), tmp_path, resources=wanted, max_retries=0)
    wait_until(lambda: starts(tmp_path) == 1, "the job does not begin")
    nodes_cluster.drain(first)
    waits = submit(capabilities.nothing, tmp_path, run_uid="waits", resources=wanted)
    said = "asks for 1 of 'work', the cluster has 0"
    wait_until(lambda: said in waits.explain(), "what the node has that is drained is taken for free")
    assert "What a node has that Ray drains is left out." in waits.explain()
    controller = controller_of(job, attached)
    noticed = partial(controller.__ray_call__.remote, lambda actor: list(actor.actor._tasks._deaths._leaving))
    wait_until(lambda: attached.get(noticed()) == [first.node_id], "the controller does not notice")
    first.kill()
    second = nodes_cluster.add_node(2, {"work": 2})
    wait_until(lambda: starts(tmp_path) == 2, "the job was not started again", NODE_S)
    (tmp_path / "go").touch()
    assert wait_all([job, waits], SOON_S) == [JobStatus.COMPLETED] * 2
    note = "its node was drained and went away. It does not count: that is no fault of the job."
    assert note in job.explain()
    assert_each_ended_well(backend, [job, waits])
    second.end()


def test_a_registry_and_its_controller_leave_a_node_that_is_drained(
    on_nodes: Callable[..., JobBackend], nodes_cluster: Cluster, tmp_path: Path
) -> None:
    """No job is started again for that; what is submitted meanwhile is for a spare controller."""
    first = nodes_cluster.add_node(1, {"moves": 1})
    control = {"moves": 0.1}
    backend = on_nodes(registry_resources=control, controller_resources=control, journal_uri=str(tmp_path / "journal"))
    on_head: dict[str, Any] = {"num_cpus": 0.5, "custom": {"head": 1}}
    (long,) = submit_waiting(tmp_path, count=1, resources=on_head)
    assert len(first.pids(REGISTRY) | first.pids(CONTROLLER)) == 2
    second = nodes_cluster.add_node(1, {"moves": 1})
    nodes_cluster.drain(first)
    wait_until(lambda: second.pids(REGISTRY), "the registry stays on the node that is drained")
    wait_until(lambda: second.pids(CONTROLLER), "there is no spare controller")
    short = submit(capabilities.nothing, tmp_path, run_uid="short", resources=on_head)
    assert short.wait(SOON_S) is JobStatus.COMPLETED
    assert not long.status.is_final
    (tmp_path / "go").touch()
    assert long.wait(SOON_S) is JobStatus.COMPLETED
    wait_until(lambda: not first.pids(CONTROLLER), "the controller stays when its last job has ended")
    first.kill()
    assert starts(tmp_path, "run-0") == 1
    assert_each_ended_well(backend, [long, short])
    works(backend)  # the second node goes with its cluster: the registry is on it


def test_two_nodes_fetch_a_staged_model_once_each_for_fifty_jobs(
    on_nodes: Callable[..., JobBackend],
    nodes_cluster: Cluster,
    bucket: str,
    s3_options: dict[str, Any],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    from moto.s3.responses import S3Response

    asked: list[str] = []
    get = S3Response.get_object

    def count(self: S3Response) -> Any:
        if "/_staged/" in (name := self.parse_key_name()):
            asked.append(name)
        return get(self)

    monkeypatch.setattr(S3Response, "get_object", count)
    monkeypatch.setattr("checkmaite.jobs._shared.staged_objects.PART_BYTES", 2**20)
    other = nodes_cluster.add_node(2, {"work": 50})
    backend = on_nodes(artifact_store={"uri": f"s3://{bucket}/documents", "storage_options": s3_options})
    staged = stage(SimpleNamespace(metadata={"id": "net"}, weights=np.random.rand(2**18)))  # two parts and a bit
    jobs = submit_capabilities(
        {
            "capability": capabilities.Weighs(str(tmp_path)),
            "models": [staged],
            "config": {"run_uid": uuid.uuid4().hex},
            "resources": {"num_cpus": 0.5, "custom": {where: 1}},
        }
        for where in ("head", "work") * 25
    )
    assert wait_all(jobs, SOON_S) == [JobStatus.COMPLETED] * 50
    assert len({job.scheduling_info.pid for job in jobs}) >= 4, "two processes of each node have raced for it"
    parts = [f"documents/_staged/{staged.name}/{name}" for name in ("000000.part", "000001.part", "000002.part")]
    manifest = f"documents/_staged/{staged.name}/manifest.json"
    assert sorted(asked) == sorted([manifest, *parts] * 2)
    scores = backend.analytics_store.read_table("sample_scores").column("score").to_pylist()
    assert len(scores) == 50
    assert len(set(scores)) == 1
    other.end()


def test_a_node_that_hosts_a_controller_is_lost(
    on_nodes: Callable[..., JobBackend], nodes_cluster: Cluster, attached: Any, tmp_path: Path
) -> None:
    nodes: list[Node] = [nodes_cluster.add_node(1, {"control": 1}) for _ in range(2)]
    backend = on_nodes(controller_resources={"control": 0.5}, controller_pool_size=2)
    jobs = submit_waiting(tmp_path, count=2, resources={"num_cpus": 0.5, "custom": {"head": 1}})
    controller: int = attached.get(controller_of(jobs[0], attached).__ray_call__.remote(lambda _: os.getpid()))
    (lost,) = [node for node in nodes if controller in node.pids()]
    lost.kill()
    wait_until(lambda: starts(tmp_path) >= 3, "the lost controller's jobs were not started again")
    (tmp_path / "go").touch()
    assert_each_ended_well(backend, jobs)
    works(backend)
    for node in nodes:
        node.end()
