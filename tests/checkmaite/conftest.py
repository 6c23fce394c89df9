"""One local Ray and a backend of each kind, for all tests with the CheckMAITE package."""

from __future__ import annotations

import os
import uuid
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

os.environ.update(
    RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER="0", RAY_USAGE_STATS_ENABLED="0", OMP_NUM_THREADS="1", MPLBACKEND="agg"
)  # before Ray and torch are imported

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # torch deprecates what the package calls when it is imported
    import checkmaite.core  # noqa: F401

BACKENDS = ["ray-simple", "ray", "inline"]


@pytest.fixture(scope="session", autouse=True)
def weights(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Random weights where torchvision looks for pretrained ones, in this process and in Ray's workers."""
    from tests.checkmaite.digits import random_weights

    with pytest.MonkeyPatch.context() as patch:
        home = Path(os.environ.get("TORCH_HOME") or tmp_path_factory.mktemp("torch"))
        patch.setenv("TORCH_HOME", str(home))
        random_weights(home)
        yield


@pytest.fixture(scope="session")
def local_ray(weights: None) -> Iterator[Any]:
    """A Ray that the user, here the test session, has started."""
    import ray

    ray.init(
        address="local",
        num_cpus=2,
        include_dashboard=False,
        log_to_driver=False,
        object_store_memory=2 * 2**30,
        _node_ip_address="127.0.0.1",
    )
    yield ray
    ray.shutdown()


@pytest.fixture(params=BACKENDS)
def kind(request: pytest.FixtureRequest) -> str:
    """The kind of a backend."""
    return str(request.param)


@pytest.fixture
def configure(kind: str, request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Callable[..., Any]]:
    """Configures the backend with a store and a scope of the test's own, and any changes."""
    from checkmaite.jobs import configure_job_backend, shutdown_job_backend

    options: dict[str, Any] = {"analytics_store": {"backend": "parquet", "uri": str(tmp_path / "store")}}
    if kind != "inline":
        request.getfixturevalue("local_ray")
    if kind == "ray":
        options.update(idempotency_scope=f"scope-{uuid.uuid4().hex[:8]}", registry_actor_name="of-the-tests")
        options.update(journal_uri=str(tmp_path.parent / "journals"))
    yield lambda **changes: configure_job_backend(kind, **{**options, **changes})
    shutdown_job_backend(wait=False)
