"""Ray's memory monitor kills jobs: whose fault it was fails, and nobody else.

The monitor reads a file of the test's own in the place of /proc/meminfo, so that it acts when the test says so and the
machine's memory is not needed.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.ray.clusters import CONTROLLER, REGISTRY, Client, Cluster

_TOTAL_KIB = 4 * 2**20

_PYTHON = """#!/bin/sh
exec unshare -rm sh -c 'mount --bind "$0" /proc/meminfo && exec {python} "$@"' {meminfo} "$@"
"""

_STORY = """
import uuid
kind = os.environ["KIND"]

def tell(*what):
    say("told:", *what)

meminfo, folder = Path(os.environ["MEMINFO"]), Path.cwd()

def act(folder, name, size):
    with open(Path(folder, name), "a") as starts:
        kept = b"x" * size
        print(os.getpid(), file=starts)
    while not Path(folder, "go").exists():
        time.sleep(0.02)

class Job:
    def __init__(self, name, size):
        self.id, self.size = name, size
    def run(self, *, config, **_):
        from checkmaite.jobs.testing import SampleRun
        act(str(folder), self.id, self.size)
        return SampleRun(run_uid=config["run_uid"], capability_id=self.id)

def begin(name, size, **options):
    config = {"run_uid": uuid.uuid4().hex}
    job = submit_capability(Job(name, size), config=config, resources={"num_cpus": 0.5}, **options)
    started(name, 1, job)
    return job

def pids(name):
    found = Path(folder, name)
    return found.read_text().split() if found.exists() else []

def started(name, times, job):
    while len(pids(name)) < times or job.status != "RUNNING":
        assert not job.status.is_final, job.explain()
        time.sleep(0.02)

def memory_is(state):
    content = meminfo.with_name(state).read_bytes()
    with open(meminfo, "r+b") as file:
        file.write(content)

def lives(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except FileNotFoundError:
        return False

def out_of_memory(name):
    pid = pids(name)[-1]
    memory_is("high")
    while lives(pid):
        time.sleep(0.01)
    memory_is("low")

options = {} if kind == "ray-simple" else {"idempotency_scope": "memory", "journal_uri": None}
configure_job_backend(kind, address=os.environ["ADDRESS"], analytics_store={"backend": "null"}, **options)
spare = 1 if kind == "ray-simple" else 0
early = begin("early", 0, max_retries=0)
hog = begin("hog", 300 * 2**20, max_retries=1)
tell("all run")
out_of_memory("hog")
started("hog", 2, hog)
late = begin("late", 0, max_retries=spare)
out_of_memory("hog")
error = hog.exception(120)
tell(error.error_type)
tell(error.exit_cause)
tell(error.pid == int(pids("hog")[-1]))
started("late", 2, late)
tell("all ended")
Path(folder, "go").touch()
tell(*wait_all([early, hog, late], 120))
tell(*[len(pids(name)) for name in ("early", "hog", "late")])
tell(late.explain())
shutdown_job_backend()
"""


@pytest.fixture(scope="module")
def meminfo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the cluster reads, with its contents when memory is low and when it is high beside it."""
    folder = tmp_path_factory.mktemp("memory")
    for name, free in (("low", _TOTAL_KIB * 3 // 4), ("high", _TOTAL_KIB // 2 - 64 * 2**10)):
        amounts = {"MemTotal": _TOTAL_KIB, "MemFree": free, "MemAvailable": free}
        zeros = dict.fromkeys(("Buffers", "Cached", "SReclaimable", "Shmem", "SwapTotal", "SwapFree"), 0)
        lines = [f"{key + ':':16}{amount:>8} kB\n" for key, amount in (amounts | zeros).items()]
        (folder / name).write_text("".join(lines))
    shutil.copy(folder / "low", folder / "meminfo")
    return folder / "meminfo"


@pytest.fixture(scope="module")
def cluster(meminfo: Path) -> Iterator[Cluster]:
    if not shutil.which("unshare") or subprocess.run(["unshare", "-rm", "true"], check=False).returncode:
        pytest.skip("this machine lets nobody give a process a /proc/meminfo of its own")
    python = meminfo.with_name("python")
    python.write_text(_PYTHON.format(python=sys.executable, meminfo=meminfo))
    python.chmod(0o755)
    limits = {
        "RAY_memory_usage_threshold": "0.5",
        # Memory is high until the test has seen the death and said otherwise: Ray must not look again in between.
        "RAY_memory_monitor_refresh_ms": "3000",
        "RAY_max_kill_memory_buffer_bytes": str(50 * 2**20),  # so many more than what is needed are freed
    }
    memory = _TOTAL_KIB * 2**9  # else Ray subtracts what the whole machine uses from what the file says there is
    with Cluster(num_cpus=4, memory=memory, python=str(python), **limits) as running:
        yield running


@pytest.fixture
def story(cluster: Cluster, meminfo: Path, tmp_path: Path) -> Iterator[Callable[[str], Client]]:
    started: list[Client] = []

    def start(kind: str) -> Client:
        env = {"KIND": kind, "MEMINFO": str(meminfo), "ADDRESS": cluster.driver}
        started.append(Client(_STORY, tmp_path / kind, {}, **env))
        return started[-1]

    yield start
    for each in started:
        each.kill()


def told(client: Client) -> str:
    """The next line that is the story's and not Ray's."""
    while not (line := client.line()).startswith("told: "):
        pass
    return line.removeprefix("told: ")


@pytest.mark.parametrize("kind", ["ray", "ray-simple"])
def test_out_of_memory_hits_who_caused_it(story: Callable[[str], Client], cluster: Cluster, kind: str) -> None:
    client = story(kind)
    assert told(client) == "all run"
    control: Any = {title: cluster.pids(title) for title in (REGISTRY, CONTROLLER)}
    assert told(client) == "OutOfMemoryError"
    cause = told(client)
    assert cause.startswith("killed: its node was running out of memory; its process had 0.3")
    assert cause.endswith("GiB, it had reserved none; starts: 2")
    assert told(client) == "True"
    assert told(client) == "all ended"
    assert {title: cluster.pids(title) for title in control} == control
    assert told(client) == "COMPLETED FAILED COMPLETED"
    assert told(client) == "1 2 2"
    if kind == "ray":
        assert all(control.values())
        assert "It does not count: another worker there had more memory." in told(client)
