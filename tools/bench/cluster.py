"""The one cluster of a run: a head node on loopback with two CPUs and a server for ``ray://``."""

from __future__ import annotations

import itertools
import os
import signal
import subprocess
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import cached_property
from pathlib import Path
from typing import Any, Self

from endpoint import free_port, listens

HERE = Path(__file__).parent
os.environ.update(  # before Ray is imported, so modules that need Ray have it from here
    RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER="0",
    RAY_USAGE_STATS_ENABLED="0",
    RAY_AUTH_MODE="disabled",
    GRPC_ENABLE_FORK_SUPPORT="0",
    PYTHONPATH=os.pathsep.join(filter(None, [str(HERE), os.environ.get("PYTHONPATH", "")])),
)

import ray  # noqa: E402
import work  # noqa: E402
from checkmaite.jobs import configure_job_backend, shutdown_job_backend  # noqa: E402

NULL = {"backend": "null"}
_START_S = 60.0
_numbers = itertools.count()


class Cluster:
    """The cluster, which this process is attached to; it is started when it is asked for first.

    Attributes:
        long: Whether to measure what takes minutes, too.
    """

    def __init__(self, *, long: bool) -> None:
        self.long = long
        self._head: subprocess.Popen[bytes] | None = None
        self._ports = free_port(), free_port()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._head is None:
            return
        ray.shutdown()
        os.killpg(self._head.pid, signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            self._head.wait(5)
        for pid in _session(self._head.pid):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self._head.wait()

    @cached_property
    def driver(self) -> str:
        """Its address for drivers."""
        gcs, client = self._ports
        self._head = subprocess.Popen(
            [
                *(str(Path(sys.executable).with_name("ray")), "start", "--head", "--block"),
                *("--node-ip-address=127.0.0.1", f"--port={gcs}", f"--ray-client-server-port={client}"),
                *("--num-cpus=2", "--include-dashboard=false", "--object-store-memory=200000000"),
            ],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        wait_until(lambda: all(map(listens, self._ports)), "the cluster does not listen")
        address = f"127.0.0.1:{gcs}"
        ray.init(address, log_to_driver=False)
        return address

    @property
    def client(self) -> str:
        """Its address for clients."""
        assert self.driver, "the cluster is up"
        return f"ray://127.0.0.1:{self._ports[1]}"

    @cached_property
    def nothing(self) -> Any:
        """The raw no-op task."""
        assert self.driver, "the cluster is up"
        return ray.remote(work.nothing)

    def raw(self, count: int) -> None:
        """So many raw no-op tasks, from the first submission to the last result."""
        ray.get([self.nothing.remote(number) for number in range(count)])

    def pids(self, title: str) -> set[int]:
        """Its processes whose title begins so."""
        assert self._head is not None, "the cluster is up"
        return {pid for pid in _session(self._head.pid) if _title(pid).startswith(title)}

    @contextmanager
    def registry(self, store: Any = NULL, **options: Any) -> Iterator[Registry]:
        """A registry of one's own, configured for this process; with its controllers it is gone afterwards.

        Without another `journal_uri` it keeps its jobs in memory only.
        """
        registry = Registry(self, {"analytics_store": store, "journal_uri": None, **options})
        try:
            registry.configure()
            yield registry
        finally:
            shutdown_job_backend(wait=False)
            registry.end()


class Registry:
    """One registry of the cluster.

    Attributes:
        options: Those of the backend.
    """

    def __init__(self, cluster: Cluster, options: dict[str, Any]) -> None:
        self._cluster = cluster
        self._namespace = f"bench-{next(_numbers)}"
        named = {"idempotency_scope": "bench", "registry_namespace": self._namespace}
        self.options = {"address": cluster.driver, **named, **options}
        self._before = self._pids()

    def configure(self) -> None:
        """Have this process use it."""
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message=".* in memory only")  # on purpose
            configure_job_backend("ray", **self.options)

    def pids(self, processes: int) -> set[int]:
        """Its process and its controllers', so many in all."""
        wait_until(lambda: len(self._pids() - self._before) == processes, "not all controllers are there")
        return self._pids() - self._before

    def end(self) -> None:
        """End its actors, also those that one of them has started in the meantime."""
        while names := [
            each["name"]
            for each in ray.util.list_named_actors(all_namespaces=True)
            if each["namespace"] == self._namespace
        ]:
            for name in names:
                with suppress(ValueError):  # it has ended
                    ray.kill(ray.get_actor(name, self._namespace))

    def _pids(self) -> set[int]:
        return self._cluster.pids("ray::JobRegistry") | self._cluster.pids("ray::JobController")


def wait_until(condition: Callable[[], object], otherwise: str) -> None:
    """Wait until `condition()` is true."""
    deadline = time.monotonic() + _START_S
    while not condition():
        assert time.monotonic() < deadline, otherwise
        time.sleep(0.05)


def _session(leader: int) -> list[int]:
    """The processes of a session."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with suppress(OSError):
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
                if int(fields[3]) == leader and fields[0] not in "ZX":
                    found.append(int(entry.name))
    return found


def _title(pid: int) -> str:
    try:
        return (Path("/proc") / str(pid) / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    except OSError:
        return ""
