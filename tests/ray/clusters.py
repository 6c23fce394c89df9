"""Clusters of real processes on loopback, their processes by title, and clients in processes of their own."""

from __future__ import annotations

import importlib.metadata
import json
import os
import queue
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Self

from tests.ray_simple.conftest import HEAD, LOOPBACK, free_port
from tests.scripts import is_rays

SOON_S = 120.0
WITHOUT_PANDAS = str(Path(__file__).parent / "without_pandas")
"""For the path of Python: a fifth of what a worker takes to start is pandas, which no job of these tests looks at."""
REGISTRY, CONTROLLER = "ray::JobRegistry", "ray::JobController"
_ENVIRONMENT = {
    **LOOPBACK,
    "RAY_AUTH_MODE": "disabled",
    "PYTHONPATH": os.pathsep.join(filter(None, (WITHOUT_PANDAS, os.environ.get("PYTHONPATH")))),
    # A dead node is noticed within two seconds, a slow one is not taken for dead.
    "RAY_health_check_initial_delay_ms": "1000",
    "RAY_health_check_period_ms": "500",
    "RAY_health_check_failure_threshold": "4",
    "RAY_health_check_timeout_ms": "10000",
}


# Where the variable that keeps sockets on loopback is set, `ray start` refuses to join a cluster. It is meant here for
# the processes that the command starts.
_START = f"""
import sys
{HEAD}
from ray._private import ray_constants
from ray.scripts.scripts import main
services.get_node_ip_address = lambda *_: "127.0.0.1"
ray_constants.ENABLE_RAY_CLUSTER = True
if "--without-client-server" in sys.argv:
    sys.argv.remove("--without-client-server")
    Node.start_ray_client_server = lambda _: None
main()
"""


def wait_until(condition: Callable[[], Any], otherwise: str, timeout_s: float = SOON_S) -> Any:
    """The first true value of `condition()`; fails with the text `otherwise` when there is none in time."""
    deadline = time.monotonic() + timeout_s
    while not (value := condition()):
        assert time.monotonic() < deadline, f"{otherwise} after {timeout_s:g} s"
        time.sleep(0.02)
    return value


def another_core(version: str, folder: Path) -> dict[str, str]:
    """Variables of a process that is to believe that it has this version of core; `folder` is made for that."""
    installed = Path(str(importlib.metadata.distribution("checkmaite-jobs-core").locate_file("")))
    (metadata,) = installed.glob("checkmaite_jobs_core-*.dist-info")
    pretended = folder / f"checkmaite_jobs_core-{version}.dist-info"
    shutil.copytree(metadata, pretended)
    lines = (pretended / "METADATA").read_text().splitlines()
    text = "\n".join(f"Version: {version}" if line.startswith("Version:") else line for line in lines)
    (pretended / "METADATA").write_text(text)
    return {"PYTHONPATH": str(folder)}


class Node:
    """One `ray start --block` and all that it starts: a session of processes.

    Attributes:
        node_id: How Ray calls it; empty for a head.
    """

    node_id = ""

    def __init__(self, *arguments: str, python: str = sys.executable, **env: str) -> None:
        common = ("--block", "--node-ip-address=127.0.0.1", "--object-store-memory=100000000")
        ports = ("--min-worker-port=0", "--max-worker-port=0")
        self._process = subprocess.Popen(
            [python, "-c", _START, "start", *common, *ports, *arguments],
            env={**os.environ, **_ENVIRONMENT, **env},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )

    def pids(self, title: str = "") -> set[int]:
        """The node's processes whose title begins with `title`."""
        return {pid for pid in _session(self._process.pid) if _title(pid).startswith(title)}

    @property
    def is_up(self) -> bool:
        return self._process.poll() is None

    @property
    def has_raylet(self) -> bool:
        """Whether it has come so far: the control plane listens before it is known whether the rest can start."""
        return any("/raylet " in _title(pid) for pid in self.pids())

    def kill(self) -> None:
        """End everything at once, as a power cut would."""
        for _ in range(2):  # what was started while the first round went on
            for pid in _session(self._process.pid):
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        self._process.wait()

    def end(self) -> None:
        """End everything, politely first."""
        if self.is_up:
            self._process.terminate()
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(3)
        self.kill()


class Cluster:
    """A head node and the nodes that were added. GPUs are pretended; `ray://` is served where that is asked for."""

    def __init__(
        self,
        num_cpus: int,
        resources: Mapping[str, float] | None = None,
        *,
        num_gpus: int = 0,
        client_server: bool = False,
        memory: int | None = None,
        python: str = sys.executable,
        **env: str,
    ) -> None:
        self.env = env
        gcs, client = free_port(), free_port()
        self.driver, self.client = f"127.0.0.1:{gcs}", f"ray://127.0.0.1:{client}" if client_server else ""
        self.head = Node(
            *("--head", f"--port={gcs}", f"--ray-client-server-port={client}", "--include-dashboard=false"),
            *(() if client_server else ("--without-client-server",)),
            *_capacity(num_cpus, {"head": 100, **(resources or {})}),
            f"--num-gpus={num_gpus}",
            *((f"--memory={memory}",) if memory is not None else ()),
            python=python,
            **env,
        )
        self.nodes = [self.head]

    def add_node(self, num_cpus: int, resources: Mapping[str, float], python: str = sys.executable, **env: str) -> Node:
        """Start one more node. It has joined then: two that start on one machine at once may want the same socket."""
        before = self._node_ids()
        node = Node(f"--address={self.driver}", *_capacity(num_cpus, resources), python=python, **{**self.env, **env})
        self.nodes.append(node)
        joined = wait_until(lambda: self._node_ids() - before or not node.is_up, "the node does not join")
        assert node.is_up, "the node did not start"
        node.node_id = joined.pop().hex()
        return node

    def drain(self, node: Node) -> None:
        """Have Ray told that a node will be preempted in an hour."""
        from ray.core.generated.autoscaler_pb2 import DrainNodeReason

        preemption = DrainNodeReason.Value("DRAIN_NODE_REASON_PREEMPTION")
        deadline_ms = int((time.time() + 3_600) * 1_000)
        with _shown(self.env):
            accepted, why = self._gcs().drain_node(node.node_id, preemption, "its market has no room", deadline_ms)
        assert accepted, why

    def raylet_ports(self) -> list[int]:
        """Where the raylets of the nodes listen."""
        with _shown(self.env):
            return [node.node_manager_port for node in self._gcs().get_all_node_info().values()]

    def _node_ids(self) -> set[Any]:
        with _shown(self.env):
            return set(self._gcs().get_all_node_info())

    def _gcs(self) -> Any:
        from ray._raylet import GcsClient

        return GcsClient(address=self.driver)

    def pids(self, title: str) -> set[int]:
        """Processes of all nodes whose title begins with `title`."""
        return {pid for node in self.nodes for pid in node.pids(title)}

    @staticmethod
    def title(pid: int) -> str:
        """How a process calls itself; empty when there is none."""
        return _title(pid)

    def __enter__(self) -> Self:
        try:
            ports = [int(address.rpartition(":")[2]) for address in (self.driver, self.client) if address]
            wait_until(lambda: all(map(listens, ports)) or not self.head.is_up, "the cluster does not listen")
            wait_until(lambda: self.head.has_raylet or not self.head.is_up, "the rest of its head does not start")
            assert self.head.is_up, "the cluster did not start"
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        for node in reversed(self.nodes):
            node.end()


class Client:
    """A script that runs in `folder`, in a process of its own. `say(...)` in it is a line here."""

    _PRELUDE = """
import json, os, sys, time
from functools import partial
from pathlib import Path
from checkmaite.jobs import *
from checkmaite.jobs.testing import SampleCapability

def configure(**changes):
    return configure_job_backend("ray", **{**json.loads(os.environ["OPTIONS"]), **changes})

def say(*what):
    print(*what, flush=True)

"""

    def __init__(
        self,
        text: str,
        folder: Path,
        options: Mapping[str, Any],
        prelude: str = _PRELUDE,
        python: str = sys.executable,
        **env: str,
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)  # a test may have put files there
        (folder / "script.py").write_text(prelude + text)
        self._errors = folder / "stderr.txt"
        with self._errors.open("w") as errors:
            self._process = subprocess.Popen(
                [python, "script.py"],
                cwd=folder,
                env={**os.environ, **_ENVIRONMENT, "OPTIONS": json.dumps(options), **env},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
                start_new_session=True,
            )
        self._lines: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        threading.Thread(target=self._listen, daemon=True).start()

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def code(self) -> int | None:
        """How it ended; None while it lives."""
        return self._process.poll()

    def errors(self) -> str:
        """What it has written to its standard error so far."""
        return self._errors.read_text()

    def line(self, timeout_s: float = SOON_S) -> str:
        """The next line that it says."""
        try:
            line = self._lines.get(timeout=timeout_s)
        except queue.Empty:
            line = None
        assert line is not None, f"the client said nothing more:\n{self._errors.read_text()}"
        return line.rstrip("\n")

    def say(self, line: str = "") -> None:
        """Give the script a line to read from its standard input."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{line}\n")
        self._process.stdin.flush()

    def rest(self, timeout_s: float = SOON_S) -> list[str]:
        """All further lines; it must end well, and in time."""
        try:
            code = self._process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            code = None
            self.kill()
        self._close()
        assert code == 0, f"the client {'hangs' if code is None else 'failed'}:\n{self._errors.read_text()}"
        return [line.rstrip("\n") for line in iter(self._lines.get, None)]

    def kill(self) -> None:
        """End it and all that it started by SIGKILL; nothing when it has ended."""
        for pid in _session(self._process.pid):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self._process.wait()
        self._close()

    def _close(self) -> None:
        assert self._process.stdin is not None
        with suppress(BrokenPipeError):
            self._process.stdin.close()

    def _listen(self) -> None:
        assert self._process.stdout is not None
        with self._process.stdout as lines:
            for line in lines:
                if not is_rays(line):
                    self._lines.put(line)
        self._lines.put(None)


@contextmanager
def _shown(env: Mapping[str, str]) -> Iterator[None]:
    """This process shows what a cluster with these variables asks of its clients: its token, where it has one."""
    names = ("RAY_AUTH_MODE", "RAY_AUTH_TOKEN")
    asked = {name: env[name] for name in names if name in env}
    if not asked:
        yield
        return
    from ray._raylet import AuthenticationTokenLoader, Config

    before = {name: os.environ[name] for name in names if name in os.environ}
    try:
        os.environ.update(asked)
        Config.initialize("")  # Ray reads them once
        AuthenticationTokenLoader.instance().reset_cache()
        yield
    finally:
        for name in names:
            os.environ.pop(name, None)
        os.environ.update(before)
        Config.initialize("")
        AuthenticationTokenLoader.instance().reset_cache()


def _capacity(num_cpus: int, resources: Mapping[str, float]) -> tuple[str, str]:
    return f"--num-cpus={num_cpus}", f"--resources={json.dumps(dict(resources))}"


def listens(port: int) -> bool:
    with socket.socket() as prober:
        return prober.connect_ex(("127.0.0.1", port)) == 0


def _session(leader: int) -> list[int]:
    """The processes of a session, from /proc."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with suppress(OSError):
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
                state, session = fields[0], int(fields[3])
                if session == leader and state not in "ZX":
                    found.append(int(entry.name))
    return found


def _title(pid: int) -> str:
    try:
        return (Path("/proc") / str(pid) / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    except OSError:
        return ""
