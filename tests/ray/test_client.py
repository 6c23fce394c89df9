"""The heart of it once more through ``ray://``."""

from __future__ import annotations

import socket
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import pytest
from checkmaite.jobs import JobBackend, JobStatus, list_jobs

from tests.ray.clusters import SOON_S, Client, Cluster, wait_until

SCRIPT = """
from checkmaite.jobs.testing import SampleRun
configure(address=os.environ["ADDRESS"])

def sample(act, run_uid, **arguments):
    capability = SampleCapability(act=act, folder=os.environ["FOLDER"])
    return submit_capability(capability, config={"run_uid": run_uid}, **arguments)

class Dies:
    id = "dies"
    def run(self, **_):
        os._exit(3)

"""
WAITING = """
job = sample("wait", "waiting", job_name="the-waiting-one")
say(job.job_id)
time.sleep(600)
"""
ALL = """
jobs = submit_capabilities(
    [{"capability": SampleCapability(), "config": {"run_uid": f"u{n}"}} for n in range(50)]
)
say(len({job.job_id for job in as_completed(jobs, 120)}), {str(job.status) for job in jobs})
say(jobs[7].result(0).run_uid, submit_capability(SampleCapability(), config={"run_uid": "u7"}).job_id == jobs[7].job_id)
bad = sample("fail", "bad").exception(120)
say(type(bad).__name__, bad.error_type, bad.phase, "told to fail" in bad.traceback_text, bad.pid is not None)
dead = submit_capability(Dies(), max_retries=0).exception(120)
say(type(dead).__name__, dead.phase, bool(dead.exit_cause))
queued = sample("return", "queued", resources={"num_gpus": 5})
while "5 GPUs" not in queued.explain():
    time.sleep(0.02)
say(queued.cancel(), queued.wait(120))
again = sample("return", "u7", force=True)
say(again.result(120).run_uid, "supersede" in again.explain())
say(len(list_jobs(limit=20)), [job.capability_id for job in list_jobs(capability_id="dies")])
say(get_job_backend().analytics_store.query_sql("select count(distinct run_uid) from sample_scores")[0][0])

waiting = sample("wait", "waiting")
say(waiting.job_id)
while waiting.progress is None or "the sample waits" not in waiting.logs():
    time.sleep(0.02)
say(waiting.status, waiting.progress.message)
say(waiting.cancel(grace=5), waiting.wait(120))
shutdown_job_backend()
"""
SAID = [
    "50 {'COMPLETED'}",
    "u7 True",
    "JobFailedError ValueError run True True",
    "JobFailedError run True",
    "True CANCELLED",
    "u7 True",
    "20 ['dies']",
    "50",
]


@pytest.fixture
def start(client: Callable[..., Client], cluster: Cluster, tmp_path: Path) -> Callable[[str], Client]:
    return lambda text: client(SCRIPT + text, env={"FOLDER": str(tmp_path), "ADDRESS": cluster.client})


def test_all_of_it_through_the_client_server(start: Callable[[str], Client], tmp_path: Path) -> None:
    """The first client is killed while its job runs; the second finds that job, and does everything else."""
    first = start(WAITING)
    job_id = first.line()
    wait_until((tmp_path / "started").exists, "the job did not start")
    first.kill()
    second = start(ALL)
    assert [second.line() for _ in SAID] == SAID
    assert second.line() == job_id
    assert second.rest() == ["RUNNING waiting", "True CANCELLED"]


def test_jobs_of_a_client_are_seen_by_drivers(
    start: Callable[[str], Client], tmp_path: Path, backend: JobBackend
) -> None:
    job_id = start(WAITING).line()
    (job,) = list_jobs(job_name="the-waiting-one")
    assert job.job_id == job_id
    wait_until(lambda: job.status is JobStatus.RUNNING, "the job is not seen to run")
    (tmp_path / "go").touch()
    assert job.result(SOON_S).run_uid == "waiting"


NAMED_S = 60.0
"""Two seconds on a quiet machine; Ray itself says nothing for minutes."""
NO_VIRTUALENV = """
configure(runtime_env={"pip": ["attrs"]})
began = time.monotonic()
error = submit_capability(SampleCapability(), config={"run_uid": "u"}).exception(120)
say(time.monotonic() - began)
say(error.phase, error.error_message)
say(*str(error).splitlines()[:3])
"""
NO_PROGRAM = """
configure(runtime_env={"py_executable": "/no/such/python"})
job = submit_capability(SampleCapability(), config={"run_uid": "u"})
began = time.monotonic()
while "py_executable" not in (said := job.explain()):
    time.sleep(0.05)
say(time.monotonic() - began)
say(said)
say(job.cancel(grace=0), job.wait(120))
"""


def test_environments_that_no_node_can_prepare_are_named(client: Callable[..., Client], tmp_path: Path) -> None:
    """On a cluster of its own: for a minute the starts that failed keep a node's other workers from starting."""
    with Cluster(num_cpus=2) as own:
        place = {"address": own.driver, "journal_uri": str(tmp_path / "journals")}
        if find_spec("virtualenv") is None:
            failing = client(NO_VIRTUALENV, **place)
            assert float(failing.line()) < NAMED_S
            assert failing.line().startswith("launch RuntimeError: Please install virtualenv")
            assert "Install virtualenv in the Python of every node" in failing.line()
        waiting = client(NO_PROGRAM, **place)
        assert float(waiting.line()) < NAMED_S
        assert f"py_executable='/no/such/python' is not on {socket.gethostname()}" in waiting.line()
        assert waiting.line() == "True CANCELLED"
