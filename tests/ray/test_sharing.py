"""Clients that share jobs: the same run once, found again after its client is gone, never between scopes."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from checkmaite.jobs import (
    Job,
    JobBackend,
    JobStatus,
    get_job,
    list_jobs,
    submit_capabilities,
    submit_capability,
    wait_all,
)
from checkmaite.jobs.testing import SampleCapability

from tests.ray import capabilities
from tests.ray.clusters import SOON_S, Client, wait_until
from tests.ray.conftest import Control, starts, submit

Start = Callable[..., Client]

SUBMITS = """
class Counts:
    id = "counts"
    def run(self, *, models, datasets, metrics, config, use_cache):
        folder = Path(config["folder"])
        (folder / f"start-counted-{os.getpid()}-{time.time_ns()}").touch()
        while not (folder / "go").exists():
            time.sleep(0.01)
        from checkmaite.jobs.testing import SampleRun
        return SampleRun(run_uid=config["run_uid"], capability_id=self.id)

configure()
job = submit_capability(Counts(), config={"run_uid": "counted", "folder": os.environ["FOLDER"]})
say(job.job_id)
"""
WAITS = "say(job.result(120).run_uid)"


@pytest.fixture
def submits(client: Start, tmp_path: Path) -> Start:
    """Starts a client that submits the one run of the test, and then does `rest`."""
    return lambda rest="", **changes: client(SUBMITS + rest, env={"FOLDER": str(tmp_path)}, **changes)


def rows_in_store(backend: JobBackend) -> int:
    return int(backend.analytics_store.query_sql("select count(*) as n from sample_scores")["n"][0].as_py())


def test_two_clients_that_submit_the_same_run_get_the_same_job(
    submits: Start, tmp_path: Path, configure: Callable[..., JobBackend]
) -> None:
    one, other = submits(WAITS), submits(WAITS)
    ids = {one.line(), other.line()}
    assert len(ids) == 1
    wait_until(lambda: starts(tmp_path), "the run did not start")
    (tmp_path / "go").touch()
    assert one.rest() == other.rest() == ["counted"]
    assert submits(WAITS).rest() == [*ids, "counted"], "a completed run is not run again"
    assert starts(tmp_path) == 1
    backend = configure()
    assert [job.job_id for job in list_jobs()] == list(ids)
    assert rows_in_store(backend) == 1


@pytest.mark.parametrize("end", ["exit", "shutdown", "kill"])
def test_a_job_outlives_its_client(
    submits: Start, tmp_path: Path, configure: Callable[..., JobBackend], end: str
) -> None:
    rest = {"exit": "", "shutdown": "shutdown_job_backend(wait=False)", "kill": "time.sleep(600)"}[end]
    first = submits(rest)
    job_id = first.line()
    wait_until(lambda: starts(tmp_path), "the run did not start")
    if end == "kill":
        os.kill(first.pid, signal.SIGKILL)
    else:
        first.rest()
    backend = configure()
    (listed,) = list_jobs()
    job = get_job(job_id)
    assert listed.job_id == job_id == job.job_id
    assert job.job_name == "counts"
    wait_until(lambda: job.status is JobStatus.RUNNING, "the job is not seen to run")
    assert not job.wait(1.0).is_final
    (tmp_path / "go").touch()
    assert job.result(SOON_S).run_uid == "counted"
    assert listed.wait(SOON_S) is JobStatus.COMPLETED
    assert rows_in_store(backend) == 1
    assert starts(tmp_path) == 1


def test_another_client_may_cancel(submits: Start, tmp_path: Path, backend: JobBackend) -> None:
    first = submits(
        """
try:
    job.result(120)
except JobCancelledError as error:
    say("cancelled", error.job_id == job.job_id)
"""
    )
    job = get_job(first.line())
    wait_until(lambda: starts(tmp_path), "the run did not start")
    assert job.cancel(grace=1.0)
    assert job.wait(SOON_S) is JobStatus.CANCELLED
    assert first.rest() == ["cancelled True"]


def test_code_that_was_sent_along_arrives_after_its_client_was_killed(
    client: Start, tmp_path: Path, backend: JobBackend
) -> None:
    waits = partial(capabilities.waits, str(tmp_path))
    holders = [submit(waits, tmp_path, run_uid=f"holder-{number}") for number in range(4)]
    wait_until(lambda: starts(tmp_path) == len(holders), "the cluster is not full")
    folder = tmp_path / "client-0"
    folder.mkdir()
    (folder / "beside.py").write_text(
        "from checkmaite.jobs.testing import SampleRun\n"
        "class Mine:\n"
        "    id = 'mine'\n"
        "    def run(self, *, config, **_):\n"
        "        import os, pathlib\n"
        "        print('read', pathlib.Path('data.txt').read_text(), os.environ['COLOUR'])\n"
        "        return SampleRun(run_uid='sent-along', capability_id=self.id)\n"
    )
    (folder / "data.txt").write_text("beside the code")
    first = client(
        """
import beside
configure(runtime_env={"working_dir": ".", "env_vars": {"COLOUR": "green"}})
job = submit_capability(beside.Mine(), config={})
say(job.job_id)
time.sleep(600)
"""
    )
    job = get_job(first.line())
    first.kill()
    assert not job.wait(2.0).is_final, "there was no room for it"
    (tmp_path / "go").touch()
    assert job.result(SOON_S).run_uid == "sent-along"
    wait_until(lambda: "read beside the code green" in job.logs(), "its output is missing")


# -- scopes and registries --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("registry", ["one", "each its own"])
def test_scopes_never_share(
    configure: Callable[..., JobBackend],
    own_options: dict[str, Any],
    tmp_path: Path,
    control: Control,
    registry: str,
) -> None:
    seen: dict[str, Job] = {}
    for scope in ("scope-a", "scope-b"):
        name = "of-both" if registry == "one" else None
        configure(**{**own_options, "idempotency_scope": scope, "registry_actor_name": name, "controller_pool_size": 1})
        seen[scope] = submit(capabilities.nothing, tmp_path, run_uid="the-same")
        assert seen[scope].wait(SOON_S) is JobStatus.COMPLETED
        assert [job.job_id for job in list_jobs()] == [seen[scope].job_id]
        for other, job in seen.items():
            if other != scope:
                with pytest.raises(KeyError):
                    get_job(job.job_id)
    assert seen["scope-a"].job_id != seen["scope-b"].job_id
    assert starts(tmp_path) == 2
    expected = (1, 1) if registry == "one" else (2, 2)
    wait_until(lambda: control.count() == expected, f"{expected} registries and controllers were expected")


# -- what holds a run key, and what releases it -----------------------------------------------------------------------


def test_live_and_completed_jobs_hold_the_run_key(backend: JobBackend, tmp_path: Path) -> None:
    waits = partial(capabilities.waits, str(tmp_path))
    first, again = (submit(waits, tmp_path, run_uid="held") for _ in range(2))
    assert first.job_id == again.job_id
    (tmp_path / "go").touch()
    assert again.result(SOON_S) == first.result(SOON_S)
    assert submit(waits, tmp_path, run_uid="held").job_id == first.job_id
    assert starts(tmp_path, "held") == 1


@pytest.mark.parametrize("end", ["FAILED", "CANCELLED"])
def test_a_job_without_a_result_releases_the_run_key(backend: JobBackend, tmp_path: Path, end: str) -> None:
    def act(folder: str, end: str) -> None:
        if len(list(Path(folder).glob("start-*"))) == 1:
            capabilities.raises() if end == "FAILED" else capabilities.waits(folder)

    def submitted() -> Job:
        return submit(partial(act, str(tmp_path), end), tmp_path, run_uid="released")

    first = submitted()
    if end == "CANCELLED":
        wait_until(lambda: starts(tmp_path), "it did not start")
        assert first.cancel(grace=5)
    assert first.wait(SOON_S) is JobStatus[end]
    second = submitted()
    assert second.job_id != first.job_id
    assert second.wait(SOON_S) is JobStatus.COMPLETED
    assert [job.job_id for job in list_jobs()] == [second.job_id, first.job_id]
    assert get_job(first.job_id).status is JobStatus[end]


def test_force_runs_again_and_says_what_it_superseded(backend: JobBackend, tmp_path: Path) -> None:
    first = submit(capabilities.nothing, tmp_path, run_uid="forced")
    assert first.wait(SOON_S) is JobStatus.COMPLETED
    second = submit(capabilities.nothing, tmp_path, run_uid="forced", force=True)
    assert second.job_id != first.job_id
    assert second.wait(SOON_S) is JobStatus.COMPLETED
    assert starts(tmp_path, "forced") == 2
    assert "supersede" in get_job(second.job_id).explain()
    assert first.job_id in second.explain()
    assert first.job_id in get_job(second.job_id).explain()
    assert first.status is JobStatus.COMPLETED
    assert submit(capabilities.nothing, tmp_path, run_uid="forced").job_id == second.job_id
    assert rows_in_store(backend) == 1, "readers see the newest result of a run"
    assert (first.result(0).revision, second.result(0).revision) == (1, 2)
    assert len(backend.analytics_store.read_table("sample_scores", revision="all")) == 2  # type: ignore[call-arg]


def test_a_batch_with_the_same_run_twice_has_one_job(backend: JobBackend, tmp_path: Path) -> None:
    sample = {"capability": SampleCapability(folder=str(tmp_path)), "config": {"run_uid": "twice"}}
    one, other = submit_capabilities([sample, sample])
    assert one.job_id == other.job_id
    assert one.result(SOON_S) == other.result(SOON_S)
    assert submit_capability(**sample).job_id == one.job_id


def test_threads_that_meet_over_one_job_all_learn_its_end(backend: JobBackend, tmp_path: Path) -> None:
    waits = partial(capabilities.waits, str(tmp_path))
    ready = threading.Barrier(8)

    def meet(number: int) -> list[Job]:
        ready.wait()
        return [submit(waits, tmp_path, run_uid="met"), *list_jobs()] if number % 2 else list_jobs()

    with ThreadPoolExecutor(8) as threads:
        seen = [job for jobs in threads.map(meet, range(8)) for job in jobs]
    assert len({job.job_id for job in seen}) == 1
    (tmp_path / "go").touch()
    assert set(wait_all(seen, SOON_S)) == {JobStatus.COMPLETED}
    assert starts(tmp_path, "met") == 1


def test_an_operator_sees_and_stops_jobs_of_all_scopes(
    configure: Callable[..., JobBackend], scope: str, tmp_path: Path
) -> None:
    named = {each: f"{scope}-{each}" for each in ("theirs", "secret")}
    configure(idempotency_scope=named["secret"], scope_key="a key that is long enough")
    submit(capabilities.nothing).wait(SOON_S)
    configure(idempotency_scope=named["theirs"])
    waits = partial(capabilities.tells_its_start_and_waits, str(tmp_path))
    jobs = [submit(waits, tmp_path, job_name=name) for name in ("goes on", "is stopped")]
    wait_until(lambda: all(job.status is JobStatus.RUNNING for job in jobs), "not all jobs run")
    configure()
    own = submit(capabilities.nothing)
    since = min(job.created_at for job in jobs).timestamp()
    assert list_jobs(submitted_after_ts=since) == [own], "as before"
    found = list_jobs(submitted_after_ts=since, all_scopes=True)
    assert [(job.job_name, job.info.scope) for job in found if job in jobs] == [
        ("is stopped", named["theirs"]),
        ("goes on", named["theirs"]),
    ]
    assert own in found
    assert named["secret"] not in {job.info.scope for job in list_jobs(limit=None, all_scopes=True)}
    stopped, goes_on = (job for job in found if job in jobs)
    assert goes_on is not jobs[0], "it is followed anew"
    wait_until(lambda: "started in" in goes_on.logs(), "what it printed is not there")
    assert "RUNNING on" in goes_on.explain()
    assert stopped.cancel(grace=0)
    assert stopped.wait(SOON_S) is JobStatus.CANCELLED
    (tmp_path / "go").touch()
    assert goes_on.wait(SOON_S) is JobStatus.COMPLETED, "its handle hears of it"
