"""Where Ray is: local, the user's own, a cluster, a cluster's client server. Each in a process of its own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from checkmaite.jobs import ConfigurationError, configure_job_backend, shutdown_job_backend

from tests.ray_simple.conftest import SLIM, free_port
from tests.scripts import run_script

NULL = {"backend": "null"}
KINDS = ["driver", "client"]

MAIN = """
import os, sys, pathlib
from checkmaite.jobs import *
from checkmaite.jobs.testing import SampleRun

class Mine:
    id = "mine"
    def run(self, *, models, datasets, metrics, config, use_cache):
        print("env", os.environ.get("COLOUR"), pathlib.Path("beside.txt").exists())
        return SampleRun(run_uid=config["run_uid"], capability_id=self.id)

configure_job_backend(
    "ray-simple", analytics_store={"backend": "null"},
    runtime_env={"working_dir": ".", "env_vars": {"COLOUR": "green"}}, OPTIONS
)
job = submit_capability(Mine(), config={"run_uid": "u"})
print(job.result(120).run_uid, job.logs())
bad = submit_capability(Mine(), config={"uid": "u"})
print(type(bad.exception(120)).__name__, bad.exception().error_type)
queued = submit_capability(Mine(), config={"run_uid": "v"}, resources={"num_gpus": 7})
print(queued.cancel(), queued.wait(120))
REST
shutdown_job_backend()
import ray
print("ray is up:", ray.is_initialized())
"""
EXPECTED = "u env green True\n\nJobFailedError KeyError\nTrue CANCELLED\n"
LOCAL = 'address="local", num_cpus=1, object_store_memory=100_000_000'


def _script(options: str, rest: str = "") -> str:
    return MAIN.replace("OPTIONS", options).replace("REST", rest)


def test_a_local_ray_runs_what_main_defines_and_listens_on_loopback_only(tmp_path: Path) -> None:
    (tmp_path / "beside.txt").touch()
    listening = """
import ray, psutil
mine = psutil.Process().children(recursive=True)
open_ports = [c.laddr.ip for p in mine for c in p.net_connections("tcp") if c.status == "LISTEN"]
loopback = {"127.0.0.1", "::1", "::ffff:127.0.0.1"}
print("elsewhere:", sorted(set(open_ports) - loopback), len(open_ports) > 3)
"""
    stdout = run_script(_script(LOCAL, listening), tmp_path)
    assert stdout == EXPECTED + "elsewhere: [] True\nray is up: False\n"


@pytest.mark.parametrize("kind", KINDS)
def test_a_cluster_is_used_and_left_running(cluster: dict[str, str], tmp_path: Path, kind: str) -> None:
    (tmp_path / "beside.txt").touch()
    stdout = run_script(_script(f"address={cluster[kind]!r}"), tmp_path, RAY_AUTH_MODE="disabled")
    assert stdout == EXPECTED + "ray is up: False\n"


@pytest.mark.parametrize("address", ["127.0.0.1:{port}", "ray://127.0.0.1:{port}"])
def test_a_cluster_that_does_not_answer_is_an_error_soon(tmp_path: Path, address: str) -> None:
    where = address.format(port=free_port())
    script = f"""
from checkmaite.jobs import *
try:
    configure_job_backend("ray-simple", address={where!r}, analytics_store={NULL!r}, connect_timeout_s=5)
except ConfigurationError as error:
    print(error)
"""
    assert where in run_script(script, tmp_path)


@pytest.mark.parametrize("options", [{"num_cpus": 7}, {"runtime_env": {"env_vars": {"A": "1"}}}, {"address": "auto"}])
def test_a_ray_that_differs_is_an_error_that_names_force_reinit(local_ray: Any, options: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError, match="force_reinit=True"):
        configure_job_backend("ray-simple", analytics_store=NULL, **options)
    assert local_ray.is_initialized()


def test_a_ray_that_fits_is_used_as_it_is(local_ray: Any) -> None:
    configure_job_backend("ray-simple", analytics_store=NULL, address="local", num_cpus=2)
    shutdown_job_backend()
    assert local_ray.is_initialized()


def test_a_refused_start_leaves_nothing_in_the_way_of_the_next(tmp_path: Path) -> None:
    script = """
from checkmaite.jobs import *
from checkmaite.jobs.testing import SampleCapability
import ray, psutil
options = dict(analytics_store={"backend": "null"}, address="local", num_cpus=1, object_store_memory=100_000_000)
try:
    configure_job_backend("ray-simple", runtime_env={"working_dir": "/nowhere/at/all"}, **options)
except ConfigurationError as error:
    print("/nowhere/at/all" in str(error))
psutil.wait_procs(psutil.Process().children(recursive=True), timeout=120)
print(len(psutil.Process().children(recursive=True)), "processes")
configure_job_backend("ray-simple", runtime_env={"working_dir": "."}, **options)
print(submit_capability(SampleCapability(), config={"run_uid": "u"}).result(120).run_uid)
shutdown_job_backend()
"""
    assert run_script(SLIM + script, tmp_path) == "True\n0 processes\nu\n"


@pytest.mark.parametrize("kind", KINDS)
def test_a_relative_store_is_refused_for_a_cluster_that_the_user_connected_to(
    cluster: dict[str, str], tmp_path: Path, kind: str
) -> None:
    script = f"""
import ray
from checkmaite.jobs import *
ray.init({cluster[kind]!r}, log_to_driver=False)
for store in ("store", "/shared/store"):
    try:
        configure_job_backend("ray-simple", analytics_store={{"backend": "parquet", "uri": store}}, num_cpus=2)
        print("accepted")
    except ConfigurationError as error:
        print([problem.path for problem in error.problems])
shutdown_job_backend()
"""
    stdout = run_script(script, tmp_path, RAY_AUTH_MODE="disabled")
    assert stdout == "['analytics_store.uri']\naccepted\n"


def test_a_relative_store_is_taken_for_a_ray_of_this_process(
    local_ray: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    backend = configure_job_backend("ray-simple", analytics_store={"backend": "parquet", "uri": "store"})
    assert backend.analytics_store.list_tables() == []
    shutdown_job_backend()
    assert local_ray.is_initialized()


def test_force_reinit_connects_anew_but_never_ends_live_jobs(tmp_path: Path) -> None:
    script = """
from checkmaite.jobs import *
from checkmaite.jobs.testing import SampleCapability
import pathlib, ray
options = dict(analytics_store={"backend": "null"}, address="local", object_store_memory=100_000_000)
first = configure_job_backend("ray-simple", num_cpus=1, **options)
folder = str(pathlib.Path.cwd())
job = submit_capability(SampleCapability(act="wait", folder=folder), config={"run_uid": "u"})
try:
    configure_job_backend("ray-simple", num_cpus=2, force_reinit=True, **options)
except ConfigurationError as error:
    print("1 job not final yet" in str(error))
configure_job_backend("ray-simple", num_cpus=1, **options)
first.shutdown
pathlib.Path("go").touch()
print(job.result(120).run_uid)
configure_job_backend("ray-simple", num_cpus=2, force_reinit=True, **options)
print(ray.cluster_resources()["CPU"])
again = submit_capability(SampleCapability(), config={"run_uid": "v"})
print(again.result(120).run_uid)
shutdown_job_backend()
""".replace("first.shutdown\n", "").replace("first = ", "")
    assert run_script(SLIM + script, tmp_path) == "True\nu\n2.0\nv\n"


def test_force_reinit_ends_nothing_for_an_address_where_nobody_answers(tmp_path: Path) -> None:
    addresses = [f"127.0.0.1:{free_port()}", f"ray://127.0.0.1:{free_port()}"]
    script = f"""
{SLIM}
from checkmaite.jobs import *
from checkmaite.jobs.testing import SampleCapability
store = {{"backend": "null"}}
first = configure_job_backend(
    "ray-simple", analytics_store=store, address="local", num_cpus=1, object_store_memory=100_000_000
)
for where in {addresses!r}:
    try:
        configure_job_backend(
            "ray-simple", analytics_store=store, address=where, force_reinit=True, connect_timeout_s=5
        )
    except ConfigurationError as error:
        print(where in str(error))
    job = submit_capability(SampleCapability(), config={{"run_uid": where}})
    print(get_job_backend() is first, job.result(120).run_uid == where)
shutdown_job_backend()
"""
    assert run_script(script, tmp_path) == "True\nTrue True\n" * 2


LATE = """
import atexit, time
from contextlib import suppress
import ray, psutil
from ray._private import services
from checkmaite.jobs import *
from checkmaite.jobs.testing import SampleCapability
atexit.register(lambda: print("still up:", ray.is_initialized()))
options = dict(
    kind="ray-simple", analytics_store={"backend": "null"}, address="local", num_cpus=1, object_store_memory=100_000_000
)
find, late, earlier = services.get_node, [1, 2, 3], []

def get_node(*args, **kwargs):
    if late:
        earlier.extend(psutil.Process().children(recursive=True))
        late.pop()
        raise Exception("The current node timed out during startup.")
    return find(*args, **kwargs)

def living():  # one that has ended stays a zombie where nobody waits for it
    found = []
    for each in earlier:
        with suppress(psutil.NoSuchProcess):
            if each.is_running() and each.status() != psutil.STATUS_ZOMBIE:
                found.append(each)
    return found

def left():  # agents end a moment after their raylet
    until = time.monotonic() + 120
    while living() and time.monotonic() < until:
        time.sleep(0.1)
    return living()

services.get_node = get_node
try:
    configure_job_backend(**options)
except BackendUnavailableError as error:
    print(late, "2 times" in str(error), "ray start --head" in str(error))
print("of two starts:", len(earlier) > 3, left())
configure_job_backend(**options)
services.get_node = find
print("of three starts:", late, left())
print(submit_capability(SampleCapability(), config={"run_uid": "u"}).result(120).run_uid)
running = " ".join(" ".join(each.cmdline()) for each in psutil.Process().children())
print([name for name in ("raylet", "monitor.py", "log_monitor.py", "dashboard/dashboard.py") if name in running])
"""


def test_a_start_that_ray_gives_up_is_made_once_more_and_leaves_nothing(tmp_path: Path) -> None:
    """It is late three times: the first configuration fails, and the second one needs two starts."""
    assert run_script(LATE, tmp_path).splitlines() == [
        "[1] True True",
        "of two starts: True []",
        "of three starts: [] []",
        "u",
        "['raylet']",
        "still up: False",
    ]
