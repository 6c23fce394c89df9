"""The user's page: each of its examples as it stands, only hosts, buckets and scopes replaced, then used for real."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.ray.clusters import Cluster
from tests.scripts import run_script

PAGE = {
    "API shape": """
from checkmaite.jobs import configure_job_backend

configure_job_backend(
    "ray",
    address="ray://cluster-head:10001",
    idempotency_scope="my-workspace-or-experiment",
    runtime_env={
        "working_dir": ".",
        "env_vars": {"MODEL_REGISTRY_URL": "https://registry.internal"},
    },
    analytics_store={
        "backend": "parquet",
        "uri": "s3://team-checkmaite/analytics-store",
        # optional:
        # "storage_options": {...},
    },
)
""",
    "Local development with reattachable jobs": """
configure_job_backend(
    "ray",
    address="local",
    idempotency_scope="local-dev",
    analytics_store={"backend": "parquet", "uri": "./analytics_store"},
)
""",
    "Local development with the simple Ray job backend": """
configure_job_backend(
    "ray-simple",
    address="local",
    analytics_store={"backend": "parquet", "uri": "./analytics_store"},
)
""",
    "Shared Ray cluster with object storage": """
configure_job_backend(
    "ray",
    address="ray://cluster-head:10001",
    idempotency_scope="team-a-prod-evals",
    runtime_env={
        "working_dir": ".",
        "env_vars": {"AWS_REGION": "us-east-1"},
    },
    analytics_store={
        "backend": "parquet",
        "uri": "s3://team-checkmaite/analytics-store",
        "storage_options": {"anon": False},
    },
)
""",
    "Shared status + reattach configuration": """
configure_job_backend(
    "ray",
    address="ray://cluster-head:10001",
    analytics_store={"backend": "parquet", "uri": "s3://team-checkmaite/analytics-store"},
    idempotency_scope="team-a-notebooks",
    # Optional: omit registry_actor_name to use a stable scope-derived default.
    # Pass an explicit name only when clients should intentionally share one registry actor.
    registry_namespace="checkmaite_jobs",
    controller_retention_s=3600,
    max_retained_terminal_controllers=1000,
)
""",
}
CREDENTIALS = {"AWS_ACCESS_KEY_ID": "test-access-key", "AWS_SECRET_ACCESS_KEY": "test-secret-key"}

# Where the page sends a working folder along, or the workers are here, the capability is in a file beside the script.
CAPABILITY = """
import os
from types import SimpleNamespace

class Squares:
    id = "squares"

    def run(self, *, models=None, datasets=None, metrics=None, config=None, use_cache=False):
        print("on the worker:", os.environ.get("MODEL_REGISTRY_URL"), os.environ.get("AWS_REGION"))
        return SimpleNamespace(
            run_uid=f"squares-{config['limit']}",
            capability_id=self.id,
            dataset_metadata=[{"id": "numbers"}],
            model_metadata=[],
            metric_metadata=[],
            extract=lambda: [{"table_name": "squares", "square": n * n} for n in range(config["limit"])],
        )
"""
SUBMITS = """
from checkmaite.jobs import get_job_backend, submit_capability

job = submit_capability(Squares(), config={"limit": 5})
ref = job.result(timeout=120)
print(ref.run_uid, job.status, ref.store_uri)
"""
FINDS = """
from checkmaite.jobs import get_job_backend, list_jobs

(job,) = list_jobs()
print(job.result(timeout=120).run_uid, job.status, job.result().store_uri)
"""
QUERIES = """
sql = "select sum(square) as total, any_value(entity_id) as dataset from squares join runs using (run_uid)"
print(get_job_backend().analytics_store.query_sql(sql).to_pylist())
print(*[line for line in job.logs().splitlines() if line.startswith("on the worker")])

from checkmaite.jobs import shutdown_job_backend
shutdown_job_backend()
"""


@pytest.fixture(scope="module")
def s3_environment(s3_endpoint: str) -> dict[str, str]:
    """What an administrator sets for everybody who uses the team's object storage."""
    return {**CREDENTIALS, "AWS_ENDPOINT_URL": s3_endpoint}


@pytest.fixture(scope="module")
def team_cluster(s3_environment: dict[str, str]) -> Iterator[Cluster]:
    with Cluster(num_cpus=2, client_server=True, **s3_environment) as running:
        yield running


def run(folder: Path, text: str, **env: str) -> list[str]:
    folder.mkdir(exist_ok=True)
    return run_script(text, folder, **env).splitlines()


def example(name: str, *, replacing: dict[str, str], capability: str = "from squares import Squares") -> str:
    block = PAGE[name]
    for there, here in replacing.items():
        assert there in block, f"the page says {there!r}"
        block = block.replace(there, here)
    return f"from checkmaite.jobs import configure_job_backend\n{capability}\n{block}"


@pytest.mark.parametrize("name", [name for name in PAGE if name.startswith("Local")])
def test_local_development(tmp_path: Path, name: str) -> None:
    (tmp_path / "squares.py").write_text(CAPABILITY)
    local = {"RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0", "RAY_USAGE_STATS_ENABLED": "0"}
    ran, queried, *_ = run(tmp_path, example(name, replacing={}) + SUBMITS + QUERIES, **local)
    assert ran == f"squares-5 COMPLETED {tmp_path}/analytics_store/squares/squares-5.parquet"
    assert queried == "[{'total': 30, 'dataset': 'numbers'}]"


@pytest.mark.parametrize(
    ("name", "scope", "on_worker"),
    [
        ("API shape", "my-workspace-or-experiment", "https://registry.internal None"),
        ("Shared Ray cluster with object storage", "team-a-prod-evals", "None us-east-1"),
    ],
)
def test_a_shared_cluster_with_object_storage(
    tmp_path: Path,
    team_cluster: Cluster,
    s3_environment: dict[str, str],
    bucket: str,
    name: str,
    scope: str,
    on_worker: str,
) -> None:
    (tmp_path / "squares.py").write_text(CAPABILITY)
    replacing = {"ray://cluster-head:10001": team_cluster.client, "team-checkmaite": bucket, scope: uuid.uuid4().hex}
    text = example(name, replacing=replacing) + SUBMITS + QUERIES
    ran, queried, printed = run(tmp_path, text, **s3_environment, RAY_AUTH_MODE="disabled")
    assert ran == f"squares-5 COMPLETED s3://{bucket}/analytics-store/squares/squares-5.parquet"
    assert queried == "[{'total': 30, 'dataset': 'numbers'}]"
    assert printed == f"on the worker: {on_worker}"


def test_shared_status_and_reattach(
    tmp_path: Path, team_cluster: Cluster, s3_environment: dict[str, str], bucket: str
) -> None:
    """One process submits and ends at once; another, in another folder, finds the job and its rows."""
    replacing = {
        "ray://cluster-head:10001": team_cluster.client,
        "team-checkmaite": bucket,
        "team-a-notebooks": uuid.uuid4().hex,
    }
    block = example("Shared status + reattach configuration", replacing=replacing, capability=CAPABILITY)
    submits = SUBMITS.partition("ref =")[0] + "print(job.job_name)\n"
    environment = {**s3_environment, "RAY_AUTH_MODE": "disabled"}
    assert run(tmp_path / "one", block + submits, **environment) == ["squares"]
    ran, queried, *_ = run(tmp_path / "other", block + FINDS + QUERIES, **environment)
    assert ran == f"squares-5 COMPLETED s3://{bucket}/analytics-store/squares/squares-5.parquet"
    assert queried == "[{'total': 30, 'dataset': 'numbers'}]"
