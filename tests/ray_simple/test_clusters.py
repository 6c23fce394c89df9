"""Clusters that are hard to get along with: other versions, tokens, no core, and things that are no Ray at all."""

from __future__ import annotations

import http.server
import socket
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest
from checkmaite.jobs import ConfigurationError
from checkmaite.jobs.testing._samples import wait_until
from checkmaite.jobs_ray_simple.cluster.probe import probe_address

from tests.ray_simple.conftest import free_port, head_node
from tests.scripts import run_script

KINDS = ["driver", "client"]
NO_TOKEN = {"RAY_AUTH_MODE": "disabled"}

# Says what became of one job, or how the configuration was refused.
TRY = """
import sys
from checkmaite.jobs import *
from checkmaite.jobs.testing import SampleCapability
try:
    configure_job_backend("ray-simple", address=ADDRESS, analytics_store={"backend": "null"}, connect_timeout_s=60)
    job = submit_capability(SampleCapability(), config={"run_uid": "u"})
    print(job.wait(120))
    if job.status is JobStatus.FAILED:
        print(job.exception())
    shutdown_job_backend()
except JobsError as error:
    print(type(error).__name__, error)
    import ray
    print("ray is up:", ray.is_initialized())
"""


def attempt(address: str, folder: Path, **env: str) -> str:
    return run_script(TRY.replace("ADDRESS", repr(address)), folder, **env)


# -- versions -------------------------------------------------------------------------------------------------------

# All Python processes of the cluster take themselves for another Ray on another patch release of Python, and say so.
OTHER_VERSIONS = """
import sys, types
version = types.ModuleType("ray._version")
version.version, version.commit = "2.39.1", "none"
sys.modules["ray._version"] = version

class Version(tuple):
    major, minor, micro, releaselevel, serial = *sys.version_info[:2], 99, "final", 0

sys.version_info = Version((*sys.version_info[:2], 99, "final", 0))
"""
# The process that connects takes itself for another minor version of Python.
OTHER_PYTHON = """
import ray, ray._private.utils
ray._private.utils.compute_version_info = lambda: (ray.__version__, "3.99.1")
"""


@pytest.fixture(scope="module")
def other_versions(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    with head_node(tmp_path_factory.mktemp("site"), site=OTHER_VERSIONS) as addresses:
        yield addresses


@pytest.mark.parametrize("kind", KINDS)
def test_other_versions_of_the_cluster_say_what_to_change(
    other_versions: dict[str, str], tmp_path: Path, kind: str
) -> None:
    said = attempt(other_versions[kind], tmp_path, **NO_TOKEN)
    assert said.startswith(
        f"IncompatibleVersionError The cluster at address='{other_versions[kind]}' runs Ray 2.39.1, P"
    )
    assert 'pip install "ray[client]==2.39.1"' in said
    assert ".99)" in said if kind == "driver" else "with Python" not in said, "a client may be of another patch release"
    assert said.endswith("ray is up: False\n")


@pytest.mark.parametrize("kind", KINDS)
def test_another_python_says_what_to_change(cluster: dict[str, str], tmp_path: Path, kind: str) -> None:
    script = OTHER_PYTHON + TRY.replace("ADDRESS", repr(cluster[kind]))
    said = run_script(script, tmp_path, **NO_TOKEN)
    assert said.startswith("IncompatibleVersionError")
    assert "this process runs Ray" in said
    assert "run it with Python 3." in said
    assert "pip install" not in said


# -- tokens ---------------------------------------------------------------------------------------------------------

TOKEN = "the-token-of-the-team-0123456789abcdef"
OTHER_TOKEN = "the-token-of-others-0123456789abcdef"


@pytest.fixture(scope="module")
def guarded() -> Iterator[dict[str, str]]:
    with head_node(RAY_AUTH_MODE="token", RAY_AUTH_TOKEN=TOKEN) as addresses:
        yield addresses


@pytest.mark.parametrize("kind", KINDS)
def test_a_token_opens_a_cluster(guarded: dict[str, str], tmp_path: Path, kind: str) -> None:
    said = attempt(guarded[kind], tmp_path, RAY_AUTH_MODE="token", RAY_AUTH_TOKEN=TOKEN)
    assert said == "COMPLETED\n"


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("env", "cause"),
    [
        ({"RAY_AUTH_MODE": "disabled"}, "this process sends none: RAY_AUTH_MODE is disabled"),
        ({"RAY_AUTH_MODE": "token"}, "none is to be found here"),
        ({"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": OTHER_TOKEN}, "this process's is another"),
    ],
    ids=["mode off", "no token", "another token"],
)
def test_a_missing_token_is_named_with_its_remedy(
    guarded: dict[str, str], tmp_path: Path, kind: str, env: dict[str, str], cause: str
) -> None:
    said = attempt(guarded[kind], tmp_path, HOME=str(tmp_path), **env)
    assert said.startswith(
        f"ConfigurationError The Ray cluster at address='{guarded[kind]}' asks for a token, and {cause}"
    )
    assert "set RAY_AUTH_MODE=token and give the cluster's token as RAY_AUTH_TOKEN" in said
    assert TOKEN not in said
    assert OTHER_TOKEN not in said


# -- a cluster without core -----------------------------------------------------------------------------------------

WITHOUT_CORE = """
import sys

class Without:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "checkmaite":
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Without())
"""


@pytest.fixture(scope="module")
def without_core(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    with head_node(tmp_path_factory.mktemp("site"), site=WITHOUT_CORE) as addresses:
        yield addresses


@pytest.mark.parametrize("kind", KINDS)
def test_a_cluster_without_core_is_one_clear_error(without_core: dict[str, str], tmp_path: Path, kind: str) -> None:
    said = attempt(without_core[kind], tmp_path, **NO_TOKEN)
    assert said.startswith("FAILED\njob sample")
    assert "cannot import checkmaite.jobs" in said
    assert "Install checkmaite-jobs-core" in said
    assert "\x1b" not in said


# -- finding one ----------------------------------------------------------------------------------------------------


def test_auto_finds_the_cluster_of_this_machine(tmp_path: Path) -> None:
    ended = TRY.replace("    shutdown", "    import ray; print(ray.get_runtime_context().gcs_address)\n    shutdown")
    with tempfile.TemporaryDirectory(prefix="ray") as short:  # Ray's sockets need a short path
        env = {**NO_TOKEN, "RAY_TMPDIR": short}
        with head_node(**env) as addresses:
            wait_until(lambda: list(Path(short).glob("**/ray_current_cluster")), "the cluster does not say where it is")
            said = run_script(ended.replace("ADDRESS", "'auto'"), tmp_path, **env)
            assert said == f"COMPLETED\n{addresses['driver']}\n"


def test_auto_says_soon_that_nothing_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    where = f"127.0.0.1:{free_port()}"
    monkeypatch.setenv("RAY_ADDRESS", where)
    with pytest.raises(ConfigurationError, match=rf"address='auto': {where}: .*ray start --head"):
        probe_address("auto", 5)


@pytest.fixture
def silent() -> Iterator[int]:
    """A port where somebody listens and never says anything."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield int(listener.getsockname()[1])


@pytest.fixture
def web() -> Iterator[int]:
    """A port where a web server answers."""

    class Quiet(http.server.BaseHTTPRequestHandler):
        def log_message(self, *_: object) -> None: ...

    with http.server.HTTPServer(("127.0.0.1", 0), Quiet) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server.server_port
        server.shutdown()
        thread.join()


@pytest.mark.parametrize("scheme", ["", "ray://"])
@pytest.mark.parametrize(
    ("listener", "timeout_s", "cause"),
    [("silent", 1, "said nothing within connect_timeout_s=1"), ("web", 60, "is not Ray")],
    ids=["silent", "web"],
)
def test_what_is_not_ray_is_an_error_in_time(
    scheme: str, listener: str, timeout_s: float, cause: str, request: pytest.FixtureRequest
) -> None:
    address = f"{scheme}127.0.0.1:{request.getfixturevalue(listener)}"
    began = time.monotonic()
    with pytest.raises(ConfigurationError, match=cause) as caught:
        probe_address(address, timeout_s)
    assert time.monotonic() - began < 90, "a hundred seconds are Ray's own wait"
    assert f"No Ray cluster answers at address='{address}'" in str(caught.value)


def test_the_other_port_of_a_cluster_is_recognised(cluster: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")
    with pytest.raises(ConfigurationError, match="the part of Ray that is addressed as 'host:port'"):
        probe_address(f"ray://{cluster['driver']}", 60)
    with pytest.raises(ConfigurationError, match="the part of Ray that is addressed as 'ray://host:port'"):
        probe_address(cluster["client"].removeprefix("ray://"), 60)


# -- losing one -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["local", *KINDS])
def test_jobs_are_lost_soon_when_the_user_ends_ray(cluster: dict[str, str], tmp_path: Path, kind: str) -> None:
    local = 'address="local", num_cpus=1, object_store_memory=100_000_000'
    where = local if kind == "local" else f"address={cluster[kind]!r}"
    script = """
import threading
import ray
from checkmaite.jobs import *
from checkmaite.jobs.testing import SampleCapability
from checkmaite.jobs_ray_simple.backend import _Shared
configure_job_backend("ray-simple", analytics_store={"backend": "null"}, WHERE)
job = submit_capability(SampleCapability(act="wait", folder="FOLDER"), config={"run_uid": "u"})
while job.progress is None or "the sample complains" not in job.logs():
    threading.Event().wait(0.01)
idle = threading.Event()  # then no thread of ours calls Ray
_Shared.running_tasks._courier.put(idle.set)
idle.wait()
ray.shutdown()
error = job.exception(timeout=120)
print(type(error).__name__, error.exit_cause)
try:
    submit_capability(SampleCapability(), config={"run_uid": "v"})
except JobSubmissionError as error:
    print(error)
shutdown_job_backend()
"""
    for tries_left in (5, 4, 3, 2, 1, 0):
        folder = tmp_path / str(tries_left)
        folder.mkdir()
        try:
            said = run_script(script.replace("WHERE", where).replace("FOLDER", str(folder)), folder, **NO_TOKEN)
            break
        except AssertionError as error:
            # On a busy machine Ray itself may end a process that shuts it down with an answer outstanding: its own
            # thread then meets a core worker that is gone. Nothing of ours runs after that.
            if "core worker has already been shutdown" not in str(error) or not tries_left:
                raise
    lost, refused = said.splitlines()
    assert lost.startswith("JobLostError ")
    assert "connection" in lost
    assert "configure one again" in refused


# -- runtime environments that only the nodes can judge --------------------------------------------------------------

NAMED_S = 60.0
"""Two seconds on a quiet machine; Ray itself says nothing for minutes."""
NO_PROGRAM = """
import time
from checkmaite.jobs import *
from checkmaite.jobs.testing import SampleCapability
configure_job_backend(
    "ray-simple", address=ADDRESS, analytics_store={"backend": "null"}, runtime_env={"py_executable": "/no/such/python"}
)
job = submit_capability(SampleCapability(), config={"run_uid": "u"})
began = time.monotonic()
while "py_executable" not in (said := job.explain()):
    pass
print(time.monotonic() - began)
print(said)
print(job.cancel(grace=0), job.wait(120))
"""
UNPREPARED = """
import time
from checkmaite.jobs import *
from checkmaite.jobs.testing import SampleCapability
configure_job_backend("ray-simple", address=ADDRESS, analytics_store={"backend": "null"}, runtime_env=ENV)
began = time.monotonic()
error = submit_capability(SampleCapability(), config={"run_uid": "u"}).exception(120)
print(time.monotonic() - began)
print(error.phase, error.error_message)
print(*str(error).splitlines()[:3])
"""


REFUSED = """
import time
from checkmaite.jobs import *
for env in (
    {"py_executable": "/no/such/python"}, {"py_executable": "THIS -I -S"}, {"working_dir": "file:///no/such/code.zip"},
    {"env_vars": {"PYTHONHOME": "/no/such"}}, {"image_uri": "no/such/image"},
):
    began = time.monotonic()
    try:
        configure_job_backend("ray-simple", address=ADDRESS, analytics_store={"backend": "null"}, runtime_env=env)
    except ConfigurationError as error:
        print(time.monotonic() - began, *error.problems)
import ray
print("ray is up:", ray.is_initialized())
"""
RAYS_OWN_WAIT_S = 30.0


def test_what_keeps_a_client_server_from_starting_is_told_soon(cluster: dict[str, str], tmp_path: Path) -> None:
    """The server says nothing of the first two, and of the third it does, but then Ray's client waits."""
    script = REFUSED.replace("ADDRESS", repr(cluster["client"])).replace("THIS", sys.executable)
    for _ in range(3):  # Ray waits as long each time, and a busy machine is seldom so slow three times
        *refused, end = run_script(script, tmp_path, **NO_TOKEN).splitlines()
        took, said = zip(*(line.split(" ", 1) for line in refused), strict=True)
        if (longest_s := max(map(float, took))) < RAYS_OWN_WAIT_S:
            break
    assert longest_s < RAYS_OWN_WAIT_S
    host = socket.gethostname()
    assert f"py_executable='/no/such/python' is not on {host}, the head node" in said[0]
    assert f"is a Python without Ray on {host}, the head node" in said[1]
    assert "cannot be made on the head node" in said[2]
    assert "/no/such/code.zip" in said[2]
    assert f"runtime_env.env_vars: Python does not start on {host}, the head node with env_vars PYTHONHOME" in said[3]
    assert "podman" in said[4]
    assert "Install" in said[4]
    assert end == "ray is up: False"


def test_a_program_that_no_node_has_is_named(cluster: dict[str, str], tmp_path: Path) -> None:
    took, said, end = run_script(
        NO_PROGRAM.replace("ADDRESS", repr(cluster["driver"])), tmp_path, **NO_TOKEN
    ).splitlines()
    assert float(took) < NAMED_S
    assert f"py_executable='/no/such/python' is not on {socket.gethostname()}" in said
    assert end == "True CANCELLED"


@pytest.mark.parametrize(
    ("env", "cause", "remedy"),
    [
        pytest.param(
            *({"pip": ["attrs"]}, "Please install virtualenv", "Install virtualenv in the Python of every node"),
            marks=pytest.mark.skipif(find_spec("virtualenv") is not None, reason="pip environments work here"),
        ),
        ({"image_uri": "no/such/image"}, "podman", "Install podman"),
    ],
    ids=["pip", "image_uri"],
)
def test_a_job_whose_nodes_lack_a_tool_fails_with_the_remedy(
    cluster: dict[str, str], tmp_path: Path, env: dict[str, str], cause: str, remedy: str
) -> None:
    script = UNPREPARED.replace("ADDRESS", repr(cluster["driver"])).replace("ENV", repr(env))
    took, said, first = run_script(script, tmp_path, **NO_TOKEN).splitlines()
    assert float(took) < NAMED_S
    assert said.startswith("launch ")
    assert cause in said
    assert remedy in first
