"""Every job runs the code of who submitted it, however its client is attached and whoever was there before.

Clients stand in folders of their own, each with its own version of two modules: one that the client imports, and one
that only the job does.
"""

from __future__ import annotations

import itertools
import json
import sysconfig
import venv
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.ray.clusters import SOON_S, Client, Cluster
from tests.ray.conftest import end_actors
from tests.ray_simple.conftest import SLIM

Start = Callable[..., Client]

MODULE = """
import os, uuid
VERSION = {version}
class Versioned:
    id = "versioned"
    def run_key(self, **_):
        return uuid.uuid4().hex
    def run(self, **_):
        import lazily
        from checkmaite.jobs.testing import SampleRun
        print("ran", VERSION, lazily.VERSION, os.environ.get("CHECKMAITE_JOBS_CODE"), os.getpid())
        return SampleRun(run_uid=uuid.uuid4().hex, capability_id=self.id)
"""
ASKS = """
import re
sys.path[:0] = [each for each in ("sent",) if Path(each).exists()]
import mycaps

def edit(version):
    for name in ("mycaps.py", "lazily.py"):
        path = Path(name)
        # Of another length: Python takes an old copy for a file of the same size and second.
        path.write_text(re.sub(r"VERSION = \\d+", f"VERSION = {version}", path.read_text()) + "#")

def ran():
    job = submit_capability(mycaps.Versioned(), config={})
    error = job.exception(120)
    # What a job has printed may arrive after its end.
    while not error and not (said := [line for line in job.logs().splitlines() if line.startswith("ran")]):
        time.sleep(0.01)
    return error.error_type if error else said[0][4:]

"""
RUNS = "configure(**json.loads(os.environ['CHANGES']))\nsay(ran())"
SIMPLE = """
options = json.loads(os.environ["OPTIONS"]) | json.loads(os.environ["CHANGES"])
kept = {name: options[name] for name in ("address", "runtime_env", "analytics_store") if name in options}
configure_job_backend("ray-simple", **kept)
say(ran())
"""
WHOLE = {"working_dir": "."}
MODULES = {"py_modules": ["sent/mycaps", "sent/lazily"]}


def write(folder: Path, version: int, *, packages: bool = False) -> None:
    """The two modules in this version."""
    for name, text in (("mycaps", MODULE), ("lazily", "VERSION = {version}\n")):
        path = folder / name / "__init__.py" if packages else folder / f"{name}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text.format(version=version))


def wheel(folder: Path, version: int) -> str:
    """The distribution "mycaps" in this version, as an index has it: the two modules, and what pip wants to know."""
    path = folder / f"mycaps-{version}-py3-none-any.whl"
    about = f"mycaps-{version}.dist-info"
    with zipfile.ZipFile(path, "w") as files:
        files.writestr("mycaps.py", MODULE.format(version=version))
        files.writestr(
            "lazily.py", f"from importlib.metadata import version\nVERSION = version('mycaps')  # {version}\n"
        )
        files.writestr(f"{about}/METADATA", f"Metadata-Version: 2.1\nName: mycaps\nVersion: {version}\n")
        files.writestr(f"{about}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        files.writestr(f"{about}/RECORD", "")
    return str(path)


def test_each_client_runs_its_own_version(
    client: Start, own_options: dict[str, Any], cluster: Cluster, tmp_path: Path
) -> None:
    started: dict[int, Client] = {}

    def start(version: int, text: str = RUNS, *, sent: bool = False, **changes: Any) -> Client:
        folder = tmp_path / f"client-{len(started)}"
        write(folder / "sent" if sent else folder, version, packages=sent)
        started[version] = client(ASKS + text, env={"CHANGES": json.dumps(changes)}, **own_options)
        return started[version]

    (first,) = start(1).rest()  # it makes the registry
    assert first.split()[:2] == ["1", "1"]
    # Modules in two versions, each in a folder like site-packages, chosen by the environment that is sent.
    for version in (8, 9):
        write(tmp_path / f"site-{version}", version)
    sites = {version: {"env_vars": {"PYTHONPATH": str(tmp_path / f"site-{version}")}} for version in (8, 9)}
    clients: dict[int, tuple[str, dict[str, Any]]] = {
        2: (RUNS, {}),
        3: (RUNS, {"runtime_env": WHOLE}),
        4: (RUNS, {"runtime_env": WHOLE}),
        5: (RUNS, {"sent": True, "runtime_env": MODULES}),
        6: (RUNS, {"address": cluster.client, "runtime_env": WHOLE}),
        7: (RUNS, {"address": cluster.client}),
        8: (RUNS, {"sent": True, "runtime_env": sites[8]}),
        9: (RUNS, {"sent": True, "runtime_env": sites[9]}),
        10: (SIMPLE, {}),
        11: (SIMPLE, {"runtime_env": WHOLE}),
        12: (SIMPLE, {"address": cluster.client, "runtime_env": WHOLE}),
    }
    said: dict[int, list[str]] = {}
    waiting = iter(clients)
    while some := list(itertools.islice(waiting, 3)):
        running = {version: start(version, clients[version][0], **clients[version][1]) for version in some}
        said |= {version: each.rest(2 * SOON_S) for version, each in running.items()}
    # Nothing was sent through ray://, and the client's folder is not the cluster's: an error, before anything runs.
    assert said.pop(7) == ["ModuleNotFoundError"]
    assert {version: line.split()[:2] for version, (line,) in said.items()} == {
        version: [str(version)] * 2 for version in said
    }


def python_with(folder: Path, distribution: str) -> str:
    """A Python of its own with this wheel installed, and what the tests' own Python has."""
    venv.create(folder, symlinks=True)
    (installed,) = folder.glob("lib/*/site-packages")
    zipfile.ZipFile(distribution).extractall(installed)
    (installed / "tests.pth").write_text(f"import site; site.addsitedir({sysconfig.get_path('purelib')!r})\n")
    return str(folder / "bin" / "python")


INSTALLED = """
for kind, env in json.loads(os.environ["ENVIRONMENTS"]):
    options = json.loads(os.environ["OPTIONS"])
    if kind == "ray-simple":
        options = {name: options[name] for name in ("address", "analytics_store")}
    configure_job_backend(kind, **options, runtime_env=env, force_reinit=True)
    say(ran())
"""


def test_jobs_run_the_installed_version_that_their_environment_names(client: Start, tmp_path: Path) -> None:
    """A distribution in two versions: each in a Python of its own, and each installed by Ray for the jobs that name it.

    The submitter, which changes from one to the next, has a third.
    """
    write(tmp_path / "client-0" / "sent", 1, packages=True)
    wheels = {version: wheel(tmp_path, version) for version in (2, 3)}
    pythons = {
        version: {"py_executable": python_with(tmp_path / f"python-{version}", wheels[version])} for version in wheels
    }
    sent = {version: {"py_modules": [wheels[version]]} for version in wheels}
    environments = [
        *((version, "ray", env[version]) for env in (pythons, sent) for version in wheels),
        *((2, "ray-simple", pythons[2]), (3, "ray-simple", sent[3])),
    ]
    asked = json.dumps([each[1:] for each in environments])
    said = client(ASKS + INSTALLED, env={"ENVIRONMENTS": asked}).rest(3 * SOON_S)
    assert [line.split()[:2] for line in said] == [[str(version)] * 2 for version, *_ in environments]


def test_edited_code_is_run_and_unchanged_code_finds_its_workers(
    client: Start, configure: Callable[..., Any], own_options: dict[str, Any], attached: Any, tmp_path: Path
) -> None:
    configure(**own_options)  # when whoever made the registry ends, Ray ends the workers that are idle
    write(tmp_path / "client-0", 1)
    edits = "configure()\nsay(ran())\nsay(ran())\nedit(2)\nsay(ran())\nsay(ran())\n"
    one, again, two, still = (line.split() for line in client(ASKS + edits, **own_options).rest())
    assert one[:3] == again[:3]
    assert one[:2] == ["1", "1"]
    assert two[:2] == ["2", "2"]
    assert still[:3] == two[:3], "unchanged code may meet the workers that have imported it"
    assert two[3] not in {one[3], again[3]}

    # Another process in the same folder; then one that stands elsewhere makes the registry anew.
    (third,) = client(ASKS + "configure()\nsay(ran())", folder=tmp_path / "client-0", **own_options).rest()
    assert third.split()[:3] == two[:3]
    end_actors(attached, own_options["registry_namespace"])
    write(tmp_path / "client-2", 3)
    (other,) = client(ASKS + "configure()\nsay(ran())", **own_options).rest()
    assert other.split()[:2] == ["3", "3"]
    (back,) = client(ASKS + "configure()\nsay(ran())", folder=tmp_path / "client-0", **own_options).rest()
    assert back.split()[:2] == ["2", "2"]


def test_a_local_ray_runs_edited_code(client: Start, options: dict[str, Any], tmp_path: Path) -> None:
    write(tmp_path / "client-0", 1)
    text = """
configure(address="local", num_cpus=1, object_store_memory=100_000_000, journal_uri=str(Path.cwd() / "journal"))
say(ran())
edit(2)
say(ran())
holder = submit_capability(SampleCapability(act="wait", folder=str(Path.cwd())), config={"run_uid": "holds"})
edit(4)
unconcerned = submit_capability(SampleCapability(), config={"run_uid": "imports nothing of it"})
waits = submit_capability(mycaps.Versioned(), config={})
edit(2)
Path("go").touch()
error = waits.exception(120)
say(error.error_type.rpartition(".")[2], error.phase)
say(unconcerned.wait(120).value, unconcerned.exception(120))
configure_job_backend("ray-simple", analytics_store={"backend": "null"})
say(ran())
edit(3)
say(ran())
"""
    said = client(SLIM + ASKS + text).rest(2 * SOON_S)
    assert [line.split()[:2] for line in said] == [
        *(["1", "1"], ["2", "2"], ["EditedCodeError", "load"], ["COMPLETED", "None"], ["2", "2"], ["3", "3"])
    ]
