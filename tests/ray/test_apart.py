"""The control plane takes nothing from the process that made it, and does not import what jobs import."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.ray.clusters import Client
from tests.ray_simple.conftest import SLIM

Start = Callable[..., Client]
SOURCES = Path(__file__).parents[2] / "packages"

MAKES_A_REGISTRY = """
import beside
configure()
job = submit_capability(beside.Mine(), config={})
job.result(120)
while not job.logs():  # it may arrive after the job's end
    time.sleep(0.01)
say(job.logs().strip())
"""
BESIDE = """
import os
from checkmaite.jobs.testing import SampleRun
class Mine:
    id = "mine"
    def run(self, **_):
        print(os.environ.get("COLOUR"))
        return SampleRun(run_uid="beside", capability_id=self.id)
"""
SENT = {"working_dir": ".", "env_vars": {"COLOUR": "green"}}


def _look() -> Callable[[Any], dict[str, Any]]:
    """Says what the process of an actor has. Nested, so that it travels by value."""

    def look(_: Any) -> dict[str, Any]:
        import os
        import sys

        files = [str(getattr(each, "__file__", "")) for each in list(sys.modules.values())]
        return {"names": [*sys.path, os.getcwd(), *files], "variables": list(os.environ)}  # noqa: PTH109

    return look


@pytest.mark.parametrize("runtime_env", [None, SENT], ids=["nothing sent", "working_dir and env_vars"])
def test_nothing_of_the_client_that_made_it_is_in_the_control_plane(
    client: Start, own_options: dict[str, Any], attached: Any, tmp_path: Path, runtime_env: Any
) -> None:
    folder = tmp_path / "client-0"
    folder.mkdir()
    (folder / "beside.py").write_text(BESIDE)
    # The variable is of the client's own process too: it reaches its job only where it is sent.
    colour = "green" if runtime_env else "None"
    assert client(MAKES_A_REGISTRY, env={"COLOUR": "red"}, **own_options, runtime_env=runtime_env).rest() == [colour]
    namespace = own_options["registry_namespace"]
    named = attached.util.list_named_actors(all_namespaces=True)
    actors = [attached.get_actor(each["name"], namespace) for each in named if each["namespace"] == namespace]
    assert len(actors) == 2
    for seen in attached.get([actor.__ray_call__.remote(_look()) for actor in actors]):
        assert [each for each in seen["names"] if str(folder) in each or "working_dir_files" in each] == []
        assert "COLOUR" not in seen["variables"]


LOGS_AS_JSON = """
import logging, ray
options = json.loads(os.environ["OPTIONS"])
ray.init(options["address"], logging_config=ray.LoggingConfig(encoding="JSON", log_level="DEBUG"))

class Logs:
    id = "logs"
    def run(self, **_):
        from checkmaite.jobs.testing import SampleRun
        print(logging.root.level, [type(each).__name__ for each in logging.root.handlers])
        return SampleRun(run_uid="logs", capability_id=self.id)

configure()
job = submit_capability(Logs(), config={})
job.result(120)
while not job.logs():  # it may arrive after the job's end
    time.sleep(0.01)
say(job.logs().strip())

def look(_):
    return f"{logging.root.level} {[type(each).__name__ for each in logging.root.handlers]}"

for each in ray.util.list_named_actors(all_namespaces=True):
    if each["namespace"] == options["registry_namespace"]:
        say(ray.get(ray.get_actor(**each).__ray_call__.remote(look)))
"""


def test_the_logging_of_the_client_that_made_it_is_its_own(client: Start, own_options: dict[str, Any]) -> None:
    assert set(client(LOGS_AS_JSON, **own_options).rest()) == {"30 []"}


# -- where the CheckMAITE package is installed ------------------------------------------------------------------------

# As it is in CheckMAITE 0.6: a package with code, in one folder with ours, that is slow and large to import.
CHECKMAITE = """
import os, pathlib
(pathlib.Path(os.environ["MARKS"]) / str(os.getpid())).touch()
__version__ = "0.6"
"""
ASKS = """
import ray
class Mine:
    id = "mine"
    def run(self, **_):
        import checkmaite
        from checkmaite.jobs.testing import SampleRun
        print(checkmaite.__version__, os.getpid())
        return SampleRun(run_uid="u", capability_id=self.id)

def pid_of(_):
    import os
    return os.getpid()

configure(address="local", num_cpus=1, object_store_memory=100_000_000, journal_uri=str(Path.cwd() / "journal"))
job = submit_capability(Mine(), config={})
job.result(120)
while not job.logs():  # it may arrive after the job's end
    time.sleep(0.01)
say(os.getpid(), "client")
say(job.logs().split()[1], "worker", job.logs().split()[0])
for name in ray.util.list_named_actors(all_namespaces=True):
    say(ray.get(ray.get_actor(**name).__ray_call__.remote(pid_of)), name["name"])

from queue import SimpleQueue
from checkmaite.jobs_ray_simple.cluster import StoreMaintenance
maintained = SimpleQueue()
StoreMaintenance.ended = lambda _, future: maintained.put(future)
configure_job_backend("ray-simple", analytics_store={"backend": "null"}, store_maintenance_jobs=1)
job = submit_capability(Mine(), config={})
job.result(120)
say(job.logs().split()[1], "simple-worker", job.logs().split()[0])
assert maintained.get(timeout=120).exception() is None
from ray.util import state
from checkmaite.jobs_ray_simple import backend as backend_module
mailbox = backend_module._Shared.running_tasks._mailbox.actor
say(ray.get(mailbox.__ray_call__.remote(pid_of)), "mailbox")
"""


def test_the_control_plane_does_not_run_the_code_of_an_installed_checkmaite(
    client: Start, options: dict[str, Any], tmp_path: Path
) -> None:
    site, marks = tmp_path / "site", tmp_path / "marks"
    marks.mkdir()
    (site / "checkmaite").mkdir(parents=True)
    (site / "checkmaite" / "__init__.py").write_text(CHECKMAITE)
    for portion in SOURCES.glob("*/src/checkmaite/*"):
        (site / "checkmaite" / portion.name).symlink_to(portion)
    said = client(SLIM + ASKS, env={"MARKS": str(marks), "PYTHONPATH": str(site)}).rest()
    ran = {int(mark.name) for mark in marks.iterdir()}
    pids = {words[1]: (int(words[0]), words[2:]) for words in map(str.split, said)}
    assert len(pids) == 6
    asker, worker, simple = (pids.pop(name) for name in ("client", "worker", "simple-worker"))
    assert worker[1] == simple[1] == ["0.6"], "a job has the real package"
    assert ran == {asker[0], worker[0], simple[0]}, "nobody else: neither the control plane nor who maintains a store"
