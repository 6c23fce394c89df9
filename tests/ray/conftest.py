"""One cluster for these tests, the test process attached to it, and clients in processes of their own."""

from __future__ import annotations

import itertools
import os
import uuid
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from checkmaite.jobs import (
    Job,
    JobBackend,
    JobsError,
    configure_job_backend,
    list_jobs,
    shutdown_job_backend,
    submit_capability,
)

from tests.ray import capabilities
from tests.ray.clusters import CONTROLLER, REGISTRY, SOON_S, Client, Cluster, wait_until
from tests.spans import SpanReceiver

SHARED_REGISTRY = "shared-by-the-tests"
PATIENCE: dict[str, Any] = {"registry_startup_timeout_s": SOON_S, "registry_update_timeout_s": SOON_S}
"""What a registry may take to answer on a machine that is busy with other things."""
_numbers = itertools.count()


@pytest.fixture(scope="package")
def span_receiver() -> Iterator[SpanReceiver]:
    """Where processes of the cluster send the spans that they make, if any does."""
    with SpanReceiver().open() as receiver:
        yield receiver


@pytest.fixture(scope="package")
def cluster(span_receiver: SpanReceiver) -> Iterator[Cluster]:
    spans = {"OTEL_EXPORTER_OTLP_ENDPOINT": span_receiver.url, "OTEL_SERVICE_NAME": "cluster"}
    with Cluster(num_cpus=4, num_gpus=2, client_server=True, **spans) as running:
        yield running


@pytest.fixture(scope="package")
def attached(cluster: Cluster) -> Iterator[Any]:
    """The test process is a driver of the cluster, as a user's notebook would be."""
    with attached_to(cluster) as ray:
        ray.cloudpickle.register_pickle_by_value(capabilities)
        yield ray
        ray.cloudpickle.unregister_pickle_by_value(capabilities)


class attached_to:  # noqa: N801 - reads as a verb
    """Attach this process to a cluster without authentication; what it was set to before is restored."""

    def __init__(self, cluster: Cluster) -> None:
        self._address = cluster.driver
        self._mode = os.environ.get("RAY_AUTH_MODE")

    def __enter__(self) -> Any:
        import ray
        from ray._raylet import Config

        os.environ["RAY_AUTH_MODE"] = "disabled"
        Config.initialize("")  # Ray has read the mode before when another test has used it
        ray.init(self._address, log_to_driver=False)
        return ray

    def __exit__(self, *_: object) -> None:
        import ray

        ray.shutdown()
        os.environ.pop("RAY_AUTH_MODE", None)
        if self._mode is not None:
            os.environ["RAY_AUTH_MODE"] = self._mode


@pytest.fixture
def scope() -> str:
    return f"scope-{next(_numbers)}-{uuid.uuid4().hex[:8]}"


@pytest.fixture(scope="session")
def journals(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the registries of all tests keep their journals, each below its namespace and name."""
    return tmp_path_factory.mktemp("journals")


@pytest.fixture
def options(cluster: Cluster, scope: str, tmp_path: Path, journals: Path) -> dict[str, Any]:
    """A scope and a store of the test's own, on the registry that the tests share: starting one costs seconds."""
    return {
        "address": cluster.driver,
        "idempotency_scope": scope,
        "registry_actor_name": SHARED_REGISTRY,
        "analytics_store": {"backend": "parquet", "uri": str(tmp_path / "store")},
        "journal_uri": str(journals),
        "store_maintenance_jobs": None,  # it begins by chance, and tests count processes
        **PATIENCE,
    }


@pytest.fixture
def suite_options(request: pytest.FixtureRequest, attached: Any, options: dict[str, Any]) -> None:
    """Gives a suite's class the options, but for the store, which it names itself."""
    request.cls.options = {name: value for name, value in options.items() if name != "analytics_store"}


@pytest.fixture
def own_options(attached: Any, options: dict[str, Any], scope: str, tmp_path: Path) -> Iterator[dict[str, Any]]:
    """Likewise, but the registry and its controllers are the test's own too, and gone after it."""
    namespace = f"namespace-of-{scope}"
    yield {**options, "registry_actor_name": None, "registry_namespace": namespace}
    stop_jobs(tmp_path)
    end_actors(attached, namespace)


def end_actors(ray: Any, namespace: str) -> None:
    """End every actor of a namespace, also those that one of them has started in the meantime."""
    while names := [each for each in ray.util.list_named_actors(all_namespaces=True) if each["namespace"] == namespace]:
        for each in names:
            with suppress(ValueError):  # it has ended
                ray.kill(ray.get_actor(each["name"], namespace))


def stop_jobs(folder: Path) -> None:
    """Leave no job of the test behind: they would hold CPUs of the cluster, since they outlive their client."""
    (folder / "go").touch()
    with suppress(JobsError):
        for job in list_jobs(1000, ["PENDING", "SCHEDULING", "RUNNING"]):
            job.cancel(grace=0)
    shutdown_job_backend(wait=False)


@pytest.fixture
def configure(attached: Any, options: dict[str, Any], tmp_path: Path) -> Iterator[Callable[..., JobBackend]]:
    """Configures ``"ray"`` with the test's options and any changes to them."""
    yield lambda **changes: configure_job_backend("ray", **{**options, **changes})
    stop_jobs(tmp_path)


@pytest.fixture
def backend(configure: Callable[..., JobBackend]) -> JobBackend:
    return configure()


@pytest.fixture
def client(tmp_path: Path, options: dict[str, Any]) -> Iterator[Callable[..., Client]]:
    """Starts a client: `client(text, **changes_of_options)`. It ends with the test at the latest."""
    started: list[Client] = []

    def start(text: str, env: dict[str, str] | None = None, folder: Path | None = None, **changes: Any) -> Client:
        folder = folder or tmp_path / f"client-{len(started)}"
        started.append(Client(text, folder, {**options, **changes}, **(env or {})))
        return started[-1]

    yield start
    for each in started:
        each.kill()


@pytest.fixture
def control(cluster: Cluster) -> Control:
    return Control(cluster)


class Control:
    """The registry and the controllers that were started since this was made."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._before = cluster.pids(REGISTRY) | cluster.pids(CONTROLLER)

    def registry(self) -> int:
        (pid,) = wait_until(lambda: len(new := self._new(REGISTRY)) == 1 and new, "no registry was started, or several")
        return pid

    def controllers(self) -> list[int]:
        return sorted(wait_until(lambda: self._new(CONTROLLER), "no controller was started"))

    def count(self) -> tuple[int, int]:
        return len(self._new(REGISTRY)), len(self._new(CONTROLLER))

    def _new(self, title: str) -> set[int]:
        return self._cluster.pids(title) - self._before


def submit(act: Callable[[], object], folder: Path | str = "", run_uid: str = "", **arguments: Any) -> Job:
    """Submit a run of `act`, of a run uid of its own unless it is given."""
    config = {"run_uid": run_uid or uuid.uuid4().hex}
    return submit_capability(capabilities.Acts(act, str(folder)), config=config, **arguments)


def starts(folder: Path, run_uid: str = "*") -> int:
    """How often runs were started by `capabilities.Acts`."""
    return len(list(folder.glob(f"start-{run_uid}-*")))
