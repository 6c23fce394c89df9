"""One connection of a process, used by several: it stays while anybody needs it, and no longer."""

from __future__ import annotations

from pathlib import Path

from tests.ray_simple.conftest import SLIM
from tests.scripts import run_script

LOCAL = """
import pathlib, threading, ray
from checkmaite.jobs import *
from checkmaite.jobs.testing import SampleCapability
from checkmaite.jobs_ray_simple.cluster import ConnectionOptions, connect, is_connected

def gone():  # Ray ends on the thread that brings the last job home
    while is_connected():
        threading.Event().wait(0.01)
    return True

options = dict(address="local", num_cpus=1, object_store_memory=100_000_000)
null = {"backend": "null"}
folder = str(pathlib.Path.cwd())
waits = SampleCapability(act="wait", folder=folder)
"""


def test_the_last_user_ends_the_ray_that_was_started_here(tmp_path: Path) -> None:
    script = """
first = connect(ConnectionOptions(**options), live_jobs=lambda: 0)
second = connect(ConnectionOptions(), live_jobs=lambda: 0)
configure_job_backend("ray-simple", analytics_store=null, **options)
print(first.identity == second.identity, first.is_alive())
first.release()
first.release()
job = submit_capability(waits, config={"run_uid": "u"})
shutdown_job_backend(wait=False)
print(job.status)
print(is_connected())
second.release()
print(is_connected(), second.is_alive())
"""
    assert run_script(SLIM + LOCAL + script, tmp_path) == "True True\nCANCELLED\nTrue\nFalse False\n"


def test_a_ray_that_the_user_started_stays(tmp_path: Path) -> None:
    script = """
ray.init(include_dashboard=False, log_to_driver=False, _node_ip_address="127.0.0.1", **options)
connect(ConnectionOptions(), live_jobs=lambda: 0).release()
print(is_connected())
connection = connect(ConnectionOptions(num_cpus=2, object_store_memory=100_000_000, force_reinit=True), live_jobs=int)
ray.shutdown()
ray.init(include_dashboard=False, log_to_driver=False, _node_ip_address="127.0.0.1", **options)
again = connect(ConnectionOptions(num_cpus=1), live_jobs=lambda: 0)
connection.release()
again.release()
print(is_connected(), connection.is_alive(), again.is_alive())
ray.shutdown()
"""
    assert run_script(SLIM + LOCAL + script, tmp_path) == "True\nTrue False True\n"


def test_live_jobs_of_every_user_are_counted_before_the_connection_ends(tmp_path: Path) -> None:
    script = """
other = connect(ConnectionOptions(**options), live_jobs=lambda: 2)
configure_job_backend("ray-simple", analytics_store=null)
job = submit_capability(waits, config={"run_uid": "u"})
anew = ConnectionOptions(num_cpus=2, object_store_memory=100_000_000, force_reinit=True)
def refused():
    try:
        connect(anew, live_jobs=lambda: 0)
    except ConfigurationError as error:
        return [word for word in str(error).split() if word.isdigit()][-1]
print(refused())
other.release()
print(refused())
pathlib.Path("go").touch()
job.result(120)
before = other.identity
print(connect(anew, live_jobs=lambda: 0).identity != before)
print(len(list_jobs()))
try:
    submit_capability(waits, config={"run_uid": "v"})
except JobSubmissionError as error:
    print(error.phase)
"""
    assert run_script(SLIM + LOCAL + script, tmp_path) == "3\n1\nTrue\n1\nconnect\n"


def test_jobs_of_a_backend_that_was_replaced_go_on_and_then_ray_ends(tmp_path: Path) -> None:
    script = """
configure_job_backend("ray-simple", analytics_store=null, **options)
configure_job_backend("inline", analytics_store=null)
print(is_connected())
configure_job_backend("ray-simple", analytics_store=null, **options)
job = submit_capability(waits, config={"run_uid": "u"})
configure_job_backend("inline", analytics_store=null)
shutdown_job_backend()
print(is_connected())
pathlib.Path("go").touch()
print(job.result(120).run_uid, gone())
"""
    assert run_script(SLIM + LOCAL + script, tmp_path) == "False\nTrue\nu True\n"
