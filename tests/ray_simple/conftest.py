"""One local Ray for most tests, started as a user would start one; the others run in processes of their own."""

from __future__ import annotations

import os
import secrets
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

LOOPBACK = {
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "GRPC_ENABLE_FORK_SUPPORT": "0",  # a client server forks, and its child sometimes dies in gRPC's fork handlers
}
os.environ.update(LOOPBACK)  # before Ray is imported

SLIM = """
from ray._private.node import Node
Node.start_api_server = Node.start_monitor = Node.start_log_monitor = lambda *_, **__: None
"""
"""Keeps a Ray that this process starts from processes that no test asks: each would take a second of a CPU."""

HEAD = (
    SLIM
    + """
import fcntl, os, time
from ray._private import services
start_process = services.start_ray_process
locks = []  # kept open for as long as this head lives

def ports_of_its_own():
    folder = os.environ.get("PYTEST_DEBUG_TEMPROOT", "/tmp")  # one for all workers of the tests
    while True:
        for first in range(23_000, 24_000, 50):
            locks.append(open(f"{folder}/checkmaite-ray-client-{first}.lock", "w"))
            try:
                fcntl.flock(locks[-1], fcntl.LOCK_EX | fcntl.LOCK_NB)
                return first, first + 50
            except OSError:
                locks.pop().close()
        time.sleep(0.1)

def start_elsewhere(command, kind, *args, **kwargs):
    if "--mode=proxy" in command:
        proxy = (
            "from ray.util.client.server import proxier, server\\n"
            f"proxier.MIN_SPECIFIC_SERVER_PORT, proxier.MAX_SPECIFIC_SERVER_PORT = {ports_of_its_own()}\\n"
            "server.main()"
        )
        options = [each for each in command[4:] if not each.startswith("--language=")]
        command = [command[0], "-c", proxy, *options]
    return start_process(command, kind, *args, **kwargs)

services.start_ray_process = start_elsewhere
"""
)
"""A head node's code. Its proxy of `ray://` takes ports for its servers from a range that is its own.

The proxies of two clusters on a machine that look for a port at the same time both find the first from 23000 on where
nobody listens yet. gRPC lets two listen on one port, and a client gets a server of the other cluster.
"""


@pytest.fixture(autouse=True)
def _no_early_maintenance(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its first time comes by chance, and tests count processes."""
    late = SimpleNamespace(randint=lambda _, most: most)
    monkeypatch.setattr("checkmaite.jobs_ray_simple.cluster.maintenance.random", late)


@pytest.fixture(scope="package")
def local_ray() -> Iterator[Any]:
    """A Ray that the user, here the test session, has started."""
    import ray

    ray.init(
        address="local",
        num_cpus=2,
        num_gpus=2,  # pretended
        resources={"bench": 1},
        include_dashboard=False,
        log_to_driver=False,
        object_store_memory=100 * 2**20,
        _node_ip_address="127.0.0.1",
    )
    yield ray
    ray.shutdown()


_PORTS = range(24_000, 32_768)
"""Above those that Ray chooses from, below those that the system gives to whoever asks for any."""


def free_port() -> int:
    """A port for a server that is yet to be started; other workers of the tests look for some at the same time."""
    while True:
        port = secrets.choice(_PORTS)
        with socket.socket() as listener, suppress(OSError):
            listener.bind(("127.0.0.1", port))
            return port


def _listens(port: int) -> bool:
    with socket.socket() as prober:
        return prober.connect_ex(("127.0.0.1", port)) == 0


@contextmanager
def head_node(folder: Path | None = None, *, site: str = "", **env: str) -> Iterator[dict[str, str]]:
    """A cluster that stands by itself: its addresses for drivers and for clients.

    Args:
        folder: Where `site` is kept.
        site: Python code that each of its Python processes runs first.
        **env: Variables of its processes.
    """
    if folder is not None:
        (folder / "sitecustomize.py").write_text(site)
        env["PYTHONPATH"] = str(folder)
    gcs, client = free_port(), free_port()
    head = subprocess.Popen(
        [
            *(sys.executable, "-c", f"{HEAD}\nfrom ray.scripts.scripts import main\nmain()"),
            *("start", "--head", "--block"),
            *("--node-ip-address=127.0.0.1", f"--port={gcs}", f"--ray-client-server-port={client}"),
            *("--num-cpus=2", "--include-dashboard=false", "--object-store-memory=100000000"),
        ],
        env={**os.environ, "RAY_AUTH_MODE": "disabled", **env},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        deadline = time.monotonic() + 120
        while not (_listens(gcs) and _listens(client)):
            assert head.poll() is None, "the cluster did not start"
            assert time.monotonic() < deadline, "the cluster did not start in time"
            time.sleep(0.05)
        yield {"driver": f"127.0.0.1:{gcs}", "client": f"ray://127.0.0.1:{client}"}
    finally:
        _end(head)


@pytest.fixture(scope="package")
def cluster() -> Iterator[dict[str, str]]:
    """A cluster without anything special."""
    with head_node() as addresses:
        yield addresses


_OLDER_CORE = """
from checkmaite.jobs import spi
from checkmaite.jobs._shared import versions
from checkmaite.jobs._workers import execution
versions.WORKER_PROTOCOL = 1
for name in ("execute", "WorkerProcess"):
    delattr(spi, name)
    if hasattr(execution, name):
        delattr(execution, name)
"""


def older_core(folder: Path) -> dict[str, Any]:
    """A runtime environment whose workers have a core that speaks an older language, and lacks what came later."""
    folder.mkdir()
    (folder / "sitecustomize.py").write_text(_OLDER_CORE)
    return {"env_vars": {"PYTHONPATH": os.pathsep.join((str(folder), os.environ.get("PYTHONPATH", "")))}}


def _end(head: subprocess.Popen[bytes]) -> None:
    """End a cluster and everything that it started: one process group."""
    os.killpg(head.pid, signal.SIGTERM)
    with suppress(subprocess.TimeoutExpired):
        head.wait(3)
    with suppress(ProcessLookupError):  # all of it is gone already
        os.killpg(head.pid, signal.SIGKILL)
    head.wait()
