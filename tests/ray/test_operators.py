"""What whoever runs the cluster relies on: few processes, placement, bounds, versions, authentication."""

from __future__ import annotations

import os
import secrets
import signal
import subprocess
import sys
import time
import venv
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from checkmaite.jobs import (
    BackendUnavailableError,
    IncompatibleVersionError,
    Job,
    JobBackend,
    JobNotFoundError,
    JobsError,
    JobStatus,
    get_job,
    list_jobs,
    wait_all,
)

from tests.ray import capabilities
from tests.ray.clusters import CONTROLLER, REGISTRY, SOON_S, Client, Cluster, another_core, wait_until
from tests.ray.conftest import Control, starts, submit
from tests.ray_simple.conftest import older_core

Configure = Callable[..., JobBackend]
Start = Callable[..., Client]
ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.usefixtures("attached")


# -- processes and where they are -------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [None, 1])
def test_the_number_of_actors_does_not_depend_on_the_number_of_jobs(
    configure: Configure, own_options: dict[str, Any], control: Control, size: int | None
) -> None:
    configure(**own_options, controller_pool_size=size)
    jobs = [submit(capabilities.nothing, resources={"num_gpus": 5}) for _ in range(50)]
    wait_until(lambda: all(job.status is JobStatus.SCHEDULING for job in jobs), "Ray does not have all jobs")
    registries, controllers = control.count()
    assert registries == 1
    assert controllers == size or (size is None and 1 <= controllers <= 4)
    for job in jobs:
        job.cancel()
    assert wait_all(jobs, SOON_S) == [JobStatus.CANCELLED] * 50
    assert control.count() == (registries, controllers)


def test_workers_need_only_core_a_store_and_the_capability(
    cluster: Cluster, configure: Configure, own_options: dict[str, Any], control: Control, tmp_path: Path
) -> None:
    """Registries and controllers stay with the head, also when they are restarted: the other node has no backend."""
    python = environment_without_backends(tmp_path / "venv")
    plain = cluster.add_node(1, {"plain": 1}, python=str(python), PYTHONPATH="")
    try:
        backend = configure(**own_options)
        for killed in (control.registry(), *control.controllers()):
            os.kill(killed, signal.SIGKILL)

        def act(folder: str) -> None:
            import importlib.util

            names = ("jobs", "store_parquet", "jobs_ray", "jobs_ray_simple")
            found = [name for name in names if importlib.util.find_spec(f"checkmaite.{name}")]
            Path(folder, "found").write_text(f"{os.getpid()} {found}")

        job = submit(partial(act, str(tmp_path)), resources={"custom": {"plain": 1}})
        assert job.wait(SOON_S) is JobStatus.COMPLETED, job.explain()
        pid, _, found = (tmp_path / "found").read_text().partition(" ")
        assert int(pid) in plain.pids()
        assert found == "['jobs', 'store_parquet']"
        assert {control.registry(), *control.controllers()} <= cluster.head.pids()
        for name in ("one", "two", "three"):
            configure(**{**own_options, "registry_actor_name": name})
        assert not plain.pids(REGISTRY) | plain.pids(CONTROLLER)
        assert backend.analytics_store.list_tables() == ["runs", "sample_scores"]
    finally:
        plain.end()


def environment_without_backends(folder: Path) -> Path:
    """A Python that sees what this one sees, but of this project only core and the Parquet store."""
    venv.EnvBuilder(symlinks=True).create(folder)
    python = folder / "bin" / "python"
    packages = [ROOT / "packages" / name / "src" for name in ("checkmaite-jobs-core", "checkmaite-store-parquet")]
    purelib = subprocess.check_output(
        [python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"], text=True
    )
    # Below a folder that is only on the path, no .pth files are read: editable installs are not seen.
    seen = [each for each in sys.path if each.endswith("-packages")] + [str(each) for each in packages]
    Path(purelib.strip(), "seen.pth").write_text("\n".join(seen))
    return python


# -- overload and retention -------------------------------------------------------------------------------------------

BURST = """
import threading
configure()
refusals, jobs = [], []

def submit_all(first):
    for number in range(first, first + 5):
        while True:
            try:
                jobs.append(submit_capability(
                    SampleCapability(folder=os.environ["FOLDER"]), config={"run_uid": f"{os.environ['WHO']}-{number}"}
                ))
                break
            except BackpressureError as error:
                assert error.retryable and 0 < error.retry_after_s < 60
                refusals.append(error)
                time.sleep(error.retry_after_s)

threads = [threading.Thread(target=submit_all, args=(5 * each,)) for each in range(8)]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
assert {str(status) for status in wait_all(jobs, 120)} == {"COMPLETED"}
say(len(refusals), len({job.job_id for job in jobs}))
"""


@pytest.mark.parametrize(
    "limits",
    [{"max_active_jobs_per_scope": 3}, {"registry_max_pending_calls": 1, "controller_max_pending_calls": 1}],
    ids=["live jobs", "pending calls"],
)
def test_a_burst_is_refused_in_part_and_goes_through_once(
    client: Start, cluster: Cluster, own_options: dict[str, Any], configure: Configure, tmp_path: Path, limits: Any
) -> None:
    (tmp_path / "ran").mkdir()
    limited = {**own_options, "analytics_store": {"backend": "null"}, **limits}
    configure(**limited)
    bursts = [
        client(BURST, env={"FOLDER": str(tmp_path / "ran"), "WHO": who}, **{**limited, "address": address})
        for who, address in (("driver", cluster.driver), ("client", cluster.client))
    ]
    said = [tuple(map(int, burst.line(2 * SOON_S).split())) for burst in bursts]
    assert [accepted for _, accepted in said] == [40, 40]
    assert all(refused for refused, _ in said), "the limits were not kept"
    jobs = list_jobs(1000)
    assert len({job.job_id for job in jobs}) == len(jobs) == 80, "something was accepted and refused at once"
    for mark in ("ran-*", "executed-*"):
        assert len(list((tmp_path / "ran").glob(mark))) == 80


@pytest.mark.parametrize(
    "limits", [{"max_retained_terminal_jobs_per_scope": 5}, {"terminal_job_retention_s": 1.0}], ids=["number", "age"]
)
def test_finished_jobs_are_listed_for_a_bounded_time(
    configure: Configure, own_options: dict[str, Any], limits: Any
) -> None:
    configure(**own_options, **limits)
    jobs = []
    for _ in range(12):  # one after the other, so that the first to be submitted is the first to be forgotten
        jobs.append(submit(capabilities.nothing))
        assert jobs[-1].wait(SOON_S) is JobStatus.COMPLETED
    kept = limits.get("max_retained_terminal_jobs_per_scope", 0)
    wait_until(lambda: len(list_jobs()) <= kept, "finished jobs are kept")
    assert [job.job_id for job in list_jobs()] == [job.job_id for job in reversed(jobs)][:kept]
    with pytest.raises(JobNotFoundError):
        get_job(jobs[0].job_id)
    assert jobs[0].result(0).run_uid, "who has a handle keeps the result"


@pytest.mark.parametrize("limits", [{"controller_retention_s": 0.5}, {"max_retained_terminal_controllers": 0}])
def test_what_controllers_keep_of_finished_jobs_is_bounded(
    configure: Configure, own_options: dict[str, Any], limits: Any
) -> None:
    backend = configure(**own_options, **limits)
    job = submit(partial(print, "some output"))
    ref = job.result(SOON_S)
    wait_until(lambda: "some output" not in get_job(job.job_id).logs(), "the output is kept")
    again = get_job(job.job_id)
    assert again.result(SOON_S) == ref
    assert backend.analytics_store.get_run_uri(ref.run_uid)


# -- versions and settings --------------------------------------------------------------------------------------------


def test_settings_that_do_not_fit_the_registry_are_refused(
    configure: Configure, own_options: dict[str, Any], client: Start
) -> None:
    configure(**own_options, controller_pool_size=1)
    other = client(
        """
try:
    configure(controller_pool_size=3)
except ConfigurationError as error:
    say(error)
configure()
say("without it:", submit_capability(SampleCapability(), config={"run_uid": "u"}).result(120).run_uid)
""",
        **own_options,
    )
    *said, last = other.rest()
    text = "\n".join(said)
    assert "controller_pool_size" in text
    assert "1" in text
    assert "3" in text
    assert last == "without it: u"


@pytest.mark.parametrize(("version", "side"), [("99.0.0", "registry"), ("0.0.1", "client")])
def test_another_version_is_refused_with_the_side_to_change(
    backend: JobBackend, client: Start, tmp_path: Path, version: str, side: str
) -> None:
    other = client(
        "try:\n    configure()\nexcept IncompatibleVersionError as error:\n    say(error)",
        env=another_core(version, tmp_path / "site"),
    )
    said = "\n".join(other.rest())
    assert version in said
    assert side in said.lower()
    assert issubclass(IncompatibleVersionError, JobsError)
    assert submit(capabilities.nothing).wait(SOON_S) is JobStatus.COMPLETED, "the registry must not mind"


def test_an_older_core_on_a_worker_is_refused_before_anything_is_asked_of_it(
    backend: JobBackend, client: Start, tmp_path: Path
) -> None:
    other = client(
        f"""
configure(runtime_env={older_core(tmp_path / "site")!r})
error = submit_capability(SampleCapability(), config={{"run_uid": "u"}}).exception(120)
say(error.error_type, error.error_message)
"""
    )
    said = "\n".join(other.rest())
    assert said.startswith("checkmaite.jobs.IncompatibleVersionError ")
    assert "Upgrade checkmaite-jobs-core on the worker" in said


def test_a_job_whose_controller_finds_no_node_says_so(configure: Configure, own_options: dict[str, Any]) -> None:
    configure(**own_options, controller_resources={"nowhere": 1})
    job = submit(capabilities.nothing)
    wait_until(lambda: "'nowhere'" in job.explain(), "the missing resource is not named")


# -- a registry that does not answer ----------------------------------------------------------------------------------


def test_a_stopped_registry_hangs_nobody(
    configure: Configure, own_options: dict[str, Any], control: Control, client: Start, tmp_path: Path
) -> None:
    own_options |= {"heartbeat_interval_s": 0.5, "lease_ttl_s": 6.0}  # shorter than the registry is stopped
    impatient = {**own_options, "registry_update_timeout_s": 2.0, "registry_startup_timeout_s": 3.0}
    configure(**own_options)
    started = submit(partial(capabilities.waits, str(tmp_path)), tmp_path)
    wait_until(lambda: started.status is JobStatus.RUNNING, "the job is not seen to run")
    registry = control.registry()

    def seen_by_an_impatient_client() -> Job | None:
        with suppress(BackendUnavailableError):  # on a busy machine an answer may take longer
            configure(**impatient)
            return get_job(started.job_id)
        return None

    job = wait_until(seen_by_an_impatient_client, "the registry does not answer in time")
    os.kill(registry, signal.SIGSTOP)
    try:
        for call in (lambda: submit(capabilities.nothing), list_jobs, lambda: get_job("job-not-known-here")):
            began = time.monotonic()
            with pytest.raises(JobsError, match="registry") as caught:
                call()
            assert not isinstance(caught.value, JobNotFoundError), "nobody knows whether it is there"
            assert time.monotonic() - began < SOON_S
        began = time.monotonic()
        assert job.wait(0.5) is JobStatus.RUNNING
        assert job.explain()
        assert time.monotonic() - began < SOON_S
        newcomer = client(
            "try:\n    configure()\nexcept JobsError as error:\n    say(type(error).__name__, error)\n",
            **impatient,
        )
        assert newcomer.rest(), "a new client must be told"
    finally:
        os.kill(registry, signal.SIGCONT)
    (tmp_path / "go").touch()
    assert job.wait(SOON_S) is JobStatus.COMPLETED
    configure(**own_options)
    assert submit(capabilities.nothing).wait(SOON_S) is JobStatus.COMPLETED
    assert starts(tmp_path) == 1, "a controller that was not heard meanwhile was taken for silent"


# -- authentication ---------------------------------------------------------------------------------------------------


def test_token_authentication(tmp_path: Path, options: dict[str, Any]) -> None:
    token = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)}
    text = """
configure()
job = submit_capability(SampleCapability(), config={"run_uid": os.environ["ADDRESS"]})
say(job.result(120).run_uid)
say(os.environ["RAY_AUTH_TOKEN"] in repr(get_job_backend()) + repr(job) + job.explain() + job.logs())
"""
    with Cluster(num_cpus=1, client_server=True, **token) as cluster:
        for number, address in enumerate((cluster.driver, cluster.client)):
            here = {**options, "address": address, "journal_uri": str(tmp_path / "journal")}
            each = Client(text, tmp_path / f"authenticated-{number}", here, **token, ADDRESS=address)
            assert each.rest() == [address, "False"]
